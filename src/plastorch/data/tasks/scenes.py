"""Scenes: images with objects of known class, box and exact pixels."""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from plastorch.engine.errors import InputError

VOID = 255
"""Value of map pixels that count neither as object nor as background."""


@dataclass(frozen=True, eq=False)
class Scenes:
    """N images of one size and the M objects in them, image by image.

    Args:
        images: images, uint8 [N, 3, H, W].
        instances: maps of objects, uint8 [N, H, W]; k where the image's k-th object is seen (from
            1), 0 where none is, 255 where unknown.
        owners: image of each object, int64 [M], ascending.
        labels: class of each object, int64 [M], in ``range(len(classes))``.
        boxes: left, top, right, bottom in pixels, float32 [M, 4]; an object that fills a whole
            image has the box 0, 0, W, H.
        classes: class names, by label.

    Raises:
        InputError: shapes don't fit together, or a box, label or number is out of range.

    Example:
        >>> images, instances = torch.zeros(2, 3, 4, 4).byte(), torch.zeros(2, 4, 4).byte()
        >>> instances[1, :2, 1:] = 1
        >>> box = torch.tensor([[1.0, 0.0, 4.0, 2.0]])
        >>> scenes = Scenes(images, instances, torch.tensor([1]), torch.tensor([0]), box, ("bar",))
        >>> scenes.counts, scenes.masks.sum()
        (tensor([0, 1]), tensor(6))
    """

    images: Tensor
    instances: Tensor
    owners: Tensor
    labels: Tensor
    boxes: Tensor
    classes: tuple[str, ...]

    def __post_init__(self) -> None:
        self._check_shapes()
        if not 1 <= len(self.classes) < VOID:
            raise InputError(f"classes are {len(self.classes)}; expected 1 to {VOID - 1}")
        check_range("owners", self.owners, 0, len(self) - 1)
        check_range("labels", self.labels, 0, len(self.classes) - 1)
        if (self.owners.diff() < 0).any():
            raise InputError("owners are not ascending; expected the objects image by image")
        if len(self.owners) and int(self.counts.max()) >= VOID:
            raise InputError(f"an image has {int(self.counts.max())} objects; expected 0 to 254")
        _check_boxes(self.boxes, *self.instances.shape[1:])
        seen = torch.where(self.instances == VOID, 0, self.instances).flatten(1).amax(dim=1)
        if (seen > self.counts).any():
            image = int((seen > self.counts).nonzero()[0])
            raise InputError(
                f"instances of image {image} go up to {int(seen[image])}; expected at most the "
                f"number of its objects, {int(self.counts[image])}"
            )

    def __len__(self) -> int:
        return len(self.images)

    @property
    def counts(self) -> Tensor:
        """Number of objects in each image, int64 [N]."""
        return torch.bincount(self.owners, minlength=len(self))

    @property
    def numbers(self) -> Tensor:
        """Number of each object in its image, from 1, int64 [M]."""
        return numbers_in_image(self.owners, len(self))

    @property
    def masks(self) -> Tensor:
        """Mask of each object's visible pixels, bool [M, H, W]."""
        return self.instances[self.owners] == self.numbers[:, None, None]

    @property
    def class_maps(self) -> Tensor:
        """Class of each pixel, uint8 [N, H, W]: 0 for background, label + 1, 255 if unknown."""
        table = torch.zeros(len(self), VOID + 1, dtype=torch.uint8, device=self.instances.device)
        table[self.owners, self.numbers] = (self.labels + 1).to(torch.uint8)
        table[:, VOID] = VOID
        return table.gather(1, self.instances.flatten(1).long()).view_as(self.instances)

    def take(self, rows: Tensor) -> "Scenes":
        """Returns the scenes of these rows [n], in their order; a row may occur twice."""
        counts = self.counts
        taken = counts[rows]
        owners = torch.arange(len(rows), device=rows.device).repeat_interleave(taken)
        first = (counts.cumsum(0) - counts)[rows]
        objects = first[owners] + numbers_in_image(owners, len(rows)) - 1
        return replace(
            self,
            images=self.images[rows],
            instances=self.instances[rows],
            owners=owners,
            labels=self.labels[objects],
            boxes=self.boxes[objects],
        )

    def to(self, device: torch.device | str) -> "Scenes":
        """Returns the scenes on a device."""
        names = ("images", "instances", "owners", "labels", "boxes")
        return replace(self, **{name: getattr(self, name).to(device) for name in names})

    def _check_shapes(self) -> None:
        shape = tuple(self.images.shape)
        if len(shape) != 4 or shape[1] != 3 or 0 in shape or self.images.dtype != torch.uint8:
            raise InputError(
                f"images are {self.images.dtype} {shape}; expected torch.uint8 (N, 3, H, W), N > 0"
            )
        count = len(self.owners)
        expected = {
            "instances": (torch.uint8, (shape[0], *shape[2:])),
            "owners": (torch.int64, (count,)),
            "labels": (torch.int64, (count,)),
            "boxes": (torch.float32, (count, 4)),
        }
        for name, (dtype, wanted) in expected.items():
            part: Tensor = getattr(self, name)
            if part.dtype != dtype or tuple(part.shape) != wanted:
                raise InputError(
                    f"{name} are {part.dtype} {tuple(part.shape)}; expected {dtype} {wanted}"
                )


def numbers_in_image(owners: Tensor, images: int) -> Tensor:
    """Numbers each object in its image, from 1, given objects image by image."""
    counts = torch.bincount(owners, minlength=images)
    first = counts.cumsum(0) - counts
    return torch.arange(len(owners), device=owners.device) - first[owners] + 1


def check_range(name: str, values: Tensor, low: int, high: int) -> None:
    """Raises InputError unless all values are in low .. high."""
    if len(values) and not low <= int(values.min()) <= int(values.max()) <= high:
        raise InputError(
            f"{name} lie in {int(values.min())}..{int(values.max())}; expected {low}..{high}"
        )


def _check_boxes(boxes: Tensor, height: int, width: int) -> None:
    left, top, right, bottom = boxes.unbind(dim=1)
    inside = (left >= 0) & (left < right) & (right <= width)
    inside &= (top >= 0) & (top < bottom) & (bottom <= height)
    if not inside.all():
        raise InputError(
            f"a box is {boxes[~inside][0].tolist()}; expected left < right and top < bottom, "
            f"inside {width}x{height} pixels"
        )
