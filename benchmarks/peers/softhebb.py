"""The peer of our SoftHebb: the same equations in everyday PyTorch, as the paper's code runs them.

Nothing here is tuned or slowed down: planar (NCHW) tensors, torch's own layers, the
update as a convolution whose kernel is the whole activation map, features anew in every epoch.
"""

from copy import deepcopy

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from plastorch.hebbian.networks import SoftHebbBlock, SoftHebbNet, blocks_of
from plastorch.hebbian.wide import WideLayer


class PeerBlock(nn.Module):
    """Batch norm, reflect pad, convolution with ``softkrotov`` plasticity, Triangle, and pooling.

    Args:
        block: our block, whose settings and state are copied; ungrouped, without ``pre_triangle``.
    """

    weight: Tensor

    def __init__(self, block: SoftHebbBlock) -> None:
        super().__init__()
        self.spec = spec = block.spec
        dtype = block.conv.weight.dtype
        self.norm = nn.BatchNorm2d(block.conv.in_channels, affine=False, dtype=dtype)
        self.norm.load_state_dict(block.norm.state_dict())
        self.register_buffer("weight", block.conv.weight.detach().clone().contiguous())
        pool = nn.MaxPool2d if spec.pool.kind == "max" else nn.AvgPool2d
        self.pool = pool(spec.pool.kernel_size, spec.pool.stride, spec.pool.padding)
        self.rate = self._rate()

    def respond(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Returns the padded input that plasticity sees, and the pre-activations u [B, K, H, W]."""
        side = self.spec.padding
        x = F.pad(self.norm(x), (side, side, side, side), mode="reflect")
        return x, F.conv2d(x, self.weight)

    def delta(self, x: Tensor, u: Tensor) -> Tensor:
        """Returns the update from padded inputs and pre-activations, its largest entry 1."""
        rows = u.transpose(0, 1).flatten(1)  # [K, positions]
        y = -F.softmax(self.spec.inverse_temperature * rows, dim=0)
        winner, position = rows.argmax(dim=0), torch.arange(rows.shape[1])
        y[winner, position] = -y[winner, position]
        post = y.view(len(y), len(u), *u.shape[2:]).transpose(0, 1)
        yx = F.conv2d(x.transpose(0, 1), post.transpose(0, 1)).transpose(0, 1)
        yu = (post * u).sum(dim=(0, 2, 3))
        raw: Tensor = yx - yu.view(-1, 1, 1, 1) * self.weight
        return raw / (raw.abs().max() + 1e-30)

    def activate(self, u: Tensor) -> Tensor:
        """Applies Triangle and pooling."""
        centered = F.relu(u - u.mean(dim=1, keepdim=True))
        pooled: Tensor = self.pool(torch.pow(centered, self.spec.triangle_power))
        return pooled

    def forward(self, x: Tensor) -> Tensor:
        """Returns features [B, K, H', W'] of images or features [B, C, H, W]."""
        return self.activate(self.respond(x)[1])

    def learn(self, x: Tensor) -> Tensor:
        """Returns features, and takes a step along the update."""
        padded, u = self.respond(x)
        step = self.delta(padded, u)
        features = self.activate(u)
        self.weight += self.rate * step
        self.rate = self._rate()
        return features

    def _rate(self) -> Tensor:
        radius = self.weight.flatten(1).norm(dim=1)
        factor: Tensor = ((radius - 1).abs() + 1e-10) ** self.spec.rate_power
        return self.spec.learning_rate * factor.view(-1, 1, 1, 1)


class PeerNet(nn.Module):
    """A stack of blocks, dropout and a linear readout.

    Args:
        net: our network, whose settings and state are copied.
    """

    def __init__(self, net: SoftHebbNet) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(PeerBlock(block) for block in blocks_of(net))
        self.dropout = nn.Dropout(net.spec.dropout)
        self.readout = deepcopy(net.readout)
        self.optimizer = torch.optim.Adam(self.readout.parameters(), lr=1e-3)

    @torch.no_grad()
    def train_step(self, images: Tensor) -> Tensor:
        """Trains all blocks on images [B, C, H, W] in [0, 1]; returns the unused class scores."""
        self.train()
        x = images
        for block in self.blocks:
            assert isinstance(block, PeerBlock)
            x = block.learn(x)
        scores: Tensor = self.readout(self.dropout(x.flatten(1)))
        return scores

    @torch.no_grad()
    def features(self, images: Tensor) -> Tensor:
        """Returns readout inputs [B, features] for images [B, C, H, W] in [0, 1]; blocks frozen."""
        self.blocks.eval()
        x = images
        for block in self.blocks:
            x = block(x)
        return x.flatten(1)

    def readout_step(self, images: Tensor, labels: Tensor) -> None:
        """Makes one update of the readout by autograd, with new features from the frozen blocks."""
        features = self.features(images)
        self.dropout.train()
        loss = F.cross_entropy(self.readout(self.dropout(features)), labels)
        self.optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        self.optimizer.step()


def wide_features(layer: WideLayer, images: Tensor) -> Tensor:
    """Returns responses of a wide layer to images [B, C, H, W] in [0, 1], from whole maps."""
    white = F.normalize(F.conv2d(images, layer.whiten.weight, layer.whiten.bias), dim=1)
    u, threshold = F.conv2d(white, layer.conv.weight), layer.spec.threshold
    pairs = torch.cat([F.relu(u - threshold), F.relu(-u - threshold)], dim=1)
    return F.adaptive_avg_pool2d(pairs, layer.spec.side)
