"""Segmentation and detection by small heads on the last feature map of a frozen encoder."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from plastorch.data.tasks.scenes import VOID, Scenes
from plastorch.efference.encoders import Encoder, Frozen
from plastorch.efference.probes import as_floats
from plastorch.efference.transfer import Detections, average_precision
from plastorch.engine.errors import check_finite, check_positive
from plastorch.learning.modes import evaluating


class DenseNet(nn.Module):
    """Frozen encoder with a head on its feature map.

    Args:
        encoder: encoder whose last map is read; it is copied.
        classes: number of object classes.
    """

    def __init__(self, encoder: Encoder, classes: int) -> None:
        super().__init__()
        check_positive(classes=classes)
        self.encoder, self.classes = Frozen(encoder), classes

    def feature_map(self, images: Tensor) -> Tensor:
        """Returns the encoder's last map [B, D, h, w] of images, uint8 [B, 3, H, W]."""
        return self.encoder.feature_map(as_floats(images))

    def learners(self) -> list[nn.Parameter]:
        """Returns the trained parameters."""
        return [p for p in self.parameters() if p.requires_grad]

    def loss(self, maps: Tensor, scenes: Scenes) -> Tensor:
        """Returns the training loss for scenes and their maps, from :meth:`feature_map`."""
        raise NotImplementedError


class Segmenter(DenseNet):
    """Network that assigns each pixel an object class or the background, by torchvision's FCN head.

    Args:
        encoder: encoder, see :class:`DenseNet`.
        classes: number of object classes; class 0 of a pixel is the background.

    Raises:
        InputError: there is no class.

    Example:
        >>> from plastorch.efference.encoders import small_resnet
        >>> images = torch.zeros(2, 3, 64, 64, dtype=torch.uint8)
        >>> Segmenter(small_resnet(width=4), classes=10)(images).shape
        torch.Size([2, 11, 64, 64])
    """

    def __init__(self, encoder: Encoder, classes: int) -> None:
        from torchvision.models.segmentation.fcn import FCNHead  # takes seconds

        super().__init__(encoder, classes)
        self.head = FCNHead(encoder.features, classes + 1)

    def forward(self, images: Tensor) -> Tensor:
        """Returns logits [B, classes + 1, H, W] of images, uint8 [B, 3, H, W]."""
        return self._read(self.feature_map(images), images.shape[2:])

    def loss(self, maps: Tensor, scenes: Scenes) -> Tensor:
        """Returns the cross-entropy, mean over labeled pixels."""
        logits = self._read(maps, scenes.class_maps.shape[1:])
        return F.cross_entropy(logits, scenes.class_maps.long(), ignore_index=VOID)

    def _read(self, maps: Tensor, size: torch.Size) -> Tensor:
        return F.interpolate(self.head(maps), size, mode="bilinear", align_corners=False)


class Detector(DenseNet):
    """Object detector: a small version of torchvision's Faster R-CNN.

    It is for scenes of 64 to 96 pixels: anchors have areas of 12², 16², 24² and 32² pixels and
    height-to-width ratios of 1/2, 1 and 2.

    Args:
        encoder: encoder, see :class:`DenseNet`.
        classes: number of object classes.
        width: number of channels to which the encoder's map is projected.

    Raises:
        InputError: a number is not positive.

    Example:
        >>> from plastorch.efference.encoders import small_resnet
        >>> images = torch.zeros(2, 3, 64, 64, dtype=torch.uint8)
        >>> found = Detector(small_resnet(width=4), classes=10).eval()(images)
        >>> [sorted(each) for each in found]
        [['boxes', 'labels', 'scores'], ['boxes', 'labels', 'scores']]
    """

    def __init__(self, encoder: Encoder, classes: int, width: int = 64) -> None:
        from torchvision.models.detection import faster_rcnn, rpn  # takes seconds
        from torchvision.ops import MultiScaleRoIAlign

        super().__init__(encoder, classes)
        check_positive(width=width)
        self.neck = nn.Conv2d(encoder.features, width, 1)
        anchors = rpn.AnchorGenerator(((12, 16, 24, 32),), ((0.5, 1.0, 2.0),))
        parts = faster_rcnn.FasterRCNN(
            self.neck,
            rpn_anchor_generator=anchors,
            rpn_head=rpn.RPNHead(width, anchors.num_anchors_per_location()[0]),
            rpn_pre_nms_top_n_train=200,
            rpn_pre_nms_top_n_test=200,
            rpn_post_nms_top_n_train=50,
            rpn_post_nms_top_n_test=30,
            rpn_batch_size_per_image=64,
            box_roi_pool=MultiScaleRoIAlign(["0"], output_size=4, sampling_ratio=2),
            box_head=faster_rcnn.TwoMLPHead(16 * width, 256),
            box_predictor=faster_rcnn.FastRCNNPredictor(256, classes + 1),
            box_batch_size_per_image=32,
            box_detections_per_img=20,
        )
        self.rpn, self.roi_heads = parts.rpn, parts.roi_heads

    def forward(self, images: Tensor) -> list[dict[str, Tensor]]:
        """Returns boxes, labels and scores of images, uint8 [B, 3, H, W], by descending score.

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
def segmentation_iou(segmenter: Segmenter, scenes: Scenes, batch_size: int = 100) -> float:
    """Returns the intersection over union over all pixels, mean over the classes that occur.

    Args:
        segmenter: segmenter; its mode is restored.
        scenes: scenes on any device.
        batch_size: number of scenes at a time.

    Raises:
        InputError: outputs of the segmenter are not finite.
    """
    from sklearn.metrics import jaccard_score  # takes a second

    device = next(segmenter.parameters()).device
    answers = []
    with evaluating(segmenter):
        for images in torch.split(scenes.images, batch_size):
            logits = segmenter(images.to(device))
            check_finite(logits=logits)
            answers.append(logits.argmax(dim=1).cpu())
    wanted = scenes.class_maps.cpu()
    known = wanted != VOID
    return float(jaccard_score(wanted[known], torch.cat(answers)[known], average="macro"))


@torch.no_grad()
def detect(detector: Detector, scenes: Scenes, batch_size: int = 100) -> Detections:
    """Returns a detector's detections in all scenes, on the CPU; restores the detector's mode."""
    device = next(detector.parameters()).device
    found: list[dict[str, Tensor]] = []
    with evaluating(detector):
        for images in torch.split(scenes.images, batch_size):
            found += detector(images.to(device))
    counts = torch.tensor([len(each["scores"]) for each in found])
    owners = torch.arange(len(found)).repeat_interleave(counts)
    joined = (
        torch.cat([each[key] for each in found]).cpu() for key in ("labels", "boxes", "scores")
    )
    return Detections(owners, *joined)


def detection_ap50(detector: Detector, scenes: Scenes) -> float:
    """Returns the average precision at an overlap of one half, mean over classes."""
    return average_precision(detect(detector, scenes), scenes.to("cpu"))
