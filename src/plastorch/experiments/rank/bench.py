"""Speed of rank coding against an LSTM that reads each sequence to its end."""

from collections.abc import Callable, Iterator
from copy import deepcopy
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from plastorch.bench.timing import Row, interleaved, row
from plastorch.engine.device import generator
from plastorch.rank import RankCoder, first_crossing, rank_loss

HIDDEN = 125
CLASSES = 10
THRESHOLD = 0.95


class Size(NamedTuple):
    """Sizes of a row."""

    name: str
    steps: int
    batch: int
    inputs: int
    mean_step: float
    """Mean of the geometric t*, from 0, cut at the last step; -1: uniform over all steps."""
    train: bool
    """Whether updates by Adam or answers are timed."""
    rounds: int


EARLY = 0.3
"""Mean t* on temporal MNIST after training: three of four answers come at the first step."""
EVEN = -1.0
SIZES = (
    Size("train-early", 20, 256, 784, EARLY, True, 8),
    Size("answer-early", 20, 256, 784, EARLY, False, 12),
    Size("train-even", 20, 256, 784, EVEN, True, 8),
    Size("answer-even", 20, 256, 784, EVEN, False, 12),
    Size("train-signal", 40, 128, 1, 14.0, True, 20),
    Size("answer-signal", 40, 128, 1, 14.0, False, 30),
)
"""Temporal MNIST after and during training, 235 updates an epoch; and noisy signals."""


def rows() -> tuple[dict[str, object], Iterator[Row]]:
    """Returns a description of the sequences, and the rows of the group as they are measured."""
    data = {"name": "random inputs, one of which says when to answer", "threshold": THRESHOLD}
    return data, measure(SIZES)


def measure(sizes: tuple[Size, ...]) -> Iterator[Row]:
    """Measures row by row an update, from the input to the parameters, or an answer.

    Args:
        sizes: sizes of the rows.

    Yields:
        One row at a time.
    """
    for size in sizes:
        coder = timed_coder(size.inputs)
        wanted = decision_steps(size)
        x, labels = timed_input(size, wanted), torch.zeros(size.batch, dtype=torch.int64)
        with torch.no_grad():
            decision, at_end = coder(x), coder.all_steps(x)[-1].argmax(dim=-1)
        right = decision.label == labels
        same = torch.equal(decision.step, wanted.clamp(max=size.steps - 1))
        equal = same and gradients_agree(coder, x[:, :16], labels[:16])
        plain = deepcopy(coder)
        if size.train:
            ours, theirs = _trainer(coder, x, labels), _whole_trainer(plain, x, labels)
        else:
            ours, theirs = _answerer(coder, x), _whole_answerer(plain, x)
        seconds = interleaved(ours, theirs, size.rounds)
        words = (
            f"nn.LSTM({size.inputs}, {HIDDEN}) to the last step; batch {size.batch}, "
            f"{size.steps} steps"
        )
        yield row(
            size.name,
            seconds[0],
            words,
            seconds[1],
            equal=equal,
            mean_step=round(float(decision.step.double().mean()), 3),
            lost_points=100 * float((at_end == labels).double().mean() - right.double().mean()),
            computed=round(decision.computed / (size.steps * size.batch), 3),
        )


def decision_steps(size: Size) -> Tensor:
    """Returns each sample's answering step, from 0; the number of steps stands for never [B]."""
    share = (torch.arange(size.batch) + 0.5) / size.batch
    if size.mean_step == EVEN:
        steps = share * size.steps
    else:
        going_on = size.mean_step / (1 + size.mean_step)
        steps = (1 - share).log() / torch.tensor(going_on).log()
    order = torch.randperm(size.batch, generator=generator(0))
    return steps.floor().long().clamp(max=size.steps)[order]


def timed_coder(inputs: int) -> RankCoder:
    """Returns a coder whose first neuron waits for the first input and then decides for class 0."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
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
    return RankCoder(lstm, readout, THRESHOLD)


def timed_input(size: Size, steps: Tensor) -> Tensor:
    """Returns noise in all inputs but the first, which is 1 at a sample's step or 0 [T, B, I]."""
    x = (torch.rand(size.steps, size.batch, size.inputs, generator=generator(1)) < 0.05).float()
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


def _trainer(coder: RankCoder, x: Tensor, labels: Tensor) -> Callable[[], None]:
    """Returns an update by Adam that is too small to change when answers come."""
    optimizer = torch.optim.Adam(coder.parameters(), 1e-9)

    def step() -> None:
        optimizer.zero_grad()
        coder.loss(x, labels)[0].backward()  # type: ignore[no-untyped-call]
        optimizer.step()

    return step


def _whole_trainer(coder: RankCoder, x: Tensor, labels: Tensor) -> Callable[[], None]:
    """Returns the same update in plain torch, from the last step."""
    optimizer = torch.optim.Adam(coder.parameters(), 1e-9)

    def step() -> None:
        optimizer.zero_grad()
        loss: Tensor = F.cross_entropy(coder.readout(coder.rnn(x)[0][-1]), labels)
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()

    return step


def _answerer(coder: RankCoder, x: Tensor) -> Callable[[], None]:
    @torch.no_grad()
    def answer() -> None:
        coder(x)

    return answer


def _whole_answerer(coder: RankCoder, x: Tensor) -> Callable[[], None]:
    @torch.no_grad()
    def answer() -> None:
        coder.readout(coder.rnn(x)[0][-1]).argmax(dim=-1)

    return answer
