"""The maze: its walls, its rules against a walk written out, and what agents gain in it."""

from collections import deque
from itertools import product

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from plastorch.engine.errors import InputError
from plastorch.rl.maze import (
    Maze,
    MazeState,
    distances,
    free_cells,
    random_reward,
    shortest_path_reward,
    walls,
)

WAYS = ((-1, 0), (1, 0), (0, -1), (0, 1))
odd = st.integers(2, 7).map(lambda half: 2 * half + 1)


@settings(max_examples=10)
@given(odd)
def test_walls_are_the_rim_and_pillars(size: int) -> None:
    maze = walls(size)
    for row, column in product(range(size), repeat=2):
        rim = row in (0, size - 1) or column in (0, size - 1)
        pillar = row % 2 == 0 and column % 2 == 0
        assert bool(maze[row, column]) == ((rim or pillar) and (row, column) != (size // 2,) * 2)


@pytest.mark.parametrize(("size", "count"), [(5, 9), (7, 21), (9, 41), (13, 97)])
def test_free_cells_are_in_order_with_the_center_last(size: int, count: int) -> None:
    *others, center = free_cells(walls(size)).tolist()
    assert len(others) == count - 1 and center == [size // 2] * 2
    assert others == sorted(others) and center not in others
    assert not any(walls(size)[row, column] for row, column in others)


class Walk:
    """One agent, step by step, on a grid of rows and columns."""

    def __init__(self, size: int, steps: int, penalty: float, goal: int) -> None:
        self.maze, self.steps, self.penalty = walls(size).tolist(), steps, penalty
        self.cells = [tuple(cell) for cell in free_cells(walls(size)).tolist()]
        self.at, self.goal = self.cells[-1], self.cells[goal]
        self.time, self.reward, self.action = 0, 0.0, 0

    def observe(self) -> list[float]:
        row, column = self.at
        around = [self.maze[row + i][column + j] for i in (-1, 0, 1) for j in (-1, 0, 1)]
        action = [float(self.action == i) for i in range(4)]
        return [*map(float, around), 0.0, 1.0, self.time / self.steps, self.reward, *action]

    def step(self, action: int, draw: int) -> None:
        row, column = (x + way for x, way in zip(self.at, WAYS[action], strict=True))
        self.reward, self.action, self.time = 0.0, action, self.time + 1
        if self.maze[row][column]:
            self.reward -= self.penalty
        else:
            self.at = (row, column)
        if self.at == self.goal:
            self.reward += 10
            self.at = [cell for cell in self.cells if cell != self.goal][draw]


@settings(max_examples=25)
@given(odd, st.sampled_from([0.0, 0.25]), st.integers(0, 2**31))
def test_agents_see_and_gain_what_single_walks_do(size: int, penalty: float, seed: int) -> None:
    random = torch.Generator().manual_seed(seed)
    agents, steps = 6, 30
    maze = Maze(size, steps, wall_penalty=penalty)
    goals = torch.randint(maze.cells, (agents,), generator=random)
    goals[0] = maze.cells - 1  # where agents start
    walks = [Walk(size, steps, penalty, int(goal)) for goal in goals]
    state = maze.start(goals)
    for _ in range(steps):
        expected = torch.tensor([walk.observe() for walk in walks])
        assert torch.equal(maze.observe(state), expected)
        action = torch.randint(4, (agents,), generator=random)
        draw = torch.randint(maze.cells - 1, (agents,), generator=random)
        state = maze.step(state, action, draw)
        for walk, *numbers in zip(walks, action.tolist(), draw.tolist(), strict=True):
            walk.step(*numbers)


def all_at_their_goals(faithful: bool) -> tuple[Maze, MazeState]:
    """Agents that an upward step against the upper wall rewards, all but the second."""
    maze = Maze(5, faithful=faithful)
    state = maze.start(torch.tensor([0, 1, 2]))
    return maze, state._replace(position=torch.tensor([0, 8, 2]))


def test_rewarded_agents_go_on_anywhere_but_at_their_goal() -> None:
    maze, state = all_at_their_goals(False)
    found = set()
    for draw in range(maze.cells - 1):
        after = maze.step(state, torch.tensor([0, 1, 0]), torch.full((3,), draw))
        assert after.reward.tolist() == [10, 0, 10] and after.time == 1
        assert after.position[1] == 6  # below the center, whatever was drawn
        assert bool((after.position[[0, 2]] != state.goal[[0, 2]]).all())
        found.add(tuple(after.position[[0, 2]].tolist()))
    assert [sorted(cells) for cells in zip(*found, strict=True)] == [
        [cell for cell in range(9) if cell != goal] for goal in (0, 2)
    ]


def test_faithful_takes_numbers_and_goals_in_the_order_of_rewards() -> None:
    """The third agent, rewarded second, takes the second number and the second agent's goal."""
    maze, state = all_at_their_goals(True)
    after = maze.step(state, torch.tensor([0, 1, 0]), torch.tensor([4, 1, 7]))
    assert after.position.tolist() == [5, 6, 2]  # at its own goal, the cell after cell 1
    assert Maze(5).step(state, torch.tensor([0, 1, 0]), torch.tensor([4, 1, 7]))[0][2] == 8


def test_distances_are_those_of_a_search_from_each_cell() -> None:
    maze = Maze(9)
    cells = [tuple(cell) for cell in free_cells(maze.walls).tolist()]
    for start, row in zip(cells, distances(maze).tolist(), strict=True):
        found, queue = {start: 0}, deque([start])
        while queue:
            at = queue.popleft()
            for way in WAYS:
                there = (at[0] + way[0], at[1] + way[1])
                if there in cells and there not in found:
                    found[there] = found[at] + 1
                    queue.append(there)
        assert row == [found[cell] for cell in cells]


@pytest.mark.parametrize("faithful", [False, True])
def test_random_actions_gain_what_probabilities_say(faithful: bool) -> None:
    """An estimate with the rules of the paper's code was 5.58 ± 0.06."""
    agents, random = 6000, torch.Generator().manual_seed(0)
    maze = Maze(13, faithful=faithful)
    state = maze.start(torch.randint(maze.cells, (agents,), generator=random))
    actions = torch.randint(4, (maze.steps, agents), generator=random)
    draws = torch.randint(maze.cells - 1, (maze.steps, agents), generator=random)
    rewards = torch.zeros(agents)
    for action, draw in zip(actions, draws, strict=True):
        state = maze.step(state, action, draw)
        rewards += state.reward
    error = float(rewards.std()) / agents**0.5
    assert abs(float(rewards.mean()) - random_reward(maze)) < 3 * error
    assert error < 0.12 and abs(random_reward(maze) - 5.58) < 2 * 0.06


def test_shortest_paths_gain_what_walking_them_does() -> None:
    """Agents that follow the distances; the first path is from the center, the last one is cut."""
    maze, agents = Maze(9, steps=400), 500
    random = torch.Generator().manual_seed(0)
    away = distances(maze)
    state = maze.start(torch.randint(maze.cells, (agents,), generator=random))
    rewards = torch.zeros(agents)
    for _ in range(maze.steps):
        action = away[maze.moves[state.position], state.goal.unsqueeze(1)].argmin(1)
        draw = torch.randint(maze.cells - 1, (agents,), generator=random)
        state = maze.step(state, action, draw)
        rewards += state.reward
    assert float(rewards.mean()) == pytest.approx(shortest_path_reward(maze), rel=0.02)
    assert shortest_path_reward(Maze(13)) == pytest.approx(271, abs=0.5)


@pytest.mark.parametrize("size", [-1, 0, 3, 6, 12])
def test_bad_sizes(size: int) -> None:
    with pytest.raises(InputError, match=f"size is {size}; expected an odd number from 5"):
        Maze(size)


def test_bad_steps() -> None:
    with pytest.raises(InputError, match="steps is 0"):
        Maze(5, steps=0)
