"""Receptive fields, for any depth."""

from dataclasses import replace
from typing import Any

import pytest
import torch

from plastorch.engine.errors import InputError
from plastorch.hebbian import BlockSpec, NetworkSpec, Pool, SoftHebbNet, preset
from plastorch.hebbian.analysis.fields import (
    receptive_fields,
    receptive_side,
    smooth_receptive_fields,
    unpadded_response,
)
from plastorch.hebbian.networks import blocks_of


def used_net(*changes: dict[str, Any], dtype: torch.dtype = torch.float64) -> SoftHebbNet:
    """A small net of three blocks, with statistics as after training."""
    blocks = (
        BlockSpec(
            6, 5, padding=2, learning_rate=0.1, triangle_power=0.7, pool=Pool("max", 4, 2, 1)
        ),
        BlockSpec(
            8, 3, padding=1, learning_rate=0.1, triangle_power=1.4, pool=Pool("avg", 4, 2, 1)
        ),
        BlockSpec(9, 3, padding=1, learning_rate=0.1, pool=Pool("avg", 2, 2)),
    )
    blocks = tuple(
        replace(block, **change)
        for block, change in zip(blocks, changes or ({}, {}, {}), strict=True)
    )
    random = torch.Generator().manual_seed(3)
    net = SoftHebbNet(NetworkSpec("small", blocks), 3, 32, 4, generator=random).to(dtype)
    for block in blocks_of(net):
        block.norm.running_mean.normal_(0.3, 0.1, generator=random)
        block.norm.running_var.uniform_(0.5, 2, generator=random)
    return net.eval()


@pytest.mark.parametrize("layer", [1, 2, 3])
@pytest.mark.parametrize("changes", [(), ({}, {"pre_triangle": True}, {"pre_triangle": True})])
def test_fields_are_those_of_one_neuron_after_the_other(layer: int, changes: Any) -> None:
    net = used_net(*changes)
    random = torch.Generator().manual_seed(0)
    neurons = [4, 0, 4, 5]
    singles = [receptive_fields(net, layer, [k], 12, 1e-2, random) for k in neurons]
    together = receptive_fields(net, layer, neurons, 12, 1e-2, torch.Generator().manual_seed(0))
    torch.testing.assert_close(together, torch.cat(singles))
    assert together.shape[-1] == receptive_side(net, layer)
    assert together.amin() == 0 and together.amax() == 1


@pytest.mark.parametrize(
    "last", [{}, {"pre_triangle": True}, {"groups": 2, "out_channels": 8}], ids=str
)
def test_chosen_neurons_respond_as_among_all(last: dict[str, Any]) -> None:
    net, images = used_net({}, {}, last), torch.rand(2, 3, 40, 40, dtype=torch.float64)
    chosen = torch.tensor([7, 0, 3])
    whole = unpadded_response(net, images, 3)
    torch.testing.assert_close(unpadded_response(net, images, 3, chosen), whole[:, chosen])


@pytest.mark.parametrize("activation", ["triangle", "relu"])
def test_an_inner_neuron_of_the_whole_net_sees_its_field_only(activation: str) -> None:
    net = used_net(*({"activation": activation} for _ in range(3)))
    x = torch.rand(2, 3, 32, 32, dtype=torch.float64)
    first, second, third = blocks_of(net)
    with torch.no_grad():
        u = third.conv(third.norm(second(first(x))))
        # 4 pixels to a position of the third map; its paddings reach 2 + 1 + 2 + 2 + 4 = 11 out.
        top, left = 4 * 4 - 11, 3 * 4 - 11
        field = x[:, :, top : top + 26, left : left + 26]
        torch.testing.assert_close(unpadded_response(net, field, 3)[..., 0, 0], u[:, :, 4, 3])


def test_smooth_fields_of_a_first_layer_are_its_kernels() -> None:
    """There the response is linear, so that ten steps of 0.05 add the kernel scaled to 0.5."""
    net = used_net()
    block = blocks_of(net)[0]
    kernel = block.conv.weight / block.norm.running_var.add(block.norm.eps).sqrt().view(-1, 1, 1)
    wanted = 0.5 + 0.5 * kernel / kernel.abs().amax((1, 2, 3), keepdim=True)
    fields = smooth_receptive_fields(net, 1, range(6), blur=1e-3, steps=10)
    torch.testing.assert_close(fields, wanted)


def test_smooth_fields_are_smooth_and_drive_their_neurons() -> None:
    net, neurons = used_net(), range(9)
    fields = smooth_receptive_fields(net, 3, neurons)
    assert fields.min() >= 0 and fields.max() <= 1
    with torch.no_grad():
        response = unpadded_response(net, fields, 3)[:, :, 0, 0]
        gray = unpadded_response(net, torch.full_like(fields[:1], 0.5), 3)[0, :, 0, 0]
    assert (response.diagonal() > gray).all()
    assert (response.argmax(dim=0) == torch.arange(9)).double().mean() > 0.5
    sharp = smooth_receptive_fields(net, 3, neurons, blur=0.01)
    assert fields.diff(dim=3).square().sum() < 0.5 * sharp.diff(dim=3).square().sum()


def test_the_blur_is_a_gaussian() -> None:
    from plastorch.hebbian.analysis.fields import _blurred

    image = torch.zeros(1, 1, 9, 9, dtype=torch.float64)
    image[..., 4, 4] = 1
    offsets = torch.arange(-4, 5).double()
    bell = torch.exp(-(offsets**2) / 2)
    bell[offsets.abs() > 3] = 0
    bell /= bell.sum()
    torch.testing.assert_close(_blurred(image, 1.0)[0, 0], bell[:, None] * bell)


def test_fields_are_sought_among_images_not_among_standardized_inputs() -> None:
    """A first layer's response is linear: the first step finds its kernel per unit of a pixel."""
    spec = replace(used_net().spec, pixel_mean=(0.5, 0.4, 0.3), pixel_std=(0.2, 0.2, 0.1))
    net = SoftHebbNet(spec, 3, 32, 4, generator=torch.Generator().manual_seed(1)).double().eval()
    fields = receptive_fields(net, 1, range(6), steps=1)
    slope = blocks_of(net)[0].conv.weight.abs() / torch.tensor([0.2, 0.2, 0.1]).view(3, 1, 1)
    low, high = slope.amin((1, 2, 3), keepdim=True), slope.amax((1, 2, 3), keepdim=True)
    torch.testing.assert_close(fields, (slope - low) / (high - low))


def test_a_neuron_without_weights_keeps_its_start() -> None:
    net = used_net()
    blocks_of(net)[0].conv.weight.zero_()
    assert (receptive_fields(net, 1, [2], steps=2) == 0).all()
    assert (smooth_receptive_fields(net, 1, [2], steps=2) == 0.5).all()


def test_training_goes_on_as_before() -> None:
    net = used_net()
    before = {name: value.clone() for name, value in net.state_dict().items()}
    smooth_receptive_fields(net, 2, [0], steps=2)
    torch.testing.assert_close(net.state_dict(), before)
    assert all(block.conv.weight.grad is None for block in blocks_of(net))


@pytest.mark.parametrize("find", [receptive_fields, smooth_receptive_fields])
@pytest.mark.parametrize(
    ("layer", "neurons", "options", "message"),
    [
        (0, [0], {}, r"layer is 0; expected 1\.\.1"),
        (2, [0], {}, r"layer is 2; expected 1\.\.1"),
        (1, [], {}, "neurons is empty"),
        (1, [3, 96], {}, r"neurons holds 96; expected 0\.\.95 in layer 1"),
        (1, [-1], {}, "neurons holds -1"),
        (1, [0], {"steps": 0}, "steps is 0; expected more than 0"),
        (1, [0], {"step_size": -1.0}, "step_size is -1"),
    ],
)
def test_bad_input_is_named(
    find: Any, layer: int, neurons: list[int], options: dict[str, Any], message: str
) -> None:
    net = SoftHebbNet(preset("cifar10", 1), 3, 32, 10)
    with pytest.raises(InputError, match=message):
        find(net, layer, neurons, **options)
