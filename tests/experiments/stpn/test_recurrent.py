"""What experiments of recurrent models share: curves, and counts of parameters."""

from torch import nn

from plastorch.experiments.stpn.recurrent import curves, trained_parameters


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
