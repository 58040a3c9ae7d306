"""Tasks of cards: courses against agents that play card by card, returns, and bad input."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from plastorch.engine.errors import InputError
from plastorch.rl.cards import Autoencode, CardTask, CountRecall, RepeatFirst, RepeatPrevious

TASKS: dict[str, Callable[[], CardTask]] = {
    "repeat-first": RepeatFirst,
    "repeat-previous": RepeatPrevious,
    "repeat-previous-far": lambda: RepeatPrevious(2, 32),
    "autoencode": Autoencode,
    "count-colors": CountRecall,
    "count-suits": lambda: CountRecall(2, "suits"),
    "count-ranks": lambda: CountRecall(1, "ranks"),
}
STEPS = {
    "repeat-first": (51, 51, 4),
    "repeat-previous": (51, 48, 4),
    "repeat-previous-far": (103, 72, 4),
    "autoencode": (103, 52, 4),
    "count-colors": (51, 51, 27),
    "count-suits": (103, 103, 27),
    "count-ranks": (51, 51, 5),
}
"""Steps, answers that are asked for, and actions; POPGym's are the first six."""


def whole(drawn: Tensor, dim: int) -> Tensor:
    return drawn


class Table:
    """One agent, card by card: what is shown, and what would be right now, None if nothing."""

    def __init__(self, name: str, *piles: list[int]) -> None:
        self.name, self.piles = name, piles
        self.shown: list[int] = []
        self.left = [card % 4 for card in piles[0]]

    def kind(self, card: int) -> int:
        if self.name == "count-ranks":
            return card // 4
        return card % (2 if self.name == "count-colors" else 4)

    def symbols(self, time: int) -> list[tuple[int, int]]:
        """Symbols shown at a step, each with the number of symbols of its sort."""
        if self.name.startswith("count"):
            sorts = {"count-colors": 2, "count-suits": 4, "count-ranks": 13}[self.name]
            return [(self.kind(pile[time]), sorts) for pile in self.piles]
        cards = len(self.piles[0])
        if self.name == "autoencode":
            watched = time < cards - 1
            return [(int(watched), 2), (self.piles[0][time] % 4 if time < cards else 0, 4)]
        return [(self.piles[0][time] % 4, 4)]

    def right(self, time: int) -> int | None:
        suits = [card % 4 for card in self.piles[0][: time + 1]]
        if self.name == "repeat-first":
            return suits[0]
        if self.name.startswith("repeat-previous"):
            k = 32 if self.name.endswith("far") else 4
            return suits[-k] if len(suits) >= k else None
        if self.name == "autoencode":
            return self.left.pop() if time >= len(self.piles[0]) - 1 else None
        asked = self.kind(self.piles[1][time])
        return sum(self.kind(card) == asked for card in self.piles[0][: time + 1])


def one_hot(symbol: int, number: int) -> list[float]:
    return [float(symbol == i) for i in range(number)]


@pytest.mark.parametrize("name", TASKS)
@settings(max_examples=3, deadline=None)
@given(seed=st.integers(0, 2**31))
def test_agents_see_and_gain_what_single_players_do(name: str, seed: int) -> None:
    task, random = TASKS[name](), torch.Generator().manual_seed(seed)
    order = torch.rand(task.piles, 3, task.cards, generator=random.clone_state()).argsort()
    tables = [Table(name, *order[:, agent].tolist()) for agent in range(3)]
    state, draws = task.begin(3, random, whole)
    last, reward = [0, 0, 0], 1 / STEPS[name][1]
    for time, draw in enumerate(draws):
        expected = [
            [x for symbol in table.symbols(time) for x in one_hot(*symbol)]
            + one_hot(action, task.actions)
            + [float(time == 0)]
            for table, action in zip(tables, last, strict=True)
        ]
        assert torch.equal(task.observe(state), torch.tensor(expected))
        action = torch.randint(task.actions, (3,), generator=random)
        state = task.step(state, action, *draw)
        last = action.tolist()
        right = [table.right(time) for table in tables]
        gained = [
            0.0 if answer is None else reward if answer == given else -reward
            for answer, given in zip(right, last, strict=True)
        ]
        assert state.reward.tolist() == pytest.approx(gained)
    assert state.time == task.steps


@pytest.mark.parametrize("name", TASKS)
def test_sizes_are_popgyms(name: str) -> None:
    task = TASKS[name]()
    state, _ = task.begin(2, torch.Generator(), whole)
    asked = int((state.course.answers >= 0).sum()) // 2
    assert (task.steps, asked, task.actions) == STEPS[name]
    assert task.observe(state).shape == (2, task.inputs)


@pytest.mark.parametrize("name", TASKS)
@pytest.mark.parametrize("right", [True, False])
def test_right_answers_return_1_and_wrong_ones_minus_1(name: str, right: bool) -> None:
    task = TASKS[name]()
    state, draws = task.begin(5, torch.Generator().manual_seed(1), whole)
    total = torch.zeros(5, dtype=torch.double)
    for draw in draws:
        answer = state.course.answers[state.time].clamp(min=0)
        state = task.step(state, (answer + (not right)) % task.actions, *draw)
        total += state.reward
    torch.testing.assert_close(total, torch.full_like(total, 1 if right else -1), atol=1e-6, rtol=0)


def test_all_cards_are_dealt_once() -> None:
    """As many of each suit in each pile, in an order of each agent's own."""
    state, _ = Autoencode(2).begin(4, torch.Generator().manual_seed(0), whole)
    answers = state.course.answers[103:]
    assert all(torch.equal(column.bincount(), torch.full((4,), 26)) for column in answers.T)
    assert len(set(map(tuple, answers.T.tolist()))) == 4


def test_workers_deal_to_their_own_agents() -> None:
    task = CountRecall()
    every, _ = task.begin(4, torch.Generator().manual_seed(0), whole)
    own, _ = task.begin(
        4, torch.Generator().manual_seed(0), lambda drawn, dim: drawn.tensor_split(2, dim)[1]
    )
    for a, b in zip(every.course, own.course, strict=True):
        assert torch.equal(a[:, 2:], b)
    assert own.action.shape == own.reward.shape == (2,)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: RepeatFirst(0), "decks is 0; expected 1 or more"),
        (lambda: RepeatPrevious(0), "decks is 0; expected 1 or more"),
        (lambda: RepeatPrevious(1, 0), "k is 0; expected 1 to 51"),
        (lambda: RepeatPrevious(2, 104), "k is 104; expected 1 to 103"),
        (lambda: CountRecall(-1), "decks is -1; expected 1 or more"),
        (lambda: CountRecall(1, "aces"), "kinds is 'aces'; expected one of colors, suits, ranks"),
    ],
)
def test_bad_input(make: Callable[[], Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        make()
