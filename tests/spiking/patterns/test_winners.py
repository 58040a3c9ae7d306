"""The competing layer: equations, kernels, what it learns, readout, bad input."""

import math
from math import exp
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

import plastorch
from plastorch.engine.errors import InputError
from plastorch.spiking.patterns.rule import NO_SPIKE
from plastorch.spiking.patterns.winners import PatternWinners
from plastorch.spiking.patterns.winners_readout import (
    class_probabilities,
    label_neurons,
    learn_orders,
)
from plastorch.spiking.patterns.winners_rule import WinnerRule, answer, potentials

RULES = {
    "default": {},
    "other": {"tau_membrane": 3e-3, "tau_synapse": 2e-3, "decision": 6e-3, "spikes": 1},
    "steady": {"learning_rate": 0.3, "homeostasis": 0.0, "dt": 2e-3, "fall": 1e-3, "spikes": 2},
}


def random(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def patterns(count: int, inputs: int, seed: int = 1) -> Tensor:
    """Random ones; a tenth of the inputs is silent."""
    bins = torch.randint(0, 20, (count, inputs), dtype=torch.uint8, generator=random(seed))
    silent = torch.rand(count, inputs, generator=random(seed + 1)) < 0.1
    return bins.masked_fill(silent, NO_SPIKE)


def records(
    count: int, seed: int = 0, keys: int = 8, classes: int = 4, neurons: int = 15
) -> tuple[Tensor, Tensor, Tensor]:
    """Patterns of keys whose values are those of their class, but one in four any of 6 values.

    Returns:
        Bins [count, keys * neurons], classes [count], values [count, keys].
    """
    labels = torch.randint(classes, (count,), generator=random(seed))
    typical = torch.randint(6, (classes, keys), generator=random(7))
    other = torch.randint(6, (count, keys), generator=random(seed + 1))
    rare = torch.rand(count, keys, generator=random(seed + 2)) < 0.25
    values = torch.where(rare, other, typical[labels])
    return encode(values, neurons, hash_seed=3), labels, values


def encode(values: Tensor, neurons: int, hash_seed: int) -> Tensor:
    keys = values.shape[1]
    table = torch.randint(20, (keys, 6, neurons), dtype=torch.uint8, generator=random(hash_seed))
    return table[torch.arange(keys), values].flatten(1)


def naive(bins: Any, weight: Any, rule: WinnerRule) -> tuple[Any, ...]:
    """One pattern after the other, neuron by neuron and spike by spike, in plain numbers."""
    neurons, inputs = weight.shape
    weight, theta, wins = weight.copy(), np.zeros(neurons), np.zeros(neurons, int)
    raw = [  # the double exponential of two leaky stages, summed over the steps in between
        sum(
            exp(-rule.dt * j / rule.tau_synapse) * exp(-rule.dt * (age - j) / rule.tau_membrane)
            for j in range(age + 1)
        )
        for age in range(rule.steps)
    ]
    orders, times = [], []
    for pattern in bins:
        lack = []
        for k in range(neurons):
            membrane = 0.0
            for i in range(inputs):
                if pattern[i] < rule.steps:
                    effect = raw[rule.steps - 1 - pattern[i]] / np.mean(raw)
                    membrane += effect * (weight[k, i] - 0.5)
            lack.append(theta[k] + 0.5 * (weight[k] ** 2).sum() - membrane)
        order = sorted(range(neurons), key=lambda k: (lack[k], k))[: rule.spikes]
        orders.append(order)
        times.append([rule.decision + rule.fall * max(0.0, lack[k]) for k in order])
        k = order[0]
        wins[k] += 1
        rate = max(1 / (wins[k] + 1), rule.learning_rate)
        error = np.array([float(step < rule.steps) for step in pattern]) - weight[k]
        rise = rule.homeostasis * rate * (error**2).sum() ** 2 / inputs
        weight[k] += rate * error
        theta[k] += rise
        theta -= rise / neurons
    return np.array(orders), np.array(times), weight, theta, wins


@pytest.mark.parametrize("name", RULES)
def test_an_optimizer_and_the_compiled_loop_do_what_a_naive_loop_does(name: str) -> None:
    rule, bins = WinnerRule(**RULES[name]), patterns(60, 25)
    layer, compiled = (
        PatternWinners(25, 7, rule=rule, generator=random(0), dtype=torch.float64) for _ in range(2)
    )
    expected = naive(bins.numpy(), layer.weight.numpy(), rule)
    optimizer = torch.optim.SGD(layer.parameters(), lr=1.0)
    answers = []
    for pattern in bins.split(1):
        answers.append(plastorch.learn(layer, pattern))
        optimizer.step()
    stepped = [*map(torch.cat, zip(*answers, strict=True)), *layer.parameters()]
    passed = [*compiled.partial_fit(bins), *compiled.parameters()]
    for one, two, three in zip(stepped, passed, expected, strict=True):
        np.testing.assert_allclose(one.detach().numpy(), three, rtol=0, atol=1e-11)
        np.testing.assert_allclose(two.detach().numpy(), three, rtol=0, atol=1e-11)


def test_the_update_is_the_mean_over_the_patterns() -> None:
    layer, bins = PatternWinners(25, 7, generator=random(0), dtype=torch.float64), patterns(9, 25)
    layer.partial_fit(patterns(40, 25, seed=3))
    step, alone = layer.learn(bins), [layer.learn(pattern) for pattern in bins.split(1)]
    assert torch.equal(step.output.order, layer(bins).order)
    for name, update in step.updates.items():
        torch.testing.assert_close(update, torch.stack([s.updates[name] for s in alone]).mean(0))


def test_it_learns_on_a_device_that_nobody_waits_for() -> None:
    net = PatternWinners(6, 4, device="meta")
    optimizer = torch.optim.SGD(net.parameters(), lr=1.0)
    found = plastorch.learn(net, torch.zeros(5, 6, dtype=torch.uint8, device="meta"))
    optimizer.step()
    assert found.order.is_meta and found.order.shape == (5, 3)
    assert net.weight.grad is not None and net.weight.grad.is_meta


@settings(max_examples=30)
@given(
    inputs=st.integers(1, 30),
    neurons=st.integers(3, 12),
    count=st.integers(0, 12),
    steps=st.integers(1, 25),
    seed=st.integers(0, 99),
)
def test_kernels_answer_as_torch_does(
    inputs: int, neurons: int, count: int, steps: int, seed: int
) -> None:
    rule = WinnerRule(decision=steps * 1e-3, spikes=min(3, neurons))
    layer = PatternWinners(inputs, neurons, rule=rule, generator=random(seed), dtype=torch.float64)
    layer.partial_fit(patterns(20, inputs, seed))
    bins = patterns(count, inputs, seed + 5)
    answers = layer(bins)
    assert answers.order.shape == answers.time.shape == (count, rule.spikes)
    other = answer(bins, layer.weight, layer.theta, rule)
    assert torch.equal(answers.order, other.order)
    torch.testing.assert_close(answers.time, other.time, rtol=0, atol=1e-12)


def test_single_precision_and_threads_agree_with_double_precision(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    bins, _, _ = records(2000)
    exact = PatternWinners(120, 12, generator=random(0), dtype=torch.float64)
    exact.fit(bins, random(1), epochs=1)
    layer = PatternWinners(120, 12)
    layer.load_state_dict(exact.state_dict())
    expected, alone = exact(bins), layer(bins)
    assert float((alone.order == expected.order).double().mean()) > 0.999
    monkeypatch.setattr("plastorch.spiking.patterns.winners.WORK_PER_THREAD", 1)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 3)
    assert torch.equal(layer(bins).order, alone.order)


def test_a_spikes_effect_is_one_on_average_and_grows_before_it_decays() -> None:
    rule = WinnerRule()
    singles = torch.full((20, 20), NO_SPIKE, dtype=torch.uint8)
    singles.fill_diagonal_(0)
    singles[torch.arange(20), torch.arange(20)] = torch.arange(20, dtype=torch.uint8)
    effect = potentials(singles, torch.ones(1, 20, dtype=torch.float64), rule)[:, 0] / 0.5
    assert float(effect[:10].mean()) == pytest.approx(1, abs=1e-12)
    np.testing.assert_allclose(effect[:10], rule.effect, rtol=1e-12)
    assert not effect[10:].any() and int(effect.argmax()) == 3


def test_neurons_lack_half_the_squared_distance_to_the_pattern() -> None:
    rule = WinnerRule(dt=5e-3, tau_membrane=0.1, decision=5e-3, fall=1.0, spikes=6)
    layer = PatternWinners(40, 6, rule=rule, generator=random(0), dtype=torch.float64)
    bins = torch.randint(0, 2, (9, 40), dtype=torch.uint8, generator=random(1))
    found = layer(bins)
    distance = torch.cdist((bins < 1).double(), layer.weight).square() / 2
    nearest = distance.sort(dim=1)
    assert torch.equal(found.order, nearest.indices)
    torch.testing.assert_close(found.time - rule.decision, nearest.values)


def test_of_equal_neurons_the_first_fires_first() -> None:
    layer, bins = PatternWinners(6, 5), patterns(3, 6)
    layer.weight.copy_(layer.weight[:1].expand(5, -1).clone())
    assert layer(bins).order.tolist() == [[0, 1, 2]] * 3
    other = answer(bins, layer.weight, layer.theta, layer.rule)
    assert other.order.tolist() == [[0, 1, 2]] * 3


def test_weights_are_means_of_what_was_learned() -> None:
    bins = patterns(300, 20)
    layer = PatternWinners(
        20, 1, rule=WinnerRule(learning_rate=1e-9, spikes=1), dtype=torch.float64
    )
    before = layer.weight.clone()
    layer.partial_fit(bins)
    mean = (before + (bins < 10).double().sum(0)) / 301
    torch.testing.assert_close(layer.weight, mean)


def test_weights_become_probabilities() -> None:
    chance = torch.rand(400, generator=random(0), dtype=torch.float64)
    fires = torch.rand(2000, 400, generator=random(1), dtype=torch.float64) < chance
    layer = PatternWinners(
        400, 1, rule=WinnerRule(spikes=1), generator=random(2), dtype=torch.float64
    )
    layer.partial_fit(torch.where(fires, 4, 14).byte())
    rate = layer.rule.learning_rate
    deviation = (chance * (1 - chance) * rate / (2 - rate)).sqrt()
    z = (layer.weight[0] - chance) / deviation
    assert abs(float(z.square().mean()) - 1) < 5 * (2 / 400) ** 0.5
    assert abs(float(z.mean())) < 5 / 400**0.5


def test_thresholds_sum_to_zero_and_rise_with_the_squared_mismatch() -> None:
    layer = PatternWinners(20, 4, dtype=torch.float64)
    layer.weight[:] = 0.0
    layer.weight[0, :10] = 1.0
    fires = torch.where(torch.arange(20) < 12, 3, 13).byte()[None]
    layer.partial_fit(fires)
    rise = 2.0 * 0.5 * 2**2 / 20  # homeostasis, rate, squared mismatch, inputs
    expected = torch.tensor([rise, 0, 0, 0], dtype=torch.float64) - rise / 4
    torch.testing.assert_close(layer.theta, expected)


def test_neurons_share_the_work_where_all_patterns_are_alike_in_rank() -> None:
    bins = patterns(4000, 60)
    layer = PatternWinners(60, 8, generator=random(0))
    layer.fit(bins, random(1), epochs=2)
    wins = torch.bincount(layer(bins).order[:, 0], minlength=8)
    assert int(wins.min()) > 250 and int(wins.max()) < 900
    assert abs(float(layer.theta.sum())) < 1e-3


def learned(seed: int = 0) -> tuple[PatternWinners, Tensor, Tensor]:
    """A layer that has learned records, and the classes of its neurons."""
    bins, labels, _ = records(1500)
    layer = PatternWinners(bins.shape[1], 12, generator=random(seed))
    layer.fit(bins, random(seed + 1), epochs=2)
    names = label_neurons(layer(bins).order[:, 0], labels, 12, 4)
    return layer, names, bins


@pytest.mark.parametrize("seed", range(3))
def test_it_finds_classes_that_nobody_told_it(seed: int) -> None:
    layer, names, _ = learned(seed)
    bins, labels, values = records(1000, seed=50)
    winner = layer(bins).order[:, 0]
    assert float((names[winner] == labels).double().mean()) > 0.9
    # Weights concentrate on who fires early with the class's values.
    typical = torch.randint(6, (4, 8), generator=random(7))
    early = (encode(typical, 15, hash_seed=3) < 10)[names[winner]]
    weight = layer.weight[winner]
    assert float(weight[early].mean()) > 0.75 > 0.25 > float(weight[~early].mean())
    # With another hash, only chance is left.
    answers = names[layer(encode(values, 15, hash_seed=4)).order[:, 0]]
    assert float((answers == labels).double().mean()) < 0.6


def test_more_keys_tell_more() -> None:
    layer, names, _ = learned()
    bins, labels, _ = records(2000, seed=50)
    right = []
    for keys in range(0, 9, 2):
        some = bins.clone()
        some[:, 15 * keys :] = NO_SPIKE
        right.append(float((names[layer(some).order[:, 0]] == labels).double().mean()))
    assert right == sorted(right) and right[0] < 0.35 and right[2] > 0.6


def test_surer_answers_come_earlier() -> None:
    layer, names, _ = learned()
    bins, labels, _ = records(3000, seed=50)
    found = layer(bins)
    right = names[found.order[:, 0]] == labels
    assert (found.time.diff(dim=1) >= 0).all() and (found.time >= layer.rule.decision).all()
    assert float(found.time[right, 0].mean()) < float(found.time[~right, 0].mean())


def test_answering_changes_nothing_and_weights_stay_in_bounds() -> None:
    layer = PatternWinners(30, 6, generator=random(0))
    layer.partial_fit(patterns(500, 30))
    before = {name: value.clone() for name, value in layer.state_dict().items()}
    layer(patterns(50, 30))
    assert all(torch.equal(before[name], value) for name, value in layer.state_dict().items())
    assert float(layer.weight.min()) >= 0 and float(layer.weight.max()) <= 1
    assert repr(layer).startswith("PatternWinners(30, 6, Winner")
    assert layer.partial_fit(patterns(0, 30)).order.shape == (0, 3)


def test_probabilities_are_those_of_a_naive_count() -> None:
    order = torch.randint(3, (200, 3), generator=random(0))
    labels = torch.randint(4, (200,), generator=random(1))
    asked = torch.randint(4, (50, 3), generator=random(2))  # neuron 3 never fired
    found = class_probabilities(asked, learn_orders(order, labels, 4, 4, smoothing=2.0))
    seen = [tuple(row) for row in order.tolist()]
    for row, told in zip(asked.tolist(), found, strict=True):
        expected = np.bincount(labels.numpy(), minlength=4) / 200
        for length in (1, 2, 3):
            same = [
                label
                for o, label in zip(seen, labels.tolist(), strict=True)
                if o[:length] == tuple(row[:length])
            ]
            if same:
                counts = np.bincount(same, minlength=4)
                expected = (counts + 2 * expected) / (len(same) + 2)
        np.testing.assert_allclose(told, expected, atol=1e-6)
    torch.testing.assert_close(found.sum(1), torch.ones(50))


def test_the_order_of_winners_tells_more_than_the_winner() -> None:
    bins, _, values = records(4000)
    classes = (values[:, 0] + 2 * values[:, 1]) % 4
    layer = PatternWinners(120, 12, generator=random(0))
    layer.fit(bins[:3000], random(1), epochs=2)
    train, test = layer(bins[:3000]).order, layer(bins[3000:]).order
    right = []
    for spikes in (1, 2, 3):
        readout = learn_orders(train[:, :spikes], classes[:3000], 12, 4)
        answers = class_probabilities(test, readout).argmax(1)
        right.append(float((answers == classes[3000:]).double().mean()))
    names = label_neurons(train[:, 0], classes[:3000], 12, 4)[test[:, 0]]
    assert float((names == classes[3000:]).double().mean()) == pytest.approx(right[0], abs=0.01)
    assert min(right[1:]) > right[0] + 0.01


@pytest.mark.parametrize(
    ("constants", "message"),
    [
        ({"tau_membrane": 0.0}, "tau_membrane is 0.0"),
        ({"tau_synapse": -1.0}, "tau_synapse is -1.0"),
        ({"dt": 0.0}, "dt is 0.0"),
        ({"decision": 0.0}, "decision is 0.0"),
        ({"decision": math.inf}, "decision is inf; expected a finite"),
        ({"decision": 1e-4}, "decision is 0.0001; expected 1 to 255 steps of 0.001 s"),
        ({"fall": 0.0}, "fall is 0.0"),
        ({"spikes": 0}, "spikes is 0"),
        ({"learning_rate": 0.0}, "learning_rate is 0.0; expected above 0, at most 1"),
        ({"learning_rate": 1.5}, "learning_rate is 1.5"),
        ({"homeostasis": -0.1}, "homeostasis is -0.1"),
    ],
)
def test_bad_constants(constants: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        WinnerRule(**constants)


def test_a_long_step_gives_a_warning() -> None:
    with pytest.warns(UserWarning, match=r"dt is 0\.006 s, more than tau_synapse of 0\.005 s"):
        WinnerRule(dt=6e-3, decision=12e-3)


def test_bad_input() -> None:
    layer, bins = PatternWinners(5, 4), patterns(3, 5)
    for wrong in (bins[0], bins[:, :4], bins.long()):
        for use in (layer.forward, layer.partial_fit, layer.learn):
            with pytest.raises(InputError, match="bins have shape"):
                use(wrong)
    with pytest.raises(InputError, match="out_features is 2; expected 3 or more"):
        PatternWinners(5, 2)
    with pytest.raises(InputError, match="in_features is 0"):
        PatternWinners(0, 4)
    with pytest.raises(InputError, match="epochs is 0"):
        layer.fit(bins, random(0), epochs=0)
    with pytest.raises(InputError, match="patterns is 0"):
        layer.fit(bins[:0], random(0))


@pytest.mark.parametrize(
    ("name", "values", "words"),
    [
        ("weight", torch.full((4, 5), math.nan), "weight holds NaN"),
        ("weight", torch.full((4, 5), 1.5), r"weight goes from 1\.5 to 1\.5; expected 0 to 1"),
        ("weight", torch.zeros(4, 5).half(), "weight is torch.float16"),
        ("weight", torch.zeros(2, 5), r"theta is \[4\]; expected \[2\]"),
        ("theta", torch.zeros(3), r"theta is \[3\]; expected \[4\]"),
        ("theta", torch.full((4,), math.inf), "theta holds inf"),
        ("wins", torch.full((4,), -1.0), r"wins goes from -1\.0 to -1\.0; expected 0 or more"),
        ("wins", torch.zeros(4).double(), "wins is torch.float64"),
    ],
)
def test_weights_that_no_layer_learns(name: str, values: Tensor, words: str) -> None:
    layer, bins = PatternWinners(5, 4), patterns(3, 5)
    setattr(layer, name, torch.nn.Parameter(values, requires_grad=False))
    for use in (layer.forward, layer.partial_fit, layer.learn):
        with pytest.raises(InputError, match=words):
            use(bins)


def test_constants_that_the_weights_type_does_not_have() -> None:
    for constant in ("homeostasis", "fall"):
        layer = PatternWinners(5, 4, rule=WinnerRule(**{constant: 1e300}))
        with pytest.raises(InputError, match=f"{constant} is 1e"):
            layer(patterns(3, 5))


def test_bad_labels() -> None:
    order, labels = torch.zeros(3, 2, dtype=torch.int64), torch.tensor([0, 1, 2])
    with pytest.raises(InputError, match="labels are 2 and patterns 3"):
        label_neurons(order[:, 0], labels[:2], 4, 3)
    with pytest.raises(InputError, match="labels are 0"):
        learn_orders(order[:0], labels[:0], 4, 3)
    with pytest.raises(InputError, match="labels go from 0 to 2; expected 0 to 1"):
        learn_orders(order, labels, 4, 2)
    with pytest.raises(InputError, match="order go from 5 to 5; expected 0 to 3"):
        label_neurons(order[:, 0] + 5, labels, 4, 3)
    with pytest.raises(InputError, match="smoothing is 0"):
        learn_orders(order, labels, 4, 3, smoothing=0)
