"""Circuit with short-term plasticity as a layer that learns its long-term weights from spikes."""

import torch
from torch import Tensor, nn

from plastorch.engine.device import has_kernels
from plastorch.engine.errors import InputError, check_positive
from plastorch.learning import OnlineLayer, Step
from plastorch.spiking.shortterm import clocked, events
from plastorch.spiking.shortterm.course import SpikeTiming, encode
from plastorch.spiking.shortterm.frames import run
from plastorch.spiking.shortterm.longterm import LongTerm, LongTermState
from plastorch.spiking.shortterm.rule import ShortTerm, ShortTermState, initial_state, unit


class ShortTermWTA(OnlineLayer):
    """Soft winner-take-all whose synapses have a long-term part, learned, and a short-term part.

    Paper: Moraitis, Sebastian, Eleftheriou, arXiv 2009.06808; equations in
    :mod:`plastorch.spiking.shortterm.rule` and :mod:`plastorch.spiking.shortterm.longterm`.
    Weights start at random, uniform in the positive corner, with norm 1.

    Args:
        in_features: number of inputs D.
        out_features: number of neurons K.
        short_term: constants of the circuit, κ and the short-term part; the defaults if None.
        long_term: constants of learning; the defaults if None.
        timing: rates and time constants of spikes in learning; the defaults if None.
        generator: random generator of the initial weights; torch's global one if None.
        device: device of the parameters.
        dtype: type of the parameters; half precision is for inference only, as it can't count more
            than 256 or 2048 spikes of a neuron.

    Attributes:
        weight: long-term weights W [K, D].
        bias: biases b [K], which keep all neurons in use while they learn; :meth:`forward` doesn't
            use them, as neurons in equal use are equally probable.
        spikes: number of spikes from which each neuron has learned [K].

    Raises:
        InputError: if a size is not positive.

    Example:
        >>> import plastorch
        >>> net = ShortTermWTA(4, 3)
        >>> optimizer = torch.optim.SGD(net.parameters(), lr=1.0)
        >>> frames = torch.rand(5, 2, 4)
        >>> posterior, state = plastorch.learn(net, frames)
        >>> optimizer.step()
        >>> posterior.shape, state.F.shape
        (torch.Size([5, 2, 3]), torch.Size([2, 3, 4]))
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        *,
        short_term: ShortTerm | None = None,
        long_term: LongTerm | None = None,
        timing: SpikeTiming | None = None,
        generator: torch.Generator | None = None,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        check_positive(in_features=in_features, out_features=out_features)
        self.in_features, self.out_features = in_features, out_features
        self.short_term = ShortTerm() if short_term is None else short_term
        self.long_term = LongTerm() if long_term is None else long_term
        self.timing = SpikeTiming() if timing is None else timing
        weight = torch.empty(out_features, in_features, device=device, dtype=dtype)
        self.weight = nn.Parameter(weight, requires_grad=False)
        self.bias = nn.Parameter(torch.empty_like(weight[:, 0]), requires_grad=False)
        self.spikes = nn.Parameter(torch.empty_like(weight[:, 0]), requires_grad=False)
        self.reset_parameters(generator)

    def reset_parameters(self, generator: torch.Generator | None = None) -> None:
        """Draws weights, uniform in the positive corner, with norm 1; nothing has been learned.

        Args:
            generator: random generator; torch's global one if None.
        """
        with torch.no_grad():
            self.weight.copy_(unit(self.weight.uniform_(generator=generator)))
            self.bias.zero_()
            self.spikes.zero_()

    def forward(
        self, x: Tensor, state: ShortTermState | None = None
    ) -> tuple[Tensor, ShortTermState]:
        """Runs frames one after the other, without learning.

        Args:
            x: inputs of S streams [T, S, D], normalized here unless the score is "distance".
            state: state after the previous frames; an empty memory if None.

        Returns:
            Posteriors [T, S, K], and the new state.

        Raises:
            InputError: if shapes, or the kind or type of state don't fit, or, on a CPU, inputs are
                not finite.
        """
        with full_precision(x.device):
            return self._answer(self._checked(x), state)

    @torch.no_grad()
    def learn(
        self,
        x: Tensor,
        state: ShortTermState | None = None,
        *,
        generator: torch.Generator | None = None,
    ) -> Step:
        """Returns output and updates without changing weights; see :func:`plastorch.set_gradients`.

        Each stream is a sample. Its frames are shown as spikes, and neurons learn at each of their
        spikes, in a copy of the layer; the update is the mean change of the copies. On a CPU spikes
        come at any time; elsewhere, and in half precision, there are steps of at most a
        millisecond.

        Args:
            x: inputs of S streams in [0, 1], [T, S, D].
            state: state after the previous frames; an empty memory and no traces if None.
            generator: random generator of the spikes, on the device; torch's own if None.

        Returns:
            Posteriors of the frames as in :meth:`forward`, the new state, and updates.

        Raises:
            InputError: if shapes don't fit, there is no frame or no stream, or, on a CPU, inputs
                are not in [0, 1].
        """
        with full_precision(x.device):
            return self._step(self._checked(x), state, generator)

    def extra_repr(self) -> str:
        return f"{self.in_features}, {self.out_features}, {self.short_term}"

    def _step(
        self, x: Tensor, state: ShortTermState | None, generator: torch.Generator | None
    ) -> Step:
        """Returns output, next state and updates for checked frames."""
        if 0 in x.shape:
            raise InputError(f"x has shape {tuple(x.shape)}; expected a frame and a stream or more")
        output, after = self._answer(x, state)
        own = {name: getattr(self, name) for name in LongTermState._fields}
        begun = LongTermState(*(part.expand(x.shape[1], *part.shape) for part in own.values()))
        constants, timing = self.long_term, self.timing
        if has_kernels(x):
            course = encode(x, timing, generator)
            _, trace, learned = events.learn(course, after.trace, begun, constants, timing)
        else:
            trace, learned = clocked.learn(
                x, after.trace, begun, constants=constants, timing=timing, generator=generator
            )
        changes = [(new - old).mean(0) for new, old in zip(learned, begun, strict=True)]
        return Step(output, after._replace(trace=trace), dict(zip(own, changes, strict=True)))

    def _checked(self, x: Tensor) -> Tensor:
        """Returns frames in the weights' type."""
        if x.dim() != 3 or x.shape[2] != self.in_features or not x.is_floating_point():
            raise InputError(
                f"x has shape {tuple(x.shape)} and type {x.dtype}; expected real "
                f"(T, S, {self.in_features})"
            )
        return x.to(self.weight.dtype)

    def _answer(self, x: Tensor, state: ShortTermState | None) -> tuple[Tensor, ShortTermState]:
        start = initial_state(x.shape[1], self.weight, self.short_term.site)
        state = start if state is None else state
        if not isinstance(state, ShortTermState):
            raise InputError(f"state is a {type(state).__name__}; expected a ShortTermState")
        for name, expected in start._asdict().items():
            found = getattr(state, name)
            if found.shape != expected.shape:
                raise InputError(
                    f"state has {name} of shape {tuple(found.shape)}; expected "
                    f"{tuple(expected.shape)}"
                )
            if found.dtype != expected.dtype:
                raise InputError(f"state has {name} of {found.dtype}; expected {expected.dtype}")
        x = x if self.short_term.score == "distance" else unit(x)
        return run(x, state, self.weight, torch.zeros_like(self.bias), self.short_term)


def full_precision(device: torch.device) -> torch.autocast:
    """Returns a context in which autocast is off on a device."""
    kind = device.type if torch.amp.is_autocast_available(device.type) else "cpu"
    return torch.autocast(kind, enabled=False)
