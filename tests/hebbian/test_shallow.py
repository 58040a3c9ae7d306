"""Shallow networks against loops written from the equations, and readouts on clear cases."""

import copy
import itertools
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from plastorch.data import load_images
from plastorch.engine.errors import InputError
from plastorch.engine.streams import stream
from plastorch.hebbian.shallow import (
    BackpropMlp,
    OnlineTraining,
    ShallowSoftHebb,
    activations,
    cross_entropy,
    label_assignment_accuracy,
    sample_weights,
    softened,
    teacher_clamped_accuracy,
    unit_length,
)
from plastorch.hebbian.streams import Stream
from plastorch.learning.phases import run_phase

KINDS = ("soft", "hard", "backprop")
Labeled = tuple[Tensor, Tensor]


@pytest.fixture(scope="module")
def digits() -> Labeled:
    images = load_images("mnist")
    return images.train_images[:60], images.train_labels[:60]


def network(kind: str, neurons: int = 12, seed: int = 0) -> nn.Module:
    if kind == "backprop":
        return BackpropMlp(784, neurons, generator=stream(seed))
    return ShallowSoftHebb(
        784,
        neurons,
        competition=kind,
        inverse_temperature=30.0,
        readout_inverse_temperature=20.0,
        generator=stream(seed),
    )


def training(net: nn.Module, digits: Labeled, **options: Any) -> OnlineTraining:
    images, labels = digits
    given = {"batch_size": 16, "hebbian_rate": 0.1, "adam_rate": 0.01, "seed": 3} | options
    return OnlineTraining(net, images, labels, images[:20], labels[:20], **given)


class Adam:
    """Kingma and Ba, algorithm 1, written out."""

    def __init__(self, parameters: list[Tensor], rate: float) -> None:
        self.parameters, self.rate, self.steps = parameters, rate, 0
        self.mean = [torch.zeros_like(p) for p in parameters]
        self.square = [torch.zeros_like(p) for p in parameters]

    def step(self, gradients: tuple[Tensor, ...]) -> None:
        self.steps += 1
        for i, (p, g) in enumerate(zip(self.parameters, gradients, strict=True)):
            self.mean[i] = 0.9 * self.mean[i] + 0.1 * g
            self.square[i] = 0.999 * self.square[i] + 0.001 * g * g
            mean = self.mean[i] / (1 - 0.9**self.steps)
            square = self.square[i] / (1 - 0.999**self.steps)
            p.data -= self.rate * mean / (square.sqrt() + 1e-8)


def naive(kind: str, digits: Labeled, start: dict[str, Tensor], epochs: int) -> dict[str, Tensor]:
    """Input by input from the equations of the paper, in double precision."""
    images, labels = digits
    w = {name: value.double().requires_grad_() for name, value in start.items()}
    learning = [w[name] for name in w if kind == "backprop" or not name.startswith("hidden")]
    adam, step, total = Adam(learning, 0.01), 0, 4 * epochs
    for epoch in range(epochs):
        order = torch.randperm(60, generator=stream(3, Stream.IMAGE_ORDER, epoch)).tolist()
        for first in range(0, 60, 16):
            rows = order[first : first + 16]
            loss, raw = torch.zeros(()).double(), torch.zeros(12, 784).double()
            for row in rows:
                x = images[row].double().flatten() / 255
                if kind == "backprop":
                    hidden = w["hidden.weight"] @ x + w["hidden.bias"]
                    seen = hidden * (hidden > 0)
                else:
                    x = x / x.square().sum().sqrt()
                    u = (w["hidden.weight"] @ x).detach()
                    seen = torch.exp(20 * u) / torch.exp(20 * u).sum()
                    y = torch.exp(30 * u) / torch.exp(30 * u).sum()
                    if kind == "hard":
                        y = (u == u.max()).double()
                    for k in range(12):
                        raw[k] += y[k] * (x - u[k] * w["hidden.weight"][k].detach())
                logits = w["readout.weight"] @ seen + w["readout.bias"]
                loss = loss + logits.logsumexp(0) - logits[labels[row]]
            gradients = torch.autograd.grad(loss / len(rows), learning)
            if kind != "backprop":
                w["hidden.weight"].data += 0.1 * (1 - step / total) * raw / raw.abs().max()
            adam.step(gradients)
            step += 1
    return {name: value.detach().float() for name, value in w.items()}


@pytest.mark.parametrize("kind", KINDS)
def test_training_is_the_loop_of_the_equations(kind: str, digits: Labeled) -> None:
    net = network(kind)
    start = copy.deepcopy(net.state_dict())
    records = run_phase(training(net, digits, epochs=2))
    expected = naive(kind, digits, start, epochs=2)
    assert net.state_dict().keys() == expected.keys()
    for name, value in net.state_dict().items():
        assert (expected[name] - start[name]).abs().max() > 1e-2, name
        torch.testing.assert_close(value, expected[name], atol=2e-4, rtol=1e-3, msg=name)
    assert records[-1]["step"] == 8


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("learn_readout", [True, False])
def test_any_stop_and_restart_gives_the_same_bits(
    kind: str, learn_readout: bool, digits: Labeled
) -> None:
    options = {"epochs": 2, "learn_readout": learn_readout}
    whole = network(kind)
    expected = run_phase(training(whole, digits, **options))
    net, state, records = network(kind), {}, []
    for position in range(8):
        phase = training(copy.deepcopy(net), digits, **options)
        phase.position = position
        phase.load_state_dict(state)
        records += phase.step()
        net, state = phase.net, {k: v.clone() for k, v in phase.state_dict().items()}
    assert records == expected
    for name, value in whole.state_dict().items():
        assert torch.equal(value, net.state_dict()[name]), name


@pytest.mark.parametrize("kind", KINDS)
def test_a_readout_that_does_not_learn_keeps_its_bits(kind: str, digits: Labeled) -> None:
    net = network(kind)
    start = copy.deepcopy(net.state_dict())
    run_phase(training(net, digits, learn_readout=False))
    assert torch.equal(net.readout.weight, start["readout.weight"])
    assert torch.equal(net.readout.bias, start["readout.bias"])
    assert not torch.equal(net.hidden.weight, start["hidden.weight"])
    run_phase(training(net, digits))
    assert not torch.equal(net.readout.weight, start["readout.weight"])


@pytest.mark.parametrize("kind", KINDS)
def test_only_backprop_shows_its_hidden_layer_the_labels(kind: str, digits: Labeled) -> None:
    images, labels = digits
    net, mislabeled, frozen = (network(kind) for _ in range(3))
    run_phase(training(net, digits))
    run_phase(training(mislabeled, (images, (labels + 1) % 10)))
    run_phase(training(frozen, digits, learn_readout=False))
    equal = [torch.equal(net.hidden.weight, n.hidden.weight) for n in (mislabeled, frozen)]
    assert equal == ([False, False] if kind == "backprop" else [True, True])
    assert not torch.equal(net.readout.weight, mislabeled.readout.weight)


def test_a_network_in_eval_mode_learns(digits: Labeled) -> None:
    nets = [network("soft"), network("soft").eval()]
    for net in nets:
        run_phase(training(net, digits))
    assert torch.equal(nets[0].hidden.weight, nets[1].hidden.weight)


def test_the_seed_decides_the_order(digits: Labeled) -> None:
    first, again, other = (network("soft") for _ in range(3))
    for net, seed in ((first, 3), (again, 3), (other, 4)):
        run_phase(training(net, digits, seed=seed))
    assert torch.equal(first.hidden.weight, again.hidden.weight)
    assert not torch.equal(first.hidden.weight, other.hidden.weight)


def test_tests_come_at_growing_intervals_then_once_per_epoch(digits: Labeled) -> None:
    phase = training(network("soft", 2), digits, batch_size=1, epochs=3, name="once-soft")
    records = run_phase(phase)
    steps = [record["step"] for record in records]
    first = [step for step in steps if step <= 60]
    assert steps == [*first, 120, 180]
    assert first[0] == 1 and first[-1] == 60 and first[:8] == list(range(1, 9))
    assert 0 < len([step for step in first if step > 30]) < 15
    assert all(record["phase"] == "once-soft" for record in records)


@pytest.mark.parametrize("steps", [1, 2, 10, 1875])
def test_tests_are_few_and_evenly_spaced_on_a_log_scale(digits: Labeled, steps: int) -> None:
    images, labels = digits[0][:1].expand(steps, -1, -1, -1), digits[1][:1].expand(steps)
    phase = OnlineTraining(network("soft", 2), images, labels, images[:1], labels[:1], batch_size=1)
    tests = sorted(phase.tests)
    assert phase.total == steps and len(tests) <= 50
    assert tests[0] == 1 and tests[-1] == steps
    ratio = steps ** (1 / 49)
    for a, b in itertools.pairwise(tests):
        assert b <= ratio * (a + 0.5) + 0.5


def test_records_tell_loss_and_accuracy_on_the_test_images(digits: Labeled) -> None:
    net = network("soft")
    record = run_phase(training(net, digits))[-1]
    logits = net(digits[0][:20] / 255).detach()
    assert record == {
        "phase": "online",
        "step": 4,
        "cross_entropy": pytest.approx(float(F.cross_entropy(logits, digits[1][:20]))),
        "test_accuracy": float((logits.argmax(1) == digits[1][:20]).double().mean()),
    }


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_learns_digits(kind: str) -> None:
    images = load_images("mnist")
    net, labels = network(kind, 100), images.train_labels[:3000]
    tested = images.test_images[:500], images.test_labels[:500]
    phase = OnlineTraining(net, images.train_images[:3000], labels, *tested, adam_rate=0.02)
    records = run_phase(phase)
    assert records[0]["test_accuracy"] < 0.4 and records[-1]["test_accuracy"] > 0.7
    assert records[-1]["cross_entropy"] < records[0]["cross_entropy"] / 1.5


def test_sampled_weights_are_images_of_length_1_that_training_leaves(digits: Labeled) -> None:
    images, _ = digits
    net, other = network("soft"), network("soft")
    sample_weights(net, images, seed=5)
    sample_weights(other, images, seed=6)
    given = images.flatten(1).double()
    cosines = (net.hidden.weight.double() @ given.T) / given.norm(dim=1)
    torch.testing.assert_close(cosines.amax(dim=1), torch.ones(12, dtype=torch.float64))
    torch.testing.assert_close(net.hidden.radius(), torch.ones(12))
    assert not torch.equal(net.hidden.weight, other.hidden.weight)
    hidden, readout = net.hidden.weight.clone(), net.readout.weight.clone()
    run_phase(training(net, digits, learn_hidden=False, epochs=3))
    assert torch.equal(net.hidden.weight, hidden)
    assert not torch.equal(net.readout.weight, readout)


def test_any_network_with_a_readout_can_be_trained(digits: Labeled) -> None:
    class Deep(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.readout = nn.Conv2d(1, 2, 28), nn.Linear(2, 10)

        def forward(self, images: Tensor) -> Tensor:
            return self.readout(self.conv(images).flatten(1))

    net = Deep()
    start = copy.deepcopy(net.state_dict())
    run_phase(training(net, digits))
    assert all(not torch.equal(value, start[name]) for name, value in net.state_dict().items())


def test_activations_do_not_depend_on_brightness_and_black_is_undecided(digits: Labeled) -> None:
    net, x = network("soft"), digits[0][:5] / 255
    torch.testing.assert_close(net.activation(x), net.activation(0.2 * x))
    y = net.activation(x)
    torch.testing.assert_close(y.sum(1), torch.ones(5))
    assert not torch.allclose(y, torch.full_like(y, 1 / 12), atol=0.01)
    black = torch.zeros(2, 1, 28, 28)
    torch.testing.assert_close(net.activation(black), torch.full((2, 12), 1 / 12))
    assert torch.equal(unit_length(black), torch.zeros(2, 784))
    torch.testing.assert_close(unit_length(x).norm(dim=1), torch.ones(5))


def test_inputs_of_unit_length_are_all_that_the_control_differs_in(digits: Labeled) -> None:
    plain = network("backprop")
    unit = BackpropMlp(784, 12, unit_inputs=True, generator=stream(0))
    x = digits[0][:5] / 255
    expected = plain(F.normalize(x.flatten(1), dim=1))
    assert torch.equal(unit(x), expected) and not torch.allclose(plain(x), expected)
    torch.testing.assert_close(unit(x), unit(0.2 * x))


@pytest.mark.parametrize("kind", KINDS)
def test_black_images_leave_all_numbers_finite(kind: str, digits: Labeled) -> None:
    images, labels = digits[0].clone(), digits[1]
    images[::2] = 0
    for shown in (images, torch.zeros_like(images)):
        net = network(kind)
        records = run_phase(training(net, (shown, labels)))
        assert torch.isfinite(net(shown / 255)).all()
        assert all(torch.isfinite(value).all() for value in net.state_dict().values())
        assert all(record["cross_entropy"] < 100 for record in records)


@pytest.mark.parametrize("kind", KINDS)
def test_initial_weights_come_from_their_generator(kind: str) -> None:
    first, again, other = network(kind, seed=1), network(kind, seed=1), network(kind, seed=2)
    for name, value in first.state_dict().items():
        assert torch.equal(value, again.state_dict()[name])
        assert not torch.equal(value, other.state_dict()[name])
        if name.startswith("readout"):
            assert value.abs().max() <= 12**-0.5  # as nn.Linear has it
    if kind == "backprop":
        weight = first.hidden.weight.detach()
        assert weight.abs().max() <= 784**-0.5
        assert float(weight.std()) == pytest.approx((3 * 784) ** -0.5, rel=0.05)
    else:
        assert float(first.hidden.radius().mean()) == pytest.approx(3, rel=0.02)


@pytest.mark.parametrize("count", [3, 4001])
def test_cross_entropy_is_torchs_on_all_images_at_once(count: int, digits: Labeled) -> None:
    images = digits[0].repeat(67, 1, 1, 1)[:count]
    labels = digits[1].repeat(67)[:count]
    net = network("soft")
    logits = net(images / 255).detach()
    loss, right = cross_entropy(net, images, labels)
    assert loss == pytest.approx(float(F.cross_entropy(logits, labels)), rel=1e-5)
    assert right == pytest.approx(float((logits.argmax(1) == labels).double().mean()))


def test_cached_activations_are_those_of_the_network(digits: Labeled) -> None:
    net = network("soft")
    cache = activations(net, digits[0], batch_size=7)
    assert cache.dtype == torch.float16 and cache.shape == (60, 12)
    expected = net.activation(digits[0] / 255).detach()
    torch.testing.assert_close(cache.float(), expected, atol=1e-6, rtol=1e-3)


def clusters(count: int, seed: int, neurons: int = 30, classes: int = 3) -> Labeled:
    """Activations that class c raises in its own tenth of the neurons; some noise elsewhere."""
    random = stream(seed)
    labels = torch.randint(0, classes, (count,), generator=random)
    y = 0.3 * torch.rand(count, neurons, generator=random)
    block = neurons // classes
    for row, label in enumerate(labels.tolist()):
        winner = label * block + int(torch.randint(block, (), generator=random))
        y[row, label * block : (label + 1) * block] += 0.5
        y[row, winner] += 1
    return y / y.sum(1, keepdim=True), labels


RATE = 0.5
"""Few neurons start with large weights, which few updates at the default rate would not shrink."""


def test_readouts_without_gradients_solve_a_separable_case() -> None:
    train, test = clusters(2000, seed=0), clusters(300, seed=1)
    wrong = (test[1] + 1) % 3
    half = torch.where(torch.arange(300) % 2 == 0, test[1], wrong)
    for labels, share in ((test[1], 1), (wrong, 0), (half, 0.5)):
        assert label_assignment_accuracy(*train, test[0], labels, 3) == share
        assert teacher_clamped_accuracy(*train, test[0], labels, 3, RATE) == share


def test_readouts_take_half_precision() -> None:
    (train, train_labels), (test, test_labels) = clusters(2000, seed=0), clusters(300, seed=1)
    halves = train.half(), train_labels, test.half(), test_labels, 3
    assert label_assignment_accuracy(*halves) == 1
    assert teacher_clamped_accuracy(*halves, learning_rate=RATE) == 1


def test_label_assignment_is_the_count_of_wins() -> None:
    """Written out, with noise enough that many answers are wrong and neurons that never win."""
    random = stream(5)
    train, test = (torch.rand(n, 9, generator=random) for n in (80, 50))
    labels, test_labels = (torch.randint(0, 4, (n,), generator=random) for n in (80, 50))
    for y in (train, test):
        y[:, 7:] *= 0.1
    test[:10, 8] = 2.0  # a neuron that never won in training answers by its summed response
    assigned = []
    for k in range(9):
        wins = [0] * 4
        for y, label in zip(train.tolist(), labels.tolist(), strict=True):
            wins[label] += y.index(max(y)) == k
        if not any(wins):
            wins = [float(train[labels == c, k].sum()) for c in range(4)]
        assigned.append(wins.index(max(wins)))
    right = sum(
        assigned[y.index(max(y))] == label
        for y, label in zip(test.tolist(), test_labels.tolist(), strict=True)
    )
    assert 0 < right < 50
    assert label_assignment_accuracy(train, labels, test, test_labels, 4) == right / 50


def test_the_teacher_clamped_layer_is_the_loop_of_the_equations() -> None:
    """Spec of the Hebbian classifier: y := one-hot label, one pass, linear decay, argmax u."""
    (train, labels), (test, test_labels) = clusters(203, seed=2), clusters(200, seed=3)
    test = test + 0.05 * torch.rand(test.shape, generator=stream(9))
    w = (
        torch.rand(3, 30, generator=stream(6, Stream.TAUGHT_WEIGHTS)) * 35 * (3 / 30) ** 0.5
    ).double()
    batches = torch.randperm(203, generator=stream(6, Stream.TAUGHT_ORDER)).split(10)
    for step, rows in enumerate(batches):
        raw = torch.zeros_like(w)
        for row in rows.tolist():
            x = train[row].double() / train[row].double().norm()
            k = int(labels[row])
            raw[k] += x - (w[k] @ x) * w[k]
        w += 0.5 * (1 - step / len(batches)) * raw / raw.abs().max()
    expected = float(((test.double() @ w.T).argmax(1) == test_labels).double().mean())
    found = teacher_clamped_accuracy(train, labels, test, test_labels, 3, 0.5, 10, seed=6)
    assert found == expected and 0.3 < found < 1


def test_the_teacher_decides_what_is_learned() -> None:
    (train, labels), test = clusters(2000, seed=0), clusters(300, seed=1)
    shuffled = labels[torch.randperm(2000, generator=stream(0))]
    assert teacher_clamped_accuracy(train, shuffled, *test, 3, RATE) < 0.7
    assert label_assignment_accuracy(train, shuffled, *test, 3) < 0.7


IMAGES, LABELS = torch.ones(6, 1, 28, 28, dtype=torch.uint8), torch.arange(6)
GOOD = {"images": IMAGES, "labels": LABELS, "test_images": IMAGES, "test_labels": LABELS}
BAD = [
    ({"batch_size": 0}, "batch_size is 0; expected more than 0"),
    ({"epochs": -1}, "epochs is -1"),
    ({"hebbian_rate": 0.0}, "hebbian_rate is 0.0"),
    ({"hebbian_rate": float("nan")}, "hebbian_rate is nan"),
    ({"adam_rate": -0.1}, "adam_rate is -0.1"),
    ({"labels": LABELS + 5}, r"labels lie in 5..10; expected 0..9"),
    ({"labels": LABELS - 1}, r"labels lie in -1..4"),
    ({"test_labels": LABELS + 5}, r"labels lie in 5..10"),
    ({"labels": LABELS[:5]}, "images are 6, labels 5; expected equal numbers, not 0"),
    ({"images": IMAGES[:1]}, "images are 1, labels 6"),
    ({"test_labels": LABELS[:2]}, "test_images are 6, test_labels 2"),
    ({"images": IMAGES[:0], "labels": LABELS[:0]}, "images are 0, labels 0"),
    ({"test_images": IMAGES[:0], "test_labels": LABELS[:0]}, "test_images are 0, test_labels 0"),
]


@pytest.mark.parametrize(("options", "message"), BAD)
def test_bad_input_of_a_training_is_named(options: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        OnlineTraining(network("soft"), **(GOOD | options))


@pytest.mark.parametrize(
    ("images", "labels"), [(IMAGES, LABELS[:1]), (IMAGES[:0], LABELS[:0]), (IMAGES[:2], LABELS)]
)
def test_images_and_labels_that_do_not_match_have_no_loss(images: Tensor, labels: Tensor) -> None:
    message = f"images are {len(images)}, labels {len(labels)}"
    with pytest.raises(InputError, match=message):
        cross_entropy(network("soft"), images, labels)


@pytest.mark.parametrize("readout", [label_assignment_accuracy, teacher_clamped_accuracy])
def test_bad_input_of_readouts_is_named(readout: Any) -> None:
    y, labels = torch.rand(6, 4), torch.arange(6) % 3
    for given, message in (
        ((y, labels[:1], y, labels, 3), "train are 6, train_labels 1"),
        ((y, labels, y, labels[:1], 3), "test are 6, test_labels 1"),
        ((y[:0], labels[:0], y, labels, 3), "train are 0, train_labels 0"),
        ((y, labels, y[:0], labels[:0], 3), "test are 0, test_labels 0"),
        ((y, labels, y, labels, 2), r"labels lie in 0..2; expected 0..1"),
    ):
        with pytest.raises(InputError, match=message):
            readout(*given)


def test_bad_numbers_are_named() -> None:
    y, labels = torch.rand(6, 4), torch.arange(6) % 3
    for name in ("learning_rate", "batch_size"):
        with pytest.raises(InputError, match=f"{name} is 0"):
            teacher_clamped_accuracy(y, labels, y, labels, 3, **{name: 0})
    for name in (
        "in_features",
        "classes",
        "inverse_temperature",
        "readout_inverse_temperature",
        "initial_radius",
    ):
        with pytest.raises(InputError, match=f"{name} is 0"):
            ShallowSoftHebb(**({"in_features": 4, "neurons": 3} | {name: 0}))
    with pytest.raises(InputError, match="competition is 'loud'"):
        ShallowSoftHebb(4, 3, competition="loud")


def test_softened_networks_have_gradients_where_the_networks_own_vanished(
    digits: Labeled,
) -> None:
    x = digits[0][:20] / 255
    soft, backprop = (network(kind, neurons=20) for kind in ("soft", "backprop"))
    torch.testing.assert_close(softened(backprop)(x), backprop(x) / 5)
    u = x.flatten(1) / x.flatten(1).norm(dim=1, keepdim=True) @ soft.hidden.weight.T
    expected = soft.readout((soft.readout_inverse_temperature / 5 * u).softmax(dim=1))
    torch.testing.assert_close(softened(soft)(x), expected)
    with pytest.raises(InputError, match="factor"):
        softened(soft, 0.0)

    def alive(net: nn.Module, answers: Tensor) -> int:
        images = x.clone().requires_grad_()
        F.cross_entropy(net(images), answers).backward()
        return int(images.grad.flatten(1).any(dim=1).sum())

    with torch.no_grad():  # so sure of their answers that exponentials underflow
        soft.hidden.weight.mul_(250)
        backprop.readout.weight.mul_(6000)
    for net in (soft, backprop):
        answers = net(x).argmax(dim=1)
        assert alive(net, answers) < 12 < alive(softened(net), answers)
