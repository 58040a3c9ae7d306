"""Training of rank coders: each mode's loss, logs, best weights, going on after a stop."""

from typing import Any, get_args

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from plastorch.engine.errors import InputError
from plastorch.engine.run import Record
from plastorch.engine.streams import stream
from plastorch.learning.phases import run_phase
from plastorch.rank import Batch, RankCoder, RankSettings, RankTraining
from plastorch.rank.objectives import Objective, losses


def coder(classes: int = 3, seed: int = 0, **settings: Any) -> RankCoder:
    torch.manual_seed(seed)
    core = nn.GRU(4, 6, num_layers=2, dropout=0.5)
    readout = nn.Linear(6, classes)
    nn.init.normal_(readout.weight, std=1.5)
    return RankCoder(core, readout, threshold=0.8, **settings)


def batch(number: int, classes: int = 3, lengths: bool = False) -> Batch:
    random = stream(7, number)
    x = torch.randn(9, 5, 4, generator=random)
    labels = torch.randint(0, classes, (5,), generator=random)
    ends = torch.randint(1, 10, (5,), generator=random) if lengths else None
    return Batch(x, labels, ends)


def phase(model: RankCoder, **settings: Any) -> RankTraining:
    chosen: dict[str, Any] = {"batches": 7, "every": 3, "learning_rate": 0.01} | settings
    return RankTraining("gru", model, batch, RankSettings(**chosen), path=(3,))


@pytest.mark.parametrize("classes", [1, 2, 3])
@pytest.mark.parametrize("lengths", [False, True])
def test_loss_of_each_mode(classes: int, lengths: bool) -> None:
    """Against a loop over samples and steps, in numbers of their own."""
    model = coder(classes).eval()
    x, labels, given, _ = sequences = batch(0, max(2, classes), lengths)
    ends = torch.full((5,), 9) if given is None else given
    logits = model.all_steps(x).detach()
    if classes == 1:
        logits = torch.cat([torch.zeros_like(logits), logits], dim=-1)
    logs = logits.log_softmax(dim=-1)
    wrong = [[-float(logs[t, b, labels[b]]) for t in range(ends[b])] for b in range(5)]
    expected = {
        "last": sum(each[-1] for each in wrong),
        "all": sum(sum(each) / len(each) for each in wrong),
    }
    own, decision = losses(model, sequences, "first")
    assert decision.step.any()
    for mode, total in expected.items():
        value, same = losses(model, sequences, mode)  # type: ignore[arg-type]
        assert float(value.detach()) == pytest.approx(total / 5, rel=1e-5)
        assert torch.equal(same.step, decision.step) and same.computed == 9 * 5
        torch.testing.assert_close(same.logits, decision.logits.detach())
    assert float(own.detach()) == pytest.approx(
        sum(each[step] for each, step in zip(wrong, decision.step.tolist(), strict=True)) / 5,
        rel=1e-5,
    )


def test_a_step_is_adam_on_batches_in_order_and_logs_means() -> None:
    learner, twin = coder(), coder()
    learning = phase(learner, max_norm=0.1, cosine=True)
    optimizer = torch.optim.Adam(twin.parameters())
    found = run_phase(learning)
    assert [record["batch"] for record in found] == [3, 6, 7] and learning.position == 3
    totals: list[tuple[float, Tensor, Any]] = []
    for number in range(7):
        for group in optimizer.param_groups:
            group["lr"] = 0.005 * (1 + torch.cos(torch.tensor(torch.pi * number / 7)).item())
        torch.manual_seed(stream(3, number).initial_seed())
        sequences = batch(number)
        loss, decision = twin.loss(*sequences)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(twin.parameters(), 0.1)
        optimizer.step()
        totals.append((float(loss.detach()), sequences.labels, decision))
    for one, other in zip(learner.parameters(), twin.parameters(), strict=True):
        torch.testing.assert_close(one, other)
    record, three = found[0], totals[:3]
    decisions = [decision for _, _, decision in three]
    steps = torch.cat([decision.step for decision in decisions]).double()
    crossed = torch.cat([decision.crossed for decision in decisions])
    assert record["loss"] == pytest.approx(sum(loss for loss, _, _ in three) / 3, rel=1e-6)
    right = torch.cat([decision.label == labels for _, labels, decision in three])
    assert record["train_accuracy"] == pytest.approx(float(right.double().mean()))
    assert record["mean_step"] == pytest.approx(float(steps.mean()))
    assert record["mean_step_crossed"] == pytest.approx(float(steps[crossed].mean()))
    assert record["uncrossed"] == pytest.approx(1 - float(crossed.double().mean()))
    assert record["computed_steps"] == sum(decision.computed for decision in decisions) / 15


def test_nothing_is_said_of_crossings_if_there_are_none() -> None:
    model = coder()
    model.threshold = 1.0
    (record,) = phase(model).step()
    assert "mean_step_crossed" not in record and record["uncrossed"] == 1.0


def by_loss(record: Record) -> float:
    return -float(record["loss"])


@pytest.mark.parametrize("best", [None, by_loss])
def test_going_on_from_a_state_gives_the_same_bits(best: Any) -> None:
    whole = phase(coder())
    whole.score = best
    run_phase(whole)
    first = phase(coder())
    first.score = best
    first.step()
    first.step()
    state = {name: tensor.clone() for name, tensor in first.state_dict().items()}
    model = coder(seed=1)
    model.load_state_dict(first.coder.state_dict())
    second = phase(model)
    second.score, second.position = best, first.position
    second.load_state_dict(state)
    second.step()
    for one, other in zip(whole.coder.parameters(), model.parameters(), strict=True):
        assert torch.equal(one, other)


def test_the_best_weights_of_the_last_records_come_back() -> None:
    scores, seen = iter([9.0, 1.0, 5.0, 5.0, 2.0]), []

    def validate(model: RankCoder) -> Record:
        assert not model.training
        seen.append([parameter.detach().clone() for parameter in model.parameters()])
        return {"validation_accuracy": next(scores)}

    model = coder()
    learning = RankTraining(
        "gru",
        model,
        batch,
        RankSettings(batches=5, every=1, best_from=0.3),
        validate=validate,
        score=lambda record: float(record["validation_accuracy"]),
    )
    run_phase(learning)
    for one, other in zip(model.parameters(), seen[2], strict=True):  # the first of the best
        assert torch.equal(one, other)


def test_frozen_parameters_stay() -> None:
    model = coder()
    model.readout.requires_grad_(False)
    before = [parameter.clone() for parameter in model.readout.parameters()]
    phase(model).step()
    for one, other in zip(before, model.readout.parameters(), strict=True):
        assert torch.equal(one, other)


def test_it_learns_to_answer_early() -> None:
    """The class shows at the first step; untrained, it waits to the end."""

    def shown(number: int) -> Batch:
        labels = torch.randint(0, 2, (32,), generator=stream(0, number))
        return Batch(F.one_hot(labels, 2).float().expand(10, 32, 2), labels)

    torch.manual_seed(0)
    model = RankCoder(nn.LSTM(2, 8), nn.Linear(8, 1), threshold=0.9)
    learning = RankTraining("lstm", model, shown, RankSettings(120, every=40, learning_rate=0.05))
    first, _, last = run_phase(learning)
    assert float(first["mean_step"]) > float(last["mean_step"])
    assert float(last["mean_step"]) < 1 and last["train_accuracy"] == 1.0
    assert float(last["computed_steps"]) < 4


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"objective": "rank"}, "objective is 'rank'; expected one of first, last, all"),
        ({"batches": 0}, "batches is 0"),
        ({"every": -1}, "every is -1"),
        ({"learning_rate": float("nan")}, "learning_rate is nan"),
        ({"max_norm": 0.0}, "max_norm is 0.0"),
        ({"best_from": 1.5}, "best_from is 1.5; expected 0 to 1"),
        ({"patience": 0}, "patience is 0"),
        ({"weight_decay": -0.1}, "weight_decay is -0.1; expected 0 or more"),
        ({"alpha": 1.0}, "alpha is 1.0; expected a number between 0 and 1"),
    ],
)
def test_bad_settings(settings: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError, match=words):
        RankSettings(**({"batches": 1} | settings))


@pytest.mark.parametrize("mode", get_args(Objective))
def test_bad_batches_are_named_in_every_mode(mode: Objective) -> None:
    good = batch(0)
    steps, samples = good.x.shape[:2]
    for lengths in (torch.zeros(samples).long(), torch.full((samples,), steps + 1)):
        with pytest.raises(InputError, match=f"lengths are from .*; expected 1 to {steps}"):
            losses(coder(), good._replace(lengths=lengths), mode)
    with pytest.raises(InputError, match="labels go from 3 to 3; expected 0 to 2, the classes"):
        losses(coder(), good._replace(labels=torch.full((samples,), 3)), mode)
    with pytest.raises(InputError, match="labels have shape"):
        losses(coder(), good._replace(labels=good.labels[1:]), mode)


def test_training_that_diverges_says_so() -> None:
    model = coder()
    with torch.no_grad():
        next(model.readout.parameters()).fill_(float("nan"))
    learning = phase(model)
    with pytest.raises(InputError, match=r"learning_rate is 0\.01: the loss of gru became nan"):
        learning.step()
    assert learning.position == 0


def test_patience_ends_training_with_the_best_weights() -> None:
    model, seen = coder(), []

    def score(record: Record) -> float:
        seen.append({name: value.clone() for name, value in model.state_dict().items()})
        return -abs(float(record["batch"]) - 2)

    settings = RankSettings(batches=50, every=1, best_from=0.0, patience=3)
    learning = RankTraining("gru", model, batch, settings, score=score)
    assert len(run_phase(learning)) == 5 and learning.position == learning.total
    for name, value in model.state_dict().items():
        assert torch.equal(value, seen[1][name])
