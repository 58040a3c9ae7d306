"""A feed-forward spiking network that answers a pattern of spikes with a pattern of spikes.

Each of N inputs fires once, in a given step, or not at all; H hidden and C output neurons are leaky
integrate-and-fire neurons with a synaptic current:

    I(t) = exp(-dt/τ_s) I(t-1) + b + Σ w s(t),
    u(t) = exp(-dt/τ_m) u(t-1) + (1 - exp(-dt/τ_m)) R I(t) - z(t-1),   z(t) = 1 if u(t) > 1.

The target of class c is that its output neuron fires at certain times and all others are silent. An
answer is compared with targets by van Rossum's distance, the squared difference of spike trains
that are smoothed by exponential traces. If a class has a population of output neurons, its distance
is the mean of theirs. Stanojevic, Cherubini, Moraitis, Sebastian, *File
classification based on spiking neural networks*, ISCAS 2020, arXiv 2004.03953: target patterns and
a distance to them; van Rossum, *A novel spike distance*, Neural Computation 13, 2001.

Here the equations are computed in torch, step by step, on any device, as a reference for the
kernels for CPUs.
"""

from dataclasses import dataclass
from math import exp, inf
from typing import Any, NamedTuple, TypeVar

import torch
from torch import Tensor

from plastorch.engine.errors import InputError, check_positive

NO_SPIKE = 255
"""Bin of an input that does not fire."""


@dataclass(frozen=True)
class PatternNeuron:
    """Constants of all neurons, and of the readout of their answers. Times are in seconds.

    Args:
        tau_membrane: time constant τ_m of the membrane.
        tau_synapse: time constant τ_s of the synaptic current.
        resistance: membrane resistance R.
        dt: duration of a step.
        input_steps: number of steps in which inputs may fire.
        tail_steps: number of later steps in which the network may still answer.
        target_times: times at which the output neuron of the right class should fire.
        tau_trace: time constant of the traces that are compared.
        slope: steepness of the surrogate gradient of a spike, 1 / (1 + slope abs(u - 1))².

    Raises:
        InputError: if a constant is out of range, or a target comes after the last step.

    Example:
        >>> PatternNeuron().steps
        25
    """

    tau_membrane: float = 4e-3
    tau_synapse: float = 2e-3
    resistance: float = 2.5
    dt: float = 1e-3
    input_steps: int = 20
    tail_steps: int = 5
    target_times: tuple[float, ...] = (8e-3, 10e-3, 12e-3, 14e-3, 16e-3, 18e-3, 20e-3, 22e-3)
    tau_trace: float = 5e-3
    slope: float = 1.5

    def __post_init__(self) -> None:
        check_positive(
            tau_membrane=self.tau_membrane,
            tau_synapse=self.tau_synapse,
            resistance=self.resistance,
            dt=self.dt,
            input_steps=self.input_steps,
            tau_trace=self.tau_trace,
            slope=self.slope,
        )
        if not 0 <= self.tail_steps < inf:
            raise InputError(f"tail_steps is {self.tail_steps}; expected 0 or more")
        if self.input_steps >= NO_SPIKE:
            raise InputError(f"input_steps is {self.input_steps}; expected less than {NO_SPIKE}")
        object.__setattr__(self, "target_times", tuple(self.target_times))  # a list if from JSON
        end = (self.steps - 0.5) * self.dt  # later times would round to the step after the last
        if not self.target_times or not all(map(self._has, self.target_times)):
            raise InputError(
                f"target_times are {self.target_times}; expected one or more in [0, {end:g}) s"
            )

    def _has(self, time: float) -> bool:
        """Returns whether a time is nearest to one of the steps."""
        return 0 <= time < inf and round(time / self.dt) < self.steps

    @property
    def steps(self) -> int:
        """Number of steps per presentation."""
        return self.input_steps + self.tail_steps

    def decay(self, tau: float) -> float:
        """Returns the decay factor per step."""
        return exp(-self.dt / tau)

    def target(self) -> Tensor:
        """Returns the trace of the target spike train of the right class's output neuron [S]."""
        fires = torch.zeros(self.steps, dtype=torch.float64)
        for time in self.target_times:
            fires[round(time / self.dt)] = 1
        decay, trace = self.decay(self.tau_trace), torch.zeros((), dtype=torch.float64)
        traces = []
        for fire in fires:
            trace = decay * trace + fire
            traces.append(trace)
        return torch.stack(traces)


class NetworkWeights(NamedTuple):
    """Weights and biases of a network with K output neurons: C, or C times the population."""

    hidden: Tensor
    """Hidden weights [H, N]."""
    hidden_bias: Tensor
    """Constant currents of the hidden neurons [H]."""
    output: Tensor
    """Output weights [K, H]."""
    output_bias: Tensor
    """Constant currents of the output neurons [K]."""


class Response(NamedTuple):
    """Response of a network to B patterns."""

    distance: Tensor
    """Distance to the target pattern of each class [B, C]."""
    potential: Tensor
    """Highest potential of each output neuron [B, C]; the highest of all was nearest to firing."""
    hidden_spikes: Tensor
    """Number of hidden spikes for each pattern [B]; differentiable by the surrogate."""
    output_spikes: Tensor
    """Number of output spikes for each pattern [B]."""


class Answer(NamedTuple):
    """Numbers that decide the classes of B patterns; see :class:`Response`."""

    distance: Tensor
    """Distances [B, C]."""
    potential: Tensor
    """Highest potentials [B, C]."""


class Spike(torch.autograd.Function):
    """Step function of the excess over the threshold, with a surrogate gradient."""

    @staticmethod
    def forward(ctx: Any, excess: Tensor, slope: float) -> Tensor:
        ctx.save_for_backward(excess)
        ctx.slope = slope
        return (excess > 0).to(excess.dtype)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        (excess,) = ctx.saved_tensors
        return gradient / (1 + ctx.slope * excess.abs()) ** 2, None


class NeuronState(NamedTuple):
    """State of a layer between two steps."""

    current: Tensor
    """Synaptic currents [B, K]."""
    membrane: Tensor
    """Potentials [B, K]."""
    fired: Tensor
    """Spikes of the last step, without a gradient [B, K]."""


def neuron_step(
    drive: Tensor, state: NeuronState, neuron: PatternNeuron
) -> tuple[Tensor, NeuronState]:
    """Runs one step of current-based leaky integrate-and-fire neurons, whose currents rise by
    ``drive`` [B, K]; returns spikes, 0 or 1 [B, K], and the state after the step."""
    decay = neuron.decay(neuron.tau_membrane)
    current = neuron.decay(neuron.tau_synapse) * state.current + drive
    inflow = (1 - decay) * neuron.resistance * current
    membrane = decay * state.membrane + inflow - state.fired
    spikes = Spike.apply(membrane - 1, neuron.slope)  # type: ignore[no-untyped-call]
    return spikes, NeuronState(current, membrane, spikes.detach())


def respond(bins: Tensor, weights: NetworkWeights, neuron: PatternNeuron) -> Response:
    """Presents patterns to a network, step by step.

    Args:
        bins: step of each input's spike, or :data:`NO_SPIKE`, uint8 [B, N].
        weights: weights of the network.
        neuron: constants of the neurons.

    Returns:
        Distances to the classes' target patterns, highest potentials, and numbers of spikes.

    Example:
        >>> weights = NetworkWeights(*(torch.zeros(size) for size in ((4, 3), 4, (2, 4), 2)))
        >>> respond(torch.tensor([[0, 7, 255]], dtype=torch.uint8), weights, PatternNeuron())[0]
        tensor([[79.3200, 79.3200]])
    """
    batch = len(bins)
    hidden, output = (
        NeuronState(*weight.new_zeros(3, batch, len(weight)))
        for weight in (weights.hidden, weights.output)
    )
    target = neuron.target().to(weights.output, non_blocking=True)
    trace = torch.zeros_like(output.membrane)
    potential = torch.full_like(trace, -inf)
    common, own = trace.new_zeros(batch, 1), torch.zeros_like(trace)
    hidden_spikes, output_spikes = trace.new_zeros(2, batch)
    for step in range(neuron.steps):
        fires = (bins == step).to(weights.hidden) if step < neuron.input_steps else None
        drive = weights.hidden_bias if fires is None else fires @ weights.hidden.mT + weights[1]
        spikes, hidden = neuron_step(drive.expand_as(hidden.membrane), hidden, neuron)
        answer, output = neuron_step(
            spikes @ weights.output.mT + weights.output_bias, output, neuron
        )
        trace = neuron.decay(neuron.tau_trace) * trace + answer
        common = common + (trace**2).sum(1, keepdim=True)
        own = own + trace * target[step]
        potential = torch.maximum(potential, output.membrane.detach())
        hidden_spikes = hidden_spikes + spikes.sum(1)
        output_spikes = output_spikes + answer.detach().sum(1)
    distance = common - 2 * own + (target**2).sum()
    return Response(distance, potential, hidden_spikes, output_spikes)


Found = TypeVar("Found", Response, Answer)


def by_class(response: Found, population: int) -> Found:
    """Returns the response of classes that have ``population`` output neurons each, one class after
    the other: the mean of their distances, the highest of their potentials.

    Example:
        >>> numbers = torch.tensor([[1.0, 3.0, 5.0, 9.0]])
        >>> found = by_class(Response(numbers, numbers, torch.ones(1), torch.ones(1)), population=2)
        >>> found.distance.tolist(), found.potential.tolist()
        ([[2.0, 7.0]], [[3.0, 9.0]])
    """
    if population == 1:
        return response
    patterns, neurons = response.distance.shape
    sizes = patterns, neurons // population, population
    return response._replace(
        distance=response.distance.reshape(sizes).mean(2),
        potential=response.potential.reshape(sizes).amax(2),
    )


def by_member(response: Response, members: int) -> Response:
    """Returns the response of the members of an ensemble, one after the other for each pattern:
    distances and potentials are [B * members, C].

    Example:
        >>> numbers = torch.tensor([[1.0, 3.0, 5.0, 9.0]])
        >>> found = by_member(Response(numbers, numbers, torch.ones(1), torch.ones(1)), members=2)
        >>> found.distance.tolist()
        [[1.0, 5.0], [3.0, 9.0]]
    """

    def apart(of_neurons: Tensor) -> Tensor:
        return of_neurons.reshape(len(of_neurons), -1, members).mT.flatten(0, 1)

    return response._replace(distance=apart(response.distance), potential=apart(response.potential))


def check_patterns(bins: Tensor, inputs: int) -> None:
    """Raises InputError unless patterns are uint8 [B, inputs]."""
    if bins.dim() != 2 or bins.shape[1] != inputs or bins.dtype != torch.uint8:
        raise InputError(
            f"bins have shape {tuple(bins.shape)} and type {bins.dtype}; expected uint8 of shape "
            f"(B, {inputs})"
        )


def decide(response: Response | Answer) -> Tensor:
    """Returns the class with the nearest target [B]; among equals, the one nearest to firing.

    Example:
        >>> one = torch.ones(1)
        >>> decide(Response(torch.tensor([[2.0, 2.0]]), torch.tensor([[0.1, 0.3]]), one, one))
        tensor([1])
    """
    nearest = response.distance <= response.distance.amin(dim=1, keepdim=True)
    return response.potential.masked_fill(~nearest, -inf).argmax(dim=1)
