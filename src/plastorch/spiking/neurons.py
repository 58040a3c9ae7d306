"""Leaky integrate-and-fire neurons as pure step functions, and a module for any neurons.

A step of dt begins with its input, to which neurons respond at once; then everything decays
exactly, by exp(-dt / tau). A state holds at the end of a step, where the next one begins. Shapes: B
independent networks of K neurons each. Potentials have any unit; inputs are jumps in that unit.
"""

import warnings
from dataclasses import dataclass
from math import exp, inf
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor, nn

from plastorch.engine.errors import InputError, check_positive

Random = torch.Generator | None
"""Random generator; torch's global one if None."""
SAME_TIME = 1e-9
"""Seconds; a smaller difference between two times counts as rounding."""


class LIFState(NamedTuple):
    """State of leaky integrate-and-fire neurons between two steps."""

    membrane: Tensor
    """Potential [B, K]."""
    theta: Tensor
    """Threshold above its lowest value [B, K]."""
    refractory: Tensor
    """Seconds until a neuron takes input again, float64 [B, K]."""


torch.serialization.add_safe_globals([LIFState])


@dataclass(frozen=True)
class LIF:
    """Leaky integrate-and-fire neurons whose threshold adapts.

    A neuron above ``threshold + theta`` fires: its membrane is reset, theta grows by
    ``theta_increase``, and it takes no input for ``refractory`` seconds. Diehl, Cook, *Unsupervised
    learning of digit recognition using spike-timing-dependent plasticity*, 2015.

    Args:
        tau: time constant of the membrane, seconds; infinite for no leak.
        threshold: membrane potential above which a neuron fires.
        reset: membrane potential after a spike.
        rest: membrane potential to which a neuron decays.
        refractory: time without input after a spike, seconds.
        theta_increase: growth of theta at a spike.
        theta_tau: time constant with which theta decays to 0, seconds; at least ``tau``, so that a
            neuron can't exceed its threshold without input.

    Raises:
        InputError: if a constant is out of range.

    Example:
        >>> LIF(tau=0.1, threshold=-52.0, reset=-60.0, rest=-65.0, refractory=0.005).theta_tau
        inf
    """

    tau: float = 0.02
    threshold: float = 1.0
    reset: float = 0.0
    rest: float = 0.0
    refractory: float = 0.0
    theta_increase: float = 0.0
    theta_tau: float = inf

    def __post_init__(self) -> None:
        check_tau(self.tau)
        check_below_threshold(self.threshold, reset=self.reset, rest=self.rest)
        check_not_negative(refractory=self.refractory, theta_increase=self.theta_increase)
        if not self.theta_tau >= self.tau:
            raise InputError(
                f"theta_tau is {self.theta_tau}; expected at least {self.tau}, the membrane's tau"
            )

    def initial(self, like: Tensor) -> LIFState:
        """Returns the state of neurons at rest, for inputs like these [B, K]."""
        membrane = torch.full_like(like, self.rest)
        return LIFState(
            membrane, torch.zeros_like(like), torch.zeros_like(like, dtype=torch.float64)
        )

    def step(
        self, drive: Tensor, state: LIFState, dt: float, generator: Random = None
    ) -> tuple[Tensor, LIFState]:
        """Runs one step.

        Args:
            drive: jumps of the membranes at the beginning of the step [B, K].
            state: state before the step.
            dt: duration of the step, seconds.
            generator: unused, as nothing is random.

        Returns:
            Spikes at the beginning of the step, bool [B, K], and the state at its end.

        Example:
            >>> neuron, drive = LIF(), torch.tensor([[0.7, 1.2]])
            >>> spikes, state = neuron.step(drive, neuron.initial(drive), dt=0.001)
            >>> spikes, round(float(state.membrane[0, 0]), 3)
            (tensor([[False,  True]]), 0.666)
        """
        spikes, state = fire(drive, state, self)
        return spikes, relax(state, self, dt)


def fire(drive: Tensor, state: LIFState, neuron: LIF) -> tuple[Tensor, LIFState]:
    """Adds jumps [B, K] to the membranes of neurons that take input; those above the threshold
    fire. Returns their spikes, bool [B, K], and the state right after them."""
    takes_input = receptive(state)
    membrane = torch.where(takes_input, state.membrane + drive, state.membrane)
    spikes = takes_input & (membrane - state.theta > neuron.threshold)
    return spikes, LIFState(
        membrane.masked_fill(spikes, neuron.reset),
        torch.where(spikes, state.theta + neuron.theta_increase, state.theta),
        state.refractory.masked_fill(spikes, neuron.refractory),
    )


def receptive(state: LIFState) -> Tensor:
    """Returns which neurons take input, as they are not refractory, bool [B, K]."""
    return state.refractory <= SAME_TIME


def relax(state: LIFState, neuron: LIF, dt: float) -> LIFState:
    """Advances neurons without input by ``dt`` seconds, exactly."""
    return LIFState(
        neuron.rest + (state.membrane - neuron.rest) * exp(-dt / neuron.tau),
        state.theta * exp(-dt / neuron.theta_tau),
        (state.refractory - dt).clamp(min=0),
    )


class NeuronConstants(Protocol):
    """Constants of the neurons that :class:`Neurons` runs; states are named tuples of tensors."""

    tau: float

    def initial(self, like: Tensor) -> Any:
        """Returns the state of neurons at rest, for inputs like these [B, K]."""

    def step(
        self, drive: Tensor, state: Any, dt: float, generator: Random = None
    ) -> tuple[Tensor, Any]:
        """Returns spikes, bool [B, K], and the state after a step."""


class Neurons(nn.Module):
    """Neurons as a module.

    Args:
        constants: :class:`LIF`, :class:`plastorch.spiking.stochastic.ExpLIF` or
            :class:`plastorch.spiking.stochastic.SoftWTA`.
        dt: duration of a step, seconds. If it exceeds the membrane's tau, a warning is given.

    Raises:
        InputError: if ``dt`` is not positive.

    Example:
        >>> neurons = Neurons(LIF(tau=0.01))
        >>> spikes, state = neurons(torch.full((2, 3), 0.6))
        >>> neurons(torch.full((2, 3), 0.6), state)[0].all()
        tensor(True)
    """

    def __init__(self, constants: NeuronConstants, dt: float = 1e-3) -> None:
        super().__init__()
        check_step(dt, tau=constants.tau)
        self.constants, self.dt = constants, dt

    def forward(self, x: Tensor, state: Any = None, generator: Random = None) -> tuple[Tensor, Any]:
        """Runs one step.

        Args:
            x: jumps of the membranes [B, K]; bool and whole numbers count as torch's default type.
            state: state returned by the step before; neurons at rest if None.
            generator: random generator for neurons that fire at random.

        Returns:
            Spikes, bool [B, K], and the new state.

        Raises:
            InputError: if inputs are not [B, K], or the state doesn't fit.
        """
        if x.dim() != 2:
            raise InputError(f"x has shape {tuple(x.shape)}; expected (B, K)")
        x = x if x.is_floating_point() else x.to(torch.get_default_dtype())
        initial = self.constants.initial(x)
        state = initial if state is None else state
        if type(state) is not type(initial):
            raise InputError(
                f"state is a {type(state).__name__}; expected a {type(initial).__name__}"
            )
        for name, part in state._asdict().items():
            if part.shape != x.shape:
                raise InputError(
                    f"{name} of state is {list(part.shape)}; expected {list(x.shape)}, as x"
                )
        return self.constants.step(x, state, self.dt, generator)

    def extra_repr(self) -> str:
        return f"{self.constants}, dt={self.dt}"


def uniform(like: Tensor, generator: Random) -> Tensor:
    """Draws uniform numbers in [0, 1) on the generator's device, then moves them to ``like``'s."""
    device = like.device if generator is None else generator.device
    return torch.rand(like.shape, generator=generator, device=device, dtype=like.dtype).to(like)


def single(x: Tensor) -> Tensor:
    """Converts half precision to single precision, whose range holds times from pulses to years."""
    return x.to(torch.promote_types(x.dtype, torch.float32))


def check_step(dt: float, **constants: float) -> None:
    """Warns if ``dt`` exceeds a time constant, in seconds; raises InputError if not positive."""
    check_positive(dt=dt)
    for name, tau in constants.items():
        if dt > tau:
            warnings.warn(
                f"dt is {dt} s, more than {name} of {tau} s: state decays by over 63 % in one step",
                UserWarning,
                stacklevel=3,
            )


def check_tau(tau: float) -> None:
    """Raises InputError unless a membrane's time constant is above 0; infinite means no leak."""
    if not tau > 0:
        raise InputError(f"tau is {tau}; expected more than 0")


def check_below_threshold(threshold: float, **potentials: float) -> None:
    """Raises InputError naming the first potential that is not below the threshold, or infinite.

    Example:
        >>> check_below_threshold(1.0, rest=0.0)
    """
    for name, potential in potentials.items():
        if not -inf < potential < threshold < inf:
            raise InputError(f"{name} is {potential}; expected less than the threshold {threshold}")


def check_not_negative(**arguments: float) -> None:
    """Raises InputError naming the first argument that is negative, or not finite.

    Example:
        >>> check_not_negative(refractory=0.0)
    """
    for name, value in arguments.items():
        if not 0 <= value < inf:
            raise InputError(f"{name} is {value}; expected 0 or more")
