"""``learn`` on trees of modules: by hand, frozen, failing, under autocast, on meta tensors."""

import copy
import gc
import warnings
import weakref
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import plastorch
from plastorch import SoftHebbConv2d, SoftHebbLinear, Triangle
from plastorch.engine.errors import InputError
from plastorch.learning import PlasticLayer, Step, learn, set_gradients
from plastorch.learning.gradients import LOOK_EVERY, _lately_not_finite


def mixed() -> nn.Sequential:
    """Convolution of torch, plastic convolution, pooling, and plastic layers in a nested module."""
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 4, 3),
        SoftHebbConv2d(4, 6, 3, padding=1, initial_radius=3.0),
        Triangle(0.7),
        nn.MaxPool2d(2),
        nn.Sequential(nn.Flatten(), SoftHebbLinear(54, 5, bias=True), nn.ReLU(inplace=True)),
        nn.Linear(5, 2),
    )


def plastic(net: nn.Module) -> list[PlasticLayer]:
    return [layer for layer in net.modules() if isinstance(layer, PlasticLayer)]


@pytest.fixture
def images() -> Tensor:
    return torch.randn(4, 3, 8, 8, generator=torch.Generator().manual_seed(1))


class Oja(PlasticLayer):
    """Oja's rule with a leaky trace of its input as state; the plainest rule with a state."""

    def __init__(self, in_features: int) -> None:
        super().__init__()
        weight = torch.linspace(0.1, 1, in_features, dtype=torch.float64)[None]
        self.weight = nn.Parameter(weight, requires_grad=False)

    def forward(self, x: Tensor, state: Tensor | None = None) -> tuple[Tensor, Tensor]:
        trace = x if state is None else 0.5 * state + x
        return trace @ self.weight.mT, trace

    def learn(self, x: Tensor, state: Tensor | None = None) -> Step:
        y, trace = self(x, state)
        return Step(y, trace, {"weight": y.mT @ trace - y.square().sum() * self.weight})


def test_a_step_is_freed_as_soon_as_it_is_written() -> None:
    """Not when garbage is collected: its tensors are large."""
    gc.disable()
    try:
        layer, kept = SoftHebbLinear(6, 3), []
        layer.register_forward_hook(lambda *call: kept.append(weakref.ref(call[2])))
        learn(layer, torch.randn(4, 6))
        assert [answer() for answer in kept] == [None]
    finally:
        gc.enable()


def test_each_layer_learns_from_what_it_receives_in_the_one_pass(images: Tensor) -> None:
    """Against the layers called by hand, one after the other."""
    net, twin = mixed(), mixed()
    output = learn(net, images)
    x = images
    for layer in [*twin[:4], *twin[4], twin[5]]:
        if isinstance(layer, PlasticLayer):
            step = layer.learn(x)
            set_gradients(layer, step)
            x = step.output
        else:
            x = layer(x)
    assert torch.equal(output, x)
    for ours, by_hand in zip(plastic(net), plastic(twin), strict=True):
        for (name, own), other in zip(ours.named_parameters(), by_hand.parameters(), strict=True):
            assert own.grad is not None and torch.equal(own.grad, other.grad), name
    assert net[0].weight.grad is None and net[5].weight.grad is None


def test_update_is_the_rule_summed_sample_by_sample() -> None:
    torch.manual_seed(0)
    layer = SoftHebbLinear(6, 4, rate_power=0.5, initial_radius=2.0, dtype=torch.float64)
    x, w = torch.randn(5, 6, dtype=torch.float64), layer.weight.clone()
    raw = torch.zeros(4, 6, dtype=torch.float64)
    for row in x:
        u = w @ row
        for k, y in enumerate(u.softmax(dim=0)):
            raw[k] += y * (row - u[k] * w[k])
    torch.testing.assert_close(layer.learn(x).updates["weight"], raw)
    assert torch.equal(learn(layer, x), layer(x))
    torch.optim.SGD(layer.parameters(), lr=0.1).step()
    for k in range(4):
        rate = (abs(float(w[k].norm()) - 1) + 1e-10) ** 0.5
        torch.testing.assert_close(layer.weight[k], w[k] + 0.1 * rate * raw[k] / raw.abs().max())


def test_a_loss_behind_trains_other_layers_in_the_same_pass(images: Tensor) -> None:
    net = mixed()
    learn(net, images).sum().backward()
    assert all(p.grad is not None for p in (*net[5].parameters(), *net[1].parameters()))


def test_frozen_layers_only_answer_and_keep_no_gradient(images: Tensor) -> None:
    net = mixed()
    learn(net, images)
    net[1].eval()
    before = copy.deepcopy(net.state_dict())
    learn(net, images)
    torch.optim.SGD(net.parameters(), lr=0.1).step()
    assert torch.equal(net[1].weight, before["1.weight"])
    assert not torch.equal(net[4][1].weight, before["4.1.weight"])


def test_a_layer_used_twice_in_a_pass_adds_up_its_updates() -> None:
    torch.manual_seed(0)
    layer = SoftHebbLinear(4, 4, initial_radius=1.0, dtype=torch.float64)
    x = torch.rand(3, 4, dtype=torch.float64)
    learn(nn.Sequential(layer, layer), x)
    first = layer.learn(x)
    total = first.updates["weight"] + layer.learn(first.output).updates["weight"]
    torch.testing.assert_close(layer.weight.grad, -total / total.abs().max())


def test_a_state_goes_in_and_comes_out() -> None:
    layer, x = Oja(3), torch.rand(2, 3, dtype=torch.float64)
    trace = torch.ones(2, 3, dtype=torch.float64)
    for state in (None, trace):
        output, after = learn(layer, x, state)
        wanted, wanted_after = layer(x, state)
        assert torch.equal(output, wanted) and torch.equal(after, wanted_after)
        assert torch.equal(layer.weight.grad, -layer.learn(x, state).updates["weight"])


class Gated(Oja):
    """Oja's rule on the inputs that a gate lets through."""

    def forward(
        self, x: Tensor, state: Tensor | None = None, scale: float = 1.0, *, gate: Tensor
    ) -> tuple[Tensor, Tensor]:
        return super().forward(scale * gate * x, state)

    def learn(
        self, x: Tensor, state: Tensor | None = None, scale: float = 1.0, *, gate: Tensor
    ) -> Step:
        return Oja(3).learn(scale * gate * x, state)


def test_layers_are_given_all_that_a_net_gives_them() -> None:
    gate, x = torch.tensor([1.0, 0.0, 1.0]), torch.rand(2, 3, dtype=torch.float64)

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = Gated(3)

        def forward(self, x: Tensor) -> Tensor:
            output: Tensor = self.layer(x, None, 2.0, gate=gate)[0]
            return output

    net = Net()
    assert torch.equal(learn(net, x), net(x))
    updates = Oja(3).learn(2 * gate * x).updates
    assert torch.equal(net.layer.weight.grad, -updates["weight"])


class Broken(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        raise RuntimeError("broken")


def test_errors_leave_modules_and_gradients_as_they_were(images: Tensor) -> None:
    net = mixed()
    learn(net, images)
    gradients = [p.grad.clone() for layer in plastic(net) for p in layer.parameters()]
    with pytest.raises(RuntimeError, match="broken"):
        learn(nn.Sequential(net, Broken()), images)
    images = images.clone()
    images[0, 0, 0, 0] = float("nan")
    with pytest.raises(InputError, match="NaN or infinite values in the step's input"):
        learn(net, images)
    with torch.no_grad():
        net[4][1].bias[0] = float("inf")
    with pytest.raises(InputError, match="NaN or infinite values in the layer's bias"):
        learn(net, torch.rand_like(images))
    assert all("forward" not in vars(layer) for layer in plastic(net))
    after = [p.grad for layer in plastic(net) for p in layer.parameters()]
    assert all(torch.equal(one, other) for one, other in zip(gradients, after, strict=True))


def test_a_module_without_plastic_layers_is_refused() -> None:
    with pytest.raises(InputError, match="module is a Linear without a plastic layer"):
        learn(nn.Linear(2, 2), torch.rand(1, 2))


def test_autocast(images: Tensor) -> None:
    net, exact = mixed(), mixed()
    learn(exact, images)
    with torch.autocast("cpu", torch.bfloat16):
        learn(net, images)
    for ours, other in zip(plastic(net), plastic(exact), strict=True):
        assert ours.weight.grad.dtype == torch.float32
        cosine = torch.cosine_similarity(ours.weight.grad.flatten(), other.weight.grad.flatten(), 0)
        assert float(cosine) > 0.95


def test_meta_tensors() -> None:
    """No value is looked at, so no GPU is waited for."""
    with torch.device("meta"):
        net, x = mixed(), torch.rand(4, 3, 8, 8)
    assert learn(net, x).shape == (4, 2)
    assert all(p.grad.shape == p.shape for layer in plastic(net) for p in layer.parameters())


def seen_backward(net: nn.Module, x: Tensor, steps: int = 6) -> None:
    for _ in range(steps):
        net(x).sum().backward()


def test_a_layer_that_only_sees_backward_says_so_once(images: Tensor) -> None:
    net = mixed()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        seen_backward(net, images)
        seen_backward(net, images)
    messages = [str(one.message) for one in caught]
    assert [text.split()[0] for text in messages] == ["SoftHebbConv2d", "SoftHebbLinear"]
    assert all("plastorch.learn" in text for text in messages)


def silent(name: str, net: nn.Module, x: Tensor) -> Any:
    if name == "learns":
        learn(net, x)
    elif name == "frozen":
        net.eval()
    elif name == "trained by gradients":
        net.requires_grad_()


@pytest.mark.parametrize("name", ["learns", "frozen", "trained by gradients"])
def test_no_warning(name: str, images: Tensor) -> None:
    net = mixed()
    silent(name, net, images)
    seen_backward(net, images)


def test_both_are_at_the_top() -> None:
    assert plastorch.learn is learn and plastorch.set_gradients is set_gradients


def test_where_one_must_wait_to_see_updates_one_looks_now_and_then() -> None:
    """An update that is not finite is found at the next look, and not at the one after it."""
    layer = Oja(2)
    answers = [number != 7 for number in range(2 * LOOK_EVERY)]
    found = [_lately_not_finite([layer], torch.tensor(answer)) for answer in answers]
    assert [number for number, bad in enumerate(found) if bad] == [LOOK_EVERY - 1]
