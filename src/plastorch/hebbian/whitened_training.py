"""Training of blocks on whitened patches of what they see."""

from typing import get_args

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.linalg import solve_triangular

from plastorch.engine.errors import InputError, check_one_of, check_positive
from plastorch.engine.run import Record
from plastorch.engine.streams import stream
from plastorch.hebbian.layers import SoftHebbLinear
from plastorch.hebbian.networks import SoftHebbNet, blocks_of
from plastorch.hebbian.presets import Rule
from plastorch.hebbian.rule import Competition
from plastorch.hebbian.sampling import input_patches
from plastorch.hebbian.streams import Stream
from plastorch.hebbian.whitening import triangular_whitening
from plastorch.hebbian.wide import TEMPERATURE
from plastorch.hebbian.wide_training import BATCH, FIRST_LENGTH, RATE
from plastorch.learning import learn
from plastorch.learning.phases import Phase, set_rate

IMAGES, PATCHES, PER_IMAGE = 8000, 60_000, 30
"""Largest number of images that patches are cut out of, of patches, and of patches per image."""
PASSES = 5
"""Number of passes over all patches."""


class WhitenedTraining(Phase):
    """Training of a network's later blocks, each on whitened patches of its normalized input.

    A patch p is seen as L⁻¹ (p - m), divided by its length, with the mean m and the triangular
    matrix L of all patches (:func:`plastorch.hebbian.whitening.triangular_whitening`). Neurons W
    start from such patches and learn by SoftHebb, which is the same in rotated patches, such as
    those of "ZCA". Then L⁻¹ becomes a part of the block's weights, W L⁻¹, so inference is that of
    any other block. One :meth:`step` trains one block, on whose output the next depends.

    Args:
        net: network whose first blocks are trained; it is changed in place.
        images: images [N, C, H, W], uint8, or floats in [0, 1], on any device; labels are not
            needed.
        first: number of blocks before the first that is trained.
        regularization: variance that is added to all directions before whitening, a fraction of the
            average one.
        rule: "soft" or "hard" to learn, "sampled" to keep the patches that weights start from,
            "random" for random directions in place of these.
        seed: random seed.

    Raises:
        InputError: argument out of range, no images, or blocks of several groups.

    Example:
        >>> from plastorch.hebbian.presets import preset
        >>> from plastorch.learning.phases import run_phase
        >>> net = SoftHebbNet(preset("cifar10", depth=2, width="quarter"), 3, 16, classes=10)
        >>> images = torch.randint(0, 256, (20, 3, 16, 16), dtype=torch.uint8)
        >>> run_phase(WhitenedTraining(net, images, rule="sampled"))[0]["layer"]
        1
    """

    def __init__(
        self,
        net: SoftHebbNet,
        images: Tensor,
        *,
        first: int = 1,
        regularization: float = 5.0,
        rule: Rule = "soft",
        seed: int = 0,
    ) -> None:
        check_positive(images=len(images), regularization=regularization)
        check_one_of(get_args(Rule), rule=rule)
        blocks = blocks_of(net)
        if not 0 <= first < len(blocks):
            raise InputError(f"first is {first}; expected 0 to {len(blocks) - 1}")
        for number, block in enumerate(blocks, start=1):
            if number > first and block.conv.groups > 1:
                raise InputError(f"groups of block {number} is {block.conv.groups}; expected 1")
        self.net, self.images, self.first = net, images, first
        self.regularization, self.rule, self.seed = regularization, rule, seed
        super().__init__("whitened", len(blocks) - first)

    @torch.no_grad()
    def step(self) -> list[Record]:
        """Trains one block; returns the lengths of its neurons' weights before they are folded."""
        number = self.first + self.position
        random = stream(self.seed, Stream.WHITENED, self.position)
        seen = torch.randperm(len(self.images), generator=random)[:IMAGES]
        count = min(PATCHES, PER_IMAGE * len(seen))
        patches = input_patches(self.net, number, self.images[seen], count, random).flatten(1)
        mean, root = triangular_whitening(patches, self.regularization)
        white = solve_triangular(root.T, patches.sub_(mean), upper=True, left=False)
        F.normalize(white, out=white)
        weight = blocks_of(self.net)[number].conv.weight
        neurons = self._neurons(white, len(weight), random)
        # Normalized inputs have means near 0, so responses to m are left out.
        folded = solve_triangular(root, neurons, upper=False, left=False)
        weight.copy_(folded.view_as(weight))
        self.position += 1
        radius = neurons.norm(dim=1)
        return [
            {
                "phase": self.name,
                "layer": number,
                "radius_mean": float(radius.mean()),
                "radius_std": float(radius.std()),
            }
        ]

    def _neurons(self, white: Tensor, count: int, random: torch.Generator) -> Tensor:
        """Returns weights [count, n] that were learned from whitened patches [N, n]."""
        if self.rule == "random":
            shape = count, white.shape[1]
            return F.normalize(torch.randn(shape, generator=random)).to(white)
        order = torch.randint(len(white), (count,), generator=random)
        if self.rule == "sampled":
            return white[order]
        competition: Competition = "hard" if self.rule == "hard" else "soft"
        layer = SoftHebbLinear(
            white.shape[1],
            count,
            competition=competition,
            inverse_temperature=TEMPERATURE,
            rate_power=0.5,
            generator=random,
            device=white.device,
        )
        layer.weight.copy_(FIRST_LENGTH * white[order])
        optimizer = torch.optim.SGD(layer.parameters(), lr=RATE)
        batches = [
            rows
            for _ in range(PASSES)
            for rows in torch.split(torch.randperm(len(white), generator=random), BATCH)
        ]
        for position, rows in enumerate(batches):
            set_rate(optimizer, RATE, "linear", position, len(batches))
            optimizer.zero_grad()
            learn(layer, white[rows])
            optimizer.step()
        return layer.weight.detach()
