"""Cart with a pole whose velocities are hidden, for any number of agents at once.

Papers: Barto, Sutton, Anderson, *Neuronlike adaptive elements that can solve difficult learning
control problems*, 1983, for the mechanics; Morad et al., *POPGym*, ICLR 2023, arXiv 2303.01859.
"""

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from plastorch.engine.errors import InputError

GRAVITY = 9.8
"""Acceleration of gravity, m/s²."""
CART, POLE = 1.0, 0.1
"""Masses of cart and pole, kg."""
HALF = 0.5
"""Half the length of the pole, m."""
FORCE = 10.0
"""Size of the force on the cart, N."""
INTERVAL = 0.02
"""Duration of a step, s."""
EDGE, FALLEN = 2.4, math.radians(12)
"""Position, m, and angle, rad, beyond which an episode has ended."""
NARROW = 0.05
"""Bound of the four numbers of the state at the start."""
ACTIONS = 2
"""Number of actions: push to the left, push to the right."""


class PoleState(NamedTuple):
    """Carts of B agents, and their last step."""

    cart: Tensor
    """Position, velocity, angle and angular velocity [B, 4], float64; in m, m/s, rad and rad/s."""
    fallen: Tensor
    """Whether a pole has fallen, or its cart is out of bounds [B]."""
    action: Tensor
    """Action of the previous step [B], initially 0."""
    reward: Tensor
    """Reward of the previous step [B]."""
    time: int
    """Number of steps since the start."""


class PositionOnlyCartPole:
    """Task of balancing a pole on a cart without seeing how fast they move.

    An observation has the position of the cart and the angle of the pole, as shares of the bounds
    beyond which an episode ends; the previous action as a one-hot vector, initially that of action
    0; and 1 at the first step, else 0. The reward of each of T steps is 1/T. It is still given for
    the step at which the pole falls or the cart leaves its bounds, as in gymnasium; from then on
    the agent sees zeros, and there is no reward. The return is thus the share of the T steps in
    which the pole was balanced. POPGym has 200 steps (easy) and 400 steps (medium).

    Args:
        steps: length T of an episode.
        device: device of the states.

    Raises:
        InputError: there is less than one step.

    Example:
        >>> task = PositionOnlyCartPole(200)
        >>> task.steps, task.actions, task.inputs
        (200, 2, 5)
    """

    actions = ACTIONS
    inputs = 2 + ACTIONS + 1
    """Size of an observation."""

    def __init__(self, steps: int = 200, *, device: torch.device | str = "cpu") -> None:
        if steps < 1:
            raise InputError(f"steps is {steps}; expected 1 or more")
        self.steps, self.device = steps, torch.device(device)

    def begin(
        self, agents: int, random: torch.Generator, own: Callable[[Tensor, int], Tensor]
    ) -> tuple[PoleState, Sequence[tuple[()]]]:
        """Draws states near the upright one; later steps need no random numbers."""
        drawn = own(torch.rand(agents, 4, generator=random, dtype=torch.double), 0)
        cart = NARROW * (2 * drawn - 1)
        nothing = torch.zeros_like(cart[:, 0], dtype=torch.float)
        return PoleState(cart, nothing.bool(), nothing.long(), nothing, 0), [()] * self.steps

    def observe(self, state: PoleState) -> Tensor:
        """Returns the observations [B, 5]."""
        seen = torch.stack([state.cart[:, 0] / EDGE, state.cart[:, 2] / FALLEN], dim=1).float()
        action = F.one_hot(state.action, ACTIONS).float()
        first = torch.full_like(action[:, :1], float(state.time == 0))
        return torch.cat([seen, action, first], dim=1) * ~state.fallen.unsqueeze(1)

    def step(self, state: PoleState, action: Tensor) -> PoleState:
        """Pushes the carts to the left, action 0, or to the right, action 1."""
        cart = moved(state.cart, FORCE * (2 * action.double() - 1))
        reward = ~state.fallen / self.steps
        place, _, angle, _ = cart.unbind(1)
        fallen = state.fallen | (place.abs() > EDGE) | (angle.abs() > FALLEN)
        cart = torch.where(state.fallen.unsqueeze(1), state.cart, cart)
        return PoleState(cart, fallen, action, reward, state.time + 1)


def moved(cart: Tensor, force: Tensor) -> Tensor:
    """Computes a step of Euler's method: place, velocity, angle, angular velocity [B, 4].

    With masses m of the pole and M of both, half the pole's length l and force f [B],

    ``u = (f + m l ω² sin θ) / M; ω' = (g sin θ - u cos θ) / (l (4/3 - m cos² θ / M));
    v' = u - m l ω' cos θ / M``.
    """
    _, velocity, angle, spin = cart.unbind(1)
    both, arm = CART + POLE, POLE * HALF
    sine, cosine = angle.sin(), angle.cos()
    push = (force + arm * spin**2 * sine) / both
    turned = (GRAVITY * sine - push * cosine) / (HALF * (4 / 3 - POLE * cosine**2 / both))
    pushed = push - arm * turned * cosine / both
    return cart + INTERVAL * torch.stack([velocity, pushed, spin, turned], dim=1)
