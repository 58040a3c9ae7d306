"""Training of the wide layer beside a network's blocks."""

from typing import get_args

import torch
import torch.nn.functional as F
from torch import Tensor

from plastorch.engine.errors import InputError, check_one_of, check_positive
from plastorch.engine.run import Record
from plastorch.engine.streams import stream
from plastorch.hebbian.networks import SoftHebbNet
from plastorch.hebbian.patches import cut
from plastorch.hebbian.presets import Rule
from plastorch.hebbian.streams import Stream
from plastorch.learning import learn
from plastorch.learning.phases import Phase, set_rate

RATE = 0.1
"""Learning rate at the start; it falls to 0."""
BATCH, STEPS = 500, 2000
"""Patches in an update, and number of updates."""
FIRST_LENGTH = 0.9
"""Length of the first weights; at 1 the norm-dependent rate would be 0."""
FITTED, FITTED_IMAGES = 200_000, 10_000
"""Number of patches that the whitening is fitted to, and of images from which they are cut."""
LOGGED = 100
"""Updates between two log entries."""


class WideTraining(Phase):
    """Training of a network's wide layer: whitening, first weights from patches, then learning.

    The first :meth:`step` fits the whitening; each later one learns from one batch of patches. To
    resume, restore the network and the position; patches follow from the seed.

    Args:
        net: network with a wide layer, which is changed in place.
        images: images [N, C, H, W], uint8, or floats in [0, 1], on any device; labels are not
            needed.
        rule: "soft" or "hard" to learn, "sampled" to keep the patches that weights start from,
            "random" for random ones.
        seed: random seed.

    Raises:
        InputError: network without a wide layer, or no images.

    Example:
        >>> from plastorch.hebbian import BlockSpec, NetworkSpec, Pool, SoftHebbNet, WideSpec
        >>> from plastorch.learning.phases import run_phase
        >>> block = BlockSpec(4, 5, padding=2, learning_rate=0.1, pool=Pool("avg", 8, 8))
        >>> net = SoftHebbNet(NetworkSpec("small", (block,), wide=WideSpec(8)), 3, 32, classes=10)
        >>> images = torch.randint(0, 256, (20, 3, 32, 32), dtype=torch.uint8)
        >>> records = run_phase(WideTraining(net, images, rule="sampled"))
        >>> bool((net.wide.conv.radius() - 1).abs().max() < 1e-5)
        True
    """

    def __init__(
        self, net: SoftHebbNet, images: Tensor, rule: Rule = "soft", seed: int = 0
    ) -> None:
        if net.wide is None:
            raise InputError("net has no wide layer; expected one, see NetworkSpec")
        check_one_of(get_args(Rule), rule=rule)
        check_positive(images=len(images))
        self.net, self.layer, self.images = net, net.wide, images
        self.rule, self.seed = rule, seed
        self.optimizer = torch.optim.SGD(self.layer.conv.parameters(), lr=RATE)
        super().__init__("wide", 1 + (STEPS if rule in ("soft", "hard") else 0))

    @torch.no_grad()
    def step(self) -> list[Record]:
        """Fits the whitening and sets the first weights, or learns from one batch of patches."""
        random = stream(self.seed, Stream.WIDE, self.position)
        if not self.position:
            self._begin(random)
        else:
            set_rate(self.optimizer, RATE, "linear", self.position - 1, STEPS)
            self.optimizer.zero_grad()
            self.layer.conv.train()
            learn(self.layer.conv, self._patches(BATCH, random))
            self.optimizer.step()
        self.position += 1
        if self.position % LOGGED != 1:
            return []
        radius = self.layer.conv.radius()
        return [
            {
                "phase": self.name,
                "step": self.position,
                "radius_mean": float(radius.mean()),
                "radius_std": float(radius.std()),
            }
        ]

    def _begin(self, random: torch.Generator) -> None:
        seen = torch.randperm(len(self.images), generator=random)[:FITTED_IMAGES]
        device = self.layer.conv.weight.device
        images = self.net.pixels(self.images[seen].to(device))
        self.layer.whiten.fit(images, patches=FITTED, generator=random)
        weight = self.layer.conv.weight
        if self.rule == "random":
            weight.copy_(F.normalize(torch.randn(weight.shape, generator=random), dim=1))
        else:
            weight.copy_(self._patches(len(weight), random))
        if self.total > 1:
            weight.mul_(FIRST_LENGTH)

    def _patches(self, count: int, random: torch.Generator) -> Tensor:
        """Returns whitened patches [count, n, 1, 1] from random places of random images."""
        which = torch.randint(len(self.images), (count,), generator=random)
        place = torch.rand(2, count, generator=random)
        patches = cut(self.images, which, place, self.layer.spec.kernel_size)
        pixels = patches.to(self.layer.conv.weight.device).float()
        if patches.dtype == torch.uint8:
            pixels = pixels / 255
        white: Tensor = self.layer.whiten(self.net.standardized(pixels))
        return white
