"""The layer of :mod:`plastorch.spiking.patterns.winners_rule` as a module, and its training."""

from math import inf
from typing import Any

import torch
from torch import Tensor, nn

from plastorch.engine.device import REAL
from plastorch.engine.errors import InputError, check_positive
from plastorch.engine.threads import in_threads
from plastorch.learning import OnlineLayer, Step
from plastorch.spiking.patterns.rule import check_patterns
from plastorch.spiking.patterns.winners_rule import (
    INHIBITION,
    WinnerRule,
    Winners,
    answer,
    changes,
)

WORK_PER_THREAD = 1 << 20
"""Work that justifies a thread: number of patterns times number of weights."""
PIECE = 8192
"""Largest number of patterns that are learned at once."""


class PatternWinners(OnlineLayer):
    """Neurons that compete for patterns of one spike per input and learn them without labels.

    Equations are in :mod:`plastorch.spiking.patterns.winners_rule`. No state is kept between
    patterns. CPUs run compiled loops, other devices torch.

    Args:
        in_features: number of inputs N.
        out_features: number of neurons K.
        rule: constants of the rule; the defaults if None.
        generator: random generator of the initial weights, uniform in [0, 1].
        device: device of the parameters.
        dtype: type of the parameters.

    Attributes:
        weight: weights [K, N].
        theta: thresholds [K].
        wins: number of patterns that each neuron has learned [K].

    Raises:
        InputError: if a size is not positive, or there are fewer neurons than output spikes.

    Example:
        >>> random = torch.Generator().manual_seed(0)
        >>> layer = PatternWinners(in_features=4, out_features=3, generator=random)
        >>> bins = torch.tensor([[0, 2, 17, 18], [17, 18, 1, 0]], dtype=torch.uint8)
        >>> layer.fit(bins.repeat(50, 1), random)
        >>> layer(bins).order[:, 0]
        tensor([0, 1])
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        *,
        rule: WinnerRule | None = None,
        generator: torch.Generator | None = None,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        check_positive(in_features=in_features, out_features=out_features)
        self.in_features, self.out_features = in_features, out_features
        self.rule = WinnerRule() if rule is None else rule
        self._check_neurons(out_features)
        weight = torch.empty(out_features, in_features, device=device, dtype=dtype)
        weight.uniform_(generator=generator)
        self.weight = nn.Parameter(weight, requires_grad=False)
        self.theta = nn.Parameter(torch.zeros_like(weight[:, 0]), requires_grad=False)
        self.wins = nn.Parameter(torch.zeros_like(weight[:, 0]), requires_grad=False)

    def forward(self, bins: Tensor) -> Winners:
        """Runs the competition for patterns, without learning.

        Args:
            bins: step of each input's spike, or 255 if it doesn't fire, uint8 [B, N].

        Returns:
            Neurons that fire first and their times [B, S]; ``order[:, 0]`` are the winners.

        Raises:
            InputError: if patterns have another size or type, or weights are out of range.
        """
        check_patterns(bins, self.in_features)
        return self._answer(bins)

    @torch.no_grad()
    def learn(self, x: Tensor, state: None = None) -> Step:
        """Returns answers and updates, without changing weights: :func:`plastorch.set_gradients`.

        The update is the mean of the changes that the patterns would make, each by itself.

        Args:
            x: patterns as in :meth:`forward`.
            state: None; the layer has no state.

        Returns:
            Answers and updates.

        Raises:
            InputError: if patterns have another size or type, or weights are out of range.
        """
        check_patterns(x, self.in_features)
        found = self._answer(x)
        names = ("weight", "theta", "wins")
        parts = changes(x, found.order[:, 0], self.weight, self.wins, self.rule)
        return Step(found, None, dict(zip(names, parts, strict=True)))

    @torch.no_grad()
    def partial_fit(self, bins: Tensor) -> Winners:
        """Learns patterns once each, in the order given, as if an optimizer stepped after each.

        Args:
            bins: patterns as in :meth:`forward`.

        Returns:
            Answer to each pattern, before it was learned.

        Raises:
            InputError: if patterns have another size or type, or weights are out of range.
        """
        check_patterns(bins, self.in_features)
        self._unheard = None  # it has learned
        if self.weight.device.type == "cpu":
            from plastorch.spiking.patterns import winners_kernels

            (arrays, constants), results = self._arrays(), self._results(bins)
            winners_kernels.learn(bins.contiguous().numpy(), arrays, constants, results)
            # All at once, so that an interrupt comes before or after.
            learned = arrays.weight.T, arrays.theta, arrays.wins
            for own, array in zip((self.weight, self.theta, self.wins), learned, strict=True):
                own.copy_(torch.from_numpy(array))
            return self._winners(results)
        answers = []
        for pattern in torch.split(bins, 1):
            step = self.learn(pattern)
            answers.append(step.output)
            for name, update in step.updates.items():
                self.get_parameter(name).add_(update)
        return Winners(*(torch.cat(parts) for parts in zip(*answers, strict=True)))

    def fit(self, bins: Tensor, generator: torch.Generator, epochs: int = 4) -> None:
        """Learns patterns in random order, several times, starting from what was learned before.

        Args:
            bins: patterns as in :meth:`forward`.
            generator: random generator for the order.
            epochs: number of passes.

        Raises:
            InputError: if there are no patterns or epochs, or patterns have another size or type.
        """
        check_positive(epochs=epochs, patterns=len(bins))
        for _ in range(epochs):
            for rows in torch.split(torch.randperm(len(bins), generator=generator), PIECE):
                self.partial_fit(bins[rows])

    def extra_repr(self) -> str:
        return f"{self.in_features}, {self.out_features}, {self.rule}"

    def _answer(self, bins: Tensor) -> Winners:
        if self.weight.device.type != "cpu":
            return answer(bins, self.weight, self.theta, self.rule)
        from plastorch.spiking.patterns.winners_kernels import respond

        arguments, results = self._arrays(), self._results(bins)
        patterns = bins.contiguous().numpy()
        in_threads(
            lambda begin, end: respond(patterns, begin, end, *arguments, results),
            len(bins),
            len(bins) * self.weight.numel() // WORK_PER_THREAD,
        )
        return self._winners(results)

    def _check_neurons(self, neurons: int) -> None:
        if neurons < self.rule.spikes:
            raise InputError(f"out_features is {neurons}; expected {self.rule.spikes} or more")

    def _arrays(self) -> tuple[Any, Any]:
        """Returns copies of the state, and constants, for the kernels.

        Raises:
            InputError: if parameters don't fit each other or the rule, or hold impossible values.
        """
        from plastorch.engine.numba_options import check_arrays, check_constants
        from plastorch.spiking.patterns.winners_kernels import WinnerArrays, WinnerConstants

        check_arrays(weight=(self.weight, (None, self.in_features), REAL, 0, 1))
        neurons, real = len(self.weight), self.weight.dtype
        check_arrays(
            theta=(self.theta, (neurons,), real), wins=(self.wins, (neurons,), real, 0, inf)
        )
        self._check_neurons(neurons)
        weight = self.weight.detach()
        half_norm = weight.square().sum(1) / 2
        weight = weight.T.clone(memory_format=torch.contiguous_format)
        state = (weight, half_norm, self.theta.detach().clone(), self.wins.detach().clone())
        number = weight.numpy().dtype.type
        constants = (INHIBITION, self.rule.learning_rate, self.rule.homeostasis)
        check_constants(real, homeostasis=self.rule.homeostasis, fall=self.rule.fall)
        effect = weight.new_tensor(self.rule.effect).numpy()
        arrays = WinnerArrays(*(tensor.numpy() for tensor in state))
        return arrays, WinnerConstants(effect, *(number(constant) for constant in constants))

    def _results(self, bins: Tensor) -> Any:
        """Allocates the results for patterns."""
        from plastorch.spiking.patterns.winners_kernels import Results

        shape = len(bins), self.rule.spikes
        order = torch.empty(shape, dtype=torch.int64)
        return Results(order.numpy(), self.weight.new_empty(shape).numpy())

    def _winners(self, results: Any) -> Winners:
        order, lack = (torch.from_numpy(array) for array in results)
        return Winners(order, self.rule.decision + self.rule.fall * lack.clamp(min=0))
