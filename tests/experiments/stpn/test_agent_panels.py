"""Figures of agents in their environments."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from plastorch.experiments.stpn.agent_panels import POLE, agent_panels
from plastorch.experiments.stpn.panels import panels
from plastorch.report.load import RunData
from plastorch.report.theme import DARK, LIGHT

RNG = np.random.default_rng(0)


def run(name: str = "InvertedPendulum-v5", **arrays: Any) -> RunData:
    named = {f"stpn.{kind}": array for kind, array in arrays.items()}
    return RunData(Path("run"), {"data": {"name": name}}, [], named)


INSIDE = {
    "activity": RNG.uniform(-1, 1, (30, 5)).astype(np.float32),
    "memory": RNG.random((30, 5)).astype(np.float32),
    "energy": RNG.random(30).astype(np.float32),
}


def test_poles_stand_on_their_carts_at_their_angles() -> None:
    seen = np.zeros((50, 4))
    seen[:, 0], seen[:, 1] = np.linspace(-0.1, 0.1, 50), np.linspace(0, 0.5, 50)
    poses, position, angle = agent_panels(run(observations=seen))[0].draw(LIGHT).axes
    carts, poles = poses.lines[::2], poses.lines[1::2]
    assert len(carts) == len(poles)
    for cart, pole, tilt in zip(carts, poles, np.linspace(0, 0.5, len(poles)), strict=True):
        (foot, tip), (low, high) = pole.get_xdata(), pole.get_ydata()
        assert foot == pytest.approx(np.mean(cart.get_xdata())) and low == 0
        assert np.hypot(tip - foot, high) == pytest.approx(POLE)
        assert np.arctan2(tip - foot, high) == pytest.approx(tilt, abs=0.02)
    assert position.lines[0].get_ydata()[-1] == pytest.approx(0.1)
    assert angle.lines[0].get_ydata()[-1] == pytest.approx(np.degrees(0.5))


def test_states_of_all_neurons_and_synapses() -> None:
    for theme in (LIGHT, DARK):
        (panel,) = agent_panels(run(**INSIDE))
        neurons, synapses, energy = panel.draw(theme).axes
        assert np.array_equal(neurons.images[0].get_array(), INSIDE["activity"].T)
        length = np.sqrt((INSIDE["memory"] ** 2).sum(1))
        assert np.allclose(synapses.lines[0].get_ydata(), length)
        assert np.allclose(energy.lines[0].get_ydata(), INSIDE["energy"])


def test_frames_are_gray_and_in_order() -> None:
    frames = np.stack([np.full((84, 84), 20 * i, np.uint8) for i in range(7)])
    (panel,) = agent_panels(run("ALE/Pong-v5", observations=frames))
    picture = panel.draw(LIGHT).axes[0].images[0].get_array()
    assert [round(255 * picture[0, i * 86, 0]) for i in range(5)] == [0, 20, 40, 60, 80]
    assert round(255 * picture[86, 86, 1]) == 120


@pytest.mark.parametrize(
    ("data", "names"),
    [
        (run(observations=np.zeros((30, 4)), **INSIDE), ["pendulum", "agent-states"]),
        (run("Hopper-v5", observations=np.zeros((30, 11)), **INSIDE), ["agent-states"]),
        (run("ALE/Pong-v5", observations=np.zeros((9, 84, 84), np.uint8)), ["frames"]),
        (run(activity=INSIDE["activity"]), []),
        (run(), []),
    ],
    ids=["pendulum", "other", "frames", "no-memory", "nothing"],
)
def test_figures_that_there_is_data_for(data: RunData, names: list[str]) -> None:
    assert [panel.name for panel in agent_panels(data)] == names
    assert all(panel.draw(LIGHT).axes for panel in agent_panels(data))


def test_returns_and_energy_of_all_models() -> None:
    rows = [
        {"phase": model, "iteration": i, "env_steps": 2048 * i, "energy": 9.0, "return": 100.0 * i}
        for model in ("stpn", "mlp")
        for i in (1, 2)
    ]
    del rows[0]["return"]  # no episode had ended
    data = RunData(Path("run"), {"data": {}}, rows, {})
    returns, energy = panels(data)
    assert (returns.name, energy.name) == ("return", "energy")
    assert "STPN 200; MLP 200" in returns.caption
    axes = returns.draw(LIGHT).axes[0]
    assert axes.get_xlabel() == "env steps"
    assert [line.get_label() for line in axes.lines] == ["STPN", "MLP"]
    assert [len(line.get_xdata()) for line in axes.lines] == [1, 2]
    assert [panel.name for panel in panels(data)] == ["return", "energy"]
