"""Base of layers that learn at each spike, as modules: clocked, or driven by events."""

from abc import abstractmethod
from math import isfinite
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from plastorch.engine.device import has_kernels
from plastorch.engine.distributed import sum_over_workers, workers
from plastorch.engine.errors import InputError, check_positive
from plastorch.learning import PlasticLayer, Step
from plastorch.spiking.events import Events, check_events, check_spikes, from_raster, to_raster
from plastorch.spiking.neurons import Random
from plastorch.spiking.synapses import IdealSynapses, Synapses

Ran = tuple[Any, Tensor, Any]
"""Output spikes, the change of the weights summed over samples, and the state at the end."""


class Mode(NamedTuple):
    """How a layer runs."""

    generator: Random
    """Random generator for the synapses' noise."""
    plastic: bool
    """Whether weights and thresholds change."""


class SpikingLayer(PlasticLayer):
    """Layer of K spiking neurons with N inputs that learns at each spike.

    ``forward`` and :meth:`respond` don't learn. In :meth:`learn` and :meth:`learn_events`, weights
    and thresholds change at each spike, separately in each sample of a mini-batch, starting from
    the layer's parameters; updates are the changes, averaged over the samples. So with one sample
    at a time and ``torch.optim.SGD`` at a rate of 1, it is the online rule. On CPUs, compiled
    kernels go from spike to spike; elsewhere, and on rasters for synapses that aren't ideal, torch
    goes step by step.

    Args:
        weight: initial weights, without values yet [K, N].
        dt: duration of a step, seconds.
        synapses: storage of the weights.
    """

    state_kind: Any
    """Class of the states."""
    weight: nn.Parameter
    """Weights [K, N]."""
    theta: nn.Parameter
    """Thresholds [K] at the start of sequences; later ones are in the state."""

    def __init__(self, weight: Tensor, dt: float, synapses: Synapses[Any]) -> None:
        super().__init__()
        self.out_features, self.in_features = weight.shape
        self.dt, self.synapses = dt, synapses
        self.weight = nn.Parameter(weight, requires_grad=False)
        self.theta = nn.Parameter(weight.new_zeros(len(weight)), requires_grad=False)

    @abstractmethod
    def initial_state(self, batch_size: int = 1) -> Any:
        """Returns the state of neurons at rest, for a mini-batch of B samples."""

    def forward(self, x: Tensor, state: Any = None, generator: Random = None) -> tuple[Tensor, Any]:
        """Runs the neurons with fixed weights and thresholds.

        Args:
            x: spikes, bool, or 0 and 1 [T, B, N].
            state: state before the first step, as returned; :meth:`initial_state` if None.
            generator: random generator for the synapses' noise.

        Returns:
            Output spikes, bool [T, B, K], and the state at the end of the last step.

        Raises:
            InputError: if the raster has another shape, or the state doesn't fit.
        """
        output, _, state = self._run(x, state, Mode(generator, plastic=False))
        return output, state

    def learn(self, x: Tensor, state: Any = None, generator: Random = None) -> Step:
        """Returns output spikes, next state and updates, for a raster as in :meth:`forward`."""
        return self._step(state, *self._run(x, state, Mode(generator, plastic=True)))

    def respond(
        self, events: Events, duration: float, state: Any = None, generator: Random = None
    ) -> tuple[Events, Any]:
        """Runs the neurons on lists of spikes, with fixed weights and thresholds, on a CPU.

        Args:
            events: input spikes of B samples; time 0 is the time of the state.
            duration: simulated time, longer than the time of any spike, seconds.
            state: state as in :meth:`forward`.
            generator: random generator for the synapses' noise.

        Returns:
            Output spikes, and the state at the end.

        Raises:
            InputError: if events are invalid, or do not fit the layer or the duration, or the
                state doesn't fit, or the layer can't run on events.
        """
        mode = Mode(generator, plastic=False)
        output, _, state = self._run_events(events, duration, state, mode)
        return output, state

    def learn_events(
        self, events: Events, duration: float, state: Any = None, generator: Random = None
    ) -> Step:
        """Returns output spikes, next state and updates, for events as in :meth:`respond`."""
        mode = Mode(generator, plastic=True)
        return self._step(state, *self._run_events(events, duration, state, mode))

    def gradients(self, updates: dict[str, Tensor]) -> dict[str, Tensor]:
        """Returns the mean changes, negated in place."""
        return {name: update.neg_() for name, update in updates.items()}

    def extra_repr(self) -> str:
        return f"{self.in_features}, {self.out_features}, dt={self.dt}"

    @abstractmethod
    def _clocked(self, x: Tensor, state: Any, mode: Mode) -> Ran:
        """Runs on a raster, step by step."""

    @abstractmethod
    def _driven(self, events: Events, duration: float, state: Any, mode: Mode) -> Ran:
        """Runs on events, by compiled kernels."""

    @abstractmethod
    def _parts(self, state: Any) -> dict[str, tuple[Any, ...]]:
        """Returns the tensors of a state by name, including ``theta``, and their sizes without that
        of the mini-batch."""

    def _run(self, x: Tensor, state: Any, mode: Mode) -> Ran:
        if not isinstance(x, Tensor) or x.layout != torch.strided:
            found = f"{x.layout} tensor" if isinstance(x, Tensor) else type(x).__name__
            raise InputError(f"x is a {found}; expected a dense raster; for events call respond")
        if x.dim() != 3 or 0 in x.shape or x.shape[2] != self.in_features:
            raise InputError(
                f"x has shape {tuple(x.shape)}; expected (T, B, {self.in_features}), T and B > 0"
            )
        check_spikes(x=x)
        if not (self._ideal() and self._compiles()):
            state = self._checked(state, x.shape[1])
            return self._clocked(x, state, mode)
        events, duration = from_raster(x, self.dt), len(x) * self.dt
        found, change, state = self._run_events(events, duration, state, mode)
        return to_raster(found, self.out_features, self.dt, len(x)), change, state

    def _run_events(self, events: Events, duration: float, state: Any, mode: Mode) -> Ran:
        check_positive(duration=duration)
        check_events(events, self.in_features)
        if len(events.times) and float(events.times.max()) >= duration:
            raise InputError(
                f"times go up to {float(events.times.max())}; expected less than the duration of "
                f"{duration} s"
            )
        if not self._compiles():
            raise InputError(
                f"weights are {self.weight.dtype} on {self.weight.device}; expected float32 or "
                "float64 on a cpu for events, or a raster"
            )
        state = self._checked(state, events.networks)
        return self._driven(events, duration, state, mode)

    def _step(self, before: Any, output: Any, change: Tensor, state: Any) -> Step:
        begun = self.theta if before is None else self._theta(before)
        theta = self._theta(state)
        updates = {"weight": change, "theta": (theta - begun).sum(dim=0)}
        if len(theta) > 1 or workers() > 1:
            samples = sum_over_workers(torch.full_like(theta[0, 0], len(theta)))
            for total in updates.values():
                total.div_(samples)
        return Step(output, state, updates)

    def _theta(self, state: Any) -> Tensor:
        """Returns the thresholds of a state [B, K]."""
        theta: Tensor = self._parts(state)["theta"][0].view(-1, self.out_features)
        return theta

    def _ideal(self) -> bool:
        return isinstance(self.synapses, IdealSynapses)

    def _compiles(self) -> bool:
        """Returns whether compiled kernels can run."""
        return has_kernels(self.weight)

    def _checked(self, state: Any, samples: int) -> Any:
        """Returns the state, or an initial one if None.

        Raises:
            InputError: if the state is of another kind or type, or of a layer or mini-batch of
                another size, or its time is not finite.
        """
        if state is None:
            return self.initial_state(samples)
        if not isinstance(state, self.state_kind):
            raise InputError(
                f"state is a {type(state).__name__}; expected a {self.state_kind.__name__}"
            )
        if (state.synapses is None) != self._ideal():
            raise InputError(
                f"synapses of state are {type(state.synapses).__name__}; expected those of "
                f"{type(self.synapses).__name__}"
            )
        for name, (part, *size) in self._parts(state).items():
            if list(part.shape) != [samples, *size]:
                raise InputError(
                    f"{name} of state is {list(part.shape)}; expected {[samples, *size]}"
                )
            kind = torch.float64 if name == "refractory" else self.weight.dtype
            if part.dtype != kind:
                raise InputError(f"{name} of state is {part.dtype}; expected {kind}")
        if not isfinite(state.time):
            raise InputError(f"time of state is {state.time}; expected a finite one")
        return state
