"""Transfer to localization from frozen features; measures of boxes and masks."""

from typing import NamedTuple

import torch
from torch import Tensor

from plastorch.data.tasks.scenes import VOID, Scenes
from plastorch.efference.ridge import chosen_ridge
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
    """Measures ridge regression of an object's box on features not trained for it.

    Invariance hurts here: features that don't change as an object moves can't tell where it is.

    Args:
        features: features of the training scenes [N, D].
        scenes: training scenes with one object each.
        test_features: features of the test scenes [M, D].
        test_scenes: test scenes with one object each.
        seed: random seed that selects training scenes for the choice of penalty.

    Raises:
        InputError: features and scenes don't fit, or a scene has no or several objects.
    """
    boxes, test_boxes = _single_boxes(scenes, features), _single_boxes(test_scenes, test_features)

    def error(predicted: Tensor, wanted: Tensor) -> Tensor:
        return (predicted - wanted).square().mean()

    predicted = chosen_ridge(features, boxes, error, seed=seed)(test_features)
    constant = boxes.double().mean(dim=0).expand_as(predicted)
    wanted = test_boxes.double()
    x, y, width, height = r_squared(predicted, wanted).tolist()
    return Localization(
        (x, y, width, height),
        float(paired_iou(corners(predicted), corners(wanted)).mean()),
        float(paired_iou(corners(constant), corners(wanted)).mean()),
    )


def r_squared(predicted: Tensor, wanted: Tensor) -> Tensor:
    """Returns 1 - squared error / squared deviation from the mean, per column [T] of [N, T].

    Example:
        >>> r_squared(torch.tensor([[1.0], [2.0], [3.0]]), torch.tensor([[1.0], [2.0], [4.0]]))
        tensor([0.7857])
    """
    error = (predicted - wanted).square().sum(dim=0)
    return 1 - error / (wanted - wanted.mean(dim=0)).square().sum(dim=0)


def centers(boxes: Tensor) -> Tensor:
    """Converts boxes left, top, right, bottom to center x, center y, width, height [..., 4].

    Example:
        >>> centers(torch.tensor([1.0, 2.0, 5.0, 4.0]))
        tensor([3., 3., 4., 2.])
    """
    low, high = boxes[..., :2], boxes[..., 2:]
    return torch.cat([(low + high) / 2, high - low], dim=-1)


def corners(boxes: Tensor) -> Tensor:
    """Converts boxes center x, center y, width, height to left, top, right, bottom [..., 4].

    Example:
        >>> corners(torch.tensor([3.0, 3.0, 4.0, 2.0]))
        tensor([1., 2., 5., 4.])
    """
    middle, half = boxes[..., :2], boxes[..., 2:] / 2
    return torch.cat([middle - half, middle + half], dim=-1)


def paired_iou(a: Tensor, b: Tensor) -> Tensor:
    """Returns intersection over union of boxes left, top, right, bottom [..., 4], which broadcast.

    A box with reversed sides has no area.

    Example:
        >>> paired_iou(torch.tensor([0.0, 0.0, 2.0, 1.0]), torch.tensor([1.0, 0.0, 3.0, 1.0]))
        tensor(0.3333)
    """
    low, high = torch.maximum(a[..., :2], b[..., :2]), torch.minimum(a[..., 2:], b[..., 2:])
    common = (high - low).clamp(min=0).prod(dim=-1)
    areas = [(box[..., 2:] - box[..., :2]).clamp(min=0).prod(dim=-1) for box in (a, b)]
    union = areas[0] + areas[1] - common
    return torch.where(union > 0, common / union, torch.zeros_like(union))


def confusion(predicted: Tensor, wanted: Tensor, classes: int) -> Tensor:
    """Counts pixels [classes, classes] by true class (rows) and predicted class (columns).

    Args:
        predicted: classes of pixels, any shape.
        wanted: true classes, same shape; 255 where unlabeled.
        classes: number of classes, background included.

    Example:
        >>> confusion(torch.tensor([0, 1, 1]), torch.tensor([0, 0, 255]), 2)
        tensor([[1, 1],
                [0, 0]])
    """
    said = wanted != VOID
    pairs = wanted[said].long() * classes + predicted[said].long()
    return torch.bincount(pairs, minlength=classes**2).view(classes, classes)


def mean_iou(counts: Tensor) -> float:
    """Returns the intersection over union, mean over the classes that occur.

    Args:
        counts: pixel counts, true classes in rows, predicted ones in columns [K, K]; a class
            occurs if it is in either.

    Example:
        >>> mean_iou(torch.tensor([[2, 1, 0], [1, 0, 0], [0, 0, 0]]))
        0.25
    """
    common = counts.diagonal().double()
    union = counts.sum(dim=0) + counts.sum(dim=1) - counts.diagonal()
    if not union.any():
        raise InputError("counts are all 0; expected pixels of at least one class")
    return float((common / union)[union > 0].mean())


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
    kinds = torch.unique(scenes.labels).tolist()
    if not kinds:
        raise InputError("scenes hold no objects; expected at least one")
    precisions = []
    for kind in kinds:
        mine, true = found.labels == kind, scenes.labels == kind
        iou = paired_iou(found.boxes[mine][:, None], scenes.boxes[true])
        iou = torch.where(found.owners[mine][:, None] == scenes.owners[true], iou, 0)
        best, target = iou.max(dim=1)
        order = found.scores[mine].sort(descending=True, stable=True).indices
        enough, target = (best >= least_iou)[order], target[order]
        right = enough & _first(torch.where(enough, target, -1))
        precisions.append(_area(right, int(true.sum())))
    return sum(precisions) / len(precisions)


def _first(values: Tensor) -> Tensor:
    """Tells whether each value [D] is the first of its kind."""
    _, index = torch.unique(values, return_inverse=True)
    place = torch.arange(len(values), device=values.device)
    first = torch.full_like(place, len(place)).scatter_reduce_(0, index, place, "amin")
    return first[index] == place


def _area(right: Tensor, objects: int) -> float:
    """Returns the area under precision of detections [D], by descending score, over recall."""
    hits = right.cumsum(0).double()
    precision = hits / torch.arange(1, len(right) + 1, device=right.device)
    highest = precision.flip(0).cummax(0).values.flip(0)
    return float(highest[right].sum() / objects)


def _single_boxes(scenes: Scenes, features: Tensor) -> Tensor:
    """Returns center and size of each scene's single object, as shares of the image [N, 4]."""
    if not (scenes.counts == 1).all():
        raise InputError(
            f"scenes hold {int(scenes.counts.min())} to {int(scenes.counts.max())} objects; "
            "expected one each"
        )
    if features.ndim != 2 or len(features) != len(scenes):
        raise InputError(
            f"features are {tuple(features.shape)}; expected ({len(scenes)}, features)"
        )
    height, width = scenes.images.shape[2:]
    boxes = scenes.boxes.to(features.device)
    return centers(boxes) / boxes.new_tensor([width, height, width, height])
