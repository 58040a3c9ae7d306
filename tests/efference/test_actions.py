"""Efference copies against products of matrices, and what holds of any pair of views."""

import math
from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from plastorch.efference.actions import AudioActions, ImageActions, theta
from plastorch.efference.audio_views import AUDIO
from plastorch.efference.copies import (
    FACTORS,
    compatible,
    compose,
    egocentric,
    egocentric_audio,
    full_command,
    invert,
)
from plastorch.efference.views import STL10
from plastorch.engine.errors import InputError

Boxes = st.lists(
    st.tuples(*(st.floats(0.0, 1.0) for _ in range(4)), st.booleans()), min_size=3, max_size=3
)


def drawn(seed: int, count: int = 50) -> ImageActions:
    """Actions in double precision."""
    actions = STL10.sample(count, torch.Generator().manual_seed(seed))
    return ImageActions(*(v.double() if v.is_floating_point() else v for v in actions))


def boxed(box: tuple[float, float, float, float, bool]) -> ImageActions:
    """One view, of a crop of a twentieth of the image's width and height or more."""
    height, width = 0.05 + 0.95 * box[0], 0.05 + 0.95 * box[1]
    values = (box[2] * (1 - height), box[3] * (1 - width), height, width)
    geometry = (torch.tensor([v], dtype=torch.float64) for v in values)
    return drawn(0, 1)._replace(
        **dict(zip(("top", "left", "height", "width"), geometry, strict=True)),
        flip=torch.tensor([box[4]]),
    )


def posed(pose: Tensor) -> ImageActions:
    """The crop of a pose [B, 3, 3]; what ``theta`` undoes."""
    width, height = pose[:, 0, 0].abs(), pose[:, 1, 1]
    left, top = (pose[:, 0, 2] + 1 - width) / 2, (1 - height - pose[:, 1, 2]) / 2
    return drawn(0, len(pose))._replace(
        top=top, left=left, height=height, width=width, flip=pose[:, 0, 0] < 0
    )


def matrix(command: Tensor) -> Tensor:
    """Egocentric efference copies [B, 5] as poses [B, 3, 3]."""
    pose = torch.eye(3, dtype=command.dtype).repeat(len(command), 1, 1)
    pose[:, 0, 0] = command[:, 0].exp() * (1 - 2 * command[:, 2])
    pose[:, 1, 1] = command[:, 1].exp()
    pose[:, :2, 2] = command[:, 3:]
    return pose


def test_pose_takes_corners_of_the_view_to_corners_of_the_crop() -> None:
    actions = drawn(1)
    corners = torch.tensor([[-1.0, 1, 1], [1, -1, 1]], dtype=torch.float64)  # upper left, ...
    for i, pose in enumerate(theta(actions)):
        found = corners @ pose.T
        box = [float(v[i]) for v in actions[:4]]
        sides = [2 * box[1] - 1, 2 * (box[1] + box[3]) - 1]
        across = sides[::-1] if actions.flip[i] else sides
        assert found[:, 0].tolist() == pytest.approx(across)
        ends = [1 - 2 * box[0], 1 - 2 * (box[0] + box[2])]
        assert found[:, 1].tolist() == pytest.approx(ends)


def test_compatible_form_is_a_product_with_the_programs_inverse() -> None:
    a, b = drawn(2), drawn(3)
    for pose_a, pose_b, found in zip(theta(a), theta(b), compatible(a, b), strict=True):
        inverse = torch.eye(3, dtype=torch.float64)
        inverse[:2, :2] = torch.linalg.inv(pose_a[:2, :2])
        inverse[:2, 2] = -pose_a[:2, 2]
        torch.testing.assert_close(found, (pose_b @ inverse)[:2])
        assert found[0, 1] == found[1, 0] == 0


@settings(max_examples=50)
@given(Boxes)
def test_egocentric_form_is_the_pose_of_one_view_in_the_frame_of_another(boxes: list) -> None:
    a, b, _ = map(boxed, boxes)
    expected = torch.linalg.inv(theta(a)) @ theta(b)
    torch.testing.assert_close(matrix(egocentric(a, b)), expected, rtol=1e-9, atol=1e-9)


@settings(max_examples=50)
@given(Boxes)
def test_there_and_back_and_by_way_of_a_third_view(boxes: list) -> None:
    a, b, c = map(boxed, boxes)
    there = egocentric(a, b)
    close = {"rtol": 1e-6, "atol": 1e-6}
    torch.testing.assert_close(egocentric(b, a), invert(there), **close)
    torch.testing.assert_close(compose(there, egocentric(b, c)), egocentric(a, c), **close)
    nothing = torch.zeros(1, 5, dtype=torch.float64)
    torch.testing.assert_close(compose(there, invert(there)), nothing, **close)
    torch.testing.assert_close(compose(nothing, there), there, **close)
    assert torch.equal(egocentric(a, a), nothing)


def test_drawn_views_keep_the_identities_in_single_precision() -> None:
    a, b, c = (STL10.sample(2000, torch.Generator().manual_seed(s)) for s in range(3))
    there, on = egocentric(a, b), egocentric(b, c)
    torch.testing.assert_close(invert(there), egocentric(b, a), rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(compose(there, on), egocentric(a, c), rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(
        compose(there, invert(there)), torch.zeros(2000, 5), rtol=0, atol=2e-6
    )


@settings(max_examples=50)
@given(Boxes)
def test_a_crop_of_the_source_changes_nothing(boxes: list) -> None:
    a, b, source = map(boxed, boxes)
    inner = [posed(theta(source) @ theta(view)) for view in (a, b)]
    expected = egocentric(a, b)
    torch.testing.assert_close(egocentric(*inner), expected, rtol=1e-6, atol=1e-6)


@settings(max_examples=50)
@given(Boxes)
def test_a_common_crop_of_both_views_conjugates(boxes: list) -> None:
    a, b, crop = map(boxed, boxes)
    cropped = [posed(theta(view) @ theta(crop)) for view in (a, b)]
    whole = boxed((1.0, 1.0, 0.0, 0.0, False))
    step = egocentric(whole, crop)
    expected = compose(compose(invert(step), egocentric(a, b)), step)
    torch.testing.assert_close(egocentric(*cropped), expected, rtol=1e-6, atol=1e-6)


def test_full_command_view_by_view() -> None:
    a, b = drawn(4), drawn(5)
    found = full_command(a, b)
    assert found.shape == (50, len(FACTORS["full"]))
    assert torch.equal(found[:, :5], egocentric(a, b))
    for i in range(50):
        one, other = ({n: float(v[i]) for n, v in side._asdict().items()} for side in (a, b))
        expected = [math.log(other[n] / one[n]) for n in ("brightness", "contrast", "saturation")]
        expected += [other["hue"] - one["hue"], float(one["gray"] != other["gray"])]
        expected += [other["blur"] - one["blur"], float(one["solarized"] != other["solarized"])]
        assert found[i, 5:].tolist() == pytest.approx(expected)
    assert not full_command(a, a).any()


def test_sounds_view_by_view() -> None:
    a, b = (AUDIO.sample(20, torch.Generator().manual_seed(s)) for s in (0, 1))
    found = egocentric_audio(a, b)
    assert found.shape == (20, len(FACTORS["audio"]))
    for i in range(20):
        start = (float(b.start[i]) - float(a.start[i])) / float(a.length[i])
        expected = [start, math.log(float(b.length[i]) / float(a.length[i]))]
        expected += [float(x[i]) - float(y[i]) for x, y in zip(b[2:5], a[2:5], strict=True)]
        assert found[i].tolist() == pytest.approx(expected, abs=1e-5)
    assert not egocentric_audio(a, a).any()


def test_rows_are_taken_of_every_field() -> None:
    actions = drawn(6, 4)
    assert torch.equal(actions.take(torch.tensor([2, 0])).top, actions.top[[2, 0]])
    assert actions.take(actions.flip).gray.tolist() == actions.gray[actions.flip].tolist()
    sounds = AUDIO.sample(4, torch.Generator().manual_seed(0))
    taken = sounds.take(slice(1, 3)).to("cpu")
    assert isinstance(taken, AudioActions)
    assert all(torch.equal(x, y[1:3]) for x, y in zip(taken, sounds, strict=True))


@pytest.mark.parametrize("form", [egocentric, compatible, full_command])
@pytest.mark.parametrize("extent", [0.0, -0.5, math.nan])
def test_crops_without_area(form: Callable[..., Tensor], extent: float) -> None:
    good = drawn(7, 3)
    bad = good._replace(width=torch.tensor([0.5, extent, 0.5], dtype=torch.float64))
    for pair in ((good, bad), (bad, good)):
        with pytest.raises(InputError, match=f"width of a crop is {extent}; expected more than 0"):
            form(*pair)
    with pytest.raises(InputError, match="height of a crop is 0"):
        theta(good._replace(height=torch.zeros(3)))


def test_what_has_no_efference_copy() -> None:
    actions = drawn(8, 3)
    with pytest.raises(InputError, match="actions are a Tensor; expected ImageActions: a transf"):
        egocentric(torch.zeros(3), actions)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="actions are a NoneType; expected ImageActions"):
        full_command(actions, None)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="actions are a ImageActions; expected AudioActions"):
        egocentric_audio(actions, actions)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="b has 2 views; expected 3"):
        egocentric(actions, actions.take(slice(0, 2)))
    sounds = AUDIO.sample(2, torch.Generator())
    with pytest.raises(InputError, match=r"length of a crop is 0\.0"):
        egocentric_audio(sounds, sounds._replace(length=torch.zeros(2)))
    with pytest.raises(InputError, match="b has 1 views; expected 2"):
        egocentric_audio(sounds, sounds.take(slice(0, 1)))
