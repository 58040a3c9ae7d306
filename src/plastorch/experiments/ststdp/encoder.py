"""Encoder of ststdp-features: pooled maps of a SoftHebb network that learned from still digits."""

import math
from functools import reduce

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from plastorch.engine.streams import stream
from plastorch.experiments.ststdp.measuring import AT_REST
from plastorch.hebbian.networks import SoftHebbNet
from plastorch.hebbian.spec import BlockSpec, NetworkSpec, Pool
from plastorch.hebbian.train import HebbianTraining
from plastorch.spiking.shortterm.streams import Stream

SPEC = NetworkSpec(
    "still-digits",
    (
        BlockSpec(
            16, 5, padding=2, learning_rate=0.08, triangle_power=0.7, pool=Pool("max", 4, 2, 1)
        ),
        BlockSpec(
            64,
            3,
            padding=1,
            learning_rate=0.01,
            inverse_temperature=0.65,
            triangle_power=2.0,
            pool=Pool("max", 6, 4),
        ),
    ),
)
"""Two layers, sparse in the second, whose maps are pooled to 3 x 3 values."""


VIEWS = (
    (0.0, 1.0),
    (-25.0, 1.0),
    (25.0, 1.0),
    (-50.0, 1.0),
    (50.0, 1.0),
    (0.0, 0.75),
    (0.0, 1.33),
)
"""Angles in degrees and sizes at which each frame is seen."""

FAINT = 0.02
"""Smallest deviation by which a frame is divided."""

HABITUATION = 0.5
"""Share of a feature's mean over digits at rest that is subtracted from it."""

TOGETHER = 250
"""Number of images of which features are made together."""


class Encoder(nn.Module):
    """Maps of frames, for a circuit: not negative, at most 1, and 1 where they are largest.

    A feature is the largest response to a part of a digit: over the positions that are pooled, and
    over :data:`VIEWS` of the frame. The parts are learned; what is pooled is given.

    Args:
        side: side of the images, pixels.
        seed: random seed.
    """

    usual: Tensor

    def __init__(self, side: int, seed: int) -> None:
        super().__init__()
        random = stream(seed, Stream.ENCODER)
        self.seed = random.initial_seed()
        self.net = SoftHebbNet(SPEC, 1, side, classes=1, generator=random)
        self.net.requires_grad_(False)
        self.maps, self.macs = self.net.feature_shape, float(len(VIEWS) * self.net.macs)
        self.features = math.prod(self.maps)
        self.register_buffer("usual", torch.zeros(self.features))

    @torch.no_grad()
    def forward(self, x: Tensor) -> Tensor:
        """Returns features [T, S, D] of frames [T, S, H²]."""
        side = self.net.image_size
        frames = figure(x.to(self.usual.device).reshape(-1, 1, side, side))
        views = (self.net.features(viewed(frames, *view)) for view in VIEWS)
        found = reduce(torch.maximum, views).view(*x.shape[:2], -1)
        return _to_one((_to_one(found) - HABITUATION * self.usual).relu()).to(x.device)

    def habituate(self, images: Tensor) -> None:
        """Learns the mean of each feature over still images [N, H, H], with pixel noise."""
        self.usual.zero_()
        frames = noisy(images, stream(self.seed, Stream.ENCODER)).flatten(1)
        sums = [self(some.unsqueeze(0)).sum((0, 1)) for some in torch.split(frames, TOGETHER)]
        self.usual.copy_(sum(sums[1:], sums[0]) / len(frames))

    def training_phase(self, images: Tensor) -> HebbianTraining:
        """Returns the phase in which it learns from still images [N, H, H], with pixel noise, each
        once per layer."""
        pixels = (255 * images).round().to(torch.uint8).unsqueeze(1)
        return HebbianTraining(self.net, pixels, seed=self.seed, augment=_shown)


def figure(frames: Tensor) -> Tensor:
    """Returns how much pixels of frames [B, 1, H, H] differ from the background, brighter or
    darker: from their median, less what is noise, and divided by the deviation of the frame."""
    ground = frames.flatten(1).median(1).values.view(-1, 1, 1, 1)
    found = ((frames - ground).abs() - AT_REST.noise).relu()
    return found / found.square().mean((1, 2, 3), keepdim=True).sqrt().clamp(min=FAINT)


def viewed(frames: Tensor, angle: float, size: float) -> Tensor:
    """Turns frames [B, 1, H, H] by an angle in degrees, and makes them larger by a factor."""
    if (angle, size) == (0.0, 1.0):
        return frames
    cos, sin = math.cos(math.radians(angle)) / size, math.sin(math.radians(angle)) / size
    place = frames.new_tensor([[cos, -sin, 0.0], [sin, cos, 0.0]]).expand(len(frames), 2, 3)
    grid = F.affine_grid(place, list(frames.shape), align_corners=False)
    return F.grid_sample(frames, grid, align_corners=False)


def noisy(images: Tensor, random: torch.Generator) -> Tensor:
    """Adds the pixel noise of films to images in [0, 1]."""
    noise = torch.randn(images.shape, generator=random).to(images.device)
    return (images + AT_REST.noise * noise).clamp(0, 1)


def _shown(images: Tensor, rows: Tensor, random: torch.Generator) -> Tensor:
    """Returns figures of noisy images, all in [0, 255], as SoftHebb's training takes them."""
    return 255 * figure(noisy(images / 255, random))


def _to_one(found: Tensor) -> Tensor:
    """Divides features [..., D] by the largest one."""
    return found / found.amax(-1, keepdim=True).clamp(min=1e-30)
