"""The layer of :mod:`plastorch.spiking.patterns.winners_rule` as a module, and its training."""

from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from plastorch.engine.errors import InputError, check_positive
from plastorch.engine.run import Record
from plastorch.engine.threads import in_threads
from plastorch.spiking.patterns.winners_rule import (
    INHIBITION,
    WinnerRule,
    Winners,
    answer,
    learn,
)

WORK_PER_THREAD = 1 << 20
"""Work that is worth a thread: number of patterns times number of weights."""
MOST_WINS = 2**62
"""Largest number of wins of a neuron, far from the largest int64."""


class Cost(NamedTuple):
    """Cost of answers to B patterns."""

    input_spikes: Tensor
    """Number of input spikes before the decision; later ones are ignored [B]."""
    output_spikes: Tensor
    """Number of output spikes [B]."""
    operations: Tensor
    """Synaptic operations: input spikes times neurons [B]."""


class PatternWinners(nn.Module):
    """Neurons that compete for patterns of one spike per input and learn them without labels.

    Equations are in :mod:`plastorch.spiking.patterns.winners_rule`. What is learned is in buffers;
    no other state is kept between patterns. CPUs run compiled loops, other devices torch.

    Args:
        inputs: number of inputs N.
        neurons: number of neurons K.
        rule: constants of the rule; the defaults if None.
        generator: random generator for the initial weights, uniform in [0, 1].
        device: device of the weights.
        dtype: data type of the weights.

    Raises:
        InputError: if a size is not positive, or there are fewer neurons than output spikes.

    Example:
        >>> random = torch.Generator().manual_seed(0)
        >>> layer = PatternWinners(inputs=4, neurons=3, generator=random)
        >>> bins = torch.tensor([[0, 2, 17, 18], [17, 18, 1, 0]], dtype=torch.uint8)
        >>> layer.fit(bins.repeat(50, 1), random)
        >>> layer(bins).order[:, 0]
        tensor([0, 1])
    """

    weight: Tensor
    """Weights [K, N]."""
    theta: Tensor
    """Thresholds [K]."""
    wins: Tensor
    """Number of patterns that each neuron has learned, int64 [K]."""

    def __init__(
        self,
        inputs: int,
        neurons: int,
        rule: WinnerRule | None = None,
        generator: torch.Generator | None = None,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        check_positive(inputs=inputs, neurons=neurons)
        self.rule = WinnerRule() if rule is None else rule
        self._check_neurons(neurons)
        weight = torch.rand(neurons, inputs, generator=generator, dtype=dtype).to(device)
        theta = torch.zeros_like(weight[:, 0])
        self.register_buffer("weight", weight)
        self.register_buffer("theta", theta)
        self.register_buffer("wins", theta.long())

    def forward(self, bins: Tensor) -> Winners:
        """Answers patterns without learning.

        Args:
            bins: step of each input's spike, or 255 if it doesn't fire, uint8 [B, N].

        Returns:
            Neurons that fire first and their times [B, S]; ``order[:, 0]`` are the winners.

        Raises:
            InputError: if patterns have another size or type, or weights are out of range.
        """
        self.check(bins)
        if self.weight.device.type == "cpu":
            from plastorch.spiking.patterns.winners_kernels import respond

            arguments, results = self._arrays(), self._results(bins)
            patterns = bins.contiguous().numpy()
            in_threads(
                lambda begin, end: respond(patterns, begin, end, *arguments, results),
                len(bins),
                len(bins) * self.weight.numel() // WORK_PER_THREAD,
            )
            return self._winners(results)
        return answer(bins, self.weight, self.theta, self.rule)

    def partial_fit(self, bins: Tensor) -> Winners:
        """Learns patterns once each, in the order given.

        Args:
            bins: patterns as in :meth:`forward`.

        Returns:
            Answer to each pattern, before it was learned.

        Raises:
            InputError: if patterns have another size or type, or weights are out of range.
        """
        self.check(bins)
        if len(bins) == 0:
            return self.forward(bins)
        if self.weight.device.type == "cpu":
            from plastorch.spiking.patterns import winners_kernels

            (arrays, constants), results = self._arrays(), self._results(bins)
            winners_kernels.learn(bins.contiguous().numpy(), arrays, constants, results)
            self.weight.copy_(torch.from_numpy(arrays.weight).T)
            return self._winners(results)
        return learn(bins, self.weight, self.theta, self.wins, self.rule)

    def fit(self, bins: Tensor, generator: torch.Generator, epochs: int = 4) -> None:
        """Learns patterns in random order, several times; what was learned before is kept.

        Args:
            bins: patterns as in :meth:`forward`.
            generator: random generator for the order.
            epochs: number of passes.

        Raises:
            InputError: if there are no patterns or epochs, or patterns have another size or type.
        """
        phase = WinnersPhase(self, bins, generator, epochs)
        while phase.position < phase.total:
            phase.step()

    def cost(self, bins: Tensor) -> Cost:
        """Returns the cost of answering patterns, which are as in :meth:`forward`."""
        self.check(bins)
        spikes = (bins < self.rule.steps).sum(1)
        return Cost(spikes, torch.full_like(spikes, self.rule.spikes), spikes * len(self.theta))

    def check(self, bins: Tensor) -> None:
        """Raises InputError if the layer can't take the patterns; see :meth:`forward`."""
        inputs = self.weight.shape[-1]
        if bins.dim() != 2 or bins.shape[1] != inputs or bins.dtype != torch.uint8:
            raise InputError(
                f"bins have shape {tuple(bins.shape)} and type {bins.dtype}; expected uint8 of "
                f"shape (B, {inputs})"
            )

    def extra_repr(self) -> str:
        neurons, inputs = self.weight.shape
        return f"{inputs}, {neurons}, {self.rule}"

    def _check_neurons(self, neurons: int) -> None:
        if neurons < self.rule.spikes:
            raise InputError(f"neurons is {neurons}; expected {self.rule.spikes} or more")

    def _arrays(self) -> tuple[Any, Any]:
        """Returns state and constants for the kernels; all but weights share the layer's memory.

        Raises:
            InputError: if buffers don't fit each other or the rule, or hold impossible values.
        """
        from plastorch.engine.numba_options import REAL, check_arrays, check_constants
        from plastorch.spiking.patterns.winners_kernels import Arrays, Constants

        check_arrays(weight=(self.weight, (None, None), REAL, 0, 1))
        neurons, real = len(self.weight), self.weight.dtype
        check_arrays(
            theta=(self.theta, (neurons,), real),
            wins=(self.wins, (neurons,), torch.int64, 0, MOST_WINS),
        )
        self._check_neurons(neurons)
        half_norm = self.weight.square().sum(1) / 2
        weight = self.weight.T.clone(memory_format=torch.contiguous_format)
        state = (weight, half_norm, self.theta, self.wins)
        number = weight.numpy().dtype.type
        constants = (INHIBITION, self.rule.learning_rate, self.rule.homeostasis)
        check_constants(real, homeostasis=self.rule.homeostasis, fall=self.rule.fall)
        effect = weight.new_tensor(self.rule.effect).numpy()
        arrays = Arrays(*(tensor.numpy() for tensor in state))
        return arrays, Constants(effect, *(number(constant) for constant in constants))

    def _results(self, bins: Tensor) -> Any:
        """Allocates the results for patterns."""
        from plastorch.spiking.patterns.winners_kernels import Results

        order = self.wins.new_empty(len(bins), self.rule.spikes)
        return Results(order.numpy(), self.theta.new_empty(order.shape).numpy())

    def _winners(self, results: Any) -> Winners:
        order, lack = (torch.from_numpy(array) for array in results)
        return Winners(order, self.rule.decision + self.rule.fall * lack.clamp(min=0))


class WinnersPhase:
    """Training phase in pieces, which can resume from a checkpoint; see ``engine/loop.py``.

    Args:
        layer: layer to train.
        bins: patterns [B, N].
        generator: random generator for their order.
        epochs: number of passes.
        piece: number of patterns per step.
        name: name of the phase.

    Raises:
        InputError: if there are no patterns or epochs, or patterns have another size or type.
    """

    def __init__(
        self,
        layer: PatternWinners,
        bins: Tensor,
        generator: torch.Generator,
        epochs: int = 4,
        piece: int = 8192,
        name: str = "winners",
    ) -> None:
        layer.check(bins)
        check_positive(epochs=epochs, piece=piece, patterns=len(bins))
        self.layer, self.bins, self.generator, self.piece = layer, bins, generator, piece
        self.pieces = -(-len(bins) // piece)
        self.name, self.position, self.total = name, 0, epochs * self.pieces
        self._before = generator.get_state()

    def step(self) -> list[Record]:
        """Learns the next patterns of the epoch; records the mean time at which winners fired."""
        number = self.position % self.pieces
        self.generator.set_state(self._before)
        order = torch.randperm(len(self.bins), generator=self.generator)
        found = self.layer.partial_fit(
            self.bins[order[number * self.piece : (number + 1) * self.piece]]
        )
        self.position += 1
        if number == self.pieces - 1:
            self._before = self.generator.get_state()
        milliseconds = 1e3 * float(found.time[:, 0].mean())
        return [{"phase": self.name, "step": self.position, "milliseconds": milliseconds}]

    def state_dict(self) -> dict[str, Tensor]:
        """Returns the generator's state before the epoch."""
        return {"generator": self._before}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Loads what :meth:`state_dict` returned."""
        self._before = state["generator"].cpu()
