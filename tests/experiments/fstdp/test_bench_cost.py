"""What the measurement of cost returns; how long anything takes is not asserted."""

from collections.abc import Callable

import numpy as np
import pytest

from plastorch.experiments.fstdp import bench_cost as spiking_cost
from plastorch.experiments.fstdp.bench_cost import INPUTS, cost, misfit, slope


def test_answer_has_a_time_for_each_size() -> None:
    found = cost(neurons=(2, 4, 8), spikes=(500.0, 1000.0), duration=0.05)
    assert found["cost_synapses"] == [2.0 * INPUTS, 4.0 * INPUTS, 8.0 * INPUTS]
    assert found["cost_spikes"] == [500.0, 1000.0]
    assert [len(values) for values in found.values()] == [3, 3, 2, 2, 2, 2]
    for times in (found["cost_synapse_seconds"], found["cost_spike_seconds"]):
        assert all(seconds > 0 for seconds in times)
    assert np.isfinite([found["cost_slopes"], found["cost_misfits"]]).all()


def test_slopes_and_times_are_those_of_the_best_round(monkeypatch: pytest.MonkeyPatch) -> None:
    """With a clock of our own: as many seconds as the layer has synapses, spikes are free, and the
    first round is the slowest."""
    sizes: list[tuple[int, float]] = []
    clock = {"now": 0.0, "calls": 0}

    def job(neurons: int, spikes: float, duration: float) -> Callable[[], object]:
        sizes.append((neurons, spikes))

        def run() -> None:
            clock["calls"] += 1
            clock["now"] += neurons * duration * (1 if clock["calls"] > 6 else 7)

        return run

    monkeypatch.setattr(spiking_cost, "_job", job)
    monkeypatch.setattr(spiking_cost.time, "process_time", lambda: clock["now"])
    found = cost(neurons=(2, 4, 8), spikes=(500.0, 1000.0), duration=3.0)
    assert [neurons for neurons, _ in sizes] == [2, 4, 8, 400, 400]
    assert [spikes for _, spikes in sizes] == [7000.0, 7000.0, 7000.0, 500.0, 1000.0]
    assert found["cost_synapse_seconds"] == pytest.approx([2.0, 4.0, 8.0])
    assert found["cost_spike_seconds"] == pytest.approx([400.0, 400.0])
    assert found["cost_slopes"] == pytest.approx([1.0, 0.0])
    assert found["cost_misfits"] == pytest.approx([0.0, 0.0])


def test_slope_is_the_exponent_of_a_power() -> None:
    x = np.array([100.0, 300.0, 500.0])
    assert slope(x.tolist(), (7 * x**0.8).tolist()) == pytest.approx(0.8)


def test_misfit_is_relative_to_what_is_measured() -> None:
    x = np.array([1.0, 10.0, 100.0])
    line = 3 + 0.5 * x
    assert misfit(x.tolist(), line.tolist()) == pytest.approx(0.0, abs=1e-9)
    found = misfit(x.tolist(), (line * [1.0, 1.1, 1.0]).tolist())
    assert 0.01 < found < 0.1
    assert misfit(x.tolist(), (1000 * line * [1.0, 1.1, 1.0]).tolist()) == pytest.approx(found)
