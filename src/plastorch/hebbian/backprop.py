"""Baseline for SoftHebb: the same stack trained end to end."""

import torch
import torch.nn.functional as F
from torch import Tensor

from plastorch.engine.batchnorm import synchronize
from plastorch.engine.distributed import backward, check_parts, part, sum_over_workers
from plastorch.engine.errors import check_positive
from plastorch.engine.run import Record
from plastorch.engine.streams import seeded, stream
from plastorch.hebbian.networks import SoftHebbNet, blocks_of
from plastorch.hebbian.optim import readout_rate
from plastorch.hebbian.readout import accuracy, check_labels
from plastorch.hebbian.streams import Stream
from plastorch.hebbian.train import Augment
from plastorch.learning.phases import EpochOrder, Phase


class BackpropTraining(Phase):
    """Trains all weights of a network by cross-entropy, Adam and Journé et al.'s readout schedule.

    One :meth:`step` is one mini-batch of uint8 images [B, C, H, W] over all workers. Convolutions
    start as ``nn.Conv2d`` does. ``augment`` takes images, their rows and a generator, and returns
    images in [0, 255]. Test images, if any, are classified after each epoch.
    """

    def __init__(
        self,
        net: SoftHebbNet,
        images: Tensor,
        labels: Tensor,
        test_images: Tensor | None = None,
        test_labels: Tensor | None = None,
        *,
        epochs: int = 50,
        batch_size: int = 64,
        learning_rate: float = 1e-3,
        seed: int = 0,
        augment: Augment | None = None,
    ) -> None:
        check_positive(epochs=epochs, batch_size=batch_size, learning_rate=learning_rate)
        check_parts(batch_size=batch_size)
        check_labels(labels, net.readout.out_features)
        synchronize(net)
        self.net, self.device = net, net.readout.weight.device
        self.images, self.labels = images, labels.to(self.device)
        self.test_images, self.test_labels = test_images, test_labels
        self.learning_rate, self.epochs, self.seed = learning_rate, epochs, seed
        self.augment = augment
        self.rows = EpochOrder(len(images), batch_size, seed, Stream.BACKPROP_ORDER)
        super().__init__("backprop", self.rows.per_epoch * epochs)
        self.totals = torch.zeros(2, dtype=torch.float64, device=self.device)
        net.requires_grad_(True)
        self.optimizer = torch.optim.Adam(net.parameters(), lr=learning_rate)
        self.optimizers = [self.optimizer]

    def step(self) -> list[Record]:
        """Learns from one mini-batch; returns a record at the end of each epoch."""
        epoch, number = divmod(self.position, self.rows.per_epoch)
        if self.position == 0:  # not in the constructor: a resumed run has learned already
            self._start_like_torch()
        if number == 0:
            self.totals.zero_()
        rate = readout_rate(self.learning_rate, epoch, self.epochs)
        self.optimizer.param_groups[0]["lr"] = rate
        self._update(self.rows(self.position))
        self.position += 1
        if number + 1 < self.rows.per_epoch:
            return []
        loss, correct = (self.totals / len(self.images)).tolist()
        record: Record = {
            "phase": self.name,
            "epoch": epoch + 1,
            "loss": loss,
            "train_accuracy": correct,
            "learning_rate": rate,
        }
        if self.test_images is not None and self.test_labels is not None:
            found = classify(self.net, self.test_images)
            record["test_accuracy"] = accuracy(found, self.test_labels.to(self.device))
        return [record]

    def state_dict(self) -> dict[str, Tensor]:
        """Returns Adam's moments and the sums of the epoch under way."""
        return {"totals": self.totals, **super().state_dict()}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Restores the result of :meth:`state_dict`."""
        super().load_state_dict(state)
        self.totals = state["totals"].to(self.device)

    def _update(self, batch: Tensor) -> None:
        random, rows = stream(self.seed, Stream.BACKPROP_STEP, self.position), part(batch)
        if self.augment is None:
            images = self.images[rows.to(self.images.device)].to(self.device)
        else:
            images = self.images[batch.to(self.images.device)].to(self.device)
            images = part(self.augment(images, batch, random)) / 255
        labels = self.labels[rows.to(self.device)]
        self.net.train()
        with seeded(random.initial_seed(), self.device):
            logits = self.net(images).float()
        loss = F.cross_entropy(logits, labels)
        self.optimizer.zero_grad()
        backward(loss, self.net.parameters(), len(rows) / len(batch))
        self.optimizer.step()
        correct = (logits.argmax(dim=1) == labels).sum()
        figures = torch.stack([loss.detach() * len(labels), correct]).double()
        self.totals += sum_over_workers(figures.nan_to_num())  # the mean of an empty part is NaN

    @torch.no_grad()
    def _start_like_torch(self) -> None:
        """Draws weights uniformly on ±1/sqrt(fan-in), as ``nn.Conv2d`` does."""
        random = stream(self.seed, Stream.BACKPROP_WEIGHTS)
        for block in blocks_of(self.net):
            weight = block.conv.weight
            bound = weight[0].numel() ** -0.5
            weight.copy_(torch.rand(weight.shape, generator=random) * 2 * bound - bound)


@torch.no_grad()
def classify(net: SoftHebbNet, images: Tensor, batch_size: int = 200) -> Tensor:
    """Returns a network's predicted classes [N], in eval mode, of uint8 images [N, C, H, W]."""
    net.eval()
    device = net.readout.weight.device
    parts = [net(part.to(device)).argmax(dim=1) for part in torch.split(images, batch_size)]
    return torch.cat(parts)
