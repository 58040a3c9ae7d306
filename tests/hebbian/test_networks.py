"""Blocks, networks and presets."""

from dataclasses import replace
from typing import get_args

import pytest
import torch
import torch.nn.functional as F

from plastorch.engine.errors import InputError
from plastorch.hebbian import BlockSpec, NetworkSpec, Pool, SoftHebbNet, preset
from plastorch.hebbian.networks import SoftHebbBlock, blocks_of
from plastorch.hebbian.presets import Width
from plastorch.hebbian.spec import ReadoutFrom

MAX, AVG = Pool("max", 4, 2, 1), Pool("avg", 2, 2)


@pytest.mark.parametrize("pool", [MAX, AVG])
@pytest.mark.parametrize("power", [0.7, 1.0, 1.4])
def test_block_is_the_papers_order(pool: Pool, power: float) -> None:
    block = (
        SoftHebbBlock(
            3,
            BlockSpec(8, 5, padding=2, learning_rate=0.1, triangle_power=power, pool=pool),
        )
        .double()
        .train()
    )
    x = torch.randn(2, 3, 12, 12).double()
    mean, variance = x.mean((0, 2, 3)), x.var((0, 2, 3), correction=0)
    normal = (x - mean.view(-1, 1, 1)) / (variance + 1e-5).sqrt().view(-1, 1, 1)
    u = F.conv2d(F.pad(normal, (2, 2, 2, 2), mode="reflect"), block.conv.weight)
    y = F.relu(u - u.mean(1, keepdim=True)) ** power
    expected = F.max_pool2d(y, 4, 2, 1) if pool is MAX else F.avg_pool2d(y, 2, 2)
    torch.testing.assert_close(block(x), expected)


@pytest.mark.parametrize(
    ("data", "depth", "side", "channels", "features", "macs"),
    [
        ("cifar10", 1, 32, 3, 24576, 7.4),
        ("cifar10", 2, 32, 3, 24576, 7.4 + 84.9),
        ("cifar10", 3, 32, 3, 24576, 7.4 + 84.9 + 339.7),
        ("mnist", 3, 28, 1, None, None),
        ("stl10", 4, 96, 3, 221184, 66 + 764 + 3058 + 12231),
        ("imagenet", 5, 160, 3, 307200, 92 + 531 + 2123 + 8494 + 33974),
    ],
)
def test_published_sizes(
    data: str, depth: int, side: int, channels: int, features: int | None, macs: float | None
) -> None:
    with torch.device("meta"):
        net = SoftHebbNet(preset(data, depth), channels, side, 10)
    if features is not None:
        assert net.readout.in_features == features
        assert net.macs / 1e6 == pytest.approx(macs, rel=5e-3)
    assert len(net.blocks) == depth


@pytest.mark.parametrize("data", ["cifar10", "stl10", "imagenette", "imagenet", "mnist"])
@pytest.mark.parametrize("rule", ["soft", "hard", "random", "backprop"])
def test_every_depth_and_width_builds(data: str, rule: str) -> None:
    side = {"cifar10": 32, "stl10": 96, "mnist": 28}.get(data, 160)
    for depth in range(1, {"cifar10": 4, "stl10": 5, "mnist": 4}.get(data, 6)):
        for width in get_args(Width):
            with torch.device("meta"):
                net = SoftHebbNet(preset(data, depth, width, rule), 3, side, 10)
            assert len(net.blocks) == depth
            assert net.readout.in_features == torch.Size(net.feature_shape).numel() > 0


@pytest.mark.parametrize("rule", ["hard", "backprop"])
def test_published_baselines_of_cifar(rule: str) -> None:
    maps = {"hard": (1536, 2, 2), "backprop": (1536, 4, 4)}
    for depth in (1, 2, 3):
        spec = preset("cifar10", depth, rule=rule, architecture="published")
        with torch.device("meta"):
            net = SoftHebbNet(spec, 3, 32, 10)
    assert net.feature_shape == maps[rule]


def test_widths() -> None:
    channels = {
        "1x": [96, 96, 96],
        "2x": [96, 192, 384],
        "4x": [96, 384, 1536],
        "quarter": [24, 96, 384],
        "half": [48, 192, 768],
        "double": [192, 768, 3072],
    }
    assert channels.keys() == set(get_args(Width))
    for width, wanted in channels.items():
        assert [b.out_channels for b in preset("cifar10", width=width).blocks] == wanted


BAD_PRESETS = [
    ({"data": "cifar11"}, "preset is 'cifar11'"),
    ({"data": "cifar10", "depth": 4}, "depth is 4"),
    ({"data": "cifar10", "width": "3x"}, "width is '3x'"),
    ({"data": "cifar10", "rule": "loud"}, "rule is 'loud'"),
    ({"data": "cifar10", "architecture": "own"}, "architecture is 'own'"),
    (
        {"data": "stl10", "rule": "hard", "architecture": "published"},
        "architecture is 'published' for hard on stl10",
    ),
]


@pytest.mark.parametrize(("arguments", "message"), BAD_PRESETS)
def test_unknown_presets_are_named(arguments: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        preset(**arguments)


def test_images_too_small_for_the_depth() -> None:
    with pytest.raises(InputError, match="image_size is 4: block 3 gets a map of 1 x 1"):
        SoftHebbNet(preset("cifar10"), 3, 4, 10)


def test_features_of_all_blocks_are_averaged_to_the_last_ones_side() -> None:
    spec = replace(preset("cifar10", 3, "quarter"), readout_from="all")
    net = SoftHebbNet(spec, 3, 16, 2).eval()
    images = torch.rand(2, 3, 16, 16)
    maps, x = [], images
    for block in blocks_of(net):
        x = block(x)
        maps.append(x)
    assert [x.shape[1:] for x in maps] == [(24, 8, 8), (96, 4, 4), (384, 2, 2)]
    expected = [
        F.avg_pool2d(maps[0], 4).flatten(1),
        F.avg_pool2d(maps[1], 2).flatten(1),
        maps[2].flatten(1),
    ]
    torch.testing.assert_close(net.features(images), torch.cat(expected, dim=1))
    assert net.readout.in_features == 4 * (24 + 96 + 384) and net(images).shape == (2, 2)


@pytest.mark.parametrize("readout_from", ["last", "all"])
@pytest.mark.parametrize("depth", [1, 3])
def test_off_neurons_have_the_weights_of_on_neurons_with_the_other_sign(
    depth: int, readout_from: ReadoutFrom
) -> None:
    spec = replace(preset("cifar10", depth, "quarter"), readout_from=readout_from)
    on = SoftHebbNet(spec, 3, 16, 2).eval()
    both = SoftHebbNet(replace(spec, on_off=True), 3, 16, 2).eval()
    for block, other in zip(blocks_of(both), blocks_of(on), strict=True):
        block.load_state_dict(other.state_dict())
    images = torch.rand(2, 3, 16, 16)
    of_on, of_both, start = on.features(images), both.features(images), 0
    assert both.readout.in_features == 2 * on.readout.in_features == of_both.shape[1]
    for number, block in enumerate(blocks_of(on)):
        if readout_from == "last" and number < depth - 1:
            continue
        x = images
        for before in blocks_of(on)[:number]:
            x = before(x)
        block.conv.weight.neg_()
        off = F.adaptive_avg_pool2d(block(x), on.feature_shape[1:]).flatten(1)
        block.conv.weight.neg_()
        size = off.shape[1]
        expected = torch.cat([of_on[:, start : start + size], off], dim=1)
        torch.testing.assert_close(of_both[:, 2 * start : 2 * (start + size)], expected)
        start += size
    assert start == of_on.shape[1]


def test_settings_out_of_range() -> None:
    block = preset("cifar10").blocks[0]
    with pytest.raises(InputError, match="learning_rate is 0"):
        replace(block, learning_rate=0)
    with pytest.raises(InputError, match="blocks is empty"):
        NetworkSpec("none", ())
    with pytest.raises(InputError, match="dropout is 1"):
        NetworkSpec("all", (block,), dropout=1)
    with pytest.raises(InputError, match="readout_from is 'first'; expected one of last, all"):
        NetworkSpec("all", (block,), readout_from="first")  # type: ignore[arg-type]


def test_pixels_are_scaled_and_shifted() -> None:
    spec = replace(preset("cifar10", 1), pixel_mean=(0.5, 0.4, 0.3), pixel_std=(0.1, 0.2, 0.3))
    net = SoftHebbNet(spec, 3, 8, 2)
    images = torch.randint(0, 256, (2, 3, 8, 8), dtype=torch.uint8)
    x = images.float() / 255
    mean, std = torch.tensor(spec.pixel_mean), torch.tensor(spec.pixel_std)
    expected = (x - mean.view(-1, 1, 1)) / std.view(-1, 1, 1)
    torch.testing.assert_close(net.pixels(images), expected)
    torch.testing.assert_close(net.pixels(x), expected)


@pytest.mark.parametrize("shape", [(2, 1, 32, 32), (2, 3, 28, 28), (3, 32, 32)])
def test_other_images_than_the_networks_are_named(shape: tuple[int, ...]) -> None:
    net = SoftHebbNet(preset("cifar10", 1), 3, 32, 10)
    with pytest.raises(InputError, match="expected \\(B, 3, 32, 32\\)"):
        net(torch.zeros(shape))


def test_whole_numbers_other_than_uint8_are_refused() -> None:
    net = SoftHebbNet(preset("cifar10", 1), 3, 32, 10)
    with pytest.raises(InputError, match=r"images are torch\.int64; expected torch\.uint8, or fl"):
        net(torch.zeros(2, 3, 32, 32, dtype=torch.int64))


def test_features_and_logits_agree_in_eval_mode() -> None:
    net = SoftHebbNet(preset("cifar10", 2, "quarter"), 3, 16, 10).eval()
    images = torch.randint(0, 256, (2, 3, 16, 16), dtype=torch.uint8)
    torch.testing.assert_close(net(images), net.readout(net.features(images)))
    assert len(blocks_of(net)) == 2


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_networks_answer_as_in_single(dtype: torch.dtype) -> None:
    net = SoftHebbNet.from_preset("cifar10", depth=2, width="quarter").to(dtype).eval()
    images = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(0)).to(dtype)
    logits = net(images)
    assert logits.dtype == dtype
    wanted = net.float()(images.float())
    assert (logits.float() - wanted).abs().max() < 0.05 * wanted.abs().max()
