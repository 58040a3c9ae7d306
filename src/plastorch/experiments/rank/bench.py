"""Speed of rank coding against an LSTM that reads each sequence to its end, and of its networks."""

from collections.abc import Callable, Iterator
from copy import deepcopy
from itertools import chain, cycle
from math import ceil, log2
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from plastorch.bench.timing import Row, interleaved, row
from plastorch.engine.streams import seeded, stream
from plastorch.experiments.rank.streams import BenchStream
from plastorch.rank import RankCoder, first_crossing, rank_loss
from plastorch.rank.convolutions import CausalConvolutions

COST = "1 min, 1 GB"
"""Rough time and peak memory of all rows, on one core."""
SERIES = (("series", 150, 16), ("many-series", 40, 80))
"""Names, steps and batches of the rows about causal convolutions, those of ``rank-series``."""
BATCHES = 8
"""Number of batches that take turns."""
HIDDEN = 125
CLASSES = 10
THRESHOLD = 0.95


class Size(NamedTuple):
    """Sizes of the two rows of a situation: of updates by Adam, and of answers."""

    name: str
    steps: int
    batch: int
    inputs: int
    mean_step: float
    """Mean of the geometric t*, from 0, cut at the last step; -1: uniform over all steps."""
    rounds: int = 8
    """Number of timed updates; half as many answers again."""


EARLY = 0.3
"""Mean t* on temporal MNIST after training: three of four answers come at the first step."""
EVEN = -1.0
SIZES = (
    Size("early", 20, 256, 784, EARLY),
    Size("even", 20, 256, 784, EVEN),
    Size("signal", 40, 128, 1, 14.0)._replace(rounds=20),
)
"""Temporal MNIST after and during training, 235 updates an epoch; and noisy signals."""


def rows() -> tuple[dict[str, object], Iterator[Row]]:
    """Returns a description of the sequences, and the rows of the group as they are measured."""
    data = {"name": "random inputs, one of which says when to answer", "threshold": THRESHOLD}
    return data, chain(measure(SIZES), map(convolutions, SERIES))


def measure(sizes: tuple[Size, ...]) -> Iterator[Row]:
    """Measures row by row an update, from the input to the parameters, or an answer."""
    for size in sizes:
        coder, wanted = timed_coder(size.inputs), decision_steps(size)
        x, labels = timed_input(size, wanted), torch.zeros(size.batch, dtype=torch.int64)
        others = (timed_input(size, decision_steps(size, number)) for number in range(1, BATCHES))
        with torch.no_grad():
            decision, at_end = coder(x), coder.all_steps(x)[-1].argmax(dim=-1)
        right = decision.label == labels
        same = torch.equal(decision.step, wanted.clamp(max=size.steps - 1))
        figures: dict[str, object] = {
            "equal": same and gradients_agree(coder, x[:, :16], labels[:16]),
            "mean_step": round(float(decision.step.double().mean()), 3),
            "lost_points": 100 * float((at_end == labels).double().mean() - right.double().mean()),
            "computed": round(decision.computed / (size.steps * size.batch), 3),
        }
        words = (
            f"nn.LSTM({size.inputs}, {HIDDEN}) to the last step; batch {size.batch}, "
            f"{size.steps} steps"
        )
        for name, (ours, theirs) in _timed(coder, [x, *others], labels).items():
            rounds = size.rounds if name == "train" else size.rounds * 3 // 2
            ours_s, theirs_s = interleaved(ours, theirs, rounds)
            yield row(f"{name}-{size.name}", ours_s, words, theirs_s, **figures)


def convolutions(size: tuple[str, int, int]) -> Row:
    """Measures outputs and gradients of causal convolutions beside those of torch's layers."""
    name, steps, batch = size
    with seeded(0):
        core = CausalConvolutions(1, 32, layers=ceil(log2(steps / 4)))
        x = torch.randn(steps, batch, 1)
    plain = PlainConvolutions(core)
    with torch.no_grad():
        core.eval()
        equal = torch.allclose(core(x)[0], plain(x), rtol=1e-4, atol=1e-4)
        core.train()

    def passes(run: Callable[[Tensor], Tensor]) -> Callable[[], None]:
        return lambda: run(x).square().mean().backward()  # type: ignore[no-untyped-call]

    ours_s, theirs_s = interleaved(passes(lambda x: core(x)[0]), passes(plain), 20)
    words = f"torch's convolutions, normalization and pools; batch {batch}, {steps} steps"
    return row(f"train-{name}", ours_s, words, theirs_s, equal=equal)


class PlainConvolutions(nn.Module):
    """The layers of :class:`CausalConvolutions` as one would write them in torch."""

    def __init__(self, core: CausalConvolutions) -> None:
        super().__init__()
        self.core = core

    def forward(self, x: Tensor) -> Tensor:
        """Returns activities [T, B, 2 L F] of series [T, B, I]."""
        core, values, features = self.core, x.permute(1, 2, 0), []
        for number, (layer, norm) in enumerate(zip(core.convolutions, core.norms, strict=True)):
            assert isinstance(layer, nn.Conv1d)
            past = (layer.kernel_size[0] - 1) * 2**number
            new = norm(layer(F.pad(values, (past, 0))).mT).mT.relu()
            values = F.dropout(new + values if number else new, core.dropout, core.training)
            features.append(values)
        whole = torch.cat(features, dim=1).permute(2, 0, 1)
        steps = torch.arange(1, len(x) + 1)[:, None, None]
        return torch.cat([whole.cumsum(dim=0) / steps, whole.cummax(dim=0).values], dim=2)


def _timed(
    coder: RankCoder, batches: list[Tensor], labels: Tensor
) -> dict[str, tuple[Callable[[], object], Callable[[], object]]]:
    """Returns an update and an answer, each with its twin that reads to the last step.

    Each call takes the next batch, as where samples leave, a network has other sizes each time.
    """
    plain, no_grad = deepcopy(coder), torch.no_grad()
    train, train_whole, answer, answer_whole = (cycle(batches) for _ in range(4))

    def whole(x: Tensor) -> Tensor:
        scores: Tensor = plain.readout(plain.rnn(x)[0][-1])
        return scores

    return {
        "train": (
            _updates(coder, lambda: coder.loss(next(train), labels)[0]),
            _updates(plain, lambda: F.cross_entropy(whole(next(train_whole)), labels)),
        ),
        "answer": (
            no_grad(lambda: coder(next(answer))),
            no_grad(lambda: whole(next(answer_whole)).argmax(dim=-1)),
        ),
    }


def decision_steps(size: Size, number: int = 0) -> Tensor:
    """Returns each sample's answering step, from 0; the number of steps stands for never [B].

    ``number`` is that of the batch.
    """
    random = stream(0, BenchStream.STEPS, number)
    share = (torch.arange(size.batch) + torch.rand(size.batch, generator=random)) / size.batch
    if size.mean_step == EVEN:
        steps = share * size.steps
    else:
        going_on = size.mean_step / (1 + size.mean_step)
        steps = (1 - share).log() / torch.tensor(going_on).log()
    order = torch.randperm(size.batch, generator=random)
    return steps.floor().long().clamp(max=size.steps)[order]


def timed_coder(inputs: int) -> RankCoder:
    """Returns a coder whose first neuron waits for the first input and then decides for class 0."""
    with seeded(0):
        lstm, readout = nn.LSTM(inputs, HIDDEN), nn.Linear(HIDDEN, CLASSES)
    gates = torch.arange(4) * HIDDEN  # its input, forget, cell and output gates
    with torch.no_grad():
        weights = lstm.state_dict()  # shares memory with the parameters
        for name in ("weight_ih_l0", "weight_hh_l0", "bias_hh_l0"):
            weights[name].index_fill_(0, gates, 0.0)
        weights["bias_ih_l0"].index_copy_(0, gates, torch.tensor([9.0, 9.0, 0.0, 9.0]))
        weights["weight_ih_l0"][2 * HIDDEN, 0] = 9
        readout.weight[:, 0] = 0
        readout.weight[0, 0] = 20
    return RankCoder(lstm, readout, threshold=THRESHOLD)


def timed_input(size: Size, steps: Tensor) -> Tensor:
    """Returns noise in all inputs but the first, which is 1 at a sample's step or 0 [T, B, I]."""
    x = (torch.rand(size.steps, size.batch, size.inputs, generator=stream(1)) < 0.05).float()
    x[..., 0] = (torch.arange(size.steps)[:, None] == steps).float()
    return x


def gradients_agree(coder: RankCoder, x: Tensor, labels: Tensor) -> bool:
    """Whether loss and gradients equal those of the whole sequence, read at the first crossing."""
    exact, x = deepcopy(coder).double(), x.double()
    logits = exact.all_steps(x)
    step, _ = first_crossing(logits, THRESHOLD)
    whole = rank_loss(logits[step, torch.arange(len(labels))], labels)
    parts = exact.loss(x, labels)[0]
    found = [torch.autograd.grad(loss, list(exact.parameters())) for loss in (whole, parts)]
    return bool(torch.isclose(whole, parts)) and all(
        torch.allclose(one, other, rtol=1e-6, atol=1e-12) for one, other in zip(*found, strict=True)
    )


def _updates(coder: RankCoder, loss: Callable[[], Tensor]) -> Callable[[], None]:
    """Returns an update by Adam that is too small to change when answers come."""
    optimizer = torch.optim.Adam(coder.parameters(), 1e-9)

    def step() -> None:
        optimizer.zero_grad()
        loss().backward()  # type: ignore[no-untyped-call]
        optimizer.step()

    return step
