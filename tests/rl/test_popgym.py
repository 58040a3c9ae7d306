"""Our tasks beside those of the package popgym: the same cards and carts, the same answers."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from plastorch.rl.cards import Autoencode, CardTask, CountRecall, RepeatFirst, RepeatPrevious
from plastorch.rl.cart_pole import PositionOnlyCartPole

envs = pytest.importorskip("popgym.envs", reason="popgym is not installed")
wrappers = pytest.importorskip("popgym.wrappers", reason="popgym is not installed")

TASKS: dict[str, Callable[[], CardTask]] = {
    "RepeatFirstEasy": RepeatFirst,
    "RepeatFirstMedium": lambda: RepeatFirst(8),
    "RepeatPreviousEasy": RepeatPrevious,
    "RepeatPreviousMedium": lambda: RepeatPrevious(2, 32),
    "AutoencodeEasy": Autoencode,
    "AutoencodeMedium": lambda: Autoencode(2),
    "CountRecallEasy": CountRecall,
    "CountRecallMedium": lambda: CountRecall(2, "suits"),
}


def wrapped(name: str) -> Any:
    """The package's environment, with the previous action and the flag of the first step."""
    made = getattr(envs, name)()
    return wrappers.Antialias(wrappers.PreviousAction(made))


def whole(drawn: Tensor, dim: int) -> Tensor:
    return drawn


@pytest.mark.parametrize("name", TASKS)
def test_cards(name: str) -> None:
    """Half of the answers are right; the flag is a one-hot vector there, a number here."""
    from gymnasium.spaces.utils import flatten

    theirs, task, random = wrapped(name), TASKS[name](), torch.Generator().manual_seed(0)
    seen, _ = theirs.reset(seed=1)
    own: Any = theirs.unwrapped
    decks = [own.value_deck, own.query_deck] if "Count" in name else [own.deck]
    piles = [torch.tensor(deck.idx[::-1].copy()).unsqueeze(1) for deck in decks]
    state, draws = task.begin(1, random, whole)
    state = state._replace(course=task.course(*piles))
    for time, draw in enumerate(draws):
        *symbols, _, first = flatten(theirs.observation_space, seen).tolist()
        assert task.observe(state).tolist() == [[*symbols, first]]
        action = torch.randint(task.actions, (1,), generator=random)
        if torch.rand((), generator=random) < 0.5:
            action = state.course.answers[time].clamp(min=0)
        seen, reward, ended, _, _ = theirs.step(int(action))
        state = task.step(state, action, *draw)
        assert float(state.reward) == pytest.approx(reward)
        assert ended == (state.time == task.steps)


@pytest.mark.parametrize(("name", "steps"), [("Easy", 200), ("Medium", 400)])
@pytest.mark.parametrize("balances", [False, True])
def test_carts(name: str, steps: int, balances: bool) -> None:
    theirs, task = wrapped(f"PositionOnlyCartPole{name}"), PositionOnlyCartPole(steps)
    (seen, previous, first), _ = theirs.reset(seed=1)
    state, draws = task.begin(1, torch.Generator(), whole)
    state = state._replace(cart=torch.tensor(theirs.unwrapped.state).unsqueeze(0))
    rule = torch.tensor([0.1, 0.3, 1.0, 0.5], dtype=torch.double)
    for draw in draws:
        expected = [seen[0] / 2.4, seen[1] / 0.20943951, 1 - previous, previous, first]
        assert task.observe(state).tolist()[0] == pytest.approx(expected, abs=1e-6)
        action = (state.cart @ rule > 0).long() if balances else torch.tensor([1])
        (seen, previous, first), reward, fell, over, _ = theirs.step(int(action))
        state = task.step(state, action, *draw)
        assert float(state.reward) == pytest.approx(reward)
        assert bool(state.fallen) == fell and over == (state.time == steps)
        if fell:
            break
    assert balances == (state.time == steps)
