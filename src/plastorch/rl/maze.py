"""Maze with a hidden reward, for any number of agents at once.

Each agent looks for a cell that stays the same for an episode. Whenever it reaches the cell, it
is rewarded and moved elsewhere. It pays to find the cell once and remember it.

Papers: Miconi, Rawal, Clune, Stanley, *Backpropamine*, ICLR 2019; Garcia Rodriguez et al., ICML
2022, arXiv 2206.14048.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from plastorch.engine.errors import InputError

ACTIONS = 4
"""Number of actions: up, down, left, right."""
OBSERVATION = 17
"""Size of an observation."""


class MazeState(NamedTuple):
    """Positions of B agents and their last step; cells are indices into the list of free cells."""

    position: Tensor
    """Cell of each agent [B]."""
    goal: Tensor
    """Cell of each agent's reward [B]."""
    reward: Tensor
    """Reward of the previous step [B]."""
    action: Tensor
    """Action of the previous step [B]."""
    time: int
    """Number of steps since the start."""


def walls(size: int) -> Tensor:
    """Returns the maze [size, size]: True for walls, all around and as pillars between the paths.

    Pillars stand at even rows and columns, except in the center. The size is odd, from 5.
    """
    if size < 5 or size % 2 == 0:
        raise InputError(f"size is {size}; expected an odd number from 5")
    maze = torch.ones(size, size, dtype=torch.bool)
    maze[1:-1, 1:-1] = False
    maze[::2, ::2] = True
    maze[size // 2, size // 2] = False
    return maze


def free_cells(maze: Tensor) -> Tensor:
    """Lists row and column of every cell without a wall, row by row, the center last: [N, 2]."""
    center = torch.tensor(maze.shape) // 2
    cells = (~maze).nonzero()
    others = (cells != center).any(1)
    return torch.cat([cells[others], cells[~others]])


class Maze:
    """Rules of the game, stored as lookup tables for all agents.

    Agents start in the center. An observation has 17 numbers: 0-8, walls of the 3x3 cells around
    the agent, row by row; 9, always 0; 10, always 1; 11, time over episode length; 12, previous
    reward; 13-16, previous action, one-hot, initially "up".

    Args:
        size: number of cells along a side, walls included; odd.
        steps: length T of an episode.
        reward: reward for reaching the goal.
        wall_penalty: penalty for walking into a wall.
        faithful: whether to draw the next cell of the k-th rewarded agent among those that are not
            the goal of agent k of all agents, as the paper's code does; otherwise the agent's own
            goal is excluded.
        device: device of the tables and states.

    Raises:
        InputError: :func:`walls` rejects the size, or there is less than one step.

    Example:
        >>> maze = Maze(5)
        >>> state = maze.start(torch.tensor([0, 7]))
        >>> maze.observe(state).shape
        torch.Size([2, 17])
        >>> up = maze.step(state, torch.tensor([0, 0]), torch.tensor([3, 3]))
        >>> maze.step(up, torch.tensor([2, 2]), torch.tensor([3, 3])).reward
        tensor([10.,  0.])
    """

    inputs, actions = OBSERVATION, ACTIONS

    def __init__(
        self,
        size: int = 13,
        steps: int = 200,
        *,
        reward: float = 10.0,
        wall_penalty: float = 0.0,
        faithful: bool = False,
        device: torch.device | str = "cpu",
    ) -> None:
        if steps < 1:
            raise InputError(f"steps is {steps}; expected 1 or more")
        self.steps, self.reward, self.wall_penalty = steps, reward, wall_penalty
        self.faithful, self.device = faithful, torch.device(device)
        self.walls = walls(size)
        cells = free_cells(self.walls)
        self.cells = len(cells)
        """Number of free cells N."""
        self.moves = _moves(self.walls, cells).to(device)
        """Cell that each action reaches from each cell [N, 4]; the same cell at a wall."""
        self.views = _views(self.walls, cells).to(device)
        """Time-independent part of the observation in each cell [N, 17]."""
        self._one_hot = torch.eye(ACTIONS, device=device)

    def begin(
        self, agents: int, random: torch.Generator, own: Callable[[Tensor, int], Tensor]
    ) -> tuple[MazeState, Sequence[tuple[Tensor]]]:
        """Draws goals, and the numbers of each step; see :class:`plastorch.rl.a2c.Environment`."""
        goal = torch.randint(self.cells, (agents,), generator=random)
        draws = torch.randint(self.cells - 1, (self.steps, agents), generator=random)
        return self.start(own(goal, 0)), [(draw,) for draw in own(draws, 1)]

    def start(self, goal: Tensor) -> MazeState:
        """Places the agents in the center at time 0.

        Args:
            goal: cell of each agent's reward [B], below N.

        Returns:
            The initial state.
        """
        position = torch.full_like(goal, self.cells - 1)
        return MazeState(position, goal, torch.zeros(goal.shape, device=goal.device), 0 * goal, 0)

    def observe(self, state: MazeState) -> Tensor:
        """Returns the observations [B, 17]."""
        seen = self.views.index_select(0, state.position)
        seen[:, 11] = state.time / self.steps
        seen[:, 12] = state.reward
        seen[:, 13:] = self._one_hot.index_select(0, state.action)
        return seen

    def step(self, state: MazeState, action: Tensor, draw: Tensor) -> MazeState:
        """Moves the agents; those on their goal are rewarded and moved elsewhere.

        Args:
            state: current state.
            action: action of each agent [B]: 0 up, 1 down, 2 left, 3 right.
            draw: random number of each agent [B], below N - 1: index of a rewarded agent's next
                cell among those that are not the goal. If ``faithful``, the first rewarded agent
                takes the first number, and so on.

        Returns:
            The next state.
        """
        position = self.moves.view(-1)[state.position * ACTIONS + action]
        reached = position == state.goal
        reward = reached * self.reward
        if self.wall_penalty:
            reward = reward - (position == state.position) * self.wall_penalty
        goal = state.goal
        if self.faithful:
            rank = (reached.cumsum(0) - 1).clamp(min=0)
            draw, goal = draw[rank], goal[rank]
        elsewhere = draw + (draw >= goal)  # index among all N cells
        position = torch.where(reached, elsewhere, position)
        return MazeState(position, state.goal, reward, action, state.time + 1)


def distances(maze: Maze) -> Tensor:
    """Computes shortest path lengths between all free cells [N, N] by breadth-first search."""
    cells = torch.arange(maze.cells)
    found = torch.where(cells == cells.unsqueeze(1), 0, maze.cells)
    for _ in range(maze.cells):
        nearest = torch.minimum(found, found[maze.moves.cpu()].amin(1) + 1)
        if torch.equal(nearest, found):
            break
        found = nearest
    return found


def shortest_path_reward(maze: Maze) -> float:
    """Returns the reward per episode of shortest paths to the goal from random other cells.

    For each goal this is T over the mean distance, averaged over goals.
    """
    length = distances(maze).double().sum(1) / (maze.cells - 1)
    return maze.reward * maze.steps * float((1 / length).mean())


def random_reward(maze: Maze) -> float:
    """Returns the mean reward per episode of random actions, from position probabilities.

    Exact without a wall penalty. If ``faithful``, it holds for many agents, where a rewarded agent
    may move to any cell, its goal included.
    """
    n = maze.cells
    walk = torch.zeros(n, n, dtype=torch.float64)
    walk.scatter_add_(1, maze.moves.cpu(), torch.full((n, ACTIONS), 1 / ACTIONS).double())
    chance = torch.zeros(n, n, dtype=torch.float64)  # probability of each position, for each goal
    chance[:, -1] = 1
    visits = 0.0
    for _ in range(maze.steps):
        chance = chance @ walk
        reached = chance.diagonal().clone()
        visits += float(reached.sum())
        chance.fill_diagonal_(0)
        chance += reached.unsqueeze(1) / (n if maze.faithful else n - 1)
        if not maze.faithful:
            chance.fill_diagonal_(0)
    return maze.reward * visits / n


def _moves(maze: Tensor, cells: Tensor) -> Tensor:
    place = torch.full(maze.shape, -1)
    place[cells[:, 0], cells[:, 1]] = torch.arange(len(cells))
    ways = torch.tensor([[-1, 0], [1, 0], [0, -1], [0, 1]])
    row, column = (cells.unsqueeze(1) + ways).unbind(-1)
    there = place[row, column]
    return torch.where(there < 0, torch.arange(len(cells)).unsqueeze(1), there)


def _views(maze: Tensor, cells: Tensor) -> Tensor:
    around = maze.unfold(0, 3, 1).unfold(1, 3, 1)  # of the cell one down, one right
    views = torch.zeros(len(cells), OBSERVATION)
    views[:, :9] = around[cells[:, 0] - 1, cells[:, 1] - 1].reshape(-1, 9).float()
    views[:, 10] = 1
    return views
