"""The supervised network on spike patterns: equations, kernels, gradients, training, bad input."""

import copy
import math
from collections.abc import Callable
from math import exp
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from plastorch.engine.errors import InputError
from plastorch.spiking.patterns import network as network_module
from plastorch.spiking.patterns import training
from plastorch.spiking.patterns.network import PatternNetwork
from plastorch.spiking.patterns.rule import (
    NO_SPIKE,
    NetworkWeights,
    NeuronState,
    PatternNeuron,
    Response,
    decide,
    neuron_step,
    respond,
)
from plastorch.spiking.patterns.training import (
    PARTIAL,
    answer,
    loss,
    partial,
    probabilities,
    train,
    update,
)


def network(inputs: int, hidden: int, classes: int, seed: int = 0, **constants: Any) -> Any:
    random = torch.Generator().manual_seed(seed)
    net = PatternNetwork(
        inputs, hidden, classes, neuron=PatternNeuron(**constants), generator=random
    ).double()
    with torch.no_grad():
        for parameter in net.parameters():
            if parameter.dim() == 1:
                parameter.copy_(0.02 * torch.randn(len(parameter), generator=random))
    return net


def patterns(count: int, inputs: int, steps: int = 20, seed: int = 1) -> Tensor:
    """Random ones; a tenth of the inputs is silent."""
    random = torch.Generator().manual_seed(seed)
    bins = torch.randint(0, steps, (count, inputs), dtype=torch.uint8, generator=random)
    return bins.masked_fill(torch.rand(count, inputs, generator=random) < 0.1, NO_SPIKE)


def naive(bins: Any, weights: NetworkWeights, neuron: PatternNeuron) -> tuple[Any, int, int]:
    """One pattern, neuron by neuron; distances by sums over explicit spike trains."""
    first, bias, second, out_bias = (w.detach().numpy() for w in weights)
    steps, dt = neuron.steps, neuron.dt

    def layer(drive: Any) -> Any:
        spikes = np.zeros_like(drive)
        for k in range(drive.shape[1]):
            current = potential = 0.0
            for t in range(steps):
                reset = spikes[t - 1, k] if t else 0.0
                current = current * exp(-dt / neuron.tau_synapse) + drive[t, k]
                decay = exp(-dt / neuron.tau_membrane)
                potential = decay * potential + (1 - decay) * neuron.resistance * current - reset
                spikes[t, k] = potential > 1
        return spikes

    raster = np.zeros((steps, len(bins)))
    for i, step in enumerate(bins):
        if step != NO_SPIKE:
            raster[step, i] = 1
    hidden = layer(raster @ first.T + bias)
    output = layer(hidden @ second.T + out_bias)
    smooth = np.tril(np.exp(-(np.arange(steps)[:, None] - np.arange(steps)) * dt / 5e-3))
    wanted = np.zeros((len(out_bias), steps, len(out_bias)))
    for c in range(len(out_bias)):
        for time in neuron.target_times:
            wanted[c, round(time / dt), c] = 1
    distance = [((smooth @ (output - w)) ** 2).sum() for w in wanted]
    return distance, int(hidden.sum()), int(output.sum())


@pytest.mark.parametrize(
    "constants", [{}, {"tau_membrane": 4e-3, "tail_steps": 3, "dt": 2e-3, "slope": 5.0}]
)
def test_response_is_that_of_a_naive_loop(constants: dict[str, Any]) -> None:
    net, bins = network(25, 14, 3, **constants), patterns(8, 25)
    found = net(bins)
    for b in range(8):
        distance, hidden, output = naive(bins[b].numpy(), net.weights(), net.neuron)
        np.testing.assert_allclose(found.distance[b].detach(), distance, atol=1e-10)
        assert (int(found.hidden_spikes[b]), int(found.output_spikes[b])) == (hidden, output)
    assert found.hidden_spikes.sum() > 10 and found.output_spikes.sum() > 0


@given(
    inputs=st.integers(1, 40),
    hidden=st.integers(1, 20),
    classes=st.integers(1, 6),
    steps=st.integers(1, 40),
    seed=st.integers(0, 99),
)
def test_kernels_do_what_torch_does(
    inputs: int, hidden: int, classes: int, steps: int, seed: int
) -> None:
    constants = {"input_steps": steps, "tail_steps": seed % 7, "target_times": ((steps - 1) / 1e3,)}
    net = network(inputs, hidden, classes, seed, **constants)
    bins = patterns(5, inputs, steps, seed)
    ours, other = net(bins), respond(bins, net.weights(), net.neuron)
    for one, two in zip(ours, other, strict=True):
        torch.testing.assert_close(one, two, atol=1e-10, rtol=1e-10)
    weight = torch.randn(5, classes, generator=torch.Generator().manual_seed(seed)).double()
    gradients = [
        torch.autograd.grad(
            (response.distance * weight).sum() + (0.3 * response.hidden_spikes).sum(),
            list(net.parameters()),
        )
        for response in (ours, other)
    ]
    for one, two in zip(*gradients, strict=True):
        torch.testing.assert_close(one, two, atol=1e-9, rtol=1e-9)


def test_a_class_has_the_mean_distance_and_the_highest_potential_of_its_neurons() -> None:
    random = torch.Generator().manual_seed(0)
    net = PatternNetwork(25, 14, 3, population=4, generator=random).double()
    alone = PatternNetwork(25, 14, 12).double()
    alone.load_state_dict(net.state_dict())
    bins = patterns(8, 25)
    found, of_neurons = net(bins), alone(bins)
    for c in range(3):
        own = range(4 * c, 4 * c + 4)
        mean = sum(of_neurons.distance[:, k] for k in own) / 4
        torch.testing.assert_close(found.distance[:, c], mean)
        highest = [max(row[k] for k in own) for row in of_neurons.potential.tolist()]
        assert found.potential[:, c].tolist() == highest
    assert torch.equal(found.output_spikes, of_neurons.output_spikes)
    meta = PatternNetwork(25, 14, 3, population=4, device="meta")
    assert meta(bins.to("meta")).distance.shape == (8, 3)


@pytest.fixture
def apart(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leaves out all by which the training of a member depends on the others: spikes are counted,
    and gradients are clipped, together, and distances to targets count all output spikes."""
    for name, value in (("PULL", 0.0), ("PENALTY", 0.0), ("LARGEST_GRADIENT", math.inf)):
        monkeypatch.setattr(training, name, value)


def scores(distance: Tensor) -> Tensor:
    """What classes' distances tell about them: all are larger by what output neurons spike."""
    return distance - distance.mean(1, keepdim=True)


def members_of(ensemble: PatternNetwork) -> list[PatternNetwork]:
    """The members as networks by themselves."""
    count, hidden = ensemble.population, ensemble.hidden_size
    members = []
    for m in range(count):
        own = [i for i in range(hidden) if i * count // hidden == m]
        alone = PatternNetwork(ensemble.in_features, len(own), ensemble.out_features).double()
        with torch.no_grad():
            alone.hidden_weight.copy_(ensemble.hidden_weight[own])
            alone.hidden_bias.copy_(ensemble.hidden_bias[own])
            alone.output_weight.copy_(ensemble.output_weight[m::count][:, own])
            alone.output_bias.copy_(ensemble.output_bias[m::count])
        members.append(alone)
    return members


@pytest.mark.usefixtures("apart")
def test_an_ensemble_answers_and_learns_as_networks_side_by_side() -> None:
    random = torch.Generator().manual_seed(0)
    net = PatternNetwork(25, 14, 3, population=4, ensemble=True, generator=random).double()
    members, bins, labels = members_of(net), patterns(40, 25), torch.arange(40) % 3
    before = torch.stack([scores(member(bins).distance) for member in members]).mean(0)
    torch.testing.assert_close(scores(net(bins).distance), before)
    deviations = [float(member.output_weight.detach().std()) for member in members]
    assert deviations == pytest.approx([2 / math.sqrt(14 / 4)] * 4, rel=0.5)
    for _ in range(3):
        # A member's loss is a fourth of the ensemble's.
        update(net, torch.optim.SGD(net.parameters(), 0.4), bins, labels)
        for member in members:
            update(member, torch.optim.SGD(member.parameters(), 0.1), bins, labels)
    for after, member in zip(members_of(net), members, strict=True):
        torch.testing.assert_close(after.state_dict(), member.state_dict())
    assert not torch.allclose(scores(net(bins).distance), before, atol=1e-3)


@pytest.mark.usefixtures("apart")
def test_members_of_an_ensemble_learn_tags() -> None:
    random = torch.Generator().manual_seed(0)
    net = PatternNetwork(25, 12, 4, population=2, ensemble=True, generator=random).double()
    members, bins = members_of(net), patterns(40, 25)
    tags = torch.arange(80).reshape(40, 2) % 3 == 0
    before = copy.deepcopy(net.state_dict())
    update(net, torch.optim.SGD(net.parameters(), 0.2), bins, tags)
    for member in members:
        update(member, torch.optim.SGD(member.parameters(), 0.1), bins, tags)
    for after, member in zip(members_of(net), members, strict=True):
        torch.testing.assert_close(after.state_dict(), member.state_dict())
    assert not torch.equal(net.output_weight, before["output_weight"])


def test_an_ensemble_has_a_hidden_neuron_for_each_member() -> None:
    with pytest.raises(
        InputError, match="population is 5; expected at most 4, the number of hidden"
    ):
        PatternNetwork(3, 4, 2, population=5, ensemble=True)


def test_float32_and_threads_agree_with_float64(monkeypatch: pytest.MonkeyPatch) -> None:
    net, bins = network(30, 16, 4), patterns(64, 30)
    exact = net(bins)
    exact_gradient = torch.autograd.grad(exact.distance.sum(), net.hidden_weight)[0]
    monkeypatch.setattr(network_module, "WORK_PER_THREAD", 1)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 4)
    single = net.float()(bins)
    torch.testing.assert_close(single.distance.double(), exact.distance, rtol=1e-4, atol=1e-3)
    gradient = torch.autograd.grad(single.distance.sum(), net.hidden_weight)[0].double()
    torch.testing.assert_close(gradient, exact_gradient, rtol=1e-3, atol=1e-2)


def test_weights_may_lie_in_memory_in_any_order() -> None:
    nets, bins = [network(30, 16, 4) for _ in range(2)], patterns(64, 30)
    for name in ("hidden_weight", "output_weight"):
        weight = getattr(nets[1], name).detach().contiguous()
        setattr(nets[1], name, torch.nn.Parameter(weight))
    answers = [net(bins).distance.sum() for net in nets]
    one, two = (
        torch.autograd.grad(answer, list(net.parameters()))
        for answer, net in zip(answers, nets, strict=True)
    )
    for first, second in zip(one, two, strict=True):
        assert torch.equal(first, second) and bool(first.any())


def test_the_gradient_is_the_same_whichever_thread_ends_first(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    net, bins = network(30, 16, 4).float(), patterns(64, 30)

    def gradients(order: tuple[int, ...]) -> tuple[Tensor, ...]:
        def in_turn(run: Callable[[int, int], None], samples: int, useful: int) -> None:
            for share in order:
                run(samples * share // 4, samples * (share + 1) // 4)

        monkeypatch.setattr(network_module, "in_threads", in_turn)
        return torch.autograd.grad(net(bins).distance.sum(), list(net.parameters()))

    orders = (0, 1, 2, 3), (3, 1, 0, 2)
    assert all(map(torch.equal, *map(gradients, orders)))


def test_no_pattern_gives_no_answer() -> None:
    found = PatternNetwork(6, 5, 3, population=4)(torch.zeros(0, 6, dtype=torch.uint8))
    assert found.distance.shape == found.potential.shape == (0, 3)


def test_there_is_no_second_derivative() -> None:
    net = PatternNetwork(6, 5, 3)
    distance = net(torch.zeros(4, 6, dtype=torch.uint8)).distance
    total = distance.square().sum()
    (first,) = torch.autograd.grad(total, net.output_bias, create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        first.sum().backward()


def test_it_learns_on_a_device_that_nobody_waits_for() -> None:
    net = PatternNetwork(6, 5, 3, device="meta")
    found = net(torch.zeros(4, 6, dtype=torch.uint8, device="meta"))
    loss(found, torch.zeros(4, dtype=torch.int64, device="meta"), 5).backward()
    assert found.distance.shape == (4, 3)
    shapes = {name: list(weight.shape) for name, weight in net.named_parameters()}
    assert shapes["hidden_weight"] == [5, 6] and shapes["output_weight"] == [3, 5]
    assert all(weight.grad is not None and weight.grad.is_meta for weight in net.parameters())


def test_a_neuron_is_a_leaky_integrator_of_a_decaying_current() -> None:
    """One input spike: the difference of two exponentials, as long as nothing fires."""
    neuron = PatternNeuron(tau_membrane=8e-3, tau_synapse=3e-3)
    state = NeuronState(*torch.zeros(3, 1, 1, dtype=torch.float64))
    membrane, synapse = exp(-1 / 8), exp(-1 / 3)
    for step in range(30):
        drive = torch.full((1, 1), 0.3 if step == 0 else 0.0, dtype=torch.float64)
        spikes, state = neuron_step(drive, state, neuron)
        closed = (membrane ** (step + 1) - synapse ** (step + 1)) / (membrane - synapse)
        expected = 0.3 * neuron.resistance * (1 - membrane) * closed
        assert float(state.membrane) == pytest.approx(expected, rel=1e-9)
        assert not spikes.any()


def test_surrogate_gradient_is_largest_at_the_threshold() -> None:
    drive = torch.linspace(-2, 6, 81, dtype=torch.float64)[None].requires_grad_()
    state = NeuronState(*torch.zeros(3, 1, 81, dtype=torch.float64))
    neuron = PatternNeuron()
    spikes, after = neuron_step(drive, state, neuron)
    spikes.sum().backward()  # type: ignore[no-untyped-call]
    assert drive.grad is not None
    excess = after.membrane.detach() - 1
    gain = neuron.resistance * (1 - exp(-neuron.dt / neuron.tau_membrane))
    expected = gain / (1 + neuron.slope * excess.abs()) ** 2
    torch.testing.assert_close(drive.grad, expected)


def test_target_itself_is_at_distance_zero() -> None:
    """An output neuron that is made to fire at the target times only."""
    neuron = PatternNeuron(tau_membrane=1e-6, tau_synapse=1e-6, resistance=1.0)
    weights = NetworkWeights(*(torch.zeros(n) for n in ((1, 3), 1, (2, 1), 2)))
    bins = torch.tensor([[14, 17, 19]], dtype=torch.uint8)
    neuron = PatternNeuron(
        1e-6, 1e-6, 1.0, target_times=(14e-3, 17e-3, 19e-3), tau_trace=neuron.tau_trace
    )
    weights = weights._replace(hidden=torch.full((1, 3), 1.5), output=torch.tensor([[1.5], [0.0]]))
    found = respond(bins, weights, neuron)
    assert found.output_spikes.item() == 3
    assert found.distance[0, 0].item() == pytest.approx(0, abs=1e-5)
    assert found.distance[0, 1].item() == pytest.approx(2 * (neuron.target() ** 2).sum().item())
    assert decide(found).item() == 0


def test_equal_distances_are_decided_by_potentials() -> None:
    distance = torch.tensor([[1.0, 1.0, 5.0], [3.0, 1.0, 1.0]])
    potential = torch.tensor([[0.1, 0.2, 0.9], [0.9, 0.4, 0.3]])
    assert decide(Response(distance, potential, *torch.zeros(2, 2))).tolist() == [1, 1]


def groups(count: int, seed: int) -> tuple[Tensor, Tensor]:
    """Patterns of three classes in which all inputs fire, a tenth of them at a random time."""
    random = torch.Generator().manual_seed(seed)
    prototypes = torch.randint(
        0, 20, (3, 40), dtype=torch.uint8, generator=torch.Generator().manual_seed(7)
    )
    labels = torch.randint(0, 3, (count,), generator=random)
    moved = torch.rand(count, 40, generator=random) < 0.1
    any_time = torch.randint(0, 20, (count, 40), dtype=torch.uint8, generator=random)
    return torch.where(moved, any_time, prototypes[labels]), labels


def test_training_tells_classes_apart_by_timing_only() -> None:
    """All inputs fire once, so that only times differ."""
    net = PatternNetwork(40, 30, 3, generator=torch.Generator().manual_seed(0))
    told: list[tuple[int, float]] = []
    bins, labels = groups(600, 2)
    train(
        net,
        bins,
        labels,
        torch.Generator().manual_seed(0),
        epochs=4,
        tell=lambda *at: told.append(at),
    )
    assert [epoch for epoch, _ in told] == [0, 1, 2, 3] and told[-1][1] > 0.95
    new, wanted = groups(300, 3)
    found = answer(net, new, batch=64)
    assert (decide(found) == wanted).float().mean() > 0.97
    assert (probabilities(found.distance).argmax(1) == wanted).float().mean() > 0.95
    own = found.distance.gather(1, wanted[:, None]).mean()
    fresh = PatternNetwork(40, 30, 3, generator=torch.Generator().manual_seed(0))
    assert own < answer(fresh, new).distance.gather(1, wanted[:, None]).mean()
    by_chance = []
    for seed in range(20):  # the same neurons fire, at times that mean nothing
        shift = torch.randint(1, 20, (40,), generator=torch.Generator().manual_seed(seed))
        moved = ((new + shift) % 20).byte()
        by_chance.append(float((decide(answer(net, moved)) == wanted).float().mean()))
    assert sum(by_chance) / 20 < 0.6


def test_equal_seeds_give_equal_networks() -> None:
    bins, labels = groups(200, 2)
    nets = []
    for seed in (0, 0, 1):
        net = PatternNetwork(40, 10, 3, generator=torch.Generator().manual_seed(seed))
        train(net, bins, labels, torch.Generator().manual_seed(seed), epochs=1)
        nets.append(net.hidden_weight.detach())
    assert torch.equal(nets[0], nets[1]) and not torch.equal(nets[0], nets[2])


def test_dropout_leaves_out_a_share_of_the_spikes_others_each_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    shown: list[Tensor] = []
    forward = PatternNetwork.of_neurons
    monkeypatch.setattr(
        PatternNetwork, "of_neurons", lambda self, bins: shown.append(bins) or forward(self, bins)
    )
    bins, labels = groups(400, 2)
    net = PatternNetwork(40, 10, 3, generator=torch.Generator().manual_seed(0))
    train(net, bins, labels, torch.Generator().manual_seed(0), epochs=2, batch=400, dropout=0.25)
    lost = [part == NO_SPIKE for part in shown]
    assert len(shown) == 2 and not torch.equal(*lost)
    for part, silent in zip(shown, lost, strict=True):
        # 16,000 spikes, and none is moved: sorted rows of what is left are among those of before.
        assert float(silent.double().mean()) == pytest.approx(0.25, abs=4 * 0.0035)
        rows = {tuple(row) for row in bins.tolist()}
        some = [i for i in range(400) if not bool(silent[i].all())][:20]
        for row, gone in zip(part[some].tolist(), silent[some].tolist(), strict=True):
            kept = [i for i, lost in enumerate(gone) if not lost]
            assert any(all(whole[i] == row[i] for i in kept) for whole in rows)


def test_weights_are_noisy_in_the_last_third_of_the_epochs_only(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    net = PatternNetwork(40, 30, 3, generator=torch.Generator().manual_seed(0))
    before = [net.hidden_weight.detach().clone(), net.output_weight.detach().clone()]
    seen: list[list[float]] = []

    def look(network: PatternNetwork, optimizer: torch.optim.Optimizer, *_: Any) -> int:
        optimizer.step()  # without a gradient it changes nothing
        pairs = zip((network.hidden_weight, network.output_weight), before, strict=True)
        seen.append([float((now - was).std() / was.abs().max()) for now, was in pairs])
        return 0

    monkeypatch.setattr(training, "update", look)
    monkeypatch.setattr(training, "LARGEST_WEIGHT", 10.0)
    bins, labels = groups(100, 2)
    with torch.no_grad():
        train(
            net,
            bins,
            labels,
            torch.Generator().manual_seed(0),
            epochs=6,
            batch=50,
            weight_noise=0.1,
        )
    assert len(seen) == 12 and all(size == [0, 0] for size in seen[:8])
    np.testing.assert_allclose(seen[8:], 0.1, rtol=0.3)
    assert seen[8] != seen[9]
    for now, was in zip((net.hidden_weight, net.output_weight), before, strict=True):
        torch.testing.assert_close(now.detach(), was, atol=1e-5, rtol=0)


def test_noisy_training_cuts_the_largest_weights() -> None:
    bins, labels = groups(600, 2)
    largest = {}
    for noise in (0.0, 0.05):
        net = PatternNetwork(40, 30, 3, generator=torch.Generator().manual_seed(0))
        with torch.no_grad():
            net.hidden_weight[0, 0] = 10 * net.hidden_weight.std()
        train(net, bins, labels, torch.Generator().manual_seed(0), epochs=6, weight_noise=noise)
        weight = net.hidden_weight.detach()
        largest[noise] = float(weight.abs().max() / weight.std())
        assert (decide(answer(net, bins)) == labels).double().mean() > 0.95
    assert largest[0.0] > 5 and largest[0.05] < 4.01


def test_loss_penalises_silence_and_noise() -> None:
    labels, hidden = torch.tensor([0]), 100

    def of(spikes: float) -> float:
        response = Response(
            torch.tensor([[1.0, 9.0]]), torch.zeros(1, 2), torch.tensor([spikes]), torch.zeros(1)
        )
        return float(loss(response, labels, hidden))

    assert of(50.0) < of(0.0) < of(50.0) + 0.01
    assert of(50.0) < of(200.0)


@pytest.mark.parametrize(
    ("constants", "words"),
    [
        ({"tau_membrane": 0.0}, "tau_membrane is 0"),
        ({"tau_synapse": float("nan")}, "tau_synapse is nan"),
        ({"input_steps": 255}, "input_steps is 255; expected less than 255"),
        ({"tail_steps": -1}, "tail_steps is -1"),
        ({"target_times": ()}, r"target_times are \(\)"),
        (
            {"target_times": (0.03,)},
            r"target_times are \(0.03,\); expected one or more in \[0, 0.0245\)",
        ),
        ({"target_times": (0.0247,)}, r"target_times are \(0.0247,\)"),
        ({"target_times": (float("inf"),)}, r"target_times are \(inf,\)"),
        ({"slope": -1.0}, "slope is -1"),
    ],
)
def test_bad_constants(constants: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError, match=words):
        PatternNeuron(**constants)


def test_bad_patterns() -> None:
    net = PatternNetwork(3, 4, 2)
    with pytest.raises(InputError, match=r"shape \(2, 4\).*expected uint8 of shape \(B, 3\)"):
        net(torch.zeros(2, 4, dtype=torch.uint8))
    with pytest.raises(InputError, match="int64"):
        net(torch.zeros(2, 3, dtype=torch.int64))
    with pytest.raises(InputError, match="bins hold 20; expected less than 20, or 255"):
        net(torch.tensor([[0, 20, 255]], dtype=torch.uint8))
    net = PatternNetwork(3, 4, 2, neuron=PatternNeuron(resistance=1e300))
    with pytest.raises(InputError, match="resistance is 1e"):
        net(torch.zeros(2, 3, dtype=torch.uint8))
    with pytest.raises(InputError, match="hidden_size is 0"):
        PatternNetwork(3, 0, 2)


def test_partial_patterns_lack_whole_keys_of_any_share() -> None:
    random = torch.Generator().manual_seed(0)
    bins = torch.randint(0, 20, (20_000, 30), dtype=torch.uint8, generator=random)
    key_of_neuron = torch.arange(10).repeat_interleave(3)[torch.randperm(30, generator=random)]
    shown = partial(bins, key_of_neuron, random)
    lost = shown == NO_SPIKE
    assert torch.equal(shown[~lost], bins[~lost])
    by_key = torch.stack([lost[:, key_of_neuron == key] for key in range(10)], dim=1)
    assert torch.equal(by_key.all(2), by_key.any(2))  # a key is there or not
    lacking = by_key.all(2)
    np.testing.assert_allclose(lacking.double().mean(0), PARTIAL / 2, atol=0.02)
    counts = torch.bincount(lacking.sum(1), minlength=11) / 20_000
    # A share that is uniform makes all numbers of missing keys alike: 1 in 11 of the partial ones.
    np.testing.assert_allclose(counts[1:], PARTIAL / 11, atol=0.01)
    assert float(counts[0]) == pytest.approx(1 - PARTIAL + PARTIAL / 11, abs=0.015)


def test_who_learns_from_partial_patterns_answers_them_better() -> None:
    bins, labels = groups(600, 3)
    halves = torch.arange(40) // 20
    first_half = torch.where(halves == 0, bins, torch.tensor(NO_SPIKE, dtype=torch.uint8))
    right = []
    for keys in (None, halves):
        net = PatternNetwork(40, 20, 3, generator=torch.Generator().manual_seed(0))
        train(net, bins, labels, torch.Generator().manual_seed(0), epochs=20, key_of_neuron=keys)
        whole, half = (decide(answer(net, shown)) == labels for shown in (bins, first_half))
        assert float(whole.double().mean()) > 0.99
        right.append(float(half.double().mean()))
    assert right[0] < 0.8 and right[1] > 0.95


@pytest.mark.parametrize(
    ("name", "weight", "words"),
    [
        ("hidden_weight", torch.full((4, 3), math.nan), "hidden_weight holds NaN"),
        ("hidden_bias", torch.zeros(1), r"hidden_bias is \[1\]; expected \[4\]"),
        ("output_weight", torch.zeros(2, 3), r"output_weight is \[2, 3\]; expected \[.*, 4\]"),
        ("output_weight", torch.zeros(2, 4).double(), "output_weight is torch.float64"),
        ("output_bias", torch.zeros(1), r"output_bias is \[1\]; expected \[2\]"),
    ],
)
def test_weights_that_do_not_fit(name: str, weight: Tensor, words: str) -> None:
    bins = torch.zeros(2, 3, dtype=torch.uint8)
    net, later = PatternNetwork(3, 4, 2), PatternNetwork(3, 4, 2)
    setattr(net, name, torch.nn.Parameter(weight))
    with pytest.raises(InputError, match=words):
        net(bins)
    if weight.dtype == torch.float32:
        loss = later(bins).distance.sum()
        getattr(later, name).data = weight  # not the parameter that the answer came from
        with pytest.raises(InputError, match=words):
            loss.backward()


def test_bad_training() -> None:
    net, bins = PatternNetwork(3, 4, 2), torch.zeros(2, 3, dtype=torch.uint8)
    random = torch.Generator()
    for labels, words in (
        (torch.tensor([0]), "bins are 2 and labels 1"),
        (torch.tensor([0, 2]), "labels go from 0 to 2; expected 0 to 1"),
        (torch.tensor([-1, 0]), "labels go from -1"),
        (torch.tensor([0.0, 1.0]), "type torch.float32; expected int64"),
        (torch.tensor([[0], [1]]), r"labels have shape \(2, 1\)"),
    ):
        with pytest.raises(InputError, match=words):
            train(net, bins, labels, random)
    with pytest.raises(InputError, match="bins are 0"):
        train(net, bins[:0], torch.zeros(0, dtype=torch.int64), random)
    with pytest.raises(InputError, match="epochs is 0"):
        train(net, bins, torch.tensor([0, 1]), random, epochs=0)
    for dropout in (-0.1, 1.0, float("nan")):
        with pytest.raises(InputError, match=f"dropout is {dropout}"):
            train(net, bins, torch.tensor([0, 1]), random, dropout=dropout)
    with pytest.raises(InputError, match="weight_noise is -1"):
        train(net, bins, torch.tensor([0, 1]), random, weight_noise=-1.0)
    with pytest.raises(InputError, match=r"key_of_neuron has shape \(2,\); expected one .* of 3"):
        train(net, bins, torch.tensor([0, 1]), random, key_of_neuron=torch.arange(2))
