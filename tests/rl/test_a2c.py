"""Actor-critic: the paper's numbers, the objective written out, both passes, and a training."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from plastorch.engine.errors import InputError
from plastorch.engine.streams import stream
from plastorch.learning.phases import run_phase
from plastorch.rl.a2c import (
    ActorCritic,
    ActorCriticTraining,
    Episode,
    a2c_loss,
    backpropagate,
    mean_energy,
    play,
    returns,
)
from plastorch.rl.cards import RepeatPrevious
from plastorch.rl.maze import Maze, free_cells
from plastorch.stp import STPN
from plastorch.stp.baselines import GRU, LSTM, RNN, ModulatedPlasticity

CORES = {
    "stpn": lambda: STPN(17, 6, norm="post", clamp=1.0),
    "rnn": lambda: RNN(17, 6),
    "lstm": lambda: LSTM(17, 6),
    "modulated": lambda: ModulatedPlasticity(17, 6),
}


def network(name: str = "stpn") -> ActorCritic:
    torch.manual_seed(0)
    return ActorCritic(CORES[name](), 6)


def recorded(case: dict[str, Any], maze: Maze) -> tuple[Tensor, Tensor, Tensor]:
    """Observations, actions and rewards of a golden episode, from its actions and draws."""
    goals, *draws = case["inputs"]["random_integers"]
    actions = torch.tensor(case["inputs"]["actions"])
    state = maze.start(torch.tensor(goals))
    seen, rewards = [], []
    for action, drawn in zip(actions, draws, strict=True):
        seen.append(maze.observe(state))
        draw = torch.tensor(drawn + [0] * (len(action) - len(drawn)))
        state = maze.step(state, action, draw)
        rewards.append(state.reward)
    return torch.stack(seen), actions, torch.stack(rewards)


def test_golden_episode(golden_case: Callable[[str, str], dict[str, Any]]) -> None:
    case = golden_case("stpn", "maze_episode_a2c_loss")
    config, hidden = case["config"], case["dims"]["H"]
    maze = Maze(
        config["msize"],
        config["eplen"],
        reward=config["rew"],
        wall_penalty=config["wp"],
        faithful=True,
    )
    assert maze.walls.int().tolist() == case["inputs"]["maze"]
    assert free_cells(maze.walls).tolist() == case["inputs"]["free_cells"]
    seen, actions, rewards = recorded(case, maze)
    assert torch.equal(seen, torch.tensor(case["outputs"]["observations"]))

    net = ActorCritic(STPN(17, hidden, norm=config["norm"], clamp=config["clamp"]), hidden)
    places = {"h2o": net.actor, "h2v": net.critic, "rnn": net.core.cells[0]}
    ours = {
        golden: getattr(places[golden.split(".")[0]], golden.split(".")[-1])
        for golden in case["params"]
    }
    with torch.no_grad():
        for golden, value in case["params"].items():
            ours[golden].copy_(torch.tensor(value))
    scores, values, _ = net(seen)
    close = torch.testing.assert_close
    close(scores, torch.tensor(case["outputs"]["action_scores"]), rtol=0, atol=2e-5)
    close(values, torch.tensor(case["outputs"]["values"]), rtol=0, atol=2e-5)
    energy = net.core.energy(seen).mean((1, 2))
    close(energy, torch.tensor(case["outputs"]["energy_mean_per_step"]), rtol=2e-5, atol=2e-5)

    weights = {
        "discount": config["gr"],
        "concentration": config["bent"],
        "value_weight": config["blossv"],
    }
    loss = a2c_loss(scores, values, actions, rewards, faithful=True, **weights)
    close(loss, torch.tensor(case["loss_value"]), rtol=1e-5, atol=0)
    episode = Episode(seen, scores.detach(), values.detach(), actions, rewards)
    backpropagate(net, episode, faithful=True)
    for golden, grad in case["grads"].items():
        close(ours[golden].grad, torch.tensor(grad), rtol=1e-4, atol=2e-5)
    norm = nn.utils.clip_grad_norm_(net.parameters(), config["gc"])
    assert float(norm) == pytest.approx(case["grad_norm_before_clip"], rel=1e-5)


@pytest.mark.parametrize("faithful", [False, True])
def test_the_loss_is_the_papers_written_out(faithful: bool) -> None:
    torch.manual_seed(0)
    steps, agents, discount = 5, 3, 0.9
    scores = torch.randn(steps, agents, 4, dtype=torch.float64)
    values, rewards = torch.randn(2, steps, agents, dtype=torch.float64)
    actions = torch.randint(4, (steps, agents))
    total = 0.0
    for b in range(agents):
        later = 0.0
        for t in reversed(range(steps)):
            later = float(rewards[t, b]) + discount * later
            y = scores[t, b].softmax(0)
            advantage = later - float(values[t, 0 if faithful else b])
            total += 0.03 * float(y.square().sum()) + 0.1 * advantage**2
            total -= float(y[actions[t, b]].log()) * advantage
    loss = a2c_loss(scores, values, actions, rewards, faithful=faithful)
    assert float(loss) == pytest.approx(total / (steps * agents))


@pytest.mark.parametrize("faithful", [False, True])
def test_the_policy_has_no_gradient_through_the_advantage(faithful: bool) -> None:
    """Values learn from their own term, -2 w A / (T B); if faithful, the first agent's alone."""
    torch.manual_seed(0)
    scores, rewards = torch.randn(4, 3, 4), torch.randn(4, 3)
    values = torch.randn(4, 3, requires_grad=True)
    a2c_loss(scores, values, torch.zeros(4, 3).long(), rewards, faithful=faithful).backward()
    base = values.detach()[:, :1] if faithful else values.detach()
    expected = -0.2 * (returns(rewards) - base) / 12
    if faithful:
        expected = torch.cat([expected.sum(1, keepdim=True), torch.zeros(4, 2)], 1)
    torch.testing.assert_close(values.grad, expected)


@pytest.mark.parametrize("name", CORES)
def test_acting_and_learning_compute_the_same(name: str) -> None:
    net = network(name)
    episode = play(net, Maze(7, steps=40), 5, stream(1))
    scores, values, _ = net(episode.observations)
    assert scores.requires_grad and not episode.scores.requires_grad
    torch.testing.assert_close(episode.scores, scores, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(episode.values, values, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("faithful", [False, True])
@pytest.mark.parametrize("name", CORES)
def test_a_few_agents_at_a_time_have_the_gradients_of_all(
    name: str, faithful: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("plastorch.rl.a2c.CPU_AGENTS", 2)
    net = network(name)
    episode = play(net, Maze(5, steps=15), 5, stream(1))
    assert episode.rewards.sum() > 0
    scores, values, _ = net(episode.observations)
    a2c_loss(scores, values, episode.actions, episode.rewards, faithful=faithful).backward()
    trained = [parameter for parameter in net.parameters() if parameter.requires_grad]
    expected = [parameter.grad for parameter in trained]
    net.zero_grad()
    backpropagate(net, episode, faithful)
    for parameter, grad in zip(trained, expected, strict=True):
        torch.testing.assert_close(parameter.grad, grad, rtol=1e-4, atol=1e-6)


class Constant(nn.Module):
    """A core that is silent: scores are the actor's biases."""

    def forward(self, x: Tensor, state: None = None) -> tuple[Tensor, None]:
        return x.new_zeros(*x.shape[:2], 1), None


def test_actions_have_the_probabilities_of_their_scores() -> None:
    """Chi-squared below the 99.9 % quantile for 3 degrees of freedom; agents differ."""
    net = ActorCritic(Constant(), 1)
    scores = torch.tensor([0.0, 1.0, -2.0, 0.5])
    with torch.no_grad():
        net.actor.bias.copy_(scores)
    actions = play(net, Maze(5, steps=50), 200, stream(1)).actions
    expected = scores.softmax(0) * actions.numel()
    counts = torch.bincount(actions.flatten(), minlength=4)
    assert float(((counts - expected).square() / expected).sum()) < 16.3
    assert len(set(map(tuple, actions.mT.tolist()))) == 200


def test_episodes_follow_from_the_generator_alone() -> None:
    net, maze = network(), Maze(5, steps=10)
    first, other = play(net, maze, 4, stream(1)), play(net, maze, 4, stream(2))
    torch.manual_seed(7)
    for a, b in zip(first, play(net, maze, 4, stream(1)), strict=True):
        assert torch.equal(a, b)
    assert not torch.equal(first.actions, other.actions)


def training(net: ActorCritic, iterations: int = 25, **settings: Any) -> ActorCriticTraining:
    maze = Maze(5, steps=10)
    return ActorCriticTraining(
        "test", net, maze, agents=6, iterations=iterations, path=(3, 1), **settings
    )


def test_records_have_the_mean_reward_since_the_last_one() -> None:
    net = network()
    phase = training(net, learning_rate=0.0)
    records = run_phase(phase)
    assert [record["iteration"] for record in records] == [10, 20, 25]
    rewards = [
        float(play(net, phase.environment, 6, stream(3, 1, i)).rewards.sum(0).mean())
        for i in range(25)
    ]
    for record, since in zip(records, (rewards[:10], rewards[10:20], rewards[20:]), strict=True):
        assert record["phase"] == "test"
        assert record["reward"] == pytest.approx(sum(since) / len(since))
    last = play(net, phase.environment, 6, stream(3, 1, 24))
    assert records[-1]["energy_per_neuron"] == mean_energy(net, last.observations)


@pytest.mark.parametrize(("schedule", "rate"), [("constant", 1e-3), ("linear", 1e-3 * 23 / 25)])
def test_warm_up_changes_nothing_and_updates_are_adams_on_clipped_gradients(
    schedule: Any, rate: float
) -> None:
    """With a linear schedule, two of the 25 iterations have passed at the first update."""
    net, other = network(), network()
    phase = training(net, warm_up=2, learning_rate=1e-3, schedule=schedule)
    before = {name: value.clone() for name, value in net.state_dict().items()}
    for _ in range(2):
        phase.step()
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())
    phase.step()
    backpropagate(other, play(other, phase.environment, 6, stream(3, 1, 2)))
    norm = torch.cat([parameter.grad.flatten() for parameter in other.parameters()]).norm()
    for ours, theirs in zip(net.parameters(), other.parameters(), strict=True):
        grad = theirs.grad * min(1.0, 4.0 / float(norm))
        expected = theirs - rate * grad / (grad.abs() + 1e-4)  # Adam's first step
        torch.testing.assert_close(ours, expected, rtol=1e-5, atol=1e-7)


def test_a_phase_learns_from_its_first_iteration_on_unless_told_otherwise() -> None:
    net, other = network(), network()
    training(net, iterations=1).step()
    pairs = zip(net.parameters(), other.parameters(), strict=True)
    assert not any(torch.equal(one, before) for one, before in pairs)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"warm_up": 25}, "warm_up is 25; expected 0 to 24"),
        ({"warm_up": -1}, "warm_up is -1"),
        ({"iterations": 0}, "iterations is 0"),
    ],
)
def test_bad_settings(settings: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError, match=words):
        training(network(), **settings)


def test_any_environment_and_core_discount_and_scale() -> None:
    """The first update is along the gradient of the scaled rewards; nothing tells of energy."""
    task, path = RepeatPrevious(), (3, 1)
    nets = []
    for _ in range(2):
        torch.manual_seed(0)
        nets.append(ActorCritic(GRU(task.inputs, 6), 6, task.actions))
    net, other = nets
    phase = ActorCriticTraining(
        "test",
        net,
        task,
        agents=6,
        iterations=1,
        path=path,
        learning_rate=1e-3,
        warm_up=0,
        discount=0.5,
        scale=48.0,
        epsilon=1e-3,
    )
    episode = play(other, task, 6, stream(*path, 0))
    scores, values, _ = other(episode.observations)
    signs = (48 * episode.rewards).round()
    assert set(signs.flatten().tolist()) == {-1, 0, 1}
    a2c_loss(scores, values, episode.actions, signs, discount=0.5).backward()
    (record,) = phase.step()
    assert record.keys() == {"phase", "iteration", "reward"}
    assert record["reward"] == pytest.approx(float(episode.rewards.sum(0).mean()))
    for ours, theirs in zip(net.parameters(), other.parameters(), strict=True):
        expected = theirs - 1e-3 * theirs.grad / (theirs.grad.abs() + 1e-3)
        torch.testing.assert_close(ours, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("schedule", ["constant", "linear"])
def test_a_phase_goes_on_with_the_same_bits(schedule: Any) -> None:
    whole, net = network(), network()
    phase = training(whole, warm_up=2, schedule=schedule)
    records = run_phase(phase)
    assert phase.optimizer.param_groups[0]["lr"] == pytest.approx(
        4e-6 if schedule == "linear" else 1e-4
    )
    first = training(net, warm_up=2, schedule=schedule)
    kept = [record for _ in range(7) for record in first.step()]
    state = first.state_dict()
    reward = state["reward"].clone()
    rest = training(net, warm_up=2, schedule=schedule)
    rest.position = 7
    rest.load_state_dict(state)
    kept += run_phase(rest)
    first.reward += 1
    assert torch.equal(state["reward"], reward)  # it is shared with neither phase
    assert kept == records
    for a, b in zip(whole.parameters(), net.parameters(), strict=True):
        assert torch.equal(a, b)


def test_agents_learn_to_reach_a_goal() -> None:
    """In the smallest maze, which has no goal to remember: more reward than at random."""
    torch.manual_seed(0)
    net = ActorCritic(RNN(17, 16), 16)
    maze = Maze(5, steps=20)
    phase = ActorCriticTraining(
        "test", net, maze, agents=64, iterations=150, path=(0,), learning_rate=5e-3, warm_up=10
    )
    records = run_phase(phase)
    assert records[-1]["reward"] > 1.2 * records[0]["reward"]
