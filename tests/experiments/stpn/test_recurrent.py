"""What experiments of recurrent models share: their start, their figures and the best of them."""

import torch
from torch import nn

from plastorch.experiments.stpn.recurrent import (
    compare,
    curves,
    extreme,
    networks,
    seeded,
    trained_parameters,
)


def test_initial_weights_depend_on_the_place_among_all_names() -> None:
    def made(models: list[str]) -> nn.ModuleDict:
        return networks(models, ["a", "b"], (0,), lambda name: nn.Linear(1, 1))

    both, one = made(["b", "a"]), made(["b"])
    assert list(both) == ["a", "b"] and list(one) == ["b"]
    assert torch.equal(both["b"].weight, one["b"].weight)
    assert not torch.equal(both["a"].weight, both["b"].weight)
    assert seeded(lambda: torch.rand(1), 0, 1) == seeded(lambda: torch.rand(1), 0, 1)


def test_figures_of_models() -> None:
    nets = nn.ModuleDict({"a-b": nn.Linear(1, 1)})
    assert compare(nets, lambda name, net: {"accuracy": 0.5}) == {"a_b_accuracy": 0.5}
    metrics = {"lstm_energy": 3.0, "fast_weights_energy": 2.0}
    assert extreme(metrics, ["lstm", "fast-weights"], "energy") == ("lstm", 3.0)
    assert extreme(metrics, ["lstm", "fast-weights"], "energy", min) == ("fast-weights", 2.0)


def test_only_trained_parameters_count() -> None:
    net = nn.Linear(2, 3)
    assert trained_parameters(net) == 9
    net.bias.requires_grad_(False)
    assert trained_parameters(net) == 6


def test_curves_are_means_of_spans() -> None:
    rows: list[dict[str, float | int | str]] = [
        {"phase": "rnn", "iteration": i, "reward": float(i), "energy_per_neuron": 1.0}
        for i in (10, 20, 30, 400)
    ]
    kinds = ("reward", "energy_per_neuron")
    found = [
        (row["iteration"], row["reward"]) for row in curves(rows, "iteration", 800, kinds)["rnn"]
    ]
    assert found == [(20, 15.0), (30, 30.0), (400, 400.0)]


def test_a_curve_leaves_out_what_was_not_seen_and_ends_with_the_training() -> None:
    rows: list[dict[str, float | int | str]] = [
        {"phase": "mlp", "env_steps": 100, "energy": 4.0},
        {"phase": "mlp", "env_steps": 1000, "energy": 2.0, "return": 7.0},
        {"phase": "mlp", "env_steps": 1010, "energy": 1.0},
    ]
    first, last = curves(rows, "env_steps", 1000, ("return", "energy"))["mlp"]
    assert first == {"env_steps": 100, "energy": 4.0}
    assert last == {"env_steps": 1010, "energy": 1.5, "return": 7.0}
