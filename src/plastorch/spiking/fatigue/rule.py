"""Fatiguing STDP: a neuron that learns which inputs spike together, whatever their rates.

Each input has a resource that its spikes use up and that recovers slowly. A spike counts in
proportion to the resource, both in the membrane and in the trace that drives plasticity. So a fast
input counts no more than a slow one, and only timing is left to learn from. Shapes: B independent
networks of one neuron each, N inputs. States hold at the start of a time step, before its spikes.

Paper: Moraitis, Sebastian, Boybat, Le Gallo, Tuma, Eleftheriou, *Fatiguing STDP: Learning from
Spike-Timing Codes in the Presence of Rate Codes*, IJCNN 2017, arXiv 1706.05563.
"""

from dataclasses import dataclass, replace
from math import exp, inf
from typing import Any, Literal, NamedTuple, get_args

import torch
from torch import Tensor

from plastorch.engine.errors import InputError, check_one_of, check_positive
from plastorch.spiking.events import check_spikes
from plastorch.spiking.neurons import Random, check_not_negative, check_step
from plastorch.spiking.synapses import IdealSynapses, Synapses

Window = Literal["one-sided", "pair"]
IDEAL = IdealSynapses()


@dataclass(frozen=True)
class FatiguingSTDP:
    """Constants of fatigue, integration and learning; without fatigue, it is conventional STDP.

    Args:
        fatigue: share U of the resource that a spike uses up.
        tau_fatigue: time constant of the recovery, seconds.
        tau_membrane: time constant of the membrane potential, seconds.
        tau_trace: time constant of the presynaptic and the postsynaptic trace, seconds.
        learning_rate: largest relative change of a weight per output spike, at the mean trace.
        window: "one-sided", weights change only at output spikes, by recent input relative to its
            mean; "pair", they grow at output spikes and shrink at input spikes, as in classical
            pair-based STDP with multiplicative bounds.
        potentiation: A+ of the pair window.
        depression: A- of the pair window.
        trace_fatigue: whether the trace counts spikes by the resource, as the membrane does; if
            not, fatigue acts on the efficacy only.
        initial_weight: initial weight of all synapses.
        initial_theta: initial threshold.
        target_rate: rate of output spikes toward which the threshold adapts, Hz.
        theta_step: growth of the threshold at an output spike, as a share of the threshold; 0 for
            a constant threshold.

    Raises:
        InputError: if a constant is out of range.

    Example:
        >>> FatiguingSTDP(fatigue=0.0).fatigue
        0.0
    """

    fatigue: float = 0.5
    tau_fatigue: float = 0.5
    tau_membrane: float = 0.02
    tau_trace: float = 0.02
    learning_rate: float = 0.0025
    window: Window = "one-sided"
    potentiation: float = 0.01
    depression: float = 0.0105
    trace_fatigue: bool = True
    initial_weight: float = 0.5
    initial_theta: float = 5.0
    target_rate: float = 10.0
    theta_step: float = 0.02

    def __post_init__(self) -> None:
        for name in ("fatigue", "initial_weight", "learning_rate", "potentiation", "depression"):
            if not 0 <= getattr(self, name) <= 1:
                raise InputError(f"{name} is {getattr(self, name)}; expected 0 to 1")
        check_positive(
            tau_fatigue=self.tau_fatigue,
            tau_membrane=self.tau_membrane,
            tau_trace=self.tau_trace,
            initial_theta=self.initial_theta,
            target_rate=self.target_rate,
        )
        check_not_negative(theta_step=self.theta_step)
        check_one_of(get_args(Window), window=self.window)
        if self.tau_membrane >= self.tau_theta:
            raise InputError(
                f"tau_membrane is {self.tau_membrane} s; expected less than {self.tau_theta:g} s, "
                "the threshold's time constant: else a neuron would spike between its inputs"
            )

    @property
    def tau_theta(self) -> float:
        """Time constant of the threshold's decay, seconds; it balances at the target rate."""
        return 1 / (self.theta_step * self.target_rate) if self.theta_step else inf

    @property
    def time_constants(self) -> dict[str, float]:
        """Time constants of what decays within a step, seconds."""
        names = ("tau_fatigue", "tau_membrane", "tau_trace")
        return {name: getattr(self, name) for name in names}

    def frozen(self) -> "FatiguingSTDP":
        """Returns a copy whose weights and thresholds stay as they are."""
        return replace(self, learning_rate=0.0, potentiation=0.0, depression=0.0, theta_step=0.0)


class FatigueState(NamedTuple):
    """State of the networks between two steps."""

    synapses: Any
    """State of the synapses, for weights [B, N]. None in the state of a module if they are ideal:
    weights are the module's."""
    resource: Tensor
    """Resource R of each input [B, N]."""
    trace: Tensor
    """Trace a of each input [B, N]."""
    membrane: Tensor
    """Membrane potential v [B]."""
    theta: Tensor
    """Threshold [B]."""
    post_trace: Tensor
    """Trace of the output spikes, for the pair window [B]."""
    time: float
    """Time, seconds."""
    weight: Tensor | None = None
    """Weights [B, N] of a module's synapses after the last learning; None for the module's own."""


torch.serialization.add_safe_globals([FatigueState])


class LearningCourse(NamedTuple):
    """Activity of the neurons, step by step."""

    spikes: Tensor
    """Output spikes, bool [T, B]."""
    membrane: Tensor
    """Membrane potential v with the step's input, before the reset [T, B]."""
    theta: Tensor
    """Threshold with which the membrane is compared [T, B]."""


def initial_state(
    rule: FatiguingSTDP,
    networks: int,
    inputs: int,
    synapses: Synapses[Any] = IDEAL,
    device: torch.device | str | None = None,
    dtype: torch.dtype = torch.float64,
) -> FatigueState:
    """Returns recovered inputs, silent neurons, and equal weights of B networks with N inputs; with
    a ``dtype`` of single precision, rounding may add or drop a spike."""
    check_positive(networks=networks, inputs=inputs)
    ones = torch.ones(networks, inputs, device=device, dtype=dtype)
    neurons = torch.zeros(networks, device=device, dtype=dtype)
    return FatigueState(
        synapses=synapses.initial(rule.initial_weight * ones),
        resource=ones,
        trace=torch.zeros_like(ones),
        membrane=neurons,
        theta=torch.full_like(neurons, rule.initial_theta),
        post_trace=neurons,
        time=0.0,
    )


def weight_change(weight: Tensor, trace: Tensor, learning_rate: float) -> Tensor:
    """Returns changes of weights w in [0, 1] [..., N] at an output spike by traces a [..., N].

    Δw = η ((1 - w) a - w ā) / ā, with ā the mean trace of the neuron's inputs. The weight at which
    this is 0 on average, a / (a + ā), shows how much an input contributes to output spikes.
    """
    mean = trace.mean(dim=-1, keepdim=True)
    share = trace / torch.where(mean > 0, mean, 1.0)  # without recent input, all traces are 0
    return learning_rate * ((1 - weight) * share - weight)


def step(
    state: FatigueState,
    spikes: Tensor,
    rule: FatiguingSTDP,
    dt: float,
    *,
    synapses: Synapses[Any] = IDEAL,
    generator: Random = None,
) -> tuple[LearningCourse, FatigueState]:
    """Runs a step of ``dt`` seconds: spikes come in at its beginning, then everything decays.

    A spike, 0 or 1 in the state's type [B, N], is transmitted, and leaves its trace, with the
    resource R before it; then R falls to (1 - U) R. A neuron whose membrane exceeds its threshold
    spikes, learns, and is reset. Returns the activity, without the dimension T, and the last state.
    """
    weight = synapses.read(state.synapses, state.time, generator).to(state.trace.dtype)
    sent = state.resource * spikes
    arrived = sent if rule.trace_fatigue else spikes
    membrane = state.membrane + (weight * sent).sum(dim=1)
    trace = state.trace + arrived
    fired = membrane > state.theta
    if rule.window == "pair":
        kept = (1 - rule.depression * arrived * state.post_trace[:, None]).clamp(min=0)
        growth = rule.potentiation * (1 - weight * kept) * trace
        delta = weight * kept + torch.where(fired[:, None], growth, 0.0) - weight
    else:
        delta = weight_change(weight, trace, rule.learning_rate)
        delta = torch.where(fired[:, None], delta, 0.0)
    rest = 1 - state.resource * (1 - rule.fatigue * spikes)
    fade, fall = exp(-dt / rule.tau_trace), exp(-dt / rule.tau_theta)
    end = FatigueState(
        synapses=synapses.program(state.synapses, delta, state.time, generator),
        resource=1 - rest * exp(-dt / rule.tau_fatigue),
        trace=trace * fade,
        membrane=torch.where(fired, 0.0, membrane) * exp(-dt / rule.tau_membrane),
        theta=torch.where(fired, (1 + rule.theta_step) * state.theta, state.theta) * fall,
        post_trace=(state.post_trace + fired) * fade,
        time=state.time + dt,
    )
    return LearningCourse(fired, membrane, state.theta), end


def run_raster(
    raster: Tensor,
    state: FatigueState,
    rule: FatiguingSTDP,
    dt: float,
    synapses: Synapses[Any] = IDEAL,
    generator: Random = None,
) -> tuple[LearningCourse, FatigueState]:
    """Runs networks on spikes, bool or 0 and 1 [T, B, N], in steps of ``dt`` seconds, on any device
    and with any synapses; returns the neurons' activity, and the last state."""
    check_positive(dt=dt)
    if raster.dim() != 3 or raster.shape[1:] != state.resource.shape or len(raster) == 0:
        raise InputError(
            f"raster has shape {tuple(raster.shape)}; expected (T, "
            f"{', '.join(map(str, state.resource.shape))})"
        )
    check_spikes(raster=raster)
    check_step(dt, **rule.time_constants)
    steps = []
    for spikes in raster:
        spikes = spikes.to(state.trace)
        course, state = step(state, spikes, rule, dt, synapses=synapses, generator=generator)
        steps.append(course)
    return LearningCourse(*(torch.stack(parts) for parts in zip(*steps, strict=True))), state
