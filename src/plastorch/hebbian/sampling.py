"""Weights that are patches of a block's input: a baseline that sees data but doesn't learn."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from plastorch.engine.errors import InputError, check_positive
from plastorch.engine.run import Record
from plastorch.engine.streams import stream
from plastorch.hebbian.networks import SoftHebbNet, blocks_of
from plastorch.hebbian.patches import cut
from plastorch.hebbian.streams import Stream
from plastorch.learning.phases import Phase

IMAGES = 2000
"""Largest number of images that patches are cut out of."""
AT_ONCE = 50
"""Number of images processed at once."""


class PatchSampling(Phase):
    """Sets each neuron's weights to a patch, of length 1, of its block's input; block by block.

    Images and places are drawn at random, independently of each other. Learning is only worth what
    it adds to this baseline: Coates & Ng, ICML 2011; Thiry et al., ICLR 2021.

    Args:
        net: network; its weights are changed in place.
        images: uint8 images [N, C, H, W], on any device; no labels are needed.
        seed: random seed.
        blocks: number of blocks whose weights are set, from the first; all if None.

    Raises:
        InputError: no images, number of blocks that is not positive, or blocks of several groups.

    Example:
        >>> from plastorch.hebbian.presets import preset
        >>> from plastorch.learning.phases import run_phase
        >>> net = SoftHebbNet(preset("cifar10", depth=1), 3, 32, classes=10)
        >>> images = torch.randint(0, 256, (20, 3, 32, 32), dtype=torch.uint8)
        >>> records = run_phase(PatchSampling(net, images))
        >>> bool((net.blocks[0].conv.radius() - 1).abs().max() < 1e-5)
        True
    """

    def __init__(
        self, net: SoftHebbNet, images: Tensor, seed: int = 0, *, blocks: int | None = None
    ) -> None:
        check_positive(images=len(images), blocks=1 if blocks is None else blocks)
        self.blocks = blocks_of(net)[:blocks]
        for number, block in enumerate(self.blocks, start=1):
            if block.conv.groups > 1:
                raise InputError(f"groups of block {number} is {block.conv.groups}; expected 1")
        self.net, self.images, self.seed = net, images, seed
        super().__init__("sampling", len(self.blocks))

    @torch.no_grad()
    def step(self) -> list[Record]:
        """Samples the weights of one block, on which the input of the next one depends."""
        random = stream(self.seed, Stream.SAMPLED_PATCHES, self.position)
        block = self.blocks[self.position]
        seen = torch.randperm(len(self.images), generator=random)[:IMAGES]
        patches = input_patches(
            self.net, self.position, self.images[seen], block.spec.out_channels, random
        )
        block.conv.weight.copy_(F.normalize(patches.flatten(1)).view_as(patches))
        self.position += 1
        return []


@torch.no_grad()
def input_patches(
    net: SoftHebbNet, number: int, images: Tensor, count: int, random: torch.Generator
) -> Tensor:
    """Returns patches [count, C, k, k] of the normalized input of block ``number``, from 0.

    The statistics of its normalization are gathered from the images first.
    """
    *before, block = blocks_of(net)[: number + 1]
    path = nn.Sequential(*before).eval()
    block.norm.train()
    owner = torch.randint(len(images), (count,), generator=random)
    place = torch.rand(2, count, generator=random)
    weight, spec = block.conv.weight, block.spec
    patches = torch.empty_like(weight[:1].expand(count, -1, -1, -1))
    for start in range(0, len(images), AT_ONCE):
        x = path(net.pixels(images[start : start + AT_ONCE].to(weight.device)))
        block.norm(x)
        mine = ((owner >= start) & (owner < start + AT_ONCE)).nonzero().flatten()
        x = F.pad(x, (spec.padding,) * 4, mode="reflect")
        patches[mine] = cut(x, owner[mine] - start, place[:, mine], spec.kernel_size)
    normalized: Tensor = block.norm.eval()(patches)
    return normalized
