"""Sweeps over temperature and initial radius."""

from dataclasses import replace
from typing import Any

import pytest
import torch

from plastorch.engine.errors import InputError
from plastorch.hebbian import preset
from plastorch.hebbian.analysis.sensitivity import SWEPT, LabeledImages, SensitivitySweep, Setting
from plastorch.hebbian.networks import blocks_of
from plastorch.hebbian.rule import Competition
from plastorch.learning.phases import run_phase

SPEC = preset("cifar10", 2, "quarter")


@pytest.fixture(scope="module")
def data() -> LabeledImages:
    """Bright and dark halves: two classes that any network can tell."""
    random = torch.Generator().manual_seed(0)
    images = torch.randint(0, 100, (80, 3, 16, 16), generator=random)
    labels = torch.arange(80) % 2
    images[labels == 1, :, :8] += 150
    images = images.to(torch.uint8)
    return LabeledImages(images[:60], labels[:60], images[60:], labels[60:], 2)


def swept(setting: Setting, data: LabeledImages, **options: Any) -> list[dict[str, Any]]:
    return run_phase(SensitivitySweep(setting, SPEC, data, **options))


def test_a_record_per_rule_value_and_seed(data: LabeledImages) -> None:
    records = swept("temperature", data, values=[0.1, 1.0], seeds=[0, 3])
    points = [(r["competition"], r["temperature"], r["seed"]) for r in records]
    assert points == [
        (rule, value, seed)
        for rule in ("softkrotov", "soft")
        for value in (0.1, 1.0)
        for seed in (0, 3)
    ]
    assert {r["phase"] for r in records} == {"temperature-sweep"}
    assert all(0 <= r["r1_share"] <= 1 for r in records)
    assert max(r["test_accuracy"] for r in records) > 0.9


def test_the_lowest_temperatures_are_hard(data: LabeledImages) -> None:
    rules: tuple[Competition, ...] = ("soft", "hard")
    cold, hard = swept("temperature", data, values=[1e-9], rules=rules)
    assert cold["test_accuracy"] == hard["test_accuracy"]
    assert cold["r1_share"] == hard["r1_share"]


def test_the_setting_holds_in_all_blocks(data: LabeledImages) -> None:
    warm = SensitivitySweep("temperature", SPEC, data, values=[4.0])._network("soft", 4.0, 0)
    assert [block.conv.inverse_temperature for block in blocks_of(warm)] == [0.25, 0.25]
    assert [block.conv.competition for block in blocks_of(warm)] == ["soft", "soft"]
    small = SensitivitySweep("radius", SPEC, data, values=[3.0])._network("softkrotov", 3.0, 0)
    for block in blocks_of(small):
        assert float(block.conv.radius().square().mean()) == pytest.approx(9, rel=0.25)


def test_a_sweep_goes_on_where_it_stopped(data: LabeledImages) -> None:
    whole = swept("radius", data, values=[0.5, 2.0], rules=["soft"])
    rest = SensitivitySweep("radius", SPEC, data, values=[0.5, 2.0], rules=["soft"])
    rest.position = 1
    rest.load_state_dict(rest.state_dict())
    assert rest.step() == whole[1:]


def test_the_papers_radii() -> None:
    assert SWEPT["radius"][0] == pytest.approx(0.107, abs=1e-3)
    assert SWEPT["radius"][-1] == pytest.approx(35.5, abs=0.1)


@pytest.mark.parametrize("value", [0.0, -2.0, float("nan")])
def test_values_that_are_not_positive_are_refused(data: LabeledImages, value: float) -> None:
    with pytest.raises(InputError, match=f"temperature is {value}; expected more than 0"):
        SensitivitySweep("temperature", SPEC, data, values=[1.0, value])
    with pytest.raises(InputError, match=f"radius is {value}; expected more than 0"):
        SensitivitySweep("radius", SPEC, data, values=[value])


def test_nothing_to_sweep_is_refused(data: LabeledImages) -> None:
    with pytest.raises(InputError, match="points is 0"):
        SensitivitySweep("temperature", SPEC, data, values=[])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"train": torch.rand(60, 3, 16, 16)}, r"train is torch.float32 \(60, 3, 16, 16\)"),
        ({"test": torch.zeros(20, 16, 16, dtype=torch.uint8)}, r"test is torch.uint8 \(20, 16"),
        ({"train_labels": torch.zeros(7).long()}, "train_labels has length 7; expected 60"),
        ({"test_labels": torch.full((20,), 2)}, r"labels lie in 2\.\.2; expected 0\.\.1"),
    ],
)
def test_bad_images_are_named(data: LabeledImages, change: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        replace(data, **change)
