"""Rank coding around recurrent networks: equal to the whole sequence, but not computed."""

from itertools import pairwise
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from plastorch.engine.errors import InputError
from plastorch.rank import RankCoder, first_crossing, rank_loss
from plastorch.stp import STPN
from plastorch.stp.baselines import (
    LSTM,
    MLP,
    RNN,
    FastWeights,
    HebbFF,
    ModulatedPlasticity,
    Squashed,
)

CORES = {
    "rnn": lambda: nn.RNN(4, 6),
    "gru-batch-first": lambda: nn.GRU(4, 6, batch_first=True),
    "lstm-two-layers": lambda: nn.LSTM(4, 6, num_layers=2),
    "stpn": lambda: STPN(4, 6),
    "stpn-two-layers": lambda: STPN(4, 6, num_layers=2, batch_first=True),
    "rnn-one-bias": lambda: RNN(4, 6),
    "rnn-normalized": lambda: RNN(4, 6, norm="neuron"),
    "lstm-one-bias": lambda: LSTM(4, 6),
    "mlp": lambda: MLP(4, 6),
    "fast-weights": lambda: FastWeights(4, 6),
    "modulated": lambda: ModulatedPlasticity(4, 6),
    "hebbff": lambda: HebbFF(4, 6),
    "squashed": lambda: Squashed(STPN(4, 6, plasticity="feedforward")),
}


def coder(core: str = "lstm-two-layers", classes: int = 3, seed: int = 0, **settings: Any) -> Any:
    torch.manual_seed(seed)
    found = RankCoder(CORES[core](), nn.Linear(6, classes), **settings).double()
    with torch.no_grad():
        found.readout.weight.mul_(30)
    return found


def sequences(batch: int = 7, steps: int = 20, seed: int = 0) -> Tensor:
    random = torch.Generator().manual_seed(seed)
    return 2 * torch.randn(steps, batch, 4, generator=random, dtype=torch.float64)


def oriented(model: Any, x: Tensor) -> Tensor:
    return x.transpose(0, 1) if model.batch_first else x


def naive(model: Any, x: Tensor, labels: Tensor, lengths: Tensor | None) -> tuple[Any, ...]:
    """The loss of the whole sequence, computed to its end, gathered at the crossing."""
    logits = model.all_steps(oriented(model, x))
    step, crossed = first_crossing(logits, model.threshold, lengths)
    loss = rank_loss(logits[step, torch.arange(x.shape[1])], labels, model.entropy_weight)
    return loss, step, crossed


@pytest.mark.parametrize("core", CORES)
@pytest.mark.parametrize("threshold", [1e-3, 0.6, 0.9, 0.97, 1.0])
def test_loss_and_gradients_are_those_of_the_whole_sequence(core: str, threshold: float) -> None:
    model = coder(core, threshold=threshold, entropy_weight=0.1, chunk=3)
    x, labels = sequences().requires_grad_(), torch.arange(7) % 3
    wanted = [x, *(p for p in model.parameters() if p.requires_grad)]
    loss, decision = model.loss(oriented(model, x), labels)
    ours = torch.autograd.grad(loss, wanted, materialize_grads=True)
    expected, step, crossed = naive(model, x, labels, None)
    theirs = torch.autograd.grad(expected, wanted, materialize_grads=True)
    torch.testing.assert_close(loss, expected, rtol=1e-9, atol=1e-9)
    assert torch.equal(decision.step, step) and torch.equal(decision.crossed, crossed)
    for one, two in zip(ours, theirs, strict=True):
        torch.testing.assert_close(one, two, rtol=1e-8, atol=1e-9)
    later = torch.arange(20)[:, None] > decision.step
    answered = ours[0][decision.step, torch.arange(7)]
    assert (ours[0][later] == 0).all() and (answered != 0).any()


@pytest.mark.parametrize("core", CORES)
def test_runs_on_meta_tensors(core: str) -> None:
    """Nothing waits for a value, so nothing stops a GPU."""
    model = coder(core, threshold=0.9).to("meta")
    x = oriented(model, sequences().to("meta")).requires_grad_()
    labels = torch.zeros(7, dtype=torch.int64, device="meta")
    loss, decision = model.loss(x, labels, torch.arange(1, 8).to("meta"))
    loss.backward()
    assert decision.logits.shape == (7, 3) and decision.step.shape == (7,)
    assert decision.computed == 20 * 7 and x.grad is not None


def test_crossings_are_none_some_or_all() -> None:
    """The cases of the test above differ."""
    counts = [int(coder(threshold=t)(sequences()).crossed.sum()) for t in (1e-3, 0.9, 1.0)]
    assert counts[0] == 7 > counts[1] > 0 == counts[2]


@given(
    chunk=st.integers(1, 25),
    batch=st.integers(1, 9),
    threshold=st.floats(0.3, 1.0),
    seed=st.integers(0, 99),
)
def test_any_chunk_and_length(chunk: int, batch: int, threshold: float, seed: int) -> None:
    model = coder("rnn", classes=1 + seed % 3, seed=seed, threshold=threshold, chunk=chunk)
    x = sequences(batch, 13, seed)
    random = torch.Generator().manual_seed(seed)
    lengths = torch.randint(1, 14, (batch,), generator=random)
    labels = torch.randint(0, max(2, 1 + seed % 3), (batch,), generator=random)
    loss, decision = model.loss(x, labels, lengths)
    expected, step, crossed = naive(model, x, labels, lengths)
    torch.testing.assert_close(loss, expected)
    assert torch.equal(decision.step, step) and torch.equal(decision.crossed, crossed)
    assert batch <= decision.computed <= batch * 13


def test_a_threshold_that_is_never_crossed_trains_the_last_step() -> None:
    model, x, labels = coder(threshold=1.0), sequences(), torch.arange(7) % 3
    loss, decision = model.loss(x, labels)
    last = nn.functional.cross_entropy(model.all_steps(x)[-1], labels)
    torch.testing.assert_close(loss, last, rtol=1e-6, atol=1e-6)
    assert not decision.crossed.any() and decision.computed == 7 * 20


def test_a_threshold_that_all_cross_trains_the_first_step() -> None:
    model, x, labels = coder(threshold=1e-6, chunk=1), sequences(), torch.arange(7) % 3
    loss, decision = model.loss(x, labels)
    first = nn.functional.cross_entropy(model.all_steps(x)[0], labels)
    torch.testing.assert_close(loss, first, rtol=1e-6, atol=1e-6)
    assert decision.crossed.all() and (decision.step == 0).all() and decision.computed == 7


def test_what_comes_after_the_answers_is_not_computed() -> None:
    """Not masked: once a fourth of a batch has answered, the network sees it no more.

    Only as many stay as fill the batch to a multiple of four, a sixteenth of its first size.
    """
    seen = []

    class Counting(nn.RNN):
        def forward(self, x: Tensor, state: Any = None) -> Any:
            seen.append(tuple(x.shape[:2]))
            return super().forward(x, state)

    torch.manual_seed(0)
    model = RankCoder(Counting(4, 6), nn.Linear(6, 3), threshold=0.5, chunk=2).double()
    decision = model(sequences(50, 40))
    start, size = 0, 50
    for steps, batch in seen:
        waiting = int((decision.step >= start).sum())
        kept = -(-waiting // 4) * 4
        size = kept if kept <= 0.75 * size else size
        assert batch == size
        start += steps
    assert seen[0] == (1, 50) and len({batch for _, batch in seen}) > 2
    assert decision.computed == sum(steps * batch for steps, batch in seen) < 50 * 40


def part_lengths(model: RankCoder, steps: int, thinned: float) -> list[int]:
    ends = [0]
    while ends[-1] < steps:
        ends.append(model._part_end(ends[-1], steps, thinned))
    return [stop - start for start, stop in pairwise(ends)]


@pytest.mark.parametrize(
    ("chunk", "steps", "thinned", "lengths"),
    [
        (1, 6, 1, [1] * 6),
        (2, 7, 1, [1, 2, 2, 2]),
        (4, 6, 1, [1, 5]),
        (8, 40, 1, [1, 4, 8, 8, 8, 11]),
        (8, 40, 4, [1, 4, 16, 19]),
        (16, 40, 1, [2, 8, 16, 14]),
    ],
)
def test_parts_grow_and_a_short_rest_is_read_with_the_last(
    chunk: int, steps: int, thinned: float, lengths: list[int]
) -> None:
    assert part_lengths(coder(chunk=chunk), steps, thinned) == lengths


def test_large_values_are_finite() -> None:
    """Though their sum is not."""
    x = torch.full((3, 2, 4), 3e38)
    assert torch.isinf(x.sum())
    RankCoder(nn.RNN(4, 6), nn.Linear(6, 3))(x)


def compiled(rnn: nn.Module) -> Any:
    return torch.compile(rnn, backend="eager")


@pytest.mark.parametrize(
    "wrap", [compiled, nn.DataParallel, lambda rnn: nn.DataParallel(compiled(rnn))]
)
@pytest.mark.parametrize("core", ["gru-batch-first", "lstm-two-layers", "stpn"])
def test_wrapped_networks_answer_as_they_do_alone(core: str, wrap: Any) -> None:
    alone, x, labels = coder(core, threshold=0.9, chunk=2), sequences(), torch.arange(7) % 3
    wrapped = RankCoder(wrap(alone.rnn), alone.readout, threshold=0.9, chunk=2)
    assert wrapped.batch_first == alone.batch_first
    loss, decision = wrapped.loss(oriented(alone, x), labels)
    expected, step, _ = naive(alone, x, labels, None)
    assert decision.computed < 20 * 7
    torch.testing.assert_close(loss, expected)
    assert torch.equal(decision.step, step)
    with pytest.raises(InputError, match="x has 3 features; expected 4"):
        wrapped(oriented(alone, x[..., :3]))
    with pytest.raises(InputError, match="bidirectional"):
        RankCoder(wrap(nn.GRU(4, 6, bidirectional=True)), nn.Linear(12, 3))


@pytest.mark.parametrize("core", [nn.GRU, nn.LSTM])
def test_a_state_has_samples_along_the_first_dimension(core: Any) -> None:
    class Around(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.rnn = core(4, 6, num_layers=2)

        def forward(self, x: Tensor, state: Any) -> Any:
            return self.rnn(x, state)

    model = RankCoder(Around(), nn.Linear(6, 3), threshold=1.0).double()
    words = r"state of shape \(2, 7, 6\); expected 7 samples along its first dimension"
    with pytest.raises(InputError, match=words):
        model(sequences())


def test_a_higher_threshold_answers_later() -> None:
    x = sequences(200, 30)
    steps = [coder(threshold=t)(x).step for t in (0.5, 0.7, 0.9, 0.99)]
    for earlier, later in pairwise(steps):
        assert (earlier <= later).all() and (earlier < later).any()


@pytest.mark.parametrize("core", CORES)
@pytest.mark.parametrize("classes", [1, 3])
def test_a_stream_answers_as_the_batch_does(core: str, classes: int) -> None:
    model, x = coder(core, classes, threshold=0.9), sequences(5, 20)
    decision = model(oriented(model, x))
    for b in range(5):
        stream = model.stream()
        for part in x[:, b].split(6):
            stream.feed(part)
        answer = stream.finish()
        assert answer.step == int(decision.step[b])
        assert answer.crossed == bool(decision.crossed[b])
        assert answer.label == int(decision.label[b])
        assert stream.feed(x[:3, b]) == answer  # what comes after it changes nothing


def test_training_learns_when_to_answer() -> None:
    """The class shows at step 5 in half of the sequences, at step 10 in the others."""
    torch.manual_seed(0)
    model = RankCoder(nn.GRU(2, 16), nn.Linear(16, 2), threshold=0.9, chunk=4)
    optimizer = torch.optim.Adam(model.parameters(), 0.01)

    def batch() -> tuple[Tensor, Tensor, Tensor]:
        labels, late = torch.randint(0, 2, (64,)), torch.randint(0, 2, (64,))
        shown = 5 + 5 * late
        x = 0.1 * torch.randn(15, 64, 2)
        x[shown, torch.arange(64), labels] += 2
        return x, labels, shown

    for _ in range(150):
        x, labels, _ = batch()
        optimizer.zero_grad()
        model.loss(x, labels)[0].backward()
        optimizer.step()
    x, labels, shown = batch()
    decision = model(x)
    assert (decision.label == labels).float().mean() > 0.95
    assert ((decision.step - shown).abs() <= 2).float().mean() > 0.9
    assert decision.computed < 0.9 * 15 * 64


@pytest.mark.parametrize("threshold", [0.0, -0.1, 1.1, float("nan")])
def test_bad_threshold(threshold: float) -> None:
    with pytest.raises(InputError, match=r"threshold is .*; expected more than 0 and at most 1"):
        RankCoder(nn.RNN(2, 3), nn.Linear(3, 2), threshold=threshold)
    model = coder(threshold=0.9)
    with pytest.raises(InputError, match="threshold is"):
        model.threshold = threshold
    assert model.threshold == 0.9


def test_bad_input() -> None:
    model = coder()
    x = sequences()
    with pytest.raises(InputError, match="entropy_weight is -1"):
        RankCoder(nn.RNN(2, 3), nn.Linear(3, 2), entropy_weight=-1.0)
    with pytest.raises(InputError, match="rnn is bidirectional; expected one that runs forward"):
        RankCoder(nn.LSTM(2, 3, bidirectional=True), nn.Linear(6, 2))
    for chunk in (0, 2.5):
        with pytest.raises(InputError, match=f"chunk is {chunk}; expected a whole number"):
            RankCoder(nn.RNN(2, 3), nn.Linear(3, 2), chunk=chunk)
    with pytest.raises(InputError, match=r"x has shape \(0, 7, 4\)"):
        model(x[:0])
    with pytest.raises(InputError, match=r"x has shape \(7, 4\)"):
        model(x[0])
    for call in (model, model.all_steps, lambda x: model.stream().feed(x[:, 0])):
        with pytest.raises(InputError, match="x has 3 features; expected 4, the inputs of rnn"):
            call(x[..., :3])
    with pytest.raises(InputError, match="not finite"):
        model(x.clone().index_fill(0, torch.tensor([3]), float("nan")))
    with pytest.raises(InputError, match="lengths are from 0 to 0; expected 1 to 20"):
        model(x, torch.zeros(7, dtype=torch.int64))
    with pytest.raises(InputError, match=r"lengths have shape \(2,\)"):
        model(x, torch.ones(2, dtype=torch.int64))
    with pytest.raises(InputError, match="expected 0 to 2, the classes of the readout"):
        model.loss(x, torch.full((7,), 3))
    with pytest.raises(InputError, match=r"chunk has shape \(20, 7, 4\)"):
        model.stream().feed(x)
    with pytest.raises(InputError, match="the stream has 0 steps"):
        model.stream().finish()
