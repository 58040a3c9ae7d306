"""Pasted scenes: exact masks, tight boxes, no object covers another, uniform draws."""

import colorsys
import re
from typing import Any

import pytest
import torch
from scipy.stats import kstest
from torch import Tensor
from torchvision.ops import masks_to_boxes

from plastorch.data import load_images
from plastorch.data.tasks.pasted import INK, Pasting, _drawn, _hues, pasted_scenes
from plastorch.data.tasks.scenes import Scenes
from plastorch.engine.errors import InputError


def digits() -> tuple[Tensor, Tensor, tuple[str, ...]]:
    mnist = load_images("mnist")
    return mnist.test_images[::20], mnist.test_labels[::20], mnist.classes


def grounds(count: int = 5, side: int = 32) -> Tensor:
    random = torch.Generator().manual_seed(9)
    return torch.randint(0, 256, (count, 3, side, side), generator=random).to(torch.uint8)


def scenes(count: int = 40, seed: int = 0, ground: Tensor | None = None, **values: Any) -> Scenes:
    random = torch.Generator().manual_seed(seed)
    backgrounds = grounds() if ground is None else ground
    return pasted_scenes(count, backgrounds, *digits(), Pasting(**values), random)


def test_pixels_change_exactly_where_the_masks_are() -> None:
    """Backgrounds of one gray level that no paint has: paint is pure, so some channel is 0."""
    made = scenes(ground=torch.full((1, 3, 64, 64), 7, dtype=torch.uint8))
    painted = (made.images != 7).any(dim=1)
    assert torch.equal(painted, made.instances > 0)
    assert torch.equal((made.images == 0).any(dim=1), painted)
    union = torch.zeros_like(painted).int().index_add_(0, made.owners, made.masks.int())
    assert torch.equal(union, painted.int()), "masks overlap or leave pixels out"


def test_boxes_are_torchvisions_tight_ones() -> None:
    made = scenes()
    inclusive = masks_to_boxes(made.masks)
    assert torch.equal(made.boxes, inclusive + torch.tensor([0, 0, 1, 1]))
    assert (
        made.counts.min() >= 1 and made.counts.max() <= 3 and set(made.counts.tolist()) == {1, 2, 3}
    )


def test_the_background_is_one_of_those_given() -> None:
    made = scenes(side=32, most_size=32.0)
    for image, seen in zip(made.images, made.instances == 0, strict=True):
        assert any(torch.equal(image[:, seen], ground[:, seen]) for ground in grounds())


def test_a_glyph_is_drawn_as_a_naive_loop_would() -> None:
    glyph = digits()[0][3:4]
    left, top, size, side = 3.3, 10.2, 21.7, 40
    ours = _drawn(glyph, torch.tensor([left]), torch.tensor([top]), torch.tensor([size]), side)[0]
    for y in range(side):
        for x in range(side):
            across, down = (28 * (v + 0.5 - o) / size - 0.5 for v, o in ((x, left), (y, top)))
            value = sum(
                (1 - abs(across - u)) * (1 - abs(down - v)) * int(glyph[0, 0, v, u]) / 255
                for u in range(28)
                for v in range(28)
                if abs(across - u) < 1 and abs(down - v) < 1
            )
            assert float(ours[y, x]) == pytest.approx(value, abs=1e-4)


def test_one_object_each_size_and_place_uniform() -> None:
    """The glyph fills its square, so its box says where that is, up to a pixel."""
    square = torch.full((1, 1, 8, 8), 255, dtype=torch.uint8)
    made = pasted_scenes(
        400, grounds(), square, torch.tensor([0]), ("square",),
        Pasting(side=100, most=1, least_size=20, most_size=60), torch.Generator().manual_seed(1),
    )  # fmt: skip
    assert (made.counts == 1).all()
    left, top, right, bottom = made.boxes.double().unbind(dim=1)
    size = (right - left + bottom - top) / 2
    for share in ((size - 20) / 41, left / (101 - size), top / (101 - size)):
        found = kstest(share.numpy(), "uniform")
        assert found.statistic < 0.1, found  # 400 uniform draws exceed it once in 1,500 times


def test_hues_are_those_of_the_color_circle() -> None:
    turn = torch.linspace(0, 0.99, 50)
    expected = [[255 * c for c in colorsys.hsv_to_rgb(t, 1, 1)] for t in turn.tolist()]
    torch.testing.assert_close(_hues(turn), torch.tensor(expected), atol=0.01, rtol=0)


def test_classes_go_with_their_glyphs() -> None:
    """Two glyphs that can't be mistaken: a bar across and a bar down."""
    bars = torch.zeros(2, 1, 28, 28, dtype=torch.uint8)
    bars[0, :, 12:16], bars[1, :, :, 12:16] = 255, 255
    made = pasted_scenes(
        30, grounds(), bars, torch.tensor([1, 0]), ("down", "across"),
        Pasting(), torch.Generator().manual_seed(2),
    )  # fmt: skip
    wide = made.boxes[:, 2] - made.boxes[:, 0] > made.boxes[:, 3] - made.boxes[:, 1]
    assert torch.equal(wide.long(), made.labels)


def test_blocks_and_seeds_make_no_difference(monkeypatch: pytest.MonkeyPatch) -> None:
    once, other = scenes(), scenes(seed=1)
    monkeypatch.setattr("plastorch.data.tasks.pasted._BLOCK", 7)
    again = scenes()
    assert all(torch.equal(vars(once)[k], vars(again)[k]) for k in ("images", "instances", "boxes"))
    assert not torch.equal(once.images, other.images)


def test_glyphs_that_vanish_when_they_shrink_are_left_out() -> None:
    dot = torch.zeros(1, 1, 28, 28, dtype=torch.uint8)
    dot[0, 0, 14, 14] = 255
    made = pasted_scenes(
        20, grounds(), dot, torch.tensor([0]), ("dot",),
        Pasting(least_size=2, most_size=2), torch.Generator().manual_seed(0),
    )  # fmt: skip
    assert made.masks.flatten(1).any(dim=1).all() and (made.counts == 0).any()
    assert INK > 0


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"most": 0}, "most is 0; expected 1 to 254"),
        ({"least_size": 0.5}, "least_size is 0.5"),
        ({"least_size": 50.0}, "least_size is 50.0, most_size is 40.0"),
        ({"side": 32}, "expected 1 <= least_size <= most_size <= side, 32"),
    ],
)
def test_wrong_settings_are_named(values: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=re.escape(message)):
        Pasting(**values)


@pytest.mark.parametrize(
    ("place", "value", "message"),
    [
        (0, 0, "count is 0; expected 1 or more"),
        (1, torch.zeros(2, 1, 32, 32).byte(), "backgrounds are torch.uint8 (2, 1, 32, 32)"),
        (1, torch.zeros(0, 3, 32, 32).byte(), "backgrounds are torch.uint8 (0, 3, 32, 32)"),
        (2, torch.zeros(2, 1, 28, 28), "glyphs are torch.float32"),
        (2, torch.zeros(2, 1, 28, 28).byte(), "glyph 0 is blank; expected bright pixels"),
        (3, torch.tensor([0]), "labels are (1,); expected (2,)"),
        (3, torch.tensor([0, 5]), "labels lie in 0..5; expected 0..1"),
    ],
)
def test_wrong_sources_are_named(place: int, value: Any, message: str) -> None:
    glyphs = torch.full((2, 1, 28, 28), 255, dtype=torch.uint8)
    given: list[Any] = [3, grounds(), glyphs, torch.tensor([0, 1]), ("a", "b")]
    given[place] = value
    with pytest.raises(InputError, match=re.escape(message)):
        pasted_scenes(*given, Pasting(), torch.Generator())
