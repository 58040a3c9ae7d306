"""The fatiguing neuron as a module: updates are what the engines' pure functions change."""

from typing import Any

import pytest
import torch

from plastorch import learn, set_gradients
from plastorch.engine.errors import InputError
from plastorch.spiking import FatiguingNeuron, FatiguingSTDP, PhaseChangeSynapses
from plastorch.spiking.events import from_raster, to_raster
from plastorch.spiking.fatigue.rule import initial_state, run_raster
from plastorch.spiking.synapses import IdealSynapses

RULE = FatiguingSTDP(initial_theta=0.5)


class Clocked(FatiguingNeuron):
    """Neuron that always goes step by step, as on a GPU."""

    def _compiles(self) -> bool:
        return False


def raster_of(samples: int, seed: int = 0) -> torch.Tensor:
    random = torch.Generator().manual_seed(seed)
    return torch.rand(200, samples, 10, generator=random) < 0.1


@pytest.mark.parametrize("kind", [FatiguingNeuron, Clocked])
@pytest.mark.parametrize("window", ["one-sided", "pair"])
def test_single_samples_and_a_rate_of_one_are_the_online_rule(kind: Any, window: Any) -> None:
    rule, raster = FatiguingSTDP(initial_theta=0.5, window=window), raster_of(1)
    neuron, state, found = kind(10, rule=rule, dtype=torch.float64), None, []
    optimizer = torch.optim.SGD(neuron.parameters(), lr=1.0)
    for number, piece in enumerate(raster.split(50)):
        if number % 2 and kind is FatiguingNeuron:
            step = neuron.learn_events(from_raster(piece, 1e-3), 0.05, state)
            found.append(to_raster(step.output, 1, 1e-3, 50))
        else:
            step = neuron.learn(piece, state)
            found.append(step.output)
        set_gradients(neuron, step)
        optimizer.step()
        state = step.state
    course, end = run_raster(raster, initial_state(rule, 1, 10), rule, 1e-3)
    assert int(course.spikes.sum()) > 5
    assert torch.equal(torch.cat(found)[:, :, 0], course.spikes)
    torch.testing.assert_close(neuron.weight.data, end.synapses.weight, rtol=1e-9, atol=1e-12)
    torch.testing.assert_close(neuron.theta.data, end.theta, rtol=1e-9, atol=1e-12)
    assert state.time == pytest.approx(0.2) and state.synapses is None
    assert set(neuron.state_dict()) == {"weight", "theta"}


@pytest.mark.parametrize("kind", [FatiguingNeuron, Clocked])
def test_update_is_averaged_over_samples_that_start_alike(kind: Any) -> None:
    raster, neuron = raster_of(3), kind(10, rule=RULE, dtype=torch.float64)
    neuron.weight.copy_(torch.linspace(0.2, 0.9, 10)[None])
    step = neuron.learn(raster)
    alone = [neuron.learn(raster[:, b : b + 1]) for b in range(3)]
    assert torch.equal(step.output, torch.cat([one.output for one in alone], dim=1))
    for name, update in step.updates.items():
        mean = torch.stack([one.updates[name] for one in alone]).mean(dim=0)
        torch.testing.assert_close(update, mean)
        assert update.shape == neuron.get_parameter(name).shape and update.any()


@pytest.mark.parametrize("kind", [FatiguingNeuron, Clocked])
def test_answering_changes_neither_weights_nor_the_threshold(kind: Any) -> None:
    neuron, raster = kind(10, rule=RULE), raster_of(2)
    spikes, state = neuron(raster)
    assert spikes.shape == (200, 2, 1) and (state.theta == 0.5).all()
    first, middle = neuron(raster[:70])
    assert torch.equal(torch.cat([first, neuron(raster[70:], middle)[0]]), spikes)
    assert (neuron.weight == RULE.initial_weight).all()
    if kind is FatiguingNeuron:
        events, _ = neuron.respond(from_raster(raster, 1e-3), 0.2)
        assert torch.equal(to_raster(events, 1, 1e-3, 200), spikes)


@pytest.mark.parametrize("events", [True, False])
def test_with_devices_and_their_noise(events: bool) -> None:
    synapses = PhaseChangeSynapses()
    neuron, raster, ends = FatiguingNeuron(10, rule=RULE, synapses=synapses), raster_of(1), []
    for seed in (0, 0, 1):
        random = torch.Generator().manual_seed(seed)
        if events:
            step = neuron.learn_events(from_raster(raster, 1e-3), 0.2, generator=random)
        else:
            step = neuron.learn(raster, generator=random)
        ends.append(step.state.synapses.conductance)
    assert torch.equal(ends[0], ends[1]) and not torch.equal(ends[0], ends[2])
    again = neuron.learn(raster, step.state)
    assert again.state.time == pytest.approx(0.4) and again.updates["weight"].isfinite().all()


@pytest.mark.parametrize("synapses", [RULE, PhaseChangeSynapses(pairs=2)])
def test_meta_tensors(synapses: Any) -> None:
    """No value is looked at, so no GPU is waited for."""
    more = {} if synapses is RULE else {"synapses": synapses}
    with torch.device("meta"):
        neuron, x = FatiguingNeuron(10, **more), torch.rand(4, 2, 10)
    spikes, state = learn(neuron, x)
    assert spikes.shape == (4, 2, 1) and neuron.weight.grad.shape == (1, 10)
    assert neuron(x, state)[0].is_meta


def test_it_says_its_sizes() -> None:
    assert repr(FatiguingNeuron(10)) == "FatiguingNeuron(10, 1, dt=0.001)"


@pytest.mark.parametrize("name", ["in_features", "dt"])
def test_bad_sizes(name: str) -> None:
    with pytest.raises(InputError, match=f"{name} is 0"):
        FatiguingNeuron(**{"in_features": 3, name: 0})


@pytest.mark.parametrize("kind", [IdealSynapses, PhaseChangeSynapses])
def test_synapses_with_other_bounds(kind: Any) -> None:
    with pytest.raises(InputError, match="expected the bounds 0 and 1"):
        FatiguingNeuron(10, synapses=kind(low=-1.0))


def test_a_state_of_another_mini_batch_or_type() -> None:
    with pytest.raises(InputError, match=r"resource of state is \[2, 10\]; expected \[3, 10\]"):
        FatiguingNeuron(10)(raster_of(3), FatiguingNeuron(10).initial_state(2))
    double = FatiguingNeuron(10, dtype=torch.float64).initial_state(3)
    with pytest.raises(
        InputError, match=r"resource of state is torch\.float64; expected torch\.fl"
    ):
        FatiguingNeuron(10)(raster_of(3), double)


def test_a_large_step_gives_a_warning() -> None:
    with pytest.warns(UserWarning, match=r"dt is 0\.03 s, more than tau_membrane of 0\.02 s"):
        FatiguingNeuron(10, rule=FatiguingSTDP(tau_trace=1.0), dt=0.03)


def test_parameters_are_reset_as_those_of_other_layers() -> None:
    neuron = FatiguingNeuron(10)
    neuron.weight.fill_(0.9)
    neuron.reset_parameters(generator=torch.Generator())
    assert (neuron.weight == 0.5).all()
