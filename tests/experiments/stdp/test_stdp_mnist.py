"""The experiment on digits by STDP: a small whole run, a stop and restart, claims, bad settings."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from plastorch.engine.checkpoint import load_tensors
from plastorch.engine.errors import InputError, Interrupted
from plastorch.experiments.context import Context
from plastorch.experiments.stdp import mnist
from plastorch.experiments.stdp.claims import claims
from plastorch.experiments.stdp.mnist import StdpMnistConfig, measure
from plastorch.experiments.stdp.network import RATE, Circuit, StdpLearning, encode
from plastorch.experiments.stdp.panels import accuracy, panels
from plastorch.report.load import load_run

EXPERIMENT = "stdp-mnist"
SMALL = StdpMnistConfig(neurons=50)


@pytest.fixture(autouse=True)
def few_digits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PLASTORCH_DATA", raising=False)
    monkeypatch.setattr(mnist, "QUICK", (800, 200))
    monkeypatch.setattr(mnist, "NAMED_BY", 200)
    monkeypatch.setattr(mnist, "LOOKED_AT", 50)


def test_a_run_learns_and_its_page_has_figures(
    tmp_path: Path, context: Callable[..., Context]
) -> None:
    result = measure(SMALL, context(tmp_path))
    assert result["complete"] and result["quick"]
    metrics = result["metrics"]
    assert metrics["test_accuracy"] > 0.45 > metrics["untrained_accuracy"] + 0.1
    assert metrics["input_spikes"] == pytest.approx(1100, rel=0.1)
    assert 0.5 < metrics["output_spikes"] < 10 and metrics["silent"] < 0.2 < metrics["named"]
    assert {claim["holds"] for claim in result["claims"]} == {None}
    arrays = load_tensors(tmp_path / "arrays.safetensors")
    assert arrays["filters"].shape == (50, 1, 28, 28) and int(arrays["confusion"].sum()) == 200
    torch.testing.assert_close(
        arrays["filters"].flatten(1).sum(1), torch.ones(50), rtol=0, atol=1e-4
    )
    run = load_run(tmp_path)
    panel = accuracy(run)
    assert panel is not None and panel.draw is not None
    names = [panel.name for panel in panels(run)]
    assert names == ["receptive-fields", "accuracy-over-images", "confusion"]


def test_what_was_stopped_goes_on_to_the_same_bits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, context: Callable[..., Context]
) -> None:
    measure(SMALL, context(tmp_path / "whole"))
    step = StdpLearning.step

    def stopping(self: StdpLearning) -> Any:
        if self.position == 30:
            raise KeyboardInterrupt
        return step(self)

    with monkeypatch.context() as patch:
        patch.setattr("plastorch.engine.loop.Loop.interval_s", 0.0)
        patch.setattr(StdpLearning, "step", stopping)
        with pytest.raises((KeyboardInterrupt, Interrupted)):
            measure(SMALL, context(tmp_path / "stopped"))
    measure(SMALL, context(tmp_path / "stopped"))
    whole, stopped = tmp_path / "whole", tmp_path / "stopped"
    assert (whole / "metrics.jsonl").read_bytes() == (stopped / "metrics.jsonl").read_bytes()
    arrays = [load_tensors(folder / "arrays.safetensors") for folder in (whole, stopped)]
    assert all(torch.equal(arrays[0][name], arrays[1][name]) for name in arrays[0])


def test_images_of_any_brightness_have_as_many_spikes() -> None:
    """A blank one has none, and one bright pixel spikes in each step."""
    images = torch.zeros(4, 1, 6, 6, dtype=torch.uint8)
    images[0, 0, :3], images[1, 0, :3], images[2, 0, 0, 0] = 200, 50, 255
    events = encode(images, torch.Generator().manual_seed(0))
    counts = events.offsets.diff().tolist()
    expected = RATE * 0.1 * 18**0.5
    assert counts[:2] == [pytest.approx(expected, rel=0.2)] * 2
    assert counts[2:] == [100, 0]


def test_neurons_that_never_answer_have_no_name() -> None:
    circuit = Circuit(36, 3, 10, seed=0)
    circuit.name(torch.zeros(5, 6, 6, dtype=torch.uint8), torch.arange(5), (0, 0))
    answers, heard = circuit.predicted(torch.zeros(2, 6, 6, dtype=torch.uint8), (0, 1))
    assert circuit.names.tolist() == [-1] * 3 and not heard.any() and len(answers) == 2


def test_claims_can_fail() -> None:
    def held(test: float, seconds: float, neurons: int = 400) -> dict[str, bool | None]:
        found = {"test_accuracy": test, "untrained_accuracy": 0.5}
        return {claim.id: claim.holds for claim in claims(found, neurons, seconds, True)}

    assert held(0.86, 120) == {"learned": True, "accuracy": True, "time": True}
    assert held(0.69, 121) == {"learned": False, "accuracy": False, "time": False}
    assert held(0.93, 1000, 6400) == {"learned": True, "accuracy": False, "time": True}
    assert held(0.9, 10, 1600) == {"learned": True}


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ({"neurons": 0}, "neurons is 0"),
        ({"batch_size": 0}, "batch_size is 0"),
        ({"dataset": "cifar10"}, "dataset is 'cifar10'"),
        ({"validation": 1.0}, r"validation is 1\.0"),
    ],
)
def test_bad_settings(setting: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError, match=words):
        StdpMnistConfig(**setting)


def test_sizes_that_do_not_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("plastorch.engine.device.memory", lambda: 1e9)
    with pytest.raises(InputError, match="neurons is 100000: needs about 1 GB"):
        StdpMnistConfig(neurons=100_000)
