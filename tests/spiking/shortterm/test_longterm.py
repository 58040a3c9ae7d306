"""Long-term learning: against loops, its mean over spikes, and worlds with known causes."""

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from plastorch.engine.device import generator
from plastorch.engine.errors import InputError
from plastorch.spiking.shortterm.longterm import (
    LongTerm,
    LongTermState,
    infer,
    initial_state,
    learn,
    learn_step,
)
from plastorch.spiking.shortterm.rule import unit

LIMIT = 4.5
"""Standard errors."""


def double(state: LongTermState) -> LongTermState:
    return LongTermState(*(part.double() for part in state))


def test_soft_learning_is_the_loop_that_the_equations_describe() -> None:
    constants = LongTerm(rate=0.3, decline=4.0, homeostasis=0.5, kappa=10.0)
    x = unit(torch.rand(15, 2, 6, generator=generator(0)).double())
    begun = double(initial_state(2, 3, 6, generator(1)))
    found = learn(x, begun, constants)
    for b in range(2):
        weight, bias, spikes = (part[b].numpy().copy() for part in begun)
        for frame in x[:, b].numpy():
            norms = np.sqrt((weight**2).sum(1))
            u = bias + 10 * weight @ frame / norms
            y = np.exp(u) / np.exp(u).sum()
            for k in range(3):
                weight[k] += 0.3 / (1 + spikes[k] / 4) * y[k] * (frame - weight[k])
                bias[k] += 0.5 * (1 / 3 - y[k])
                spikes[k] += y[k]
        for mine, expected in zip(found, (weight, bias, spikes), strict=True):
            np.testing.assert_allclose(mine[b].numpy(), expected, atol=1e-12)


def test_spikes_and_posteriors_learn_the_same_in_the_mean() -> None:
    """20,000 networks in the same state see the same input; each neuron that spikes learns."""
    count, constants = 20_000, LongTerm(rate=0.5, homeostasis=0.3, kappa=8.0)
    one = double(initial_state(1, 4, 5, generator(2)))
    x = unit(torch.rand(1, 1, 5, generator=generator(3)).double())
    soft = learn(x, one, constants)
    many = LongTermState(*(part.expand(count, *part.shape[1:]) for part in one))
    sampled = learn(x.expand(1, count, 5), many, constants, generator(4))
    for mean, spread, expected in (
        (sampled.weight.mean(0), sampled.weight.std(0), soft.weight[0]),
        (sampled.bias.mean(0), sampled.bias.std(0), soft.bias[0]),
        (sampled.spikes.mean(0), sampled.spikes.std(0), soft.spikes[0]),
    ):
        assert bool(((mean - expected).abs() < LIMIT * spread / math.sqrt(count) + 1e-12).all())
    assert bool((sampled.spikes.sum(1) == 1).all())


@pytest.mark.parametrize("spiking", [False, True])
def test_causes_are_found_without_labels(spiking: bool) -> None:
    """Five directions, each with noise: each neuron's weights become one of them."""
    random = generator(5)
    causes = unit(torch.rand(5, 40, generator=random) ** 3)
    which = torch.randint(5, (1500,), generator=random)
    x = unit(causes[which] + 0.03 * torch.randn(1500, 40, generator=random)).unsqueeze(1)
    constants = LongTerm(rate=0.2, homeostasis=0.1, kappa=40.0)
    state = initial_state(1, 10, 40, random)
    state = learn(x, state, constants, random if spiking else None)
    alike = unit(state.weight[0]) @ causes.mT
    assert bool((alike.max(1).values > 0.97).all()) and len(alike.argmax(1).unique()) == 5


def test_homeostasis_keeps_all_neurons_in_use() -> None:
    random = generator(6)
    x = unit(torch.rand(3000, 1, 20, generator=random))
    uses = []
    for homeostasis in (0.0, 0.2):
        constants = LongTerm(homeostasis=homeostasis, kappa=60.0)
        state = initial_state(1, 16, 20, generator(7))
        state = learn(x, state, constants, generator(8))
        uses.append(float((state.spikes / state.spikes.sum()).max()))
    assert uses[1] < 2 / 16 < uses[0]


def test_a_neuron_learns_ever_more_slowly() -> None:
    """A neuron alone with the rate 1 / decline: its weights are the mean of its inputs and of the
    weights that it began with, these counted ``decline`` - 1 times."""
    x = torch.rand(30, 1, 3, generator=generator(9)).double()
    begun = double(initial_state(1, 1, 3, generator(10)))
    found = learn(x, begun, LongTerm(rate=0.1, decline=10.0))
    expected = (9 * begun.weight[0, 0] + x.sum((0, 1))) / 39
    torch.testing.assert_close(found.weight[0, 0], expected)


def test_inference_and_silence() -> None:
    state = double(initial_state(2, 3, 4, generator(11)))
    x, constants = torch.rand(2, 4).double(), LongTerm()
    torch.testing.assert_close(infer(x, state, constants).sum(1), torch.ones(2).double())
    kept = learn_step(x, torch.zeros(2, 3).double(), state, replace(constants, homeostasis=0.0))
    assert all(torch.equal(a, b) for a, b in zip(kept, state, strict=True))


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ({"rate": 0.0}, "rate is 0.0; expected more than 0, up to 1"),
        ({"rate": 1.5}, "rate is 1.5"),
        ({"rate": math.nan}, "rate is nan"),
        ({"decline": 0.0}, "decline is 0.0"),
        ({"homeostasis": -1.0}, "homeostasis is -1.0"),
        ({"kappa": 0.0}, "kappa is 0.0"),
    ],
)
def test_bad_constants(setting: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError, match=words):
        LongTerm(**setting)
