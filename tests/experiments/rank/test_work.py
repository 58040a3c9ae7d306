"""What rank coding spares: shares of steps and of time, and what is said of them."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from plastorch.experiments.rank.work import after_as_many, answer_claims, training_claims, work
from plastorch.rank import Batch, RankCoder


class Given(nn.Module):
    """Passes its input on; its readout crosses where the input does."""

    def forward(self, x: Tensor, state: Any = None) -> tuple[Tensor, Tensor]:
        return x, x[0, :, :0]


def test_steps_that_answers_take() -> None:
    x = torch.zeros(8, 3, 2)
    x[0, 0, 0] = x[2, 1, 0] = x[7, 2, 0] = 9
    parts = [Batch(x, torch.zeros(3).long()), Batch(x[:, :1], torch.zeros(1).long())]
    found = work("lstm-rank", RankCoder(Given(), nn.Identity(), threshold=0.9), parts)
    # In parts of 1, 4 and 3 steps: 1, 5 and 8; and 1.
    assert found["lstm_rank_answer_steps"] == pytest.approx(15 / 32)
    assert found["lstm_rank_answer_time"] > 0
    assert [claim.measured for claim in answer_claims(found, "lstm-rank")] == list(found.values())
    assert not list(answer_claims(found, "lstm-all"))


def test_what_never_crosses_saves_nothing_but_padding() -> None:
    """Four sequences of 15 steps or 5, most of them padding of the longest."""
    batch = Batch(torch.zeros(15, 4, 2), torch.zeros(4).long(), torch.tensor([15, 5, 5, 5]))
    coder = RankCoder(Given(), nn.Identity(), threshold=0.9)
    assert work("last", coder, [batch])["last_answer_steps"] == 1.0
    assert coder.threshold == 0.9


def test_half_is_what_answers_should_take() -> None:
    figures = {"a_answer_steps": 0.5, "a_answer_time": 0.51}
    assert [claim.holds for claim in answer_claims(figures, "a")] == [True, False]


def rows(phase: str, *steps: float) -> list[dict[str, Any]]:
    return [
        {"phase": phase, "batch": 10 * i, "computed_steps": s, "seconds": 2 * s}
        for i, s in enumerate(steps, start=1)
    ]


def test_training_is_compared_over_as_many_updates() -> None:
    log = rows("last", 20, 20) + rows("a", 20, 10, 1) + rows("b", 20, 20)
    found = list(training_claims(log, ("a", "b"), "last"))
    assert [claim.measured for claim in found] == [pytest.approx(0.875)] * 2
    assert all(claim.holds for claim in found)
    assert not any(claim.holds for claim in training_claims(log, ("b",), "last"))
    for ours, theirs in ((("a",), "all"), ((), "last"), (("c",), "last")):
        assert not list(training_claims(log, ours, theirs))


def test_last_records_of_as_many_updates() -> None:
    courses: Any = [
        [{"batch": b, "mean_step": b, "train_accuracy": b / 100} for b in range(10, last, 10)]
        for last in (40, 70)
    ]
    assert after_as_many(courses, 2) == [(25.0, 0.25)] * 2
