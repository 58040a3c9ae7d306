"""Folded networks, against the networks that they were made from."""

from dataclasses import replace

import pytest
import torch

from plastorch.hebbian.folding import FoldedBlock, folded
from plastorch.hebbian.networks import SoftHebbNet, blocks_of
from plastorch.hebbian.presets import preset
from plastorch.hebbian.spec import NetworkSpec, WideSpec

PHOTOS = preset("cifar10", 3, "quarter")


def of_one_block(**changes: object) -> NetworkSpec:
    first, second, *_ = PHOTOS.blocks
    return replace(PHOTOS, blocks=(first, replace(second, **changes)))  # type: ignore[arg-type]


AVERAGED = replace(PHOTOS.blocks[0], pool=PHOTOS.blocks[2].pool)
SPECS = {
    "paper": PHOTOS,
    "pairs from all": replace(PHOTOS, readout_from="all", on_off=True, wide=WideSpec(8)),
    "power of averages": replace(PHOTOS, blocks=(AVERAGED, *PHOTOS.blocks[1:]), on_off=True),
    "relu": of_one_block(activation="relu"),
    "no norm": of_one_block(batch_norm=False),
    "groups": of_one_block(groups=2),
    "pre-triangle": of_one_block(pre_triangle=True),
}


def trained(spec: NetworkSpec, side: int = 32) -> SoftHebbNet:
    random = torch.Generator().manual_seed(0)
    net = SoftHebbNet(spec, 3, side, 10, generator=random)
    for block in blocks_of(net):
        for name, buffer in block.norm.named_buffers():
            if name.startswith("running"):
                buffer.uniform_(0.5, 2, generator=random)
    return net.eval()


@pytest.mark.parametrize("name", SPECS)
@pytest.mark.parametrize("side", [32, 28])
def test_has_the_same_features(name: str, side: int) -> None:
    net = trained(SPECS[name], side).double()
    if net.wide is not None:
        net.wide.conv.weight.normal_()
    images = torch.rand(3, 3, side, side).double()
    torch.testing.assert_close(
        folded(net).features(images), net.features(images), rtol=1e-8, atol=1e-9
    )


@pytest.mark.parametrize("name", SPECS)
def test_differs_by_rounding_in_single_precision(name: str) -> None:
    net, images = trained(SPECS[name]), torch.rand(3, 3, 32, 32)
    expected = net.features(images)
    found = folded(net).features(images)
    assert (found - expected).abs().max() < 1e-4 * expected.abs().max()


def test_half_precision_is_that_of_the_network() -> None:
    net, images = trained(SPECS["pairs from all"]), torch.rand(3, 3, 32, 32)
    with torch.autocast("cpu", torch.bfloat16):
        torch.testing.assert_close(folded(net).features(images), net.features(images))


def test_leaves_the_network_alone() -> None:
    net = trained(of_one_block(groups=2))
    before = {name: value.clone() for name, value in net.state_dict().items()}
    found = folded(net)
    kinds = [type(block) for block in found.blocks]
    assert [kind is FoldedBlock for kind in kinds] == [True, False]
    assert not any(isinstance(block, FoldedBlock) for block in net.blocks)
    for name, value in net.state_dict().items():
        torch.testing.assert_close(value, before[name], rtol=0, atol=0)


def test_folding_again_changes_nothing() -> None:
    once, images = folded(trained(PHOTOS)), torch.rand(3, 3, 32, 32)
    torch.testing.assert_close(folded(once).features(images), once.features(images), rtol=0, atol=0)


def test_a_network_in_training_mode_is_read_in_eval_mode() -> None:
    net, images = trained(PHOTOS), torch.rand(3, 3, 32, 32)
    expected = folded(net).features(images)
    net.train()
    torch.testing.assert_close(folded(net).features(images), expected, rtol=0, atol=0)
    assert not any(module.training for module in net.modules())
