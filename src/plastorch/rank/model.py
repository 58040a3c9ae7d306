"""Recurrent networks trained at their first threshold crossing, so that they learn when to answer.

Jeffares, Guo, Stenetorp, Moraitis, *Spike-inspired Rank Coding for Fast and Accurate Recurrent
Neural Networks*, ICLR 2022, arXiv 2110.02865.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from plastorch.engine.errors import InputError, check_positive
from plastorch.learning.lengths import checked_lengths
from plastorch.rank.criterion import (
    answer,
    check_threshold,
    crosses,
    crossing_before,
    probabilities,
    rank_loss,
)


class Decision(NamedTuple):
    """Answers of B samples and their times."""

    logits: Tensor
    """Logits at the step of the answer [B, C]."""
    step: Tensor
    """Step of the answer, from 0, int64 [B]."""
    crossed: Tensor
    """Whether the threshold was crossed; otherwise the last step counts. Bool [B]."""
    computed: int
    """Number of computed steps, summed over samples; at most B T."""

    @property
    def label(self) -> Tensor:
        """Most probable class, int64 [B]."""
        return answer(self.logits)


class RankCoder(nn.Module):
    """Recurrent network that answers with its first output above a threshold.

    The step t* of a sample's answer is the first with max_c p_c > θ, or the last. Later steps are
    not computed, neither forward nor backward: samples that have answered leave the batch after
    1, 3, 7, ... steps. Each part is twice as long as the one before, up to ``chunk``. After each
    part, the number of answers is read from a GPU once; values are checked on CPUs only. On the
    ``meta`` device, where no value is known, all steps count as computed.

    Args:
        rnn: ``nn.RNN``, ``nn.GRU``, ``nn.LSTM``, ``plastorch.STPN``, or any module that maps
            sequences [T, B, I] ([B, T, I] if its ``batch_first`` is true) and a state or None to
            activities and a state. A state is a tensor, or tuples of tensors, with samples along
            the first dimension (the second in torch's three). If it has an ``input_size``, inputs
            of another size are rejected.
        readout: module from activities [..., H] to logits [..., C]; C = 1 means two classes.
        threshold: threshold θ in (0, 1]. At 1 nothing crosses and the last step is trained.
        entropy_weight: weight β of the entropy reward in :meth:`loss`.
        chunk: maximum number of steps between removals of answered samples. Smaller values skip
            more steps, larger ones need fewer calls of the network.

    Raises:
        InputError: an argument is out of range, or the network is bidirectional, so that it would
            know the end before it answers.

    Example:
        >>> coder = RankCoder(nn.LSTM(3, 16), nn.Linear(16, 5), threshold=0.9)
        >>> loss, decision = coder.loss(torch.randn(40, 8, 3), torch.arange(8) % 5)
        >>> loss.backward()
        >>> decision.step.shape, decision.computed <= 40 * 8
        (torch.Size([8]), True)
    """

    def __init__(
        self,
        rnn: nn.Module,
        readout: nn.Module,
        threshold: float = 0.95,
        entropy_weight: float = 0.0,
        chunk: int = 8,
    ) -> None:
        super().__init__()
        if getattr(rnn, "bidirectional", False):
            raise InputError("rnn is bidirectional; expected one that goes forwards only")
        if not 0 <= entropy_weight < float("inf"):
            raise InputError(f"entropy_weight is {entropy_weight}; expected 0 or more")
        check_positive(chunk=chunk)
        self.rnn, self.readout = rnn, readout
        self.threshold, self.entropy_weight, self.chunk = threshold, entropy_weight, chunk
        self.batch_first = bool(getattr(rnn, "batch_first", False))

    @property
    def threshold(self) -> float:
        """Threshold θ in (0, 1]."""
        return self._threshold

    @threshold.setter
    def threshold(self, threshold: float) -> None:
        check_threshold(threshold)
        self._threshold = threshold

    def forward(self, x: Tensor, lengths: Tensor | None = None) -> Decision:
        """Answers each sample as early as possible.

        Args:
            x: sequences [T, B, I], or [B, T, I] if the network is batch-first.
            lengths: number of steps of each sample [B], in any order; T if None.

        Raises:
            InputError: sequences are empty, or have another shape or number of features; on CPUs
                also: they are not finite, or lengths are out of range.
        """
        x = x.transpose(0, 1) if self.batch_first and x.dim() == 3 else x
        ends = self._checked(x, lengths)
        if x.is_meta:
            return self._at_once(x, ends)
        waiting = torch.arange(x.shape[1], device=x.device)
        state, computed = None, 0
        logits, steps, crossings, answered = [], [], [], []
        for start, stop in self._parts(len(x) if lengths is None else int(lengths.max())):
            part = x[start:stop] if len(waiting) == x.shape[1] else x[start:stop, waiting]
            activity, state = self._run(part, state)
            scores = self.readout(activity)
            computed += scores.shape[0] * scores.shape[1]
            with torch.no_grad():
                left = ends[waiting] - start
                step, crossed = crossing_before(scores, self.threshold, left.clamp(max=len(scores)))
                done = crossed | (left <= len(scores))
                first_done = done.argsort(descending=True, stable=True)
                count = int(done.sum())
                done, on = first_done[:count], first_done[count:]
            logits.append(scores[step[done], done])
            steps.append(start + step[done])
            crossings.append(crossed[done])
            answered.append(waiting[done])
            if not len(on):
                break
            if count:
                waiting = waiting[on]
                state = self._selected(state, on)
        order = torch.cat(answered).argsort()
        return Decision(
            torch.cat(logits)[order], torch.cat(steps)[order], torch.cat(crossings)[order], computed
        )

    def loss(
        self, x: Tensor, labels: Tensor, lengths: Tensor | None = None
    ) -> tuple[Tensor, Decision]:
        """Returns the loss, :func:`plastorch.rank.criterion.rank_loss`, and the answers.

        Args:
            x: sequences, as for :meth:`forward`.
            labels: classes, int64 [B].
            lengths: numbers of steps, as for :meth:`forward`.

        Raises:
            InputError: see :meth:`forward`; or a label is not a class of the readout.
        """
        decision = self(x, lengths)
        return rank_loss(decision.logits, labels, self.entropy_weight), decision

    def all_steps(self, x: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Returns the logits of every step [T, B, C], also after the answer.

        Args:
            x: sequences, as for :meth:`forward`.
            lengths: numbers of steps, only checked; steps after a sample's end are computed too.

        Raises:
            InputError: see :meth:`forward`.
        """
        x = x.transpose(0, 1) if self.batch_first and x.dim() == 3 else x
        self._checked(x, lengths)
        logits: Tensor = self.readout(self._run(x, None)[0])
        return logits

    def stream(self) -> "Listener":
        """Returns a stream that listens to one sequence as it arrives."""
        return Listener(self)

    def _at_once(self, x: Tensor, ends: Tensor) -> Decision:
        """Computes all steps of sequences [T, B, I] and answers as :meth:`forward` does."""
        scores = self.readout(self._run(x, None)[0])
        step, crossed = crossing_before(scores.detach(), self.threshold, ends)
        rows = torch.arange(x.shape[1], device=x.device)
        return Decision(scores[step, rows], step, crossed, x.shape[0] * x.shape[1])

    def _checked(self, x: Tensor, lengths: Tensor | None) -> Tensor:
        """Checks sequences [T, B, I] and returns the number of steps of each sample."""
        if x.dim() != 3 or x.numel() == 0:
            raise InputError(
                f"x has shape {tuple(x.shape)}; expected three dimensions, and one step, sample "
                "and feature or more"
            )
        features = getattr(self.rnn, "input_size", None)
        if isinstance(features, int) and x.shape[2] != features:
            raise InputError(f"x has {x.shape[2]} features; expected {features}, as rnn takes")
        # A finite sum implies finite values, unless it overflows, and is much faster to check.
        if (
            x.is_cpu
            and x.is_floating_point()
            and not (bool(torch.isfinite(x.detach().sum())) or bool(torch.isfinite(x).all()))
        ):
            raise InputError(f"x has values that are not finite, in shape {tuple(x.shape)}")
        return checked_lengths(lengths, x)

    def _parts(self, steps: int) -> Iterator[tuple[int, int]]:
        """Yields the first step and the end (exclusive) of each part."""
        start, length = 0, 1
        while start < steps:
            stop = min(start + min(length, self.chunk), steps)
            yield start, stop
            start, length = stop, 2 * length

    def _run(self, x: Tensor, state: Any) -> tuple[Tensor, Any]:
        """Runs a part [t, B, I]; returns activities [t, B, H] and the next state."""
        if not self.batch_first:
            activity, state = self.rnn(x, state)
            return activity, state
        activity, state = self.rnn(x.transpose(0, 1), state)
        return activity.transpose(0, 1), state

    def _selected(self, state: Any, which: Tensor) -> Any:
        """Returns the state of selected samples."""
        if state is None:
            return None
        if isinstance(state, Tensor):
            return state[:, which] if isinstance(self.rnn, nn.RNNBase) else state[which]
        parts = [self._selected(part, which) for part in state]
        return type(state)(*parts) if hasattr(state, "_fields") else tuple(parts)


class Answer(NamedTuple):
    """Answer to a stream."""

    label: int
    """Predicted class."""
    probability: float
    """Probability of the class."""
    step: int
    """Step of the answer, from 0."""
    crossed: bool
    """Whether the threshold was crossed before the stream ended."""


class Listener:
    """Listener to one sequence, part by part, until it has an answer.

    Args:
        coder: trained network; :meth:`RankCoder.stream` makes a stream.

    Example:
        >>> stream = RankCoder(nn.GRU(3, 8), nn.Linear(8, 2), threshold=1e-3).stream()
        >>> stream.feed(torch.randn(5, 3)).step
        0
    """

    def __init__(self, coder: RankCoder) -> None:
        self._coder = coder
        self._state: Any = None
        self._steps = 0
        self._last: Tensor | None = None
        self.answer: Answer | None = None

    @torch.no_grad()
    def feed(self, chunk: Tensor) -> Answer | None:
        """Processes the next steps; steps after the answer are not computed.

        Args:
            chunk: next part of the sequence [t, I].

        Returns:
            The answer, or None if there is none yet.

        Raises:
            InputError: the chunk is empty, not finite, or has another shape.
        """
        if chunk.dim() != 2:
            raise InputError(f"chunk has shape {tuple(chunk.shape)}; expected (t, I)")
        coder = self._coder
        coder._checked(chunk[:, None], None)
        for step in chunk:
            if self.answer is not None:
                break
            activity, self._state = coder._run(step[None, None], self._state)
            self._last = coder.readout(activity)[0, 0]
            if bool(crosses(self._last, coder.threshold)):
                self.answer = self._as_answer(self._steps, True)
            self._steps += 1
        return self.answer

    def finish(self) -> Answer:
        """Ends the sequence and returns its answer, at the last step if nothing crossed.

        Raises:
            InputError: the stream received no steps.
        """
        if self._last is None:
            raise InputError("the stream has 0 steps; expected one or more before its end")
        if self.answer is None:
            self.answer = self._as_answer(self._steps - 1, False)
        return self.answer

    def _as_answer(self, step: int, crossed: bool) -> Answer:
        assert self._last is not None
        chance = probabilities(self._last)
        if len(chance) == 1:
            chance = torch.cat([1 - chance, chance])
        label = int(chance.argmax())
        return Answer(label, float(chance[label]), step, crossed)
