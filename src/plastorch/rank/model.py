"""Recurrent networks trained at their first threshold crossing, so that they learn when to answer.

Jeffares, Guo, Stenetorp, Moraitis, *Spike-inspired Rank Coding for Fast and Accurate Recurrent
Neural Networks*, ICLR 2022, arXiv 2110.02865.
"""

import math
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from plastorch.engine.errors import InputError, check_counts
from plastorch.learning.lengths import checked_lengths
from plastorch.rank.criterion import (
    check_threshold,
    crossing_before,
    first_hit,
    probabilities,
    rank_loss,
)
from plastorch.rank.decision import Decision, Part, decision

NUMBERS = 16
"""Approximate number of different batch sizes while samples leave."""
FIRST, GROWTH = 8, 4
"""Ratio of ``chunk`` to the first part, and growth of the steps that are read in all, per part."""
MOST_KEPT = 0.75
"""Share of a batch that is left when those that have answered leave it, or less."""
Stops = Callable[[Tensor, int, Tensor], Tensor]


class RankCoder(nn.Module):
    """Recurrent network that answers with its first output above a threshold.

    The step t* of a sample's answer is the first with max_c p_c > θ, or the last. Later steps are
    not computed, neither forward nor backward: samples that have answered leave the batch after a
    part of the steps, once they are a quarter of it. The first part is an eighth of ``chunk``, or
    one step; the next are longer, up to ``chunk`` times the square root of how much smaller the
    batch has become. On a GPU, the number of answers is read once after each part. On CPUs, values
    are checked, and some samples stay longer in torch's networks, as each new batch size costs them
    time. On the ``meta`` device, where no value is known, all steps count as computed.

    Args:
        rnn: ``nn.RNN``, ``nn.GRU``, ``nn.LSTM``, ``plastorch.STPN``, or any module that maps
            sequences [T, B, I] ([B, T, I] if its ``batch_first`` is true) and a state or None to
            activities and a state. A state is a tensor, or tuples of tensors, with samples along
            the first dimension (the second in torch's three). If it has an ``input_size``, inputs
            of another size are rejected. ``torch.compile`` or data parallelism may wrap it.
        readout: module from activities [..., H] to logits [..., C]; C = 1 means two classes.
        threshold: threshold θ in (0, 1]. At 1 nothing crosses and the last step is trained.
        entropy_weight: weight β of the entropy reward in :meth:`loss`.
        chunk: number of steps between removals of answered samples from a whole batch, after the
            first parts; the last part is up to half longer. Smaller values skip more steps; larger
            ones need fewer calls to the network.

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
        *,
        threshold: float = 0.95,
        entropy_weight: float = 0.0,
        chunk: int = 8,
    ) -> None:
        super().__init__()
        core = unwrapped(rnn)
        if getattr(core, "bidirectional", False):
            raise InputError("rnn is bidirectional; expected one that runs forward only")
        if not 0 <= entropy_weight < float("inf"):
            raise InputError(f"entropy_weight is {entropy_weight}; expected 0 or more")
        check_counts(chunk=chunk)
        self.rnn, self.readout = rnn, readout
        self.threshold, self.entropy_weight, self.chunk = threshold, entropy_weight, chunk
        self.batch_first = bool(getattr(core, "batch_first", False))
        self._features = getattr(core, "input_size", None)
        self._is_torchs = isinstance(core, nn.RNNBase)

    @property
    def threshold(self) -> float | Tensor:
        """Threshold θ in (0, 1], or one for each step, the last of which holds for all later."""
        return self._threshold

    @threshold.setter
    def threshold(self, threshold: float | Tensor) -> None:
        check_threshold(threshold)
        self._threshold = threshold

    def forward(self, x: Tensor, lengths: Tensor | None = None) -> Decision:
        """Answers each sample as early as possible.

        Args:
            x: sequences [T, B, I], or [B, T, I] if the network is batch-first.
            lengths: number of steps of each sample [B], in any order; T if None.

        Raises:
            InputError: sequences are empty, or have another shape or number of features, or the
                network's state doesn't have samples where expected; on CPUs also: sequences are
                not finite, or lengths are out of range.
        """
        x = x.transpose(0, 1) if self.batch_first and x.dim() == 3 else x
        ends = self._checked(x, lengths)
        return decision(list(self._read(x, ends, lengths, None)))

    def up_to_answers(
        self, x: Tensor, lengths: Tensor | None = None, stops: Stops | None = None
    ) -> tuple[Tensor, Decision]:
        """Returns the logits of all steps up to the answers, and the answers.

        Args:
            x: sequences, as for :meth:`forward`.
            lengths: numbers of steps, as for :meth:`forward`.
            stops: function that decides where to answer, in place of a crossing of θ. It gets
                logits [t, b, C] of some steps, the number of the first step, and the rows [b] of
                the samples in the batch, and returns bool [t, b]; it is called in order.

        Returns:
            Logits [S, B, C], S ≤ T, and the answers. After a sample's answer, logits go on until
            it leaves the batch, and are zeros then.

        Raises:
            InputError: see :meth:`forward`.

        Example:
            >>> coder = RankCoder(nn.GRU(3, 8), nn.Linear(8, 2), threshold=1e-3)
            >>> coder.up_to_answers(torch.randn(9, 4, 3))[0].shape
            torch.Size([1, 4, 2])
        """
        x = x.transpose(0, 1) if self.batch_first and x.dim() == 3 else x
        ends = self._checked(x, lengths)
        parts = list(self._read(x, ends, lengths, stops))
        rows = [
            part.scores.new_zeros(len(part.scores), x.shape[1], part.scores.shape[2]).index_copy(
                1, part.rows, part.scores
            )
            for part in parts
        ]
        return torch.cat(rows), decision(parts)

    def loss(
        self,
        x: Tensor,
        labels: Tensor,
        lengths: Tensor | None = None,
        weights: Tensor | None = None,
    ) -> tuple[Tensor, Decision]:
        """Returns the loss, :func:`plastorch.rank.criterion.rank_loss`, and the answers.

        Args:
            x: sequences, as for :meth:`forward`.
            labels: classes, int64 [B].
            lengths: numbers of steps, as for :meth:`forward`.
            weights: weights of the samples [B]; equal if None.

        Raises:
            InputError: see :meth:`forward`; or a label is not a class of the readout.
        """
        made = self(x, lengths)
        return rank_loss(made.logits, labels, self.entropy_weight, weights), made

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
        """Returns a listener to one sequence, which is fed to it as it arrives."""
        return Listener(self)

    def _checked(self, x: Tensor, lengths: Tensor | None) -> Tensor:
        """Checks sequences [T, B, I] and returns the number of steps of each sample."""
        if x.dim() != 3 or x.numel() == 0:
            raise InputError(
                f"x has shape {tuple(x.shape)}; expected three dimensions, and one step, sample "
                "and feature or more"
            )
        if isinstance(self._features, int) and x.shape[2] != self._features:
            raise InputError(
                f"x has {x.shape[2]} features; expected {self._features}, the inputs of rnn"
            )
        # A finite sum implies finite values, unless it overflows, and is much faster to check.
        if (
            x.is_cpu
            and x.is_floating_point()
            and not (bool(torch.isfinite(x.detach().sum())) or bool(torch.isfinite(x).all()))
        ):
            raise InputError(f"x has values that are not finite, in shape {tuple(x.shape)}")
        return checked_lengths(lengths, x)

    def _read(
        self, x: Tensor, ends: Tensor, lengths: Tensor | None, stops: Stops | None
    ) -> Iterator[Part]:
        """Reads sequences [T, B, I] part by part; samples leave when they have answered."""
        rows = torch.arange(x.shape[1], device=x.device)
        waiting = torch.ones_like(rows, dtype=torch.int8)  # 0 for samples that have answered
        remaining, state, start = len(rows), None, 0
        end = len(x) if lengths is None or x.is_meta else int(lengths.max())
        while remaining:
            stop = end if x.is_meta else self._part_end(start, end, x.shape[1] / len(rows))
            part = x[start:stop]
            if len(rows) < x.shape[1]:
                part = part.index_select(1, rows)
            activity, state = self._run(part, state)
            if start == 0:
                self._check_state(state, len(rows))
            scores = self.readout(activity)
            with torch.no_grad():
                left = None if lengths is None else ends[rows] - start
                within = None if left is None else left.clamp(max=len(scores))
                step, crossed = (
                    first_hit(stops(scores, start, rows), within)
                    if stops
                    else crossing_before(scores, self._threshold_from(start), within)
                )
                now = crossed if left is None else crossed | (left <= len(scores))
                done = waiting if stop == end else waiting & now
                # first those that answer now, last those that go on
                order = torch.sub(waiting, done, alpha=2).argsort(stable=True)
                count = remaining if stop == end else int(done.sum())
            yield Part(start, rows, scores=scores, step=step, crossed=crossed, done=order[:count])
            start, remaining, waiting = stop, remaining - count, waiting - done
            kept = self._kept(remaining, x)
            if kept <= MOST_KEPT * len(rows):
                on = order[len(order) - kept :]
                state = self._selected(state, on)
                rows, waiting = rows.index_select(0, on), waiting.index_select(0, on)

    def _kept(self, remaining: int, x: Tensor) -> int:
        """Returns the size of the batch that so many samples go on in.

        On CPUs, torch prepares its recurrent networks again for each batch size that is new to it.
        """
        few = -(-x.shape[1] // NUMBERS) if x.is_cpu and self._is_torchs else 1
        return -(-remaining // few) * few

    def _threshold_from(self, start: int) -> float | Tensor:
        """Returns the threshold, or those of the steps from ``start`` on."""
        threshold = self.threshold
        if isinstance(threshold, Tensor):
            return threshold[min(start, len(threshold) - 1) :]
        return threshold

    def _part_end(self, start: int, steps: int, thinned: float = 1.0) -> int:
        """Returns the end (exclusive) of the part of a sequence that begins at a step.

        ``thinned`` is the ratio of the batch's size to what is left of it.
        """
        longest = self.chunk * math.sqrt(thinned)
        length = round(min(max(1, self.chunk // FIRST) + (GROWTH - 1) * start, longest))
        stop = start + length
        return steps if steps - stop < length / 2 else stop  # no short rest

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
            return state.index_select(1 if self._is_torchs else 0, which)
        parts = [self._selected(part, which) for part in state]
        return type(state)(*parts) if hasattr(state, "_fields") else tuple(parts)

    def _check_state(self, state: Any, samples: int) -> None:
        """Raises InputError unless samples are along the dimension that :meth:`_selected` takes."""
        if isinstance(state, Tensor):
            place = 1 if self._is_torchs else 0
            if state.shape[place : place + 1] != (samples,):
                raise InputError(
                    f"rnn returns a state of shape {tuple(state.shape)}; expected {samples} "
                    f"samples along its {('first', 'second')[place]} dimension"
                )
        elif isinstance(state, tuple | list):
            for part in state:
                self._check_state(part, samples)


def unwrapped(rnn: nn.Module) -> nn.Module:
    """Returns a network without the wrappers of ``torch.compile`` and of data parallelism."""
    compiled = getattr(rnn, "_orig_mod", None)
    if isinstance(compiled, nn.Module):
        return unwrapped(compiled)
    if isinstance(rnn, nn.DataParallel | nn.parallel.DistributedDataParallel):
        return unwrapped(rnn.module)
    return rnn


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
        coder: trained network; :meth:`RankCoder.stream` makes a listener to it.

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
        start = 0
        while self.answer is None and start < len(chunk):
            stop = coder._part_end(start, len(chunk))
            activity, self._state = coder._run(chunk[start:stop, None], self._state)
            scores = coder.readout(activity)[:, 0]
            place, crossed = crossing_before(scores[:, None], coder._threshold_from(self._steps))
            self._last, self._steps = scores[int(place)], self._steps + int(place) + 1
            if bool(crossed):
                self.answer = self._as_answer(self._steps - 1, True)
            start = stop
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
