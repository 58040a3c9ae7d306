"""The maze: a recorded episode, what must hold for every agent, and the levels to beat."""

import json

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from plastorch.engine.errors import InputError
from plastorch.rl.maze import (
    ACTIONS,
    Maze,
    distances,
    free_cells,
    random_reward,
    shortest_path_reward,
    walls,
)


def test_golden_episode(pytestconfig: pytest.Config) -> None:
    golden = json.loads((pytestconfig.getoption("--golden") / "stpn.json").read_text())
    (case,) = [case for case in golden["cases"] if case["name"] == "maze_episode_a2c_loss"]
    config, inputs = case["config"], case["inputs"]
    maze = Maze(config["msize"], config["eplen"], config["rew"], config["wp"], faithful=True)
    assert maze.walls.int().tolist() == inputs["maze"]
    assert free_cells(maze.walls).tolist() == inputs["free_cells"]
    goal, *draws = inputs["random_integers"]
    state = maze.start(torch.tensor(goal))
    for action, draw, expected in zip(
        inputs["actions"], draws, case["outputs"]["observations"], strict=True
    ):
        torch.testing.assert_close(maze.observe(state), torch.tensor(expected))
        drawn = torch.tensor(draw + [0] * (len(goal) - len(draw)))
        state = maze.step(state, torch.tensor(action), drawn)


@settings(max_examples=6, deadline=None)
@given(st.integers(0, 10**6), st.sampled_from([5, 7, 13]))
def test_agents_walk_free_cells_and_are_rewarded_at_their_goal(seed: int, size: int) -> None:
    random = torch.Generator().manual_seed(seed)
    maze, agents = Maze(size, steps=30), 8
    cells = free_cells(maze.walls)
    state = maze.start(torch.randint(maze.cells, (agents,), generator=random))
    for _ in range(30):
        action = torch.randint(ACTIONS, (agents,), generator=random)
        draw = torch.randint(maze.cells - 1, (agents,), generator=random)
        new = maze.step(state, action, draw)
        for b in range(agents):
            row, column = cells[state.position[b]].tolist()
            step = [(-1, 0), (1, 0), (0, -1), (0, 1)][int(action[b])]
            there = [row + step[0], column + step[1]]
            wall = bool(maze.walls[there[0], there[1]])
            there = [row, column] if wall else there
            if there == cells[state.goal[b]].tolist():
                assert new.reward[b] == 10 and new.position[b] != state.goal[b]
            else:
                assert new.reward[b] == 0 and cells[new.position[b]].tolist() == there
            seen = maze.observe(new)[b]
            row, column = cells[new.position[b]].tolist()
            patch = maze.walls[row - 1 : row + 2, column - 1 : column + 2].float().flatten()
            assert torch.equal(seen[:9], patch) and seen[9] == 0 and seen[10] == 1
            assert seen[11] == pytest.approx(new.time / 30) and seen[12] == new.reward[b]
            assert int(seen[13:].argmax()) == action[b] and seen[13:].sum() == 1
        state = new


def test_rewarded_agents_go_to_every_other_cell_alike() -> None:
    maze = Maze(5)
    goal = torch.full((8,), 3)
    state = maze.start(goal)._replace(position=torch.full((8,), 8))
    left = maze.step(state, torch.full((8,), 2), torch.arange(8))
    assert sorted(left.position.tolist()) == [0, 1, 2, 4, 5, 6, 7, 8]


def test_thirteen_cells_a_side_leave_97_free() -> None:
    assert len(free_cells(walls(13))) == 97 and free_cells(walls(13))[-1].tolist() == [6, 6]


def test_random_walk_is_rewarded_as_computed() -> None:
    """The exact mean against a simulation, within four standard errors."""
    maze, random = Maze(7, steps=50), torch.Generator().manual_seed(0)
    agents = 4000
    state = maze.start(torch.randint(maze.cells, (agents,), generator=random))
    total = torch.zeros(agents)
    for _ in range(50):
        action = torch.randint(ACTIONS, (agents,), generator=random)
        state = maze.step(state, action, torch.randint(maze.cells - 1, (agents,), generator=random))
        total += state.reward
    error = float(total.std()) / agents**0.5
    assert abs(float(total.mean()) - random_reward(maze)) < 4 * error


def test_levels_to_beat() -> None:
    """Near what the paper's code gives, whose agents may be put down on their goal."""
    assert random_reward(Maze(13)) == pytest.approx(5.58, abs=0.2)
    assert random_reward(Maze(9)) == pytest.approx(15.15, abs=0.5)
    assert shortest_path_reward(Maze(13)) == pytest.approx(271, abs=0.5)
    between = distances(Maze(7))
    assert torch.equal(between, between.mT) and not between.diagonal().any()


def test_walking_into_a_wall_costs_its_penalty() -> None:
    maze = Maze(5, wall_penalty=0.25)
    state = maze.start(torch.tensor([0]))
    above = maze.step(state, torch.tensor([0]), torch.tensor([0]))
    assert above.reward.item() == 0
    stuck = maze.step(above, torch.tensor([0]), torch.tensor([0]))
    assert stuck.reward.item() == -0.25 and torch.equal(stuck.position, above.position)


@pytest.mark.parametrize(
    ("setting", "words"),
    [({"size": 4}, "size is 4"), ({"size": 3}, "size is 3"), ({"steps": 0}, "steps is 0")],
)
def test_bad_settings(setting: dict[str, int], words: str) -> None:
    with pytest.raises(InputError, match=words):
        Maze(**setting)
