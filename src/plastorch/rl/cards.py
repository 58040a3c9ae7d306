"""Card games that require memory, for any number of agents at once.

Cards are dealt from shuffled decks. The agent is asked for an answer at each step, or at some. With
n answers in an episode, the reward of a right one is 1/n, of a wrong one -1/n: returns are -1 to 1.

Paper: Morad, Kortvelesy, Bettini, Liwicki, Prorok, *POPGym: Benchmarking Partially Observable
Reinforcement Learning*, ICLR 2023, arXiv 2303.01859. Details are those of its package, 1.0.7.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from plastorch.engine.errors import InputError, check_one_of

DECK, SUITS = 52, 4
"""Numbers of cards in a deck, and of suits in it."""
KINDS = {"colors": 2, "suits": 4, "ranks": 13}
NO_ANSWER = -1


class Course(NamedTuple):
    """Episodes of B agents over T steps, which do not depend on the agents' actions."""

    seen: Tensor
    """Symbols shown at each step, as one-hot vectors side by side [T, B, S]."""
    answers: Tensor
    """Right actions [T, B]; -1 at steps without a question."""


class CardState(NamedTuple):
    """Course of B agents, their place in it, and their last step."""

    course: Course
    action: Tensor
    """Action of the previous step [B], initially 0."""
    reward: Tensor
    """Reward of the previous step [B]."""
    time: int
    """Number of steps since the start."""


class CardTask:
    """Base of the tasks: everything is decided when the cards are dealt; rewards score answers.

    An observation has the symbols that the task shows, as one-hot vectors; then the previous action
    as another, initially that of action 0; then 1 at the first step of an episode, else 0. The last
    two are what popgym's wrappers ``PreviousAction`` and ``Antialias`` add for its agents.

    Args:
        decks: number of decks of 52 cards.
        device: device of the states.

    Raises:
        InputError: there is less than one deck.
    """

    actions = SUITS
    """Number of actions."""
    piles = 1
    """Number of times that all cards are shuffled and dealt, side by side."""

    def __init__(self, decks: int = 1, *, device: torch.device | str = "cpu") -> None:
        if decks < 1:
            raise InputError(f"decks is {decks}; expected 1 or more")
        self.cards, self.device = DECK * decks, torch.device(device)
        seen, answers = self.course(*[torch.arange(self.cards).unsqueeze(1)] * self.piles)
        self.steps = len(seen)
        """Length T of an episode."""
        self.inputs = seen.shape[-1] + self.actions + 1
        """Size of an observation."""
        self.reward = 1 / int((answers != NO_ANSWER).sum())
        """Reward of a right answer."""

    def course(self, *piles: Tensor) -> Course:
        """Returns the episodes of shuffled piles of cards, each [N, B]."""
        raise NotImplementedError

    def begin(
        self, agents: int, random: torch.Generator, own: Callable[[Tensor, int], Tensor]
    ) -> tuple[CardState, Sequence[tuple[()]]]:
        """Deals the cards of new episodes; their steps need no more random numbers."""
        order = own(torch.rand(self.piles, agents, self.cards, generator=random).argsort(), 1)
        course = self.course(*order.mT)
        nothing = torch.zeros_like(course.answers[0], dtype=torch.float)
        return CardState(course, nothing.long(), nothing, 0), [()] * self.steps

    def observe(self, state: CardState) -> Tensor:
        """Returns the observations [B, O]."""
        action = F.one_hot(state.action, self.actions).float()
        first = torch.full_like(action[:, :1], float(state.time == 0))
        return torch.cat([state.course.seen[state.time], action, first], dim=1)

    def step(self, state: CardState, action: Tensor) -> CardState:
        """Scores the actions [B] as answers, and returns the state of the next step."""
        answer = state.course.answers[state.time]
        reward = torch.where(action == answer, self.reward, -self.reward)
        reward = reward * (answer != NO_ANSWER)
        return CardState(state.course, action, reward, state.time + 1)


class RepeatFirst(CardTask):
    """Task of recalling the suit of the first card, at every step.

    There are N = 52 · ``decks`` cards; one is shown at each of N - 1 steps, by its suit. At each
    step, the first included, the right action is the suit of the episode's first card. POPGym has
    1 deck (easy) and 8 decks (medium).

    Args:
        decks: number of decks.
        device: device of the states.

    Raises:
        InputError: there is less than one deck.

    Example:
        >>> task = RepeatFirst()
        >>> task.steps, task.actions, task.inputs
        (51, 4, 9)
    """

    def course(self, *piles: Tensor) -> Course:
        """Returns the episodes of piles of cards."""
        suits = piles[0] % SUITS
        return Course(one_hot(suits[:-1], SUITS), suits[:1].expand_as(suits[:-1]))


class RepeatPrevious(CardTask):
    """Task of recalling the suit of the k-th last card, counting the one that is shown.

    There are N = 52 · ``decks`` cards; one is shown at each of N - 1 steps, by its suit. Once k
    cards have been shown, the right action is the suit of the card that was shown k - 1 steps
    before. POPGym has 1 deck and k = 4 (easy), and 2 decks and k = 32 (medium).

    Args:
        decks: number of decks.
        k: number of cards from the right one to the last.
        device: device of the states.

    Raises:
        InputError: there is less than one deck, or k is not below the number of cards.

    Example:
        >>> task = RepeatPrevious(2, 32)
        >>> task.steps, task.actions, task.inputs
        (103, 4, 9)
    """

    def __init__(self, decks: int = 1, k: int = 4, *, device: torch.device | str = "cpu") -> None:
        if decks > 0 and not 1 <= k < DECK * decks:
            raise InputError(f"k is {k}; expected 1 to {DECK * decks - 1}")
        self.k = k
        super().__init__(decks, device=device)

    def course(self, *piles: Tensor) -> Course:
        """Returns the episodes of piles of cards."""
        suits = piles[0] % SUITS
        none = torch.full_like(suits[: self.k - 1], NO_ANSWER)
        return Course(one_hot(suits[:-1], SUITS), torch.cat([none, suits[: -self.k]]))


class Autoencode(CardTask):
    """Task of seeing all cards, then recalling their suits in reverse order.

    Each of N = 52 · ``decks`` cards is shown by its suit, with a symbol that says to watch or, from
    the last card on, to answer. At the last card, its own suit is right; the N - 1 steps after it
    show suit 0, and the suits of the earlier cards are right, in reverse order. POPGym has 1 deck
    (easy) and 2 decks (medium).

    Args:
        decks: number of decks.
        device: device of the states.

    Raises:
        InputError: there is less than one deck.

    Example:
        >>> task = Autoencode()
        >>> task.steps, task.actions, task.inputs
        (103, 4, 11)
    """

    def course(self, *piles: Tensor) -> Course:
        """Returns the episodes of piles of cards."""
        suits = piles[0] % SUITS
        watched = suits[:-1]
        shown = torch.cat([suits, torch.zeros_like(watched)])
        watch = torch.zeros_like(shown)
        watch[: len(watched)] = 1
        answers = torch.cat([torch.full_like(watched, NO_ANSWER), suits.flip(0)])
        return Course(torch.cat([one_hot(watch, 2), one_hot(shown, SUITS)], dim=-1), answers)


class CountRecall(CardTask):
    """Task of counting the cards of a kind that have been shown.

    There are two piles of N = 52 · ``decks`` cards; a card of each is shown at each of N - 1 steps,
    by its kind: its color, suit or rank. The right action is the number of cards of the first pile
    so far, the one that is shown included, that have the kind of the second pile's card. POPGym has
    1 deck and colors (easy), and 2 decks and suits (medium).

    Args:
        decks: number of decks.
        kinds: kinds that are counted: "colors", "suits" or "ranks".
        device: device of the states.

    Raises:
        InputError: there is less than one deck, or there are no such kinds.

    Example:
        >>> task = CountRecall(2, "suits")
        >>> task.steps, task.actions, task.inputs
        (103, 27, 36)
    """

    piles = 2

    def __init__(
        self, decks: int = 1, kinds: str = "colors", *, device: torch.device | str = "cpu"
    ) -> None:
        check_one_of(KINDS, kinds=kinds)
        self.kinds, self.each = KINDS[kinds], SUITS if kinds == "ranks" else 1
        self.actions = DECK * decks // self.kinds + 1
        super().__init__(decks, device=device)

    def course(self, *piles: Tensor) -> Course:
        """Returns the episodes of two piles of cards."""
        shown, asked = (one_hot(pile[:-1] // self.each % self.kinds, self.kinds) for pile in piles)
        counts = (shown.cumsum(0) * asked).sum(-1)
        return Course(torch.cat([shown, asked], dim=-1), counts.long())


def one_hot(symbols: Tensor, number: int) -> Tensor:
    """Returns symbols [...] as one-hot vectors [..., number]."""
    return F.one_hot(symbols, number).float()
