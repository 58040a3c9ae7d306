"""The cart with a pole: mechanics against a walk written out, falls, returns, and bad input."""

import math

import pytest
import torch
from torch import Tensor

from plastorch.engine.errors import InputError
from plastorch.rl.cart_pole import PositionOnlyCartPole, moved


def whole(drawn: Tensor, dim: int) -> Tensor:
    return drawn


def solved(state: list[float], force: float) -> list[float]:
    """Accelerations from Newton's two equations, solved as a linear system, and Euler's step.

    ``M v' + m l ω' cos θ = f + m l ω² sin θ; v' cos θ + 4/3 l ω' = g sin θ``
    """
    x, v, angle, spin = state
    masses = torch.tensor(
        [[1.1, 0.05 * math.cos(angle)], [math.cos(angle), 4 / 3 * 0.5]], dtype=torch.double
    )
    forces = [force + 0.05 * spin**2 * math.sin(angle), 9.8 * math.sin(angle)]
    pushed, turned = torch.linalg.solve(masses, torch.tensor(forces, dtype=torch.double)).tolist()
    return [x + 0.02 * v, v + 0.02 * pushed, angle + 0.02 * spin, spin + 0.02 * turned]


def test_carts_move_as_newtons_equations_say() -> None:
    random = torch.Generator().manual_seed(0)
    carts = torch.randn(20, 4, generator=random, dtype=torch.double)
    force = 10 * torch.randn(20, generator=random, dtype=torch.double)
    expected = [solved(*pair) for pair in zip(carts.tolist(), force.tolist(), strict=True)]
    torch.testing.assert_close(moved(carts, force), torch.tensor(expected, dtype=torch.double))


def test_agents_see_and_gain_what_single_carts_do() -> None:
    """With random pushes poles fall; what is seen then is zeros, and there is no reward."""
    task, random = PositionOnlyCartPole(60), torch.Generator().manual_seed(0)
    state, draws = task.begin(8, random, whole)
    assert bool((state.cart.abs() <= 0.05).all()) and state.cart.dtype == torch.double
    carts, fallen, last = state.cart.tolist(), [False] * 8, [0] * 8
    total = torch.zeros(8)
    for time, draw in enumerate(draws):
        expected = [
            [0.0] * 5
            if down
            else [x / 2.4, angle / math.radians(12), action == 0, action == 1, time == 0]
            for (x, _, angle, _), down, action in zip(carts, fallen, last, strict=True)
        ]
        torch.testing.assert_close(task.observe(state), torch.tensor(expected))
        action = torch.randint(2, (8,), generator=random)
        state, last = task.step(state, action, *draw), action.tolist()
        rewards = [(not down) / 60 for down in fallen]
        torch.testing.assert_close(state.reward, torch.tensor(rewards))
        total += state.reward
        for i, push in enumerate(last):
            if not fallen[i]:
                carts[i] = solved(carts[i], 20 * push - 10)
                fallen[i] = abs(carts[i][0]) > 2.4 or abs(carts[i][2]) > math.radians(12)
    assert state.fallen.tolist() == fallen and state.time == 60
    assert sum(fallen) > 4 and float(total.min()) < 0.5


def test_who_knows_the_velocities_returns_1() -> None:
    """A linear rule of all four numbers balances poles to the end."""
    task = PositionOnlyCartPole(200)
    state, draws = task.begin(50, torch.Generator().manual_seed(0), whole)
    total = torch.zeros(50, dtype=torch.double)
    for draw in draws:
        rule = state.cart @ torch.tensor([0.1, 0.3, 1.0, 0.5], dtype=torch.double)
        state = task.step(state, (rule > 0).long(), *draw)
        total += state.reward
    torch.testing.assert_close(total, torch.ones_like(total), atol=1e-6, rtol=0)


def test_bad_steps() -> None:
    with pytest.raises(InputError, match="steps is 0; expected 1 or more"):
        PositionOnlyCartPole(0)
