"""How much inputs drove an answer: against torch's gradient, and where the truth is known."""

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from plastorch.engine.errors import InputError
from plastorch.spiking.patterns import attribution
from plastorch.spiking.patterns.attribution import attribute
from plastorch.spiking.patterns.network import PatternNetwork
from plastorch.spiking.patterns.rule import NO_SPIKE, PatternNeuron, decide, respond


def network(inputs: int, hidden: int, classes: int, seed: int = 0, **constants: Any) -> Any:
    random = torch.Generator().manual_seed(seed)
    neuron = PatternNeuron(**constants)
    return PatternNetwork(inputs, hidden, classes, neuron=neuron, generator=random).double()


def patterns(count: int, inputs: int, steps: int, seed: int) -> Tensor:
    """Random ones; a fifth of the inputs is silent."""
    random = torch.Generator().manual_seed(seed)
    bins = torch.randint(0, steps, (count, inputs), dtype=torch.uint8, generator=random)
    return bins.masked_fill(torch.rand(count, inputs, generator=random) < 0.2, NO_SPIKE)


def best_two(net: Any, bins: Tensor) -> tuple[Tensor, Tensor]:
    """The answers, and the classes with the next nearest targets."""
    response = net(bins)
    winner = decide(response)
    others = response.distance.scatter(1, winner[:, None], torch.inf)
    return winner, decide(response._replace(distance=others))


def by_autograd(net: Any, bins: Tensor) -> Tensor:
    """Gradient of the margin with respect to gains of the inputs, which are 1."""
    gradients = []
    for pattern, first, second in zip(bins, *best_two(net, bins), strict=True):
        gain = torch.ones(len(pattern), dtype=torch.float64, requires_grad=True)
        weights = net.weights()
        weights = weights._replace(hidden=weights.hidden * gain)
        distance = respond(pattern[None], weights, net.neuron).distance[0]
        (gradient,) = torch.autograd.grad(distance[second] - distance[first], gain)
        gradients.append(gradient.masked_fill(pattern == NO_SPIKE, 0))
    return torch.stack(gradients)


@settings(max_examples=20)
@given(
    inputs=st.integers(1, 30),
    hidden=st.integers(1, 20),
    classes=st.integers(2, 6),
    steps=st.integers(1, 30),
    seed=st.integers(0, 99),
)
def test_attribution_is_the_gradient_of_the_margin(
    inputs: int, hidden: int, classes: int, steps: int, seed: int
) -> None:
    constants = {"input_steps": steps, "tail_steps": seed % 7, "target_times": ((steps - 1) / 1e3,)}
    net, bins = (
        network(inputs, hidden, classes, seed, **constants),
        patterns(2, inputs, steps, seed),
    )
    torch.testing.assert_close(attribute(net, bins), by_autograd(net, bins), atol=1e-9, rtol=1e-9)


def test_the_margin_is_that_of_classes_with_several_neurons_each() -> None:
    """Neurons that are equal answer as one does."""
    one, bins = network(25, 30, 4), patterns(6, 25, 20, seed=1)
    three = PatternNetwork(25, 30, 4, population=3).double()
    repeated = {
        name: weight.repeat_interleave(3, dim=0) if name.startswith("output") else weight
        for name, weight in one.state_dict().items()
    }
    three.load_state_dict(repeated)
    torch.testing.assert_close(attribute(three, bins), attribute(one, bins))


def test_batches_threads_and_single_precision_agree(monkeypatch: pytest.MonkeyPatch) -> None:
    net, bins = network(25, 30, 4), patterns(40, 25, 20, seed=1)
    expected = attribute(net, bins)
    monkeypatch.setattr(attribution, "BATCH", 7)
    monkeypatch.setattr(attribution, "WORK_PER_THREAD", 1)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 3)
    assert torch.equal(attribute(net, bins), expected)
    single = attribute(net.float(), bins).double()
    torch.testing.assert_close(single, expected, rtol=1e-3, atol=1e-3)


def test_inputs_that_decide_get_the_shares() -> None:
    """Inputs 0 and 1 each make the output neuron of a class fire; nothing comes of the third."""
    net = network(3, 2, 2)
    with torch.no_grad():
        net.hidden_weight.copy_(torch.tensor([[6.0, 0.0, 0.0], [0.0, 4.0, 0.0]]))
        net.output_weight.copy_(torch.tensor([[6.0, 0.0], [0.0, 6.0]]))
    bins = torch.tensor([[9, 9, 9], [NO_SPIKE, 9, 9]], dtype=torch.uint8)
    found = attribute(net, bins)
    assert best_two(net, bins)[0].tolist() == [0, 1]
    assert found[0, 0] > 0 > found[0, 1]
    assert found[1, 1] > 0 and found[1, 0] == 0
    assert (found[:, 2] == 0).all()


def test_bad_input() -> None:
    bins = torch.zeros(2, 3, dtype=torch.uint8)
    with pytest.raises(InputError, match="network has 1 class; expected two"):
        attribute(network(3, 4, 1), bins)
    with pytest.raises(InputError, match=r"shape \(2, 3\).*expected uint8 of shape \(B, 5\)"):
        attribute(network(5, 4, 2), bins)
    with pytest.raises(InputError, match="bins hold 20"):
        attribute(network(3, 4, 2), bins + 20)
