"""Scenes: what they hold together, and how rows are taken from them."""

import re
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from plastorch.data.tasks.scenes import Scenes, numbers_in_image
from plastorch.engine.errors import InputError


def random_scenes(counts: list[int], seed: int = 0, side: int = 6) -> Scenes:
    """Each object is a box of its own, over those before it; some pixels are not said."""
    random = torch.Generator().manual_seed(seed)
    images = torch.randint(0, 256, (len(counts), 3, side, side + 1), generator=random)
    instances = torch.zeros(len(counts), side, side + 1, dtype=torch.uint8)
    owners, boxes = [], []
    for image, count in enumerate(counts):
        for number in range(1, count + 1):
            left, top = torch.randint(0, side - 2, (2,), generator=random).tolist()
            instances[image, top : top + 2, left : left + 3] = number
            owners.append(image)
            boxes.append([left, top, left + 3, top + 2])
        instances[image, -1, -1] = 255
    return Scenes(
        images.to(torch.uint8),
        instances,
        torch.tensor(owners, dtype=torch.int64),
        torch.randint(0, 3, (len(owners),), generator=random),
        torch.tensor(boxes, dtype=torch.float32).view(-1, 4),
        ("a", "b", "c"),
    )


@settings(max_examples=15)
@given(st.lists(st.integers(0, 3), min_size=1, max_size=3), st.integers(0, 99))
def test_masks_and_class_maps_equal_a_loop_over_pixels(counts: list[int], seed: int) -> None:
    scenes = random_scenes(counts, seed)
    assert scenes.counts.tolist() == counts
    first = [sum(counts[:image]) for image in range(len(counts))]
    for (image, y, x), number in zip(
        torch.cartesian_prod(*(torch.arange(n) for n in scenes.instances.shape)).tolist(),
        scenes.instances.flatten().tolist(),
        strict=True,
    ):
        of = [] if number in (0, 255) else [first[image] + number - 1]
        assert scenes.masks[:, y, x][scenes.owners == image].nonzero().flatten().tolist() == [
            place - first[image] for place in of
        ]
        expected = int(scenes.labels[of[0]]) + 1 if of else number
        assert scenes.class_maps[image, y, x] == expected


@settings(max_examples=30)
@given(
    st.lists(st.integers(0, 3), min_size=1, max_size=5),
    st.lists(st.integers(0, 4), max_size=6),
    st.integers(0, 99),
)
def test_taken_rows_are_those_of_the_whole(counts: list[int], rows: list[int], seed: int) -> None:
    scenes = random_scenes(counts, seed)
    rows = [row % len(counts) for row in rows] or [0]
    taken = scenes.take(torch.tensor(rows))
    assert len(taken) == len(rows) and taken.classes == scenes.classes
    for place, row in enumerate(rows):
        assert torch.equal(taken.images[place], scenes.images[row])
        mine, theirs = taken.owners == place, scenes.owners == row
        assert torch.equal(taken.boxes[mine], scenes.boxes[theirs])
        assert torch.equal(taken.labels[mine], scenes.labels[theirs])
        assert torch.equal(taken.masks[mine], scenes.masks[theirs])


def test_moved_to_a_device_they_are_the_same() -> None:
    scenes = random_scenes([1, 2])
    moved = scenes.to("cpu")
    assert torch.equal(moved.images, scenes.images) and moved.classes == scenes.classes


def changed(**parts: Any) -> Scenes:
    scenes = random_scenes([1, 0, 2])
    return Scenes(**{**vars(scenes), **parts})


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ({"images": torch.zeros(3, 3, 6, 7)}, "images are torch.float32 (3, 3, 6, 7)"),
        ({"images": torch.zeros(3, 1, 6, 7).byte()}, "expected torch.uint8 (N, 3, H, W)"),
        ({"images": torch.zeros(0, 3, 6, 7).byte()}, "N > 0"),
        ({"instances": torch.zeros(3, 7, 6).byte()}, "instances are torch.uint8 (3, 7, 6)"),
        ({"instances": torch.full((3, 6, 7), 1).byte()}, "instances of image 1 go up to 1"),
        ({"owners": torch.tensor([0, 2])}, "labels are torch.int64 (3,)"),
        ({"owners": torch.tensor([0, 2, 3])}, "owners lie in 0..3; expected 0..2"),
        ({"owners": torch.tensor([2, 2, 0])}, "owners are not ascending"),
        ({"labels": torch.tensor([0, 1, 3])}, "labels lie in 0..3; expected 0..2"),
        ({"labels": torch.tensor([0, -1, 1])}, "labels lie in -1..1"),
        ({"boxes": torch.zeros(3, 4)}, "a box is [0.0, 0.0, 0.0, 0.0]"),
        ({"boxes": torch.tensor([[0, 0, 1, 1.0], [0, 0, 8, 1], [0, 0, 1, 1]])}, "inside 7x6"),
        ({"boxes": torch.full((3, 4), torch.nan)}, "a box is [nan"),
        ({"boxes": torch.zeros(3, 4).double()}, "boxes are torch.float64"),
        ({"classes": ()}, "classes are 0; expected 1 to 254"),
        ({"classes": ("x",) * 255}, "classes are 255"),
    ],
)
def test_what_does_not_fit_is_named(parts: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=re.escape(message)):
        changed(**parts)


def test_too_many_objects_in_an_image() -> None:
    count = 255
    with pytest.raises(InputError, match="an image has 255 objects; expected 0 to 254"):
        Scenes(
            torch.zeros(1, 3, 2, 2, dtype=torch.uint8),
            torch.zeros(1, 2, 2, dtype=torch.uint8),
            torch.zeros(count, dtype=torch.int64),
            torch.zeros(count, dtype=torch.int64),
            torch.tensor([[0.0, 0.0, 1.0, 1.0]]).expand(count, 4),
            ("a",),
        )


def test_objects_are_numbered_image_by_image() -> None:
    assert numbers_in_image(torch.tensor([0, 2, 2]), images=3).tolist() == [1, 1, 2]
