"""Reading answers at many thresholds: as one by one, and as one would count by hand."""

import math

import pytest
import torch
from torch import nn

from plastorch.engine.errors import InputError
from plastorch.rank import Batch, RankCoder, evaluate
from plastorch.rank.evaluate import multiply_accumulates, read
from plastorch.stp import STPN


def coder(threshold: float = 0.9, classes: int = 3) -> RankCoder:
    torch.manual_seed(0)
    readout = nn.Linear(6, classes)
    nn.init.normal_(readout.weight, std=4.0)
    return RankCoder(nn.GRU(4, 6), readout, threshold=threshold)


def batches(classes: int = 3) -> list[Batch]:
    torch.manual_seed(1)
    lengths = torch.randint(1, 13, (7,))
    labels = torch.randint(0, classes, (20,))
    x = 2 * torch.randn(12, 20, 4)
    return [
        Batch(x[:, :7], labels[:7], lengths),
        Batch(x[:, 7:], labels[7:]),
    ]


@pytest.mark.parametrize("classes", [1, 3])
def test_thresholds_are_read_as_one_by_one(classes: int) -> None:
    thresholds = (0.6, 0.99, 0.8)
    given = batches(max(2, classes))
    readings = evaluate(coder(classes=classes), given, thresholds)
    for threshold in thresholds:
        model = coder(threshold, classes)
        decisions = [model(batch.x, batch.lengths) for batch in given]
        step = torch.cat([decision.step for decision in decisions])
        crossed = torch.cat([decision.crossed for decision in decisions])
        right = torch.cat(
            [d.label == batch.labels for d, batch in zip(decisions, given, strict=True)]
        )
        place = readings.thresholds.index(threshold)
        assert torch.equal(readings.step[place], step)
        assert torch.equal(readings.crossed[place], crossed)
        assert torch.equal(readings.right[place], right)
        timing = readings.timing(threshold)
        assert timing.accuracy == pytest.approx(float(right.double().mean()))
        assert timing.mean_step_crossed == pytest.approx(float(step[crossed].double().mean()))
        assert timing.uncrossed == pytest.approx(1 - float(crossed.double().mean()))


def test_figures_by_hand() -> None:
    """Two samples of one class or two, of four and of three steps."""
    odds = torch.tensor([[0.0, 5.0], [-5.0, 0.0], [0.0, -5.0], [5.0, 5.0]]).unsqueeze(-1)
    batch = Batch(torch.zeros(4, 2, 1), torch.tensor([1, 0]), torch.tensor([4, 3]))
    readings = read([(odds, batch)], (0.9, 0.999))
    assert readings.step.tolist() == [[1, 0], [3, 2]]
    assert readings.right.tolist() == [[False, False], [True, True]]
    assert readings.accuracy_at.tolist() == [0.0, 0.5, 0.5, 1.0]
    assert tuple(readings.timing(0.9)) == pytest.approx((0.0, 0.5, 0.5, 0.5, 0.95, 0.0))
    never = readings.timing(0.999)
    assert never.uncrossed == 1.0 and math.isnan(never.mean_step_crossed)
    assert readings.early(0.9, torch.tensor([2, 0])) == 0.5
    assert readings.skipped(0.9) == pytest.approx(1 - 3 / 7)
    assert readings.skipped(0.999) == 0.0
    assert readings.cost(0.9, 0.7) == pytest.approx(0.7 + 0.3 * (2 / 4 + 1 / 3) / 2)
    assert readings.cost(0.999, 0.7) == pytest.approx(0.3)


def test_dropout_is_off_and_comes_back() -> None:
    torch.manual_seed(0)
    model = RankCoder(nn.GRU(4, 6), nn.Sequential(nn.Dropout(0.5), nn.Linear(6, 3)))
    model.train()
    first, second = (evaluate(model, batches(), (0.4,)) for _ in range(2))
    assert torch.equal(first.step, second.step) and model.training


@pytest.mark.parametrize(
    ("core", "count"),
    [
        (nn.LSTM(3, 10), 4 * 10 * 13),
        (nn.LSTM(3, 10, num_layers=2), 4 * 10 * 13 + 4 * 10 * 20),
        (nn.GRU(3, 10), 3 * 10 * 13),
        (STPN(3, 10), 3 * 10 * 13),  # respond, fade and grow
    ],
)
def test_multiply_accumulates(core: nn.Module, count: int) -> None:
    assert multiply_accumulates(RankCoder(core, nn.Linear(10, 2))) == count + 20


def test_nothing_to_read() -> None:
    with pytest.raises(InputError, match="batches are empty"):
        evaluate(coder(), [], (0.5,))
    for thresholds in ((), (0.5, 0.0), (1.1,), (float("nan"),)):
        with pytest.raises(InputError, match=r"thresholds are .*; expected some"):
            evaluate(coder(), batches(), thresholds)


def test_what_does_not_fit_is_named_and_the_mode_comes_back() -> None:
    model = coder().train()
    first = batches()[0]
    for wrong, words in (
        (first._replace(labels=first.labels + 3), "labels go from 3"),
        (first._replace(labels=first.labels[1:]), "labels have shape"),
        (first._replace(lengths=torch.zeros(7).long()), "lengths are from 0 to 0"),
    ):
        with pytest.raises(InputError, match=words):
            evaluate(model, [wrong], (0.5,))
        assert model.training
    with pytest.raises(InputError, match="lengths are from 13 to 13; expected 1 to 12"):
        logits = model.all_steps(first.x)
        read([(logits, first._replace(lengths=torch.full((7,), 13)))], (0.5,))
