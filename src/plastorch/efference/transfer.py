"""Transfer to localization from frozen features; measures of boxes and masks."""

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from plastorch.data.tasks.scenes import Scenes
from plastorch.efference.ridge import as_numpy, chosen_ridge
from plastorch.engine.errors import InputError


class Localization(NamedTuple):
    """Accuracy of locating objects by a linear map of features, on test scenes."""

    r2: tuple[float, float, float, float]
    """Explained share of the variance of the box's center x and y, width and height."""
    mean_iou: float
    """Mean intersection over union of predicted and true boxes."""
    constant_iou: float
    """Mean intersection over union of the training scenes' mean box as a constant prediction."""


def localization(
    features: Tensor, scenes: Scenes, test_features: Tensor, test_scenes: Scenes, seed: int = 0
) -> Localization:
    """Measures ridge regression of an object's box on features that were not trained for it.

    Invariance hurts here: features that don't change as an object moves can't say where it is.

    Args:
        features: features of the training scenes [N, D].
        scenes: training scenes with one object each.
        test_features: features of the test scenes [M, D].
        test_scenes: test scenes with one object each.
        seed: random seed that selects training scenes for the choice of penalty.

    Raises:
        InputError: features and scenes don't fit, or a scene has no or several objects.
    """
    from sklearn.metrics import mean_squared_error, r2_score  # takes a second

    boxes, wanted = _single_boxes(scenes, features), _single_boxes(test_scenes, test_features)
    ridge = chosen_ridge(features, boxes, mean_squared_error, seed)
    predicted = torch.tensor(ridge.predict(as_numpy(test_features)))
    constant = boxes.mean(dim=0).expand_as(predicted)
    x, y, width, height = r2_score(wanted, predicted, multioutput="raw_values").tolist()
    overlap, of_constant = (_mean_overlap(of, wanted) for of in (predicted, constant))
    return Localization((x, y, width, height), overlap, of_constant)


def color_r2(features: Tensor, scenes: Scenes, test_features: Tensor, test_scenes: Scenes) -> float:
    """Returns the explained share of the variance of objects' mean colors, by ridge regression.

    Views whose colors change teach features to forget them.

    Args:
        features: features of the training scenes [N, D].
        scenes: training scenes with one object each.
        test_features: features of the test scenes [M, D].
        test_scenes: test scenes with one object each.

    Returns:
        Share, mean over red, green and blue.

    Raises:
        InputError: features and scenes don't fit, or a scene has no or several objects.
    """
    from sklearn.metrics import mean_squared_error, r2_score  # takes a second

    for of, given in ((scenes, features), (test_scenes, test_features)):
        _check_single(of, given)
    ridge = chosen_ridge(features, _colors(scenes), mean_squared_error)
    return float(r2_score(_colors(test_scenes), ridge.predict(as_numpy(test_features))))


def turned(images: Tensor) -> tuple[Tensor, Tensor]:
    """Turns square images [N, C, H, H], number i by i mod 4 quarters; returns the quarters, too."""
    made = images.clone()
    for k in range(1, 4):
        made[k::4] = images[k::4].rot90(k, (2, 3))
    return made, torch.arange(len(images)) % 4


class Detections(NamedTuple):
    """Detections of objects in scenes."""

    owners: Tensor
    """Image index of each detection, int64 [D]."""
    labels: Tensor
    """Classes, int64 [D]."""
    boxes: Tensor
    """Boxes left, top, right, bottom in pixels, float32 [D, 4]."""
    scores: Tensor
    """Confidence scores, float32 [D]."""


def average_precision(found: Detections, scenes: Scenes, least_iou: float = 0.5) -> float:
    """Returns average precision (default AP50), mean over the classes that occur in the scenes.

    As in the VOC challenge since 2010, a detection is matched to the object of its class that it
    overlaps most. It is correct if the overlap is sufficient and no more confident one has matched
    the object. Precision is the highest at that recall or above.

    Example:
        >>> image, seen = torch.zeros(1, 3, 4, 4).byte(), torch.zeros(1, 4, 4).byte()
        >>> zero, box = torch.tensor([0]), torch.tensor([[0.0, 0.0, 3.0, 3.0]])
        >>> scenes = Scenes(image, seen, zero, zero, box, ("a",))
        >>> average_precision(Detections(zero, zero, box + 1, torch.ones(1)), scenes)
        0.0
        >>> average_precision(Detections(zero, zero, box, torch.ones(1)), scenes)
        1.0
    """
    from torchvision.ops import box_iou  # takes seconds

    kinds = torch.unique(scenes.labels).tolist()
    if not kinds:
        raise InputError("scenes hold no objects; expected at least one")
    precisions = []
    for kind in kinds:
        mine, true = found.labels == kind, scenes.labels == kind
        iou = box_iou(found.boxes[mine], scenes.boxes[true])
        iou = torch.where(found.owners[mine][:, None] == scenes.owners[true], iou, 0)
        best, target = iou.max(dim=1)
        order = found.scores[mine].sort(descending=True, stable=True).indices
        enough, target = (best >= least_iou)[order], target[order]
        firsts = np.unique(torch.where(enough, target, -1), return_index=True)[1]
        right = torch.zeros_like(enough)
        right[firsts] = enough[firsts]  # later detections of an object are wrong
        precisions.append(_area(right, int(true.sum())))
    return sum(precisions) / len(precisions)


def _area(right: Tensor, objects: int) -> float:
    """Returns the area under precision of detections [D], by descending score, over recall."""
    hits = right.cumsum(0).double()
    precision = hits / torch.arange(1, len(right) + 1, device=right.device)
    highest = precision.flip(0).cummax(0).values.flip(0)
    return float(highest[right].sum() / objects)


def _mean_overlap(a: Tensor, b: Tensor) -> float:
    """Returns the mean intersection over union of pairs of boxes, by center and size [N, 4]."""
    from torchvision.ops import box_area, box_convert

    a = torch.cat([a[:, :2], a[:, 2:].clamp(min=0)], dim=1)  # a predicted size may be negative
    a, b = (box_convert(of, "cxcywh", "xyxy") for of in (a, b))
    sides = torch.minimum(a[:, 2:], b[:, 2:]) - torch.maximum(a[:, :2], b[:, :2])
    shared = sides.clamp(min=0).prod(dim=1)
    return float((shared / (box_area(a) + box_area(b) - shared)).mean())


def _colors(scenes: Scenes) -> Tensor:
    """Returns the mean color of each scene's single object, 0 to 1 [N, 3]."""
    masks = scenes.masks[:, None].double().cpu()
    return (scenes.images.cpu() * masks).sum(dim=(2, 3)) / masks.sum(dim=(2, 3)) / 255


def _single_boxes(scenes: Scenes, features: Tensor) -> Tensor:
    """Returns center and size of each scene's single object, as shares of the image [N, 4]."""
    from torchvision.ops import box_convert

    _check_single(scenes, features)
    height, width = scenes.images.shape[2:]
    boxes: Tensor = box_convert(scenes.boxes, "xyxy", "cxcywh").cpu()
    return (boxes / torch.tensor([width, height, width, height])).double()


def _check_single(scenes: Scenes, features: Tensor) -> None:
    if not (scenes.counts == 1).all():
        raise InputError(
            f"scenes hold {int(scenes.counts.min())} to {int(scenes.counts.max())} objects; "
            "expected one each"
        )
    if features.ndim != 2 or len(features) != len(scenes):
        raise InputError(
            f"features are {tuple(features.shape)}; expected ({len(scenes)}, features)"
        )
