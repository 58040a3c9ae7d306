"""Segmentation and detection heads on an encoder's last feature map.

They are small, for scenes of 64 to 96 pixels: torchvision's FCN head or one linear layer, and
torchvision's Faster R-CNN.
"""

from typing import Any, Literal, get_args

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from plastorch.data.tasks.scenes import VOID, Scenes
from plastorch.efference.encoders import Encoder
from plastorch.efference.probes import Apply, as_floats, evaluating
from plastorch.efference.transfer import Detections, average_precision, confusion, mean_iou
from plastorch.engine.errors import InputError, check_finite, check_positive

Head = Literal["linear", "fcn"]
"""Segmentation head: one linear layer at each place of the map, or torchvision's FCN head."""


class DenseNet(nn.Module):
    """Encoder with a head on its feature map; the encoder is frozen or fine-tuned.

    In both cases its normalization statistics are fixed, so scenes don't affect each other.

    Args:
        encoder: encoder whose last map is read; changed in place if fine-tuned.
        classes: number of object classes.
        finetune: train the encoder, too.
    """

    def __init__(self, encoder: Encoder, classes: int, finetune: bool) -> None:
        super().__init__()
        check_positive(classes=classes)
        self.encoder, self.classes, self.finetune = encoder, classes, finetune

    def train(self, mode: bool = True) -> "DenseNet":
        """Sets all but the encoder to train or eval mode."""
        super().train(mode)
        self.encoder.eval()
        return self

    def feature_map(self, images: Tensor) -> Tensor:
        """Returns the encoder's last map [B, D, h, w], with a gradient only if it is fine-tuned."""
        with torch.set_grad_enabled(self.finetune and torch.is_grad_enabled()):
            return self.encoder.feature_map(images)

    def learners(self) -> list[nn.Parameter]:
        """Returns the trained parameters."""
        frozen = set() if self.finetune else {id(p) for p in self.encoder.parameters()}
        return [p for p in self.parameters() if id(p) not in frozen]

    def loss(self, maps: Tensor, scenes: Scenes) -> Tensor:
        """Returns the training loss.

        Args:
            maps: maps of the scenes, from :meth:`feature_map`.
            scenes: scenes on the same device.
        """
        raise NotImplementedError


class Segmenter(DenseNet):
    """Network that assigns each pixel an object class or the background.

    Args:
        encoder: encoder, see :class:`DenseNet`.
        classes: number of object classes; class 0 of a pixel is the background.
        head: type of head on the map.
        finetune: train the encoder, too.

    Raises:
        InputError: the head is unknown, or there is no class.

    Example:
        >>> from plastorch.efference.encoders import small_resnet
        >>> Segmenter(small_resnet(width=4), classes=10)(torch.rand(2, 3, 64, 64)).shape
        torch.Size([2, 11, 64, 64])
    """

    def __init__(
        self, encoder: Encoder, classes: int, head: Head = "fcn", finetune: bool = False
    ) -> None:
        super().__init__(encoder, classes, finetune)
        if head not in get_args(Head):
            raise InputError(f"head is {head!r}; expected one of {', '.join(get_args(Head))}")
        if head == "linear":
            self.head: nn.Module = nn.Conv2d(encoder.features, classes + 1, 1)
        else:
            from torchvision.models.segmentation.fcn import FCNHead  # takes seconds

            self.head = FCNHead(encoder.features, classes + 1)

    def forward(self, images: Tensor) -> Tensor:
        """Returns logits [B, classes + 1, H, W] of images [B, 3, H, W]."""
        return self._read(self.feature_map(images), images.shape[2:])

    def loss(self, maps: Tensor, scenes: Scenes) -> Tensor:
        """Returns the cross-entropy, mean over labeled pixels."""
        logits = self._read(maps, scenes.class_maps.shape[1:])
        return F.cross_entropy(logits, scenes.class_maps.long(), ignore_index=VOID)

    def _read(self, maps: Tensor, size: torch.Size) -> Tensor:
        return F.interpolate(self.head(maps), size, mode="bilinear", align_corners=False)


class Detector(DenseNet):
    """Object detector: a small version of torchvision's Faster R-CNN.

    Anchors have areas of 12², 16², 24² and 32² pixels and height-to-width ratios of 1/2, 1 and 2.

    Args:
        encoder: encoder, see :class:`DenseNet`.
        classes: number of object classes.
        finetune: train the encoder, too.
        width: number of channels to which the encoder's map is projected.

    Raises:
        InputError: a number is not positive.

    Example:
        >>> from plastorch.efference.encoders import small_resnet
        >>> found = Detector(small_resnet(width=4), classes=10).eval()(torch.rand(2, 3, 64, 64))
        >>> [sorted(each) for each in found]
        [['boxes', 'labels', 'scores'], ['boxes', 'labels', 'scores']]
    """

    def __init__(
        self, encoder: Encoder, classes: int, finetune: bool = False, width: int = 64
    ) -> None:
        super().__init__(encoder, classes, finetune)
        check_positive(width=width)
        self.neck = nn.Conv2d(encoder.features, width, 1)
        self.rpn, self.roi_heads = _faster_rcnn(width, classes)

    def forward(self, images: Tensor) -> list[dict[str, Tensor]]:
        """Returns boxes, labels and scores of images [B, 3, H, W], by descending score.

        Raises:
            InputError: the encoder's maps are not finite, which would leave no boxes at all.
        """
        maps = self.feature_map(images)
        check_finite(maps=maps)
        found, _ = self._run(maps, images.shape, None)
        return [{**each, "labels": each["labels"] - 1} for each in found]

    def loss(self, maps: Tensor, scenes: Scenes) -> Tensor:
        """Sums four losses: objectness and box of proposals, class and box of regions."""
        boxes = torch.split(scenes.boxes, scenes.counts.tolist())
        labels = torch.split(scenes.labels + 1, scenes.counts.tolist())  # 0 is the background
        targets = [{"boxes": b, "labels": n} for b, n in zip(boxes, labels, strict=True)]
        _, losses = self._run(maps, scenes.images.shape, targets)
        return torch.stack(list(losses.values())).sum()

    def _run(
        self, maps: Tensor, shape: torch.Size, targets: list[dict[str, Tensor]] | None
    ) -> tuple[list[dict[str, Tensor]], dict[str, Tensor]]:
        from torchvision.models.detection.image_list import ImageList

        sizes = [(shape[2], shape[3])] * len(maps)
        read = {"0": self.neck(maps)}
        # Region proposals use only the sizes of the images.
        images = ImageList(maps.new_empty(()).expand(shape), sizes)
        proposals, first = self.rpn(images, read, targets)
        found, second = self.roi_heads(read, proposals, sizes, targets)
        return found, {**first, **second}


@torch.no_grad()
def segmentation_iou(
    segmenter: Segmenter, scenes: Scenes, apply: Apply = as_floats, batch_size: int = 100
) -> float:
    """Returns the mean intersection over union of classes, background included, over all pixels.

    Args:
        segmenter: segmenter; its mode is restored.
        scenes: scenes on any device.
        apply: function from uint8 images to the encoder's input.
        batch_size: number of scenes at a time.

    Raises:
        InputError: outputs of the segmenter are not finite.
    """
    device = next(segmenter.parameters()).device
    classes = segmenter.classes + 1
    counts = torch.zeros(classes, classes, dtype=torch.int64)
    with evaluating(segmenter):
        for rows in torch.split(torch.arange(len(scenes)), batch_size):
            logits = segmenter(apply(scenes.images[rows].to(device)))
            check_finite(logits=logits)
            wanted = scenes.class_maps[rows].to(device)
            counts += confusion(logits.argmax(dim=1), wanted, classes).cpu()
    return mean_iou(counts)


@torch.no_grad()
def detect(
    detector: Detector, scenes: Scenes, apply: Apply = as_floats, batch_size: int = 100
) -> Detections:
    """Returns a detector's detections in all scenes, on the CPU.

    Args:
        detector: detector; its mode is restored.
        scenes: scenes on any device.
        apply: function from uint8 images to the encoder's input.
        batch_size: number of scenes at a time.
    """
    device = next(detector.parameters()).device
    found: list[dict[str, Tensor]] = []
    with evaluating(detector):
        for images in torch.split(scenes.images, batch_size):
            found += detector(apply(images.to(device)))
    counts = torch.tensor([len(each["scores"]) for each in found])
    owners = torch.arange(len(found)).repeat_interleave(counts)
    joined = (
        torch.cat([each[key] for each in found]).cpu() for key in ("labels", "boxes", "scores")
    )
    return Detections(owners, *joined)


def detection_ap50(detector: Detector, scenes: Scenes, apply: Apply = as_floats) -> float:
    """Returns the average precision at an overlap of one half, mean over classes."""
    return average_precision(detect(detector, scenes, apply), scenes.to("cpu"))


def _faster_rcnn(width: int, classes: int) -> tuple[Any, Any]:
    """Makes torchvision's region proposal network and region heads."""
    from torchvision.models.detection.anchor_utils import AnchorGenerator
    from torchvision.models.detection.faster_rcnn import FastRCNNPredictor, TwoMLPHead
    from torchvision.models.detection.roi_heads import RoIHeads
    from torchvision.models.detection.rpn import RegionProposalNetwork, RPNHead
    from torchvision.ops import MultiScaleRoIAlign

    anchors = AnchorGenerator(((12, 16, 24, 32),), ((0.5, 1.0, 2.0),))
    proposals = RegionProposalNetwork(
        anchors,
        RPNHead(width, anchors.num_anchors_per_location()[0]),
        fg_iou_thresh=0.7,
        bg_iou_thresh=0.3,
        batch_size_per_image=64,
        positive_fraction=0.5,
        pre_nms_top_n={"training": 200, "testing": 200},
        post_nms_top_n={"training": 50, "testing": 30},
        nms_thresh=0.7,
    )
    regions = RoIHeads(
        MultiScaleRoIAlign(["0"], output_size=4, sampling_ratio=2),
        TwoMLPHead(16 * width, 256),
        FastRCNNPredictor(256, classes + 1),
        fg_iou_thresh=0.5,
        bg_iou_thresh=0.5,
        batch_size_per_image=32,
        positive_fraction=0.25,
        bbox_reg_weights=None,
        score_thresh=0.05,
        nms_thresh=0.5,
        detections_per_img=20,
    )
    return proposals, regions
