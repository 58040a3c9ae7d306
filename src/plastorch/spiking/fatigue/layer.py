"""Fatiguing STDP as a module: clocked, or driven by events."""

from typing import Any

import torch
from torch import Tensor

from plastorch.engine.errors import check_positive
from plastorch.spiking.events import Events
from plastorch.spiking.fatigue.events import PARTS, run_events
from plastorch.spiking.fatigue.rule import (
    IDEAL,
    FatigueState,
    FatiguingSTDP,
    run_raster,
)
from plastorch.spiking.layer import Mode, Ran, SpikingLayer
from plastorch.spiking.neurons import Random, check_step
from plastorch.spiking.synapses import IdealState, Synapses, check_same_bounds


class FatiguingNeuron(SpikingLayer):
    """Neuron that learns by fatiguing STDP which of its inputs spike together.

    Moraitis et al., *Fatiguing STDP*, IJCNN 2017, arXiv 1706.05563; equations in
    :mod:`plastorch.spiking.fatigue.rule`. For ``learn`` and ``forward`` see
    :class:`plastorch.spiking.layer.SpikingLayer`, with K = 1. Events are simulated in double
    precision.

    Args:
        in_features: number of inputs N.
        rule: constants of the rule; the defaults if None.
        dt: duration of a step of the clocked engine, seconds. If it exceeds a time constant, a
            warning is given.
        synapses: storage of the weights, with bounds 0 and 1. If not ideal, the state holds the
            synapses, a copy for each sample, and the weights follow what is read from them.
        generator: unused, as all weights start equal.
        device: device of the parameters.
        dtype: type of the parameters.

    Raises:
        InputError: if a size or ``dt`` is not positive, or synapses have other bounds.

    Example:
        >>> from plastorch import learn
        >>> neuron = FatiguingNeuron(20)
        >>> optimizer = torch.optim.SGD(neuron.parameters(), lr=1.0)
        >>> spikes, state = learn(neuron, torch.ones(5, 1, 20))
        >>> optimizer.step()
        >>> spikes[:, 0, 0].int().tolist(), neuron.weight.shape
        ([1, 0, 1, 0, 0], torch.Size([1, 20]))
    """

    state_kind = FatigueState

    def __init__(
        self,
        in_features: int,
        *,
        rule: FatiguingSTDP | None = None,
        dt: float = 1e-3,
        synapses: Synapses[Any] = IDEAL,
        generator: Random = None,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        check_positive(in_features=in_features)
        rule = rule or FatiguingSTDP()
        check_step(dt, **rule.time_constants)
        check_same_bounds(synapses, 0, 1)
        super().__init__(torch.empty(1, in_features, device=device, dtype=dtype), dt, synapses)
        self.rule = rule
        self.reset_parameters(generator)

    def reset_parameters(self, generator: Random = None) -> None:
        """Sets equal weights, and the initial threshold.

        Args:
            generator: unused, as nothing is random.
        """
        with torch.no_grad():
            self.weight.fill_(self.rule.initial_weight)
            self.theta.fill_(self.rule.initial_theta)

    def initial_state(self, batch_size: int = 1) -> FatigueState:
        """Returns a state of recovered inputs and silent neurons, for a mini-batch of B samples."""
        weight = self._weights().expand(batch_size, -1)
        ones, zeros = torch.ones_like(weight), torch.zeros_like(weight)
        theta = self.theta.detach().expand(batch_size).clone()
        stored = None if self._ideal() else self.synapses.initial(weight)
        silent = torch.zeros_like(theta)
        return FatigueState(
            synapses=stored,
            resource=ones,
            trace=zeros,
            membrane=silent,
            theta=theta,
            post_trace=silent,
            time=0.0,
        )

    def _clocked(self, x: Tensor, state: FatigueState, mode: Mode) -> Ran:
        rule = self.rule if mode.plastic else self.rule.frozen()
        before = state.weight
        state = self._with_weights(state, x.shape[1])
        course, state = run_raster(
            x, state, rule, self.dt, synapses=self.synapses, generator=mode.generator
        )
        return course.spikes.unsqueeze(2), *self._handed_on(before, state, mode)

    def _driven(self, events: Events, duration: float, state: FatigueState, mode: Mode) -> Ran:
        rule = self.rule if mode.plastic else self.rule.frozen()
        start, stop = state.time, state.time + duration
        moved = events._replace(times=events.times + start)
        before = state.weight
        state = _in(torch.float64, self._with_weights(state, events.networks))
        spikes, state = run_events(
            moved, state, rule, stop, synapses=self.synapses, generator=mode.generator
        )
        state = _in(self.weight.dtype, state)
        return spikes._replace(times=spikes.times - start), *self._handed_on(before, state, mode)

    def _with_weights(self, state: FatigueState, samples: int) -> FatigueState:
        """Returns the state with the layer's weights, if synapses are ideal."""
        if not self._ideal():
            return state
        return state._replace(synapses=IdealState(self._weights().expand(samples, -1)))

    def _handed_on(
        self, before: Tensor | None, state: FatigueState, mode: Mode
    ) -> tuple[Tensor, FatigueState]:
        """Returns the sum of the weights' changes, and the state without ideal synapses."""
        after = self.synapses.read(state.synapses, state.time, mode.generator)
        after = after.to(self.weight.dtype)
        change = (after - (self.weight if before is None else before)).sum(dim=0, keepdim=True)
        if self._ideal():
            return change, state._replace(synapses=None)
        return change, state._replace(weight=after if mode.plastic else before)

    def _weights(self) -> Tensor:
        """Returns the weights within their bounds [1, N]."""
        return self.weight.detach().clamp(0, 1)

    def _parts(self, state: FatigueState) -> dict[str, tuple[Any, ...]]:
        parts = state._asdict()
        inputs = {name: (parts[name], self.in_features) for name in ("resource", "trace")}
        return inputs | {name: (parts[name],) for name in ("membrane", "theta", "post_trace")}


def _in(dtype: torch.dtype, state: FatigueState) -> FatigueState:
    """Returns a state in another data type."""
    stored = type(state.synapses)(*(part.to(dtype) for part in state.synapses))
    parts: dict[str, Any] = {name: getattr(state, name).to(dtype) for name in PARTS}
    return state._replace(synapses=stored, **parts)
