"""A stop in the middle of the training of agents."""

import signal
from collections.abc import Callable
from typing import Any

import pytest

from plastorch.rl.a2c import ActorCriticTraining


@pytest.fixture
def stop_at(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], list[int]]:
    """Function that has a given step, counted from 1, ask for a stop; the list that it returns
    gets the number of each step."""

    def stopping_at(stop: int) -> list[int]:
        step, steps = ActorCriticTraining.step, []

        def stopping(self: ActorCriticTraining) -> Any:
            steps.append(len(steps) + 1)
            if steps[-1] == stop:
                signal.raise_signal(signal.SIGINT)
            return step(self)

        monkeypatch.setattr(ActorCriticTraining, "step", stopping)
        return steps

    return stopping_at
