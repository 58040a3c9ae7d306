"""Transfer to where and what: localisation from frozen features; measures of boxes and masks."""

from typing import NamedTuple

import torch
from torch import Tensor

from plastorch.data.tasks.scenes import VOID, Scenes
from plastorch.efference.ridge import chosen_ridge
from plastorch.engine.errors import InputError


class Localisation(NamedTuple):
    """How well a linear map of features says where an object is, on test scenes."""

    r2: tuple[float, float, float, float]
    """Share of the variance that is explained: of the box's centre x and y, width and height."""
    mean_iou: float
    """Mean intersection over union of said and true boxes."""
    constant_iou: float
    """The same if the mean box of the training scenes is always said."""


def localisation(
    features: Tensor, scenes: Scenes, test_features: Tensor, test_scenes: Scenes, seed: int = 0
) -> Localisation:
    """Ridge regression of an object's box from features, which were not trained for it.

    Invariance hurts here: features that don't change as an object moves can't say where it is.

    Args:
        features: of the training scenes [N, D].
        scenes: with one object each.
        test_features: [M, D].
        test_scenes: with one object each.
        seed: decides which training scenes choose the penalty.

    Raises:
        InputError: if features and scenes don't fit, or a scene has none or several objects.
    """
    boxes, test_boxes = _single_boxes(scenes, features), _single_boxes(test_scenes, test_features)

    def error(predicted: Tensor, wanted: Tensor) -> Tensor:
        return (predicted - wanted).square().mean()

    predicted = chosen_ridge(features, boxes, error, seed=seed)(test_features)
    constant = boxes.double().mean(dim=0).expand_as(predicted)
    wanted = test_boxes.double()
    x, y, width, height = r_squared(predicted, wanted).tolist()
    return Localisation(
        (x, y, width, height),
        float(paired_iou(corners(predicted), corners(wanted)).mean()),
        float(paired_iou(corners(constant), corners(wanted)).mean()),
    )


def r_squared(predicted: Tensor, wanted: Tensor) -> Tensor:
    """1 - squared error / squared deviation from the mean, of each column [T] of [N, T].

    Example:
        >>> r_squared(torch.tensor([[1.0], [2.0], [3.0]]), torch.tensor([[1.0], [2.0], [4.0]]))
        tensor([0.7857])
    """
    error = (predicted - wanted).square().sum(dim=0)
    return 1 - error / (wanted - wanted.mean(dim=0)).square().sum(dim=0)


def centres(boxes: Tensor) -> Tensor:
    """Boxes left, top, right, bottom as centre x, centre y, width, height [..., 4].

    Example:
        >>> centres(torch.tensor([1.0, 2.0, 5.0, 4.0]))
        tensor([3., 3., 4., 2.])
    """
    low, high = boxes[..., :2], boxes[..., 2:]
    return torch.cat([(low + high) / 2, high - low], dim=-1)


def corners(boxes: Tensor) -> Tensor:
    """Boxes centre x, centre y, width, height as left, top, right, bottom [..., 4].

    Example:
        >>> corners(torch.tensor([3.0, 3.0, 4.0, 2.0]))
        tensor([1., 2., 5., 4.])
    """
    middle, half = boxes[..., :2], boxes[..., 2:] / 2
    return torch.cat([middle - half, middle + half], dim=-1)


def paired_iou(a: Tensor, b: Tensor) -> Tensor:
    """Intersection over union of boxes left, top, right, bottom [..., 4], which broadcast.

    A box whose sides are the wrong way round has no area.

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
    """Counts of pixels [classes, classes]: true classes in rows, predicted ones in columns.

    Args:
        predicted: classes of pixels, any shape.
        wanted: the same shape; 255 where it is not said.
        classes: how many, background included.

    Example:
        >>> confusion(torch.tensor([0, 1, 1]), torch.tensor([0, 0, 255]), 2)
        tensor([[1, 1],
                [0, 0]])
    """
    said = wanted != VOID
    pairs = wanted[said].long() * classes + predicted[said].long()
    return torch.bincount(pairs, minlength=classes**2).view(classes, classes)


def mean_iou(counts: Tensor) -> float:
    """Mean, over the classes that occur, of intersection over union.

    Args:
        counts: of pixels, true classes in rows, predicted ones in columns [K, K]; a class occurs if
            it is in either.

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
    """What a detector says of scenes."""

    owners: Tensor
    """The image of each detection, int64 [D]."""
    labels: Tensor
    """int64 [D]."""
    boxes: Tensor
    """Left, top, right, bottom in pixels, float32 [D, 4]."""
    scores: Tensor
    """The higher the surer, float32 [D]."""


def average_precision(found: Detections, scenes: Scenes, least_iou: float = 0.5) -> float:
    """Mean, over the classes that occur in the scenes, of average precision; AP50 by default.

    As the VOC challenge counts since 2010: a detection looks for the object of its class that it
    overlaps most, and is right if it overlaps it enough and no surer one has it already; precision
    is the highest at that recall or a higher one.

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
    """Whether each value [D] is the first of its kind."""
    _, index = torch.unique(values, return_inverse=True)
    place = torch.arange(len(values), device=values.device)
    first = torch.full_like(place, len(place)).scatter_reduce_(0, index, place, "amin")
    return first[index] == place


def _area(right: Tensor, objects: int) -> float:
    """Area under the precision of detections [D], surest first, over the recall of objects."""
    hits = right.cumsum(0).double()
    precision = hits / torch.arange(1, len(right) + 1, device=right.device)
    highest = precision.flip(0).cummax(0).values.flip(0)
    return float(highest[right].sum() / objects)


def _single_boxes(scenes: Scenes, features: Tensor) -> Tensor:
    """Centre and size of the one object of each scene, as shares of the image [N, 4]."""
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
    return centres(boxes) / boxes.new_tensor([width, height, width, height])
