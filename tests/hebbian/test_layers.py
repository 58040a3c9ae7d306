"""Layers against torch's own convolutions and gradients, and their errors."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from plastorch import SoftHebbConv2d, SoftHebbLinear, Triangle, learn, set_gradients
from plastorch.engine.errors import InputError
from plastorch.hebbian.networks import SoftHebbBlock
from plastorch.hebbian.presets import preset
from plastorch.hebbian.rule import compete

CONVOLUTIONS = [
    {"kernel_size": 3},
    {"kernel_size": (3, 5), "padding": (1, 2)},
    {"kernel_size": (1, 4), "stride": (2, 1), "padding": (0, 3)},
    {"kernel_size": 3, "stride": 2, "padding": 1},
    {"kernel_size": (2, 3), "dilation": (3, 2), "padding": 2, "stride": (1, 3)},
    {"kernel_size": (4, 3), "dilation": (1, 2), "padding": "same"},
    {"kernel_size": 3, "stride": 2, "padding": "valid"},
    {"kernel_size": 3, "groups": 2, "padding": 1},
    {"kernel_size": (3, 2), "groups": 2, "stride": 2, "dilation": (2, 1), "padding": 1},
]


@pytest.fixture
def images() -> Tensor:
    return torch.randn(3, 4, 11, 9, generator=torch.Generator().manual_seed(0)).double()


@pytest.mark.filterwarnings("ignore:Using padding=.same. with even:UserWarning")  # torch's own
@pytest.mark.parametrize("options", CONVOLUTIONS, ids=str)
@pytest.mark.parametrize("mode", ["reflect", "zeros"])
@pytest.mark.parametrize("bias", [False, True])
def test_update_is_autograds_weight_gradient(
    images: Tensor, options: dict, mode: str, bias: bool
) -> None:
    """raw = dW of sum(u y) minus (sum y u) W, with torch's own convolution and autograd."""
    layer = SoftHebbConv2d(
        4, 6, **options, padding_mode=mode, bias=bias, inverse_temperature=0.7, dtype=torch.float64
    )
    twin = torch.nn.Conv2d(4, 6, **options, padding_mode=mode, bias=False, dtype=torch.float64)
    twin.weight.data = layer.weight.data.clone()
    u = twin(images)
    biased = u if layer.bias is None else u + layer.bias.view(-1, 1, 1)
    y = torch.cat(
        [
            compete(part.detach().movedim(1, -1), "softkrotov", 0.7).movedim(-1, 1)
            for part in biased.chunk(layer.groups, dim=1)
        ],
        dim=1,
    )
    (u * y).sum().backward()
    decay = (y * u.detach()).sum(dim=(0, 2, 3)).view(-1, 1, 1, 1)
    expected = twin.weight.grad - decay * layer.weight
    step = layer.learn(images)
    torch.testing.assert_close(step.output, biased.detach())
    torch.testing.assert_close(layer(images), biased.detach())
    torch.testing.assert_close(layer.post(step.output), y)
    torch.testing.assert_close(step.updates["weight"], expected)
    assert tuple(step.output.shape[2:]) == layer.output_size(11, 9)


def test_linear_layer_is_a_one_by_one_convolution() -> None:
    x = torch.randn(5, 7, dtype=torch.float64)
    linear = SoftHebbLinear(7, 4, competition="softkrotov", dtype=torch.float64)
    conv = SoftHebbConv2d(7, 4, 1, dtype=torch.float64)
    conv.weight.copy_(linear.weight.view(4, 7, 1, 1))
    a, b = linear.learn(x), conv.learn(x.view(5, 7, 1, 1))
    torch.testing.assert_close(a.updates["weight"], b.updates["weight"].flatten(1))


@pytest.mark.parametrize("teach", [False, True])
def test_linear_layer_takes_a_single_sample(teach: bool) -> None:
    layer, x = SoftHebbLinear(5, 3, bias=True), torch.randn(5)
    teacher = torch.eye(3)[1] if teach else None
    assert torch.equal(layer(x), F.linear(x, layer.weight, layer.bias))
    one = layer.learn(x, teacher=teacher)
    rows = layer.learn(x[None], teacher=None if teacher is None else teacher[None])
    assert torch.equal(one.output, rows.output[0])
    assert torch.equal(layer.post(one.output), layer.post(rows.output)[0])
    for name, update in rows.updates.items():
        assert torch.equal(one.updates[name], update)


def test_learning_leaves_weights_to_the_optimizer(images: Tensor) -> None:
    layer = SoftHebbConv2d(4, 6, 3, dtype=torch.float64)
    before = layer.weight.clone()
    set_gradients(layer, layer.learn(images))
    assert torch.equal(layer.weight, before)
    torch.optim.SGD(layer.parameters(), lr=0.01).step()
    moved = (layer.weight - before).abs().flatten(1).amax(1)
    rate = ((before.flatten(1).norm(dim=1) - 1).abs() + 1e-10) ** 0.5
    assert float((moved / rate).max()) == pytest.approx(0.01)


@pytest.mark.parametrize("optimizer", [torch.optim.Adam, torch.optim.RMSprop, torch.optim.AdamW])
def test_any_torch_optimizer_takes_the_gradients(optimizer: type, images: Tensor) -> None:
    layer = SoftHebbConv2d(4, 6, 3, dtype=torch.float64)
    before = layer.weight.clone()
    step = layer.learn(images)
    update = step.updates["weight"].clone()
    set_gradients(layer, step)
    optimizer(layer.parameters(), lr=1e-4).step()
    clear = update.abs() > 1e-3 * update.abs().max()
    assert torch.equal((layer.weight - before).sign()[clear], update.sign()[clear])


def test_teacher_replaces_the_competition() -> None:
    x, teacher = torch.randn(4, 3).double(), torch.eye(2).double()[[0, 1, 1, 0]]
    layer = SoftHebbLinear(3, 2, dtype=torch.float64)
    step = layer.learn(x, teacher=teacher)
    u = x @ layer.weight.T
    expected = teacher.T @ x - (teacher * u).sum(0).unsqueeze(1) * layer.weight
    torch.testing.assert_close(step.updates["weight"], expected)
    conv = SoftHebbConv2d(3, 2, 1, dtype=torch.float64)
    conv.weight.copy_(layer.weight.view(2, 3, 1, 1))
    step = conv.learn(x.view(4, 3, 1, 1), teacher=teacher.view(4, 2, 1, 1))
    torch.testing.assert_close(step.updates["weight"].flatten(1), expected)


def test_a_teacher_has_the_shape_of_the_output() -> None:
    with pytest.raises(InputError, match=r"teacher has shape \(1, 2\); expected \(4, 2\)"):
        SoftHebbLinear(3, 2).learn(torch.ones(4, 3), teacher=torch.ones(1, 2))
    for shape in ((2, 8, 8, 8), (8, 8, 2, 18)):
        with pytest.raises(InputError, match=r"teacher has shape .* expected \(2, 8, 6, 6\)"):
            SoftHebbConv2d(3, 8, 3).learn(torch.ones(2, 3, 8, 8), teacher=torch.ones(shape))


@pytest.mark.parametrize("teach", [False, True])
@pytest.mark.parametrize(
    ("layer", "shape"),
    [
        (SoftHebbLinear(3, 4), (0, 3)),
        (SoftHebbConv2d(4, 6, 3), (0, 4, 8, 8)),
        (SoftHebbConv2d(4, 6, 3, groups=2), (0, 4, 8, 8)),
    ],
)
def test_no_sample_changes_nothing(
    layer: torch.nn.Module, shape: tuple[int, ...], teach: bool
) -> None:
    """A worker's part of a mini-batch may be empty."""
    x = torch.ones(shape)
    answer = layer(x)
    step = layer.learn(x, teacher=answer if teach else None)
    assert step.output.shape == layer.post(step.output).shape == answer.shape
    assert not step.updates["weight"].any()
    assert step.updates["weight"].shape == layer.weight.shape


@pytest.mark.parametrize("channels", [1, 3])
def test_outputs_are_channels_last(channels: int) -> None:
    """Also of one channel, whose layout torch calls both; what comes next is faster then."""
    layer = SoftHebbConv2d(channels, 8, kernel_size=3, padding=1)
    output = layer(torch.randn(2, channels, 9, 9))
    assert output.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_networks_learn_as_they_answer(dtype: torch.dtype) -> None:
    parts = SoftHebbConv2d(2, 4, 3), torch.nn.Flatten(), SoftHebbLinear(16, 3)
    net, x = torch.nn.Sequential(*parts).to(dtype), torch.rand(5, 2, 4, 4).to(dtype)
    assert learn(net, x).dtype == net(x).dtype == dtype
    assert parts[2].learn(torch.rand(5, 16)).updates["weight"].dtype == torch.float32


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("weights", [torch.float32, torch.bfloat16])
def test_half_precision_inputs_update_in_float32(dtype: torch.dtype, weights: torch.dtype) -> None:
    torch.manual_seed(0)
    layer = SoftHebbConv2d(4, 6, 3, padding=1, initial_radius=2.0, dtype=weights)
    exact = SoftHebbConv2d(4, 6, 3, padding=1, initial_radius=2.0)
    exact.weight.copy_(layer.weight)
    x = torch.randn(2, 4, 6, 6).to(dtype)
    step, wanted = layer.learn(x), exact.learn(x.float())
    assert step.updates["weight"].dtype == torch.float32
    assert layer.radius().dtype == torch.float32
    scale = wanted.updates["weight"].abs().max()
    tolerance = 1e-5 if weights == torch.float32 else 0.1
    assert (step.updates["weight"] - wanted.updates["weight"]).abs().max() < tolerance * scale
    set_gradients(layer, step)
    assert layer.weight.grad is not None and layer.weight.grad.dtype == weights


def test_autocast_keeps_elementwise_work_in_float32(images: Tensor) -> None:
    layer, x = SoftHebbConv2d(4, 6, 3), images.float()
    wanted = layer.learn(x)
    with torch.autocast("cpu", torch.bfloat16):
        step = layer.learn(x)
    assert step.output.dtype == step.updates["weight"].dtype == torch.float32
    torch.testing.assert_close(step.output, wanted.output, rtol=0.05, atol=0.5)


def test_soft_and_hard_rules_drive_norms_to_one() -> None:
    """Spec 1.4: norms converge to 1 where the winner's contribution dominates."""
    random = torch.Generator().manual_seed(0)
    for rule in ("soft", "hard"):
        torch.manual_seed(1)
        layer = SoftHebbLinear(
            8,
            4,
            competition=rule,
            rate_power=0.5,
            initial_radius=3.0,
            initial_distribution="normal",
        )
        optimizer = torch.optim.SGD(layer.parameters(), lr=0.05)
        for _ in range(2000):
            set_gradients(layer, layer.learn(torch.randn(32, 8, generator=random)))
            optimizer.step()
        assert float((layer.radius() - 1).abs().max()) < 0.02


def test_initial_weights_follow_the_generator() -> None:
    layer = SoftHebbConv2d(3, 8, 5, generator=torch.Generator().manual_seed(3))
    first = layer.weight.clone()
    layer.reset_parameters(torch.Generator().manual_seed(3))
    assert torch.equal(first, layer.weight)
    assert float(layer.radius().mean()) == pytest.approx(25, rel=0.15)
    prior = SoftHebbLinear(3, 8, bias=True, inverse_temperature=2.0).bias
    torch.testing.assert_close(torch.exp(2 * prior), torch.full((8,), 1 / 8))


def test_sizes_are_whole_numbers_of_any_type(images: Tensor) -> None:
    one, three = np.int64(1), np.int32(3)
    layer = SoftHebbConv2d(4, 6, three, one, padding=(one, 0), dilation=[1, 2], dtype=torch.float64)
    twin = torch.nn.Conv2d(
        4, 6, 3, padding=(1, 0), dilation=(1, 2), bias=False, padding_mode="reflect"
    ).double()
    twin.weight.data = layer.weight.data
    torch.testing.assert_close(layer(images), twin(images))


BAD_ARGUMENTS = [
    ({"kernel_size": (5, 3, 2)}, r"kernel_size is \(5, 3, 2\); expected one whole number or two"),
    ({"kernel_size": 2.5}, "kernel_size is 2.5; expected one whole number or two"),
    ({"kernel_size": 3, "dilation": (1,)}, r"dilation is \(1,\); expected"),
    ({"kernel_size": 0}, "kernel_size is 0"),
    ({"kernel_size": 3, "stride": 0}, "stride is 0"),
    ({"kernel_size": 3, "padding": -1}, "padding is"),
    ({"kernel_size": 3, "groups": 3}, "groups is 3"),
    ({"kernel_size": 3, "padding_mode": "circular"}, "padding_mode is 'circular'"),
    ({"kernel_size": 3, "competition": "loud"}, "competition is 'loud'"),
    ({"kernel_size": 3, "inverse_temperature": 0}, "inverse_temperature is 0"),
    ({"kernel_size": 3, "padding": "full"}, "padding is 'full'"),
    ({"kernel_size": 3, "padding": "same", "stride": 2}, "padding is 'same' with stride"),
    ({"kernel_size": 3, "rate_power": -1}, "rate_power is -1"),
    ({"kernel_size": 3, "initial_radius": 0}, "initial_radius is 0"),
    ({"kernel_size": 3, "groups": 2, "pre_triangle": True}, "pre_triangle with groups 2"),
]


@pytest.mark.parametrize(("options", "message"), BAD_ARGUMENTS)
def test_bad_arguments_are_named(options: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        SoftHebbConv2d(4, 6, **options)


BAD_INPUTS = [
    (torch.zeros(2, 3, 8, 8), r"\(2, 3, 8, 8\); expected \(B, 4, H, W\)"),
    (torch.zeros(4, 8, 8), r"expected \(B, 4, H, W\)"),
    (torch.zeros(1, 4, 2, 8), "2 x 8 pixels"),
]


@pytest.mark.parametrize(("x", "message"), BAD_INPUTS)
def test_bad_images_are_named(x: Tensor, message: str) -> None:
    layer = SoftHebbConv2d(4, 6, 3)
    for method in (layer, layer.learn):
        with pytest.raises(InputError, match=message):
            method(x)


def test_reflect_padding_needs_a_larger_image() -> None:
    layer = SoftHebbConv2d(1, 2, 5, padding=2)
    with pytest.raises(InputError, match="receptive field"):
        layer(torch.zeros(1, 1, 2, 2))
    assert SoftHebbConv2d(1, 2, 5, padding=2, padding_mode="zeros")(
        torch.zeros(1, 1, 2, 2)
    ).shape == (1, 2, 2, 2)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_non_finite_input_changes_nothing(value: float) -> None:
    layer = SoftHebbLinear(3, 2)
    x = torch.rand(4, 3)
    x[1, 2] = value
    with pytest.raises(InputError, match="NaN or infinite"):
        set_gradients(layer, layer.learn(x))
    assert layer.weight.grad is None


def test_linear_checks_its_input() -> None:
    for x in (torch.zeros(4, 2), torch.tensor(0.0)):
        with pytest.raises(InputError, match=r"expected \(\.\.\., 3\)"):
            SoftHebbLinear(3, 2)(x)
    with pytest.raises(InputError, match="out_features is 0"):
        SoftHebbLinear(3, 0)


def test_zero_weights_do_not_make_nan() -> None:
    layer = SoftHebbLinear(3, 2, rate_power=0.5)
    layer.weight.zero_()
    set_gradients(layer, layer.learn(torch.rand(4, 3)))
    assert layer.weight.grad is not None and torch.isfinite(layer.weight.grad).all()


def test_triangle_module_and_its_error() -> None:
    u = torch.randn(2, 5, 3, 3)
    expected = F.relu(u - u.mean(1, keepdim=True)) ** 0.7
    torch.testing.assert_close(Triangle(0.7)(u), expected)
    with pytest.raises(InputError, match="power is 0"):
        Triangle(0)


@pytest.mark.parametrize(("height", "width"), [(8, 8), (8, 13), (11, 8)])
def test_output_size_is_torchs(height: int, width: int) -> None:
    options = {"kernel_size": (3, 2), "stride": (2, 3), "padding": (1, 0), "dilation": (1, 2)}
    layer = SoftHebbConv2d(2, 4, **options)
    wanted = torch.nn.Conv2d(2, 4, **options)(torch.zeros(1, 2, height, width)).shape[2:]
    assert layer.output_size(height, width) == tuple(wanted)


@pytest.mark.parametrize(
    "layer, shape",
    [
        (SoftHebbLinear(6, 4, bias=True), (5, 6)),
        (SoftHebbConv2d(4, 6, 3, padding=1, groups=2, bias=True), (2, 4, 5, 5)),
        (SoftHebbConv2d(4, 6, 3, pre_triangle=True, competition="hard"), (2, 4, 5, 5)),
        (SoftHebbBlock(4, preset("cifar10", 2).blocks[1]), (2, 4, 5, 5)),
        (torch.nn.Sequential(SoftHebbConv2d(4, 6, 3), Triangle(0.7)), (2, 4, 5, 5)),
    ],
    ids=["linear", "groups", "pre_triangle", "block", "triangle"],
)
def test_nothing_waits_for_values(layer: torch.nn.Module, shape: tuple[int, ...]) -> None:
    """On meta tensors, which have none; so a GPU need not be waited for in any step."""
    layer = layer.to("meta")
    optimizer = torch.optim.SGD(layer.parameters(), lr=0.1)
    answer = learn(layer, torch.empty(shape, device="meta"))
    optimizer.step()
    assert all(p.grad is not None and p.grad.is_meta for p in layer.parameters())
    assert layer.eval()(torch.empty(shape, device="meta")).shape == answer.shape


def test_layers_are_made_on_the_meta_device() -> None:
    assert SoftHebbLinear(6, 4, bias=True, device="meta").weight.is_meta
    assert SoftHebbConv2d(4, 6, 3, device="meta").weight.is_meta
