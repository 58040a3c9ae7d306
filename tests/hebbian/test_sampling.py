"""Weights sampled from what a block sees, against all patches found by unfolding."""

import re
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F

from plastorch.engine.errors import InputError
from plastorch.hebbian import SoftHebbNet, preset
from plastorch.hebbian.networks import blocks_of
from plastorch.hebbian.sampling import PatchSampling
from plastorch.learning.phases import run_phase


def network(seed: int = 0) -> SoftHebbNet:
    spec = preset("cifar10", depth=2, width="quarter")
    return SoftHebbNet(spec, 3, 16, 10, generator=torch.Generator().manual_seed(seed))


def some_images(count: int) -> torch.Tensor:
    random = torch.Generator().manual_seed(1)
    return torch.randint(0, 256, (count, 3, 16, 16), dtype=torch.uint8, generator=random)


def test_each_weight_is_a_patch_of_what_its_block_sees() -> None:
    net, images = network(), some_images(60)
    run_phase(PatchSampling(net, images, seed=3))
    x = net.eval().pixels(images)
    for block in blocks_of(net):
        size, padding = block.spec.kernel_size, block.spec.padding
        padded = F.pad(block.norm(x), (padding,) * 4, mode="reflect")
        patches = F.normalize(F.unfold(padded, size).transpose(1, 2).flatten(0, 1))
        weight = block.conv.weight.flatten(1)
        best, which = (weight @ patches.T).max(dim=1)
        torch.testing.assert_close(best, torch.ones_like(best))
        assert which.unique().numel() > 0.9 * len(weight)
        x = block(x)


def test_a_seed_decides_and_first_weights_do_not() -> None:
    images = some_images(30)
    weights = []
    for first, seed in ((0, 0), (1, 0), (0, 1)):
        net = network(first)
        run_phase(PatchSampling(net, images, seed))
        weights.append(blocks_of(net)[1].conv.weight)
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])


def test_later_blocks_may_keep_their_weights() -> None:
    net, images = network(), some_images(30)
    before = [block.conv.weight.clone() for block in blocks_of(net)]
    run_phase(PatchSampling(net, images, blocks=1))
    same = [
        torch.equal(block.conv.weight, own)
        for block, own in zip(blocks_of(net), before, strict=True)
    ]
    assert same == [False, True]


def test_bad_input() -> None:
    with pytest.raises(InputError, match="blocks is 0; expected"):
        PatchSampling(network(), some_images(1), blocks=0)
    with pytest.raises(InputError, match="images"):
        PatchSampling(network(), some_images(0))
    spec = preset("cifar10", depth=2, width="quarter")
    first, second = spec.blocks
    grouped = replace(spec, blocks=(first, replace(second, groups=2, pre_triangle=False)))
    with pytest.raises(InputError, match=re.escape("groups of block 2 is 2; expected 1")):
        PatchSampling(SoftHebbNet(grouped, 3, 16, 10), some_images(1))
