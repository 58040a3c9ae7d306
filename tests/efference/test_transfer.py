"""Localization, and the measure of boxes: against loops."""

import re
from dataclasses import replace

import pytest
import torch
from hypothesis import given as drawn
from hypothesis import settings
from hypothesis import strategies as st
from torch import Tensor
from torchvision.ops import box_convert, box_iou

from plastorch.data.tasks.scenes import Scenes
from plastorch.efference.transfer import (
    Detections,
    average_precision,
    color_r2,
    localization,
    turned,
)
from plastorch.engine.errors import InputError


def boxes(count: int, random: torch.Generator, side: int = 16) -> Tensor:
    low = torch.randint(0, side - 4, (count, 2), generator=random)
    size = torch.randint(1, 5, (count, 2), generator=random)
    return torch.cat([low, low + size], dim=1).float()


def scenes(owners: Tensor, labels: Tensor, where: Tensor, images: int, side: int = 16) -> Scenes:
    blank = torch.zeros(images, 3, side, side, dtype=torch.uint8)
    return Scenes(blank, blank[:, 0], owners, labels, where, ("a", "b", "c"))


def single(count: int, seed: int) -> Scenes:
    random = torch.Generator().manual_seed(seed)
    return scenes(torch.arange(count), torch.zeros(count).long(), boxes(count, random), count)


def test_features_that_hold_the_box_localize_it() -> None:
    train, test = single(200, 0), single(80, 1)
    mix = torch.randn(4, 9, generator=torch.Generator().manual_seed(2))
    found = localization(train.boxes @ mix, train, test.boxes @ mix, test)
    assert min(found.r2) > 0.9999 and found.mean_iou > 0.99
    mean = box_convert(box_convert(train.boxes, "xyxy", "cxcywh").mean(dim=0), "cxcywh", "xyxy")
    expected = [float(box_iou(mean[None], box[None])) for box in test.boxes]
    assert found.constant_iou == pytest.approx(sum(expected) / len(expected), abs=1e-6)


def test_features_of_nothing_say_no_more_than_the_mean_box() -> None:
    train, test = single(400, 0), single(400, 1)
    noise = torch.randn(800, 5, generator=torch.Generator().manual_seed(2))
    found = localization(noise[:400], train, noise[400:], test)
    assert all(-0.1 < share < 0.05 for share in found.r2)
    assert found.mean_iou == pytest.approx(found.constant_iou, abs=0.02)


def test_position_alone_is_told_apart_from_size() -> None:
    train, test = single(200, 0), single(100, 1)
    known, new = (box_convert(of.boxes, "xyxy", "cxcywh")[:, :2] for of in (train, test))
    found = localization(known, train, new, test)
    assert min(found.r2[:2]) > 0.999 and max(found.r2[2:]) < 0.3


def test_colors_of_objects_are_told_by_features_that_hold_them() -> None:
    def colored(seed: int) -> tuple[Scenes, Tensor]:
        of, random = single(200, seed), torch.Generator().manual_seed(seed)
        of = replace(of, instances=torch.zeros_like(of.instances))
        color = torch.randint(0, 256, (200, 3), generator=random, dtype=torch.uint8)
        for i, (left, top, right, bottom) in enumerate(of.boxes.int().tolist()):
            of.images[i, :, top:bottom, left:right] = color[i, :, None, None]
            of.instances[i, top:bottom, left:right] = 1
        return of, color.float()

    (train, known), (test, new) = colored(0), colored(1)
    mix = torch.randn(3, 5, generator=torch.Generator().manual_seed(2))
    assert color_r2(known @ mix, train, new @ mix, test) > 0.9999
    noise = torch.randn(2, 200, 4, generator=torch.Generator().manual_seed(3))
    assert color_r2(noise[0], train, noise[1], test) < 0.1
    with pytest.raises(InputError, match=r"features are \(199, 3\)"):
        color_r2(known[1:], train, new, test)


def test_images_are_turned_by_quarters_in_turn() -> None:
    images = torch.randint(0, 256, (6, 3, 5, 5), dtype=torch.uint8)
    made, quarters = turned(images)
    assert quarters.tolist() == [0, 1, 2, 3, 0, 1]
    for image, new, k in zip(images, made, quarters.tolist(), strict=True):
        assert torch.equal(new, image.rot90(k, (1, 2)))


def naive_precision(found: Detections, truth: Scenes, least: float) -> float:
    """Goes through the detections one by one, then through the recalls."""
    values = []
    for kind in sorted(set(truth.labels.tolist())):
        objects = [i for i, label in enumerate(truth.labels.tolist()) if label == kind]
        mine = [i for i, label in enumerate(found.labels.tolist()) if label == kind]
        mine.sort(key=lambda i: -float(found.scores[i]))
        taken: set[int] = set()
        hits: list[bool] = []
        for i in mine:
            best, target = -1.0, -1
            for j in objects:
                if truth.owners[j] == found.owners[i]:
                    overlap = float(box_iou(found.boxes[i : i + 1], truth.boxes[j : j + 1]))
                    if overlap > best:
                        best, target = overlap, j
            hits.append(best >= least and target not in taken)
            if hits[-1]:
                taken.add(target)
        points = [
            (sum(hits[: n + 1]) / len(objects), sum(hits[: n + 1]) / (n + 1))
            for n in range(len(hits))
        ]
        area, before = 0.0, 0.0
        for recall in sorted({recall for recall, _ in points}):
            area += (recall - before) * max(p for r, p in points if r >= recall)
            before = recall
        values.append(area)
    return sum(values) / len(values)


@settings(max_examples=60)
@drawn(st.integers(0, 10_000), st.sampled_from([0.3, 0.5, 0.75]))
def test_average_precision_equals_a_naive_loop(seed: int, least: float) -> None:
    random = torch.Generator().manual_seed(seed)
    owners = torch.randint(0, 3, (6,), generator=random).sort().values
    where = boxes(6, random)
    truth = scenes(owners, torch.randint(0, 2, (6,), generator=random), where, 3)
    again = torch.randint(0, 6, (14,), generator=random)
    moved = where[again] + torch.randint(-1, 2, (14, 4), generator=random) * 0.5
    other = torch.rand(14, generator=random) < 0.2
    found = Detections(
        torch.where(other, (owners[again] + 1) % 3, owners[again]),
        torch.where(torch.rand(14, generator=random) < 0.2, 2, truth.labels[again]),
        moved,
        torch.rand(14, generator=random),
    )
    assert average_precision(found, truth, least) == pytest.approx(
        naive_precision(found, truth, least), abs=1e-9
    )


def test_the_second_find_of_an_object_is_wrong() -> None:
    where = torch.tensor([[0.0, 0, 5, 5], [8, 8, 16, 16]])
    zero = torch.zeros(2).long()
    truth = scenes(zero, zero, where, images=1)
    surest_first = torch.tensor([0.9, 0.8, 0.7])
    found = Detections(zero[[0, 0, 0]], zero[[0, 0, 0]], where[[0, 0, 1]], surest_first)
    assert average_precision(found, truth) == pytest.approx(0.5 + 0.5 * 2 / 3)
    late = found._replace(boxes=where[[0, 1, 0]])
    assert average_precision(late, truth) == 1.0  # full recall came before


def test_nothing_found_is_worth_nothing() -> None:
    truth = single(3, 0)
    none = Detections(
        *(part[:0] for part in (truth.owners, truth.labels, truth.boxes)), torch.ones(0)
    )
    assert average_precision(none, truth) == 0.0


TWO = scenes(torch.tensor([0, 0]), torch.tensor([0, 1]), torch.tensor([[0.0, 0, 1, 1]] * 2), 1)
NONE = scenes(torch.zeros(0).long(), torch.zeros(0).long(), torch.zeros(0, 4), 2)
ONE = single(20, 0)


FEATURES = torch.zeros(20, 2)


@pytest.mark.parametrize(
    ("features", "given", "message"),
    [
        (FEATURES[:1], TWO, "scenes hold 2 to 2 objects; expected one each"),
        (FEATURES[:2], NONE, "scenes hold 0 to 0 objects"),
        (FEATURES[:9], ONE, "features are (9, 2); expected (20, features)"),
        (FEATURES[:, 0], ONE, "features are (20,)"),
    ],
)
def test_what_cannot_be_localized_is_named(features: Tensor, given: Scenes, message: str) -> None:
    with pytest.raises(InputError, match=re.escape(message)):
        localization(features, given, FEATURES, ONE)
    with pytest.raises(InputError, match=re.escape(message)):
        localization(FEATURES, ONE, features, given)


def test_measures_of_nothing_are_refused() -> None:
    nothing = torch.zeros(0)
    with pytest.raises(InputError, match="scenes hold no objects"):
        average_precision(Detections(nothing, nothing, nothing, nothing), NONE)
