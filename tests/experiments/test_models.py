"""Models that a run compares: their initial weights, their figures and the best of them."""

import torch
from torch import nn

from plastorch.experiments.models import compare, extreme, networks, seeded


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
