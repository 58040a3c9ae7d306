"""Attacks against closed forms of linear classifiers."""

import copy
import importlib.util
import math
import sys

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from plastorch.engine.errors import InputError
from plastorch.engine.streams import stream
from plastorch.hebbian import SoftHebbLinear
from plastorch.hebbian.attacks import (
    Norm,
    area_under_curve,
    attack,
    attacked_accuracy,
    interpolate,
    noise_accuracy,
    transferred_accuracy,
)

# Found, not imported: the library's own import is what must cope with warnings as errors.
needs_foolbox = pytest.mark.skipif(
    importlib.util.find_spec("foolbox") is None, reason="foolbox is not installed"
)
NORMS: list[Norm] = ["linf", "l2"]


def linear(seed: int = 0, features: int = 20, bias: float = 0.0) -> nn.Linear:
    """Two classes, seen apart at the gray image; logits 0 and w (x - 1/2) + bias."""
    model = nn.Linear(features, 2)
    w = torch.randn(features, generator=torch.Generator().manual_seed(seed))
    with torch.no_grad():
        model.weight.copy_(torch.stack([torch.zeros_like(w), w]))
        model.bias.copy_(torch.tensor([0, bias - float(w.sum()) / 2]))
    return model


def gray_images(n: int = 30, features: int = 20, seed: int = 1) -> Tensor:
    """Images whose pixels stay within 0.05 of gray, so that the box is far."""
    random = torch.Generator().manual_seed(seed)
    return 0.5 + 0.1 * (torch.rand(n, features, generator=random) - 0.5)


def margins(model: nn.Linear, images: Tensor, norm: Norm) -> Tensor:
    """Exact distance to the decision boundary."""
    logits = model(images).detach()
    w = (model.weight[1] - model.weight[0]).detach()
    return (logits[:, 1] - logits[:, 0]).abs() / (w.abs().sum() if norm == "linf" else w.norm())


def mlp(seed: int = 0, features: int = 12, classes: int = 3) -> nn.Sequential:
    torch.manual_seed(seed)
    net = nn.Sequential(nn.Linear(features, 16), nn.Tanh(), nn.Linear(16, classes))
    x = torch.rand(200, features)
    with torch.no_grad():
        net[0].weight.mul_(4)
        net[0].bias.copy_(-net[0].weight.sum(dim=1) / 2)
        net[2].bias.sub_(net(x).mean(dim=0))  # so that each class gets images
    return net


def mlp_problem(n: int = 40, features: int = 12) -> tuple[nn.Sequential, Tensor, Tensor]:
    net, images = mlp(), torch.rand(n, features, generator=torch.Generator().manual_seed(5))
    return net, images, net(images).argmax(1)


def right(model: nn.Module, images: Tensor, labels: Tensor) -> float:
    return float((model(images).argmax(1) == labels).double().mean())


@needs_foolbox
@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("quantile", [0.1, 0.5, 0.9])
def test_attack_flips_exactly_what_the_margin_allows(norm: Norm, quantile: float) -> None:
    model, images = linear(), gray_images()
    labels = model(images).argmax(1)
    distance = margins(model, images, norm)
    strength = float(distance.quantile(quantile))
    made = attack(model, images, labels, norm, strength, restarts=1)
    flipped = model(made).argmax(1) != labels
    clear = (distance - strength).abs() > 1e-4 * strength
    assert clear.sum() > 25
    assert torch.equal(flipped[clear], (distance < strength)[clear])
    assert float(flipped.double().mean()) == pytest.approx(quantile, abs=0.05)


@needs_foolbox
@pytest.mark.parametrize("norm", NORMS)
def test_attacked_accuracy_is_the_distribution_of_margins(norm: Norm) -> None:
    model, images = linear(), gray_images(60)
    labels = model(images).argmax(1)
    labels[:5] = 1 - labels[:5]  # wrong from the start
    distance = margins(model, images, norm)
    distance[:5] = -1
    strengths = [float(q) for q in distance.quantile(torch.tensor([0.2, 0.45, 0.71, 0.93]))]
    accuracies = attacked_accuracy(model, images, labels, norm, strengths, restarts=2)
    assert accuracies == [float((distance > s).double().mean()) for s in strengths]


@needs_foolbox
@settings(max_examples=25)
@given(
    norm=st.sampled_from(NORMS),
    strength=st.floats(1e-3, 3),
    steps=st.integers(1, 5),
    restarts=st.integers(1, 3),
    seed=st.integers(0, 2**31),
)
def test_perturbations_stay_in_ball_and_box(
    norm: Norm, strength: float, steps: int, restarts: int, seed: int
) -> None:
    net, images, labels = mlp_problem(9)
    made = attack(net, images, labels, norm, strength, steps=steps, restarts=restarts, seed=seed)
    order = math.inf if norm == "linf" else 2
    assert (made - images).norm(p=order, dim=1).max() <= strength * (1 + 1e-5) + 1e-6
    assert 0 <= made.min() <= made.max() <= 1
    assert made.shape == images.shape and made.dtype == images.dtype


@needs_foolbox
def test_attacks_are_deterministic_and_leave_all_as_it_was() -> None:
    net, images, labels = mlp_problem()
    net.insert(1, nn.BatchNorm1d(16))
    net.insert(2, nn.Dropout(0.5))
    net.train()
    net[1].eval()
    net[0].bias.requires_grad_(False)
    net[0].weight.grad = torch.ones_like(net[0].weight)
    before, state = copy.deepcopy(net.state_dict()), torch.get_rng_state()
    with torch.no_grad():
        first, again = (attack(net, images, labels, "l2", 0.2, seed=3) for _ in range(2))
    other = attack(net, images, labels, "l2", 0.2, seed=4)
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert torch.equal(torch.get_rng_state(), state)
    torch.testing.assert_close(net.state_dict(), before, rtol=0, atol=0)
    assert [m.training for m in net] == [True, False, True, True, True]
    assert [p.requires_grad for p in net[0].parameters()] == [True, False]
    assert torch.equal(net[0].weight.grad, torch.ones_like(net[0].weight))
    assert net[1].weight.grad is None


@needs_foolbox
@pytest.mark.parametrize("norm", NORMS)
def test_one_step_is_a_thirtieth_of_the_strength(norm: Norm) -> None:
    model, images = linear(), gray_images()
    labels = model(images).argmax(1)
    step = attack(model, images, labels, norm, 0.06, steps=1, restarts=1) - images
    size = step.norm(p=math.inf if norm == "linf" else 2, dim=1)
    torch.testing.assert_close(size, torch.full((30,), 0.002), rtol=1e-3, atol=0)


@needs_foolbox
@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("kind", ["untargeted", "targeted", "through"])
def test_restarts_go_on_only_where_the_model_is_not_yet_fooled(norm: Norm, kind: str) -> None:
    net, images, labels = mlp_problem()
    targets = (labels + 1) % 3 if kind == "targeted" else None
    through = copy.deepcopy(net) if kind == "through" else None
    if through is not None:
        with torch.no_grad():
            through[0].weight.add_(torch.randn(16, 12, generator=torch.Generator().manual_seed(0)))
    strength = {"linf": 0.25, "l2": 0.9}[norm]
    few, many = (
        attack(
            net,
            images,
            labels,
            norm,
            strength,
            steps=9,
            restarts=n,
            targets=targets,
            through=through,
        )
        for n in (1, 6)
    )
    given = net(few).argmax(1)
    fooled = given != labels if targets is None else given == targets
    assert 3 < fooled.sum() < 37
    assert torch.equal((many == few).all(dim=1), fooled)
    after = net(many).argmax(1)
    assert (after != labels if targets is None else after == targets).sum() > fooled.sum()


@needs_foolbox
@pytest.mark.parametrize("norm", NORMS)
def test_grid_of_survivors_is_not_above_the_plain_attack(norm: Norm) -> None:
    net, images, labels = mlp_problem()
    strengths = [0.02, 0.04, 0.08] if norm == "linf" else [0.05, 0.15, 0.3]
    grid = attacked_accuracy(net, images, labels, norm, strengths, **FEW)
    plain = [right(net, attack(net, images, labels, norm, s, **FEW), labels) for s in strengths]
    assert grid == sorted(grid, reverse=True)
    assert all(a <= b for a, b in zip(grid, plain, strict=True))
    assert grid == pytest.approx(plain, abs=0.06)
    assert grid[0] > grid[-1]


@needs_foolbox
def test_batches_change_nothing_but_the_random_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    net, images, labels = mlp_problem()
    whole = attack(net, images, labels, "l2", 0.2, restarts=1)
    monkeypatch.setattr("plastorch.hebbian.attacks.BATCH_SIZE", 7)
    monkeypatch.setattr("plastorch.hebbian.classifiers.BATCH_SIZE", 7)
    torch.testing.assert_close(attack(net, images, labels, "l2", 0.2, restarts=1), whole)


@needs_foolbox
@pytest.mark.parametrize("norm", NORMS)
def test_random_start_alone_reaches_what_the_documentation_says(norm: Norm) -> None:
    """Effect of 40 steps of 1/30 from a random start in a high-dimensional ball."""
    import foolbox

    n = 5000
    model, x = linear(features=n), torch.full((4, n), 0.5)
    with torch.no_grad():
        model.weight[1] = 1 - 2.0 * (torch.arange(n) % 2)
        model.bias.zero_()
    kind = {"linf": foolbox.attacks.LinfPGD, "l2": foolbox.attacks.L2PGD}[norm]
    pgd = kind(abs_stepsize=0.01 / 30, steps=40, random_start=True)
    wrapped = foolbox.PyTorchModel(model.eval(), bounds=(0, 1), device="cpu")
    labels = torch.zeros(4, dtype=torch.int64)
    made = pgd.run(wrapped, x, foolbox.criteria.Misclassification(labels), epsilon=0.01)
    best = 0.01 * (n if norm == "linf" else n**0.5)
    effect = ((made - x) @ model.weight[1]).detach() / best
    assert effect.mean() == pytest.approx({"l2": 0.87, "linf": 0.89}[norm], abs=0.01)


@needs_foolbox
def test_targeted_attack_reaches_the_target() -> None:
    net, images, labels = mlp_problem()
    targets = (labels + 1) % 3
    made = attack(net, images, labels, "l2", 3.0, restarts=2, targets=targets)
    assert right(net, made, targets) > 0.9
    assert right(net, attack(net, images, labels, "l2", 3.0, restarts=2), targets) < 0.9


def test_noise_accuracy_is_a_gaussian_integral() -> None:
    """P(right) of one image is Phi(margin / sigma)."""
    model, images = linear(), gray_images(1)
    n, sigmas = 4000, [0.0, 0.02, 0.1, 1.0]
    margin = float(margins(model, images, "l2"))
    labels = model(images).argmax(1).expand(n)
    measured = noise_accuracy(model, images.expand(n, -1), labels, sigmas, seed=0)
    assert measured[0] == 1
    for sigma, value in zip(sigmas[1:], measured[1:], strict=True):
        expected = 0.5 * (1 + math.erf(margin / sigma / 2**0.5))
        assert value == pytest.approx(expected, abs=4 * (expected * (1 - expected) / n) ** 0.5)
    again = noise_accuracy(model, images.expand(n, -1), labels, sigmas, seed=0)
    assert again == measured
    assert noise_accuracy(model, images.expand(n, -1), labels, sigmas, seed=1) != measured


def test_noise_is_not_made_of_the_numbers_that_initial_weights_are() -> None:
    class Seen(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            noises.append(x - 0.5)
            return x[:, :2]

    noises: list[Tensor] = []
    images, labels = torch.full((20, 30), 0.5), torch.zeros(20, dtype=torch.int64)
    noise_accuracy(Seen(), images, labels, [1.0], seed=3)
    for number in range(3):  # the first ones are those of initial weights
        weights = torch.randn(20, 30, generator=stream(3, number))
        assert not torch.allclose(noises[-1], weights, atol=1e-4)


def test_noise_is_not_clipped() -> None:
    """A model that reacts to nothing but values outside [0, 1]."""

    class Outside(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            outside = ((x < 0) | (x > 1)).any(dim=1).float()
            return torch.stack([0.5 - outside, outside - 0.5], dim=1)

    labels = torch.zeros(500, dtype=torch.int64)
    measured = noise_accuracy(Outside(), torch.ones(500, 1), labels, [0, 0.1], seed=0)
    assert measured[0] == 1 and measured[1] == pytest.approx(0.5, abs=0.1)


@needs_foolbox
@pytest.mark.parametrize("norm", NORMS)
def test_transfer_to_itself_is_the_white_box(norm: Norm) -> None:
    net, images, labels = mlp_problem()
    strengths = [0.02, 0.06] if norm == "linf" else [0.1, 0.3]
    models = {"itself": net, "other": mlp(seed=9)}
    transferred = transferred_accuracy(
        models, net, images, labels, norm=norm, strengths=strengths, **FEW
    )
    direct = attacked_accuracy(net, images, labels, norm, strengths, **FEW)
    assert transferred["itself"] == pytest.approx(direct, abs=0.06)
    made = [attack(net, images, labels, norm, s, **FEW) for s in strengths]
    assert transferred["other"] == [right(models["other"], x, labels) for x in made]


@needs_foolbox
def test_images_that_the_surrogate_gets_wrong_are_attacked_too() -> None:
    model, images = linear(), gray_images()
    labels = model(images).argmax(1)
    biased = linear(bias=100.0)  # gives class 1 to everything
    made = attack(biased, images, torch.zeros_like(labels), "l2", 0.1)
    moved = ((made - images) @ model.weight[1]).detach()
    assert torch.allclose(moved, 0.1 * model.weight[1].norm().detach(), rtol=1e-3)


@needs_foolbox
def test_interpolation_crosses_at_the_margin() -> None:
    model, images = linear(), gray_images()
    source = model(images).argmax(1)
    distance = margins(model, images, "l2")
    strengths = [0.02, 0.05, 0.1]
    made = interpolate(model, images, 1 - source, strengths)
    assert made.images.shape == (3, *images.shape)
    for n, d in enumerate(distance.tolist()):
        assert min(abs(d - s) for s in strengths) > 1e-5
        expected = next((i for i, s in enumerate(strengths) if s >= d), -1)
        assert made.crossing[n] == expected
    torch.testing.assert_close(made.source_probability + made.target_probability, torch.ones(3, 30))
    assert (made.target_probability.diff(dim=0) > 0).all()
    slope = float(model.weight[1].detach().norm())
    wanted = torch.sigmoid(slope * (torch.tensor(strengths).unsqueeze(1) - distance))
    torch.testing.assert_close(made.target_probability, wanted, rtol=1e-3, atol=1e-4)


@needs_foolbox
def test_a_confident_readout_hides_its_gradient_until_logits_are_scaled() -> None:
    """foolbox doesn't lengthen L2 gradients below 1e-12, which a logit margin of 40 gives."""

    class Scaled(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x / 20

    confident, images = nn.Linear(100, 2), torch.full((1, 100), 0.5)
    with torch.no_grad():
        confident.weight.copy_(torch.tensor([[-1.0], [1.0]]).expand(2, 100))
        confident.bias.copy_(torch.tensor([50.0 - 20, -50.0 + 20]))
    labels, strength = torch.tensor([1]), 40 / 20 * 1.001
    assert attacked_accuracy(confident, images, labels, "l2", [strength]) == [1]
    scaled = nn.Sequential(confident, Scaled())
    assert attacked_accuracy(confident, images, labels, "l2", [strength], through=scaled) == [0]


class Saturated(nn.Module):
    """A SoftHebb hidden layer whose softmax has one winner and no gradient in float32."""

    def __init__(self, inverse_temperature: float) -> None:
        super().__init__()
        self.hidden = SoftHebbLinear(12, 6, inverse_temperature=inverse_temperature)
        self.readout = nn.Linear(6, 3)
        random = torch.Generator().manual_seed(0)
        with torch.no_grad():
            self.hidden.weight.normal_(generator=random)
            self.readout.weight.copy_(torch.eye(3).repeat(1, 2))
            self.readout.bias.zero_()

    def forward(self, x: Tensor) -> Tensor:
        y = torch.softmax(self.hidden.inverse_temperature * (x @ self.hidden.weight.T), dim=1)
        return self.readout(y)


@needs_foolbox
@pytest.mark.parametrize("norm", NORMS)
def test_hidden_gradients_are_found_through_a_softer_network(norm: Norm) -> None:
    hard, soft = Saturated(3000), Saturated(1)
    images = torch.rand(60, 12, generator=torch.Generator().manual_seed(2))
    labels = hard(images).argmax(1)
    x = images.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(hard(x).sum(dim=0)[0], x)
    assert (gradient == 0).all(dim=1).double().mean() > 0.9
    strengths = [0.3] if norm == "linf" else [1.0]
    direct, through, both = (
        attacked_accuracy(hard, images, labels, norm, strengths, restarts=1, through=t)[0]
        for t in (None, soft, [hard, soft])
    )
    assert direct > 0.9
    assert through < 0.3
    assert both <= min(direct, through)


@needs_foolbox
def test_a_network_without_gradient_needs_through() -> None:
    class Winner(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return nn.functional.one_hot(x.argmax(dim=1), 2).float()

    images, labels = torch.tensor([[0.6, 0.5]]), torch.tensor([0])
    with pytest.raises(InputError, match=r"model has no gradient; expected one, or .* `through`"):
        attacked_accuracy(Winner(), images, labels, "l2", [0.2])
    assert attacked_accuracy(Winner(), images, labels, "l2", [0.2], through=nn.Identity()) == [0]


@given(st.lists(st.floats(0, 1), min_size=2, max_size=6))
def test_area_under_curve(accuracies: list[float]) -> None:
    strengths = [float(i * (i + 1)) for i in range(len(accuracies))]
    area = area_under_curve(strengths, accuracies)
    assert min(accuracies) - 1e-12 <= area <= max(accuracies) + 1e-12
    total = sum(
        (strengths[i + 1] - strengths[i]) * (accuracies[i] + accuracies[i + 1]) / 2
        for i in range(len(accuracies) - 1)
    )
    assert area == pytest.approx(total / strengths[-1])


X, Y = torch.full((4, 3), 0.5), torch.tensor([0, 1, 2, 0])
FEW = {"steps": 10, "restarts": 2}
GOOD = {"model": nn.Identity(), "images": X, "labels": Y, "norm": "l2", "strength": 0.1}
BAD = [
    ({"strength": 0.0}, r"strengths is \[0.0\]; expected finite numbers above 0, ascending"),
    ({"strength": -1.0}, r"strengths is \[-1.0\]"),
    ({"strength": math.nan}, r"strengths is \[nan\]"),
    ({"strength": math.inf}, r"strengths is \[inf\]"),
    ({"steps": 0}, "steps is 0; expected more than 0"),
    ({"restarts": 0}, "restarts is 0"),
    ({"norm": "l1"}, "norm is 'l1'; expected one of"),
    ({"images": X + 0.6}, r"images lie in 1.1..1.1; expected values in 0..1"),
    ({"images": X - 0.6}, r"images lie in -0.1"),
    ({"images": torch.full((4, 3), math.nan)}, "images lie in nan..nan"),
    ({"images": torch.full((4, 3), math.inf)}, "images lie in inf..inf"),
    ({"images": X.byte()}, "images is torch.uint8"),
    ({"images": X[:0], "labels": Y[:0]}, r"images is torch.float32 \[0, 3\]; .* not empty"),
    ({"labels": Y + 1}, r"labels lie in 1..3; expected 0..2"),
    ({"labels": Y - 1}, r"labels lie in -1..1"),
    ({"labels": Y[:3]}, r"labels is torch.int64 \[3\]; expected int64 \[4\]"),
    ({"labels": Y.float()}, r"labels is torch.float32 \[4\]"),
    ({"targets": Y}, r"targets\[0\] is 0, the source; expected another class"),
    ({"targets": Y + 2}, r"targets lie in 2..4; expected 0..2"),
    ({"model": nn.Flatten(0)}, r"model gives shape \[6\]; expected logits \[B, classes\]"),
    ({"model": nn.Linear(3, 1)}, r"model gives shape \[2, 1\]"),
    ({"model": nn.Unflatten(1, (3, 1))}, r"model gives shape \[2, 3, 1\]"),
    ({"through": nn.Linear(3, 2)}, "through doesn't fit; expected models that give 3 classes"),
    ({"through": []}, "through doesn't fit"),
    ({"through": [nn.Flatten(0)]}, r"through gives shape \[6\]"),
]


@pytest.mark.parametrize(("options", "message"), BAD)
def test_bad_input_of_attacks_is_named(options: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        attack(**(GOOD | options))
    given = GOOD | options
    if "targets" not in given:
        given["strengths"] = [given.pop("strength")]
        with pytest.raises(InputError, match=message):
            attacked_accuracy(**given)


def test_bad_input_elsewhere_is_named() -> None:
    net = nn.Identity()
    for strengths in ([0.2, 0.1], [0.1, 0.1], []):
        with pytest.raises(InputError, match=r"strengths is .*ascending"):
            attacked_accuracy(net, X, Y, "l2", strengths)
        with pytest.raises(InputError, match=r"strengths is .*ascending"):
            transferred_accuracy({}, net, X, Y, norm="l2", strengths=strengths)
        with pytest.raises(InputError, match=r"strengths is .*ascending"):
            interpolate(net, X, Y, strengths)
    with pytest.raises(InputError, match=r"models\['a'\] gives shape \[6\]"):
        transferred_accuracy({"a": nn.Flatten(0)}, net, X, Y, norm="l2", strengths=[0.1])
    with pytest.raises(InputError, match=r"surrogate gives shape \[6\]"):
        transferred_accuracy({"a": net}, nn.Flatten(0), X, Y, norm="l2", strengths=[0.1])
    with pytest.raises(InputError, match=r"targets\[0\] is 0, the source"):
        interpolate(net, X, Y, [0.1])
    with pytest.raises(InputError, match=r"targets is torch.float32"):
        interpolate(net, X, Y.float(), [0.1])
    for sigma in (-0.1, math.nan, math.inf):
        with pytest.raises(InputError, match=r"sigmas is .*expected finite numbers of at least 0"):
            noise_accuracy(net, X, Y, [0, sigma], seed=0)
    with pytest.raises(InputError, match=r"labels lie in 1..3"):
        noise_accuracy(net, X, Y + 1, [0], seed=0)


@pytest.mark.parametrize(
    ("strengths", "accuracies", "message"),
    [
        ([0.1, 0.2], [1, 1], r"strengths is \[0.1, 0.2\]; expected 0 and at least one more"),
        ([0], [1], r"strengths is \[0\]"),
        ([0, 2, 1], [1, 1, 1], r"strengths is \[2, 1\]"),
        ([0, 1], [1], "accuracies has length 1; expected 2"),
    ],
)
def test_bad_curves_are_named(strengths: list, accuracies: list, message: str) -> None:
    with pytest.raises(InputError, match=message):
        area_under_curve(strengths, accuracies)


@needs_foolbox
def test_gradients_that_are_not_numbers_are_named() -> None:
    class Normalized(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x / x.pow(2).sum(dim=1, keepdim=True).sqrt().clamp(min=1e-6)

    images = torch.tensor([[0.0, 0.0], [0.4, 0.5]])
    with pytest.raises(InputError, match="NaN or infinite gradients"):
        attack(Normalized(), images, torch.tensor([0, 1]), "l2", 0.1)


def test_missing_foolbox_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "foolbox", None)
    with pytest.raises(InputError, match=r'foolbox is missing; expected: pip install "plastorch\['):
        attack(nn.Identity(), X, Y, "l2", 0.1)
