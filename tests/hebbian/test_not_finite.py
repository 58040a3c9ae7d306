"""NaN and infinite values: modules pass them on, visibly, and learning refuses them."""

from collections.abc import Callable
from math import inf, nan

import pytest
import torch
from torch import Tensor, nn

from plastorch import set_gradients
from plastorch.engine.errors import InputError
from plastorch.hebbian import (
    BlockSpec,
    NetworkSpec,
    Pool,
    SoftHebbConv2d,
    SoftHebbLinear,
    SoftHebbNet,
    Triangle,
)
from plastorch.hebbian.layers import SoftHebbLayer
from plastorch.hebbian.rule import compete, triangle
from plastorch.hebbian.shallow import (
    BackpropMlp,
    ShallowSoftHebb,
    label_assignment_accuracy,
    softened,
    teacher_clamped_accuracy,
)

RULES = ("soft", "softkrotov", "hard")
BLOCK = BlockSpec(6, 3, padding=1, learning_rate=0.1, triangle_power=0.7, pool=Pool("max", 4, 2, 1))
BLOCKS = {
    "as published": BLOCK,
    "averaged": BlockSpec(
        6, 3, padding=1, learning_rate=0.1, pool=Pool("avg", 2, 2), pre_triangle=True
    ),
    "relu": BlockSpec(
        6, 3, padding=1, learning_rate=0.1, pool=Pool("max", 2, 2), activation="relu"
    ),
}


def net(block: BlockSpec = BLOCK, on_off: bool = False) -> nn.Module:
    return SoftHebbNet(NetworkSpec("tiny", (block, BLOCK), on_off=on_off), 2, 8, 3).eval()


MODULES: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...]]] = {
    "linear": (lambda: SoftHebbLinear(5, 4, bias=True), (3, 5)),
    "conv": (lambda: SoftHebbConv2d(2, 4, 3, padding=1, bias=True), (3, 2, 6, 6)),
    "conv, triangle": (lambda: SoftHebbConv2d(2, 4, 3, pre_triangle=True), (3, 2, 6, 6)),
    "triangle": (Triangle, (3, 5, 2)),
    "triangle, power": (lambda: Triangle(0.7), (3, 5, 2)),
    "shallow": (lambda: ShallowSoftHebb(12, 7), (3, 1, 3, 4)),
    "shallow, softened": (lambda: softened(ShallowSoftHebb(12, 7)), (3, 1, 3, 4)),
    "backprop": (lambda: BackpropMlp(12, 7), (3, 1, 3, 4)),
    "net, ON and OFF": (lambda: net(on_off=True), (3, 2, 8, 8)),
    **{f"net, {name}": (lambda b=block: net(b), (3, 2, 8, 8)) for name, block in BLOCKS.items()},
}
ROWS: dict[str, Callable[[Tensor], Tensor]] = {
    "triangle": triangle,
    **{rule: lambda u, rule=rule: compete(u, rule) for rule in RULES},
}
LAYERS: dict[str, tuple[Callable[[str], SoftHebbLayer], tuple[int, ...]]] = {
    "linear": (lambda rule: SoftHebbLinear(5, 4, bias=True, competition=rule), (3, 5)),
    "conv": (
        lambda rule: SoftHebbConv2d(4, 6, 3, padding=1, groups=2, bias=True, competition=rule),
        (3, 4, 6, 6),
    ),
}
with_bad_values = pytest.mark.parametrize("value", [nan, inf, -inf])


def finite(x: Tensor) -> bool:
    return bool(torch.isfinite(x).all())


def spoiled(x: Tensor, value: float) -> Tensor:
    """One number in the middle of the second sample replaced."""
    x = x.clone()
    x[1].view(-1)[x[1].numel() // 2] = value
    return x


@with_bad_values
@pytest.mark.parametrize("name", MODULES)
def test_modules_pass_bad_values_on(name: str, value: float) -> None:
    """In the answer to the sample that has them, and to no other."""
    torch.manual_seed(0)
    make, shape = MODULES[name]
    module, x = make(), torch.rand(shape)
    good, bad = module(x), module(spoiled(x, value))
    assert finite(good) and not finite(bad[1])
    torch.testing.assert_close(bad[::2], good[::2])
    for parameter in module.parameters():
        parameter.data[(0,) * parameter.dim()] = nan
    assert name.startswith("triangle") or not finite(module(x))


@with_bad_values
@pytest.mark.parametrize("name", ROWS)
def test_functions_pass_bad_values_on(name: str, value: float) -> None:
    u = torch.randn(3, 4, generator=torch.Generator().manual_seed(0))
    answer = ROWS[name](spoiled(u, value))
    loses = value == -inf and name in RULES  # a neuron with probability 0
    assert finite(answer[1]) == loses and torch.equal(answer[::2], ROWS[name](u)[::2])


@with_bad_values
@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("name", LAYERS)
def test_learning_refuses_bad_values(name: str, rule: str, value: float) -> None:
    """The step shows them in all of its parts, and nothing is written."""
    torch.manual_seed(0)
    make, shape = LAYERS[name]
    layer, x = make(rule), torch.rand(shape)
    step = layer.learn(spoiled(x, value))
    assert not any(finite(part) for part in (step.output, *step.updates.values()))
    with pytest.raises(InputError, match="NaN or infinite values in the step's input, or an over"):
        set_gradients(layer, step)
    for part in ("weight", "bias"):
        layer = make(rule)
        getattr(layer, part).data[0] = value
        with pytest.raises(InputError, match=f"NaN or infinite values in the layer's {part}"):
            set_gradients(layer, layer.learn(x))
        assert layer.weight.grad is None and layer.bias is not None and layer.bias.grad is None


def test_an_update_of_the_bias_alone_that_overflows_is_refused() -> None:
    """Before that of the weight is written."""
    layer = SoftHebbLinear(3, 2, bias=True)
    layer.bias.fill_(-200.0)  # of a probability that is 0 in single precision
    with pytest.raises(InputError, match="overflow"):
        set_gradients(layer, layer.learn(torch.rand(4, 3)))
    assert layer.weight.grad is None and layer.bias.grad is None


@pytest.mark.parametrize("x", [torch.zeros(3, 5), torch.ones(3, 5), torch.ones(3, 5).byte()])
@pytest.mark.parametrize("rule", RULES)
def test_constant_input_is_fine(x: Tensor, rule: str) -> None:
    layer = LAYERS["linear"][0](rule)
    set_gradients(layer, layer.learn(x))
    assert layer.weight.grad is not None and finite(layer.weight.grad) and finite(layer(x))


@with_bad_values
def test_measures_refuse_bad_values(value: float) -> None:
    """Their answer couldn't show them: of all numbers, argmax finds one the largest."""
    y, labels = torch.rand(3, 4), torch.tensor([0, 1, 0])
    for measure in (label_assignment_accuracy, teacher_clamped_accuracy):
        for name, pair in {"train": (spoiled(y, value), y), "test": (y, spoiled(y, value))}.items():
            with pytest.raises(InputError, match=f"NaN or infinite values in {name}"):
                measure(pair[0], labels, pair[1], labels, 2)
