"""Readouts of frozen features: a linear layer trained with dropout, or labels given to neurons."""

from collections.abc import Callable
from contextlib import AbstractContextManager

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from plastorch.engine.distributed import check_parts, part, sum_over_workers, workers
from plastorch.engine.errors import InputError, check_finite, check_positive
from plastorch.engine.run import Record
from plastorch.engine.streams import stream
from plastorch.hebbian.networks import SoftHebbNet
from plastorch.hebbian.optim import readout_rate
from plastorch.hebbian.streams import Stream
from plastorch.hebbian.train import Augment
from plastorch.learning.phases import Phase

FeatureSource = Callable[[Tensor, torch.Generator], Tensor]
"""Function from rows of the training set and a generator to float32 features [B, F] of this
worker's part of the rows."""


class FeatureExtraction(Phase):
    """Computes the features of frozen blocks once, into a cache in half precision.

    Each worker computes a part of the features; all workers get all of them.

    Half precision halves the cache (CIFAR-10: 3 GB). Features beyond its range, as untrained
    networks may have, make it start again in single precision.

    Args:
        net: network; set to eval mode.
        images: uint8 images [N, C, H, W].
        batch_size: images per step; few, so that their maps fit into a processor's cache.
        dtype: type of the cache; ``torch.float8_e5m2`` halves it again, for features that are only
            trained on.
    """

    def __init__(
        self,
        net: SoftHebbNet,
        images: Tensor,
        batch_size: int = 50,
        dtype: torch.dtype = torch.float16,
    ) -> None:
        self.net, self.images, self.batch_size = net, images, batch_size
        super().__init__("features", -(-len(images) // batch_size))
        self.features = self._cache(dtype)

    @torch.no_grad()
    def step(self) -> list[Record]:
        """Computes the features of one batch."""
        self.net.eval()
        rows = slice(self.position * self.batch_size, (self.position + 1) * self.batch_size)
        features = self._features(self.images[rows])
        if not self.position:
            check_finite(features=features)
        limit = torch.finfo(self.features.dtype).max
        if self.features.dtype != torch.float32 and features.abs().max() > limit:
            self.position, self.features = 0, self._cache(torch.float32)
            return []
        self.features[rows] = features
        self.position += 1
        return []

    @torch.no_grad()
    def replace_last(self, images: Tensor) -> None:
        """Replaces the features of the last M images by those of other images [M, C, H, W]."""
        self.net.eval()
        limit, last = torch.finfo(self.features.dtype).max, self.features[-len(images) :]
        for start in range(0, len(images), self.batch_size):
            rows = slice(start, start + self.batch_size)
            last[rows] = self._features(images[rows]).clamp(max=limit)

    def _features(self, images: Tensor) -> Tensor:
        device, mine = self.net.readout.weight.device, part(torch.arange(len(images)))
        if workers() == 1:
            return self.net.features(images.to(device))
        features = torch.zeros(len(images), self.net.readout.in_features, device=device)
        if len(mine):
            features[mine] = self.net.features(images[mine].to(device)).float()
        return sum_over_workers(features)

    def _cache(self, dtype: torch.dtype) -> Tensor:
        shape = (len(self.images), self.net.readout.in_features)
        return torch.empty(shape, dtype=dtype, device=self.net.readout.weight.device)


class ReadoutTraining(Phase):
    """Trains a linear readout on features with dropout, Adam and paper B's schedule.

    One :meth:`step` is one epoch. The gradient of softmax cross-entropy is written out. The dropout
    mask comes from random bits where p is 0.5, 0.25 or the like, because a generic random mask
    would cost more than all the rest together.

    Args:
        readout: layer to train, in place.
        source: source of features of training rows; :func:`cached` or :func:`augmented`.
        labels: int64 labels [N].
        test_features: features [M, F], any float type.
        test_labels: int64 labels [M].
        epochs: number of passes over the training set.
        batch_size: rows per update, over all workers.
        dropout: probability of dropping a feature.
        learning_rate: learning rate of the first epoch.
        seed: random seed of order and dropout.
        mean: mean [F] of the training features (:func:`mean_of`). The readout learns from, and
            drops, the distance of features from it. The layer still reads raw features; its bias
            makes up for the mean.
        deviation: standard deviation [F] of the training features (:func:`deviation_of`). Features
            are learned from in units of it; the layer's weights make up for that.
        renew: function called with the number of each epoch, from 0, before it begins; may change
            the features of the source.

    Raises:
        InputError: size that is not positive, label out of range, mean or deviation of another
            size, or deviation that is not above 0.
    """

    def __init__(
        self,
        readout: nn.Linear,
        source: FeatureSource,
        labels: Tensor,
        test_features: Tensor,
        test_labels: Tensor,
        *,
        epochs: int = 50,
        batch_size: int = 64,
        dropout: float = 0.5,
        learning_rate: float = 1e-3,
        seed: int = 0,
        mean: Tensor | None = None,
        deviation: Tensor | None = None,
        renew: Callable[[int], None] | None = None,
    ) -> None:
        check_positive(epochs=epochs, batch_size=batch_size, learning_rate=learning_rate)
        check_parts(batch_size=batch_size)
        check_labels(labels, readout.out_features)
        for name, value in (("mean", mean), ("deviation", deviation)):
            if value is not None and value.shape != (readout.in_features,):
                raise InputError(
                    f"{name} has shape {tuple(value.shape)}; expected ({readout.in_features},), "
                    "one value per feature"
                )
        if deviation is not None and not deviation.min() > 0:
            raise InputError(f"deviation is {float(deviation.min())} at least; expected above 0")
        device = readout.weight.device
        self.readout, self.source, self.labels = readout, source, labels.to(device)
        self.test_features, self.test_labels = test_features, test_labels.to(device)
        self.batch_size, self.dropout, self.seed = batch_size, dropout, seed
        self.learning_rate, self.renew = learning_rate, renew
        self.mask = DropoutMask(dropout, device)
        self.mean = None if mean is None else mean.to(device)
        self.deviation = None if deviation is None else deviation.to(device)
        self.optimizer = torch.optim.Adam(readout.parameters(), lr=learning_rate, fused=True)
        self.optimizers = [self.optimizer]
        super().__init__("readout", epochs)

    def step(self) -> list[Record]:
        """Trains for one epoch; returns its losses and accuracies."""
        if self.renew:
            self.renew(self.position)
        random = stream(self.seed, Stream.READOUT, self.position)
        order = torch.randperm(len(self.labels), generator=random)
        rate = readout_rate(self.learning_rate, self.position, self.total)
        self.optimizer.param_groups[0]["lr"] = rate
        totals = torch.zeros(2, dtype=torch.float64, device=self.labels.device)
        self._read_standardized()
        for rows in torch.split(order, self.batch_size):
            features = self.source(rows, random)
            totals += self._update(features, self.labels[part(rows)], len(rows), random)
        self._read_as_they_are()
        self.position += 1
        loss, correct = (sum_over_workers(totals) / len(order)).tolist()
        test_accuracy = accuracy(predict(self.readout, self.test_features), self.test_labels)
        return [
            {
                "phase": self.name,
                "epoch": self.position,
                "loss": loss,
                "train_accuracy": correct,
                "test_accuracy": test_accuracy,
                "learning_rate": rate,
            }
        ]

    @torch.no_grad()
    def _update(
        self, features: Tensor, labels: Tensor, count: int, random: torch.Generator
    ) -> Tensor:
        """Takes one Adam step on this worker's part of a batch of ``count`` rows.

        Returns the part's summed loss and number of correct answers.
        """
        if self.mean is not None:
            features.sub_(self.mean)
        if self.deviation is not None:
            features.div_(self.deviation)
        if self.dropout:
            features.mul_(part(self.mask((count, features.shape[1]), random)))
        logits = self.readout(features)
        log_probability = F.log_softmax(logits, dim=1)
        error = log_probability.exp()
        error.sub_(F.one_hot(labels, error.shape[1]))
        error /= count
        self.readout.weight.grad = sum_over_workers(error.T @ features)
        self.readout.bias.grad = sum_over_workers(error.sum(dim=0))
        self.optimizer.step()
        loss = F.nll_loss(log_probability, labels, reduction="sum")
        return torch.stack([loss, (logits.argmax(dim=1) == labels).sum()]).double()

    @torch.no_grad()
    def _read_standardized(self) -> None:
        """Makes the layer read standardized features, within an epoch; between epochs raw ones."""
        if self.deviation is not None and not self.position:
            return  # its random first weights are meant for features of about unit size
        if self.mean is not None:
            self.readout.bias.add_(self.readout.weight @ self.mean)
        if self.deviation is not None:
            self.readout.weight.mul_(self.deviation)

    @torch.no_grad()
    def _read_as_they_are(self) -> None:
        if self.deviation is not None:
            self.readout.weight.div_(self.deviation)
        if self.mean is not None:
            self.readout.bias.sub_(self.readout.weight @ self.mean)


class DropoutMask:
    """Random masks that keep with probability 1 - p and scale what they keep by 1 / (1 - p).

    Args:
        probability: probability p of dropping.
        device: device of the masks.

    Example:
        >>> DropoutMask(0.5, "cpu")((2, 8), torch.Generator()).unique()
        tensor([0., 2.])
    """

    def __init__(self, probability: float, device: torch.device | str) -> None:
        if not 0 <= probability < 1:
            raise InputError(f"dropout is {probability}; expected at least 0 and below 1")
        self.probability, self.device = probability, device
        # A few random bits per mask suffice where p is a whole number of the steps they count.
        self.bits = next((b for b in (1, 2, 4, 8) if probability * 2**b % 1 == 0), 0)
        if self.bits:
            numbers = torch.arange(256).unsqueeze(1) >> torch.arange(0, 8, self.bits)
            kept = numbers % 2**self.bits >= probability * 2**self.bits
            self.table: Tensor = (kept / (1 - probability)).to(device)

    def __call__(self, shape: tuple[int, ...], random: torch.Generator) -> Tensor:
        """Draws a float32 mask [B, F]."""
        count = torch.Size(shape).numel()
        if not self.bits:
            kept = torch.rand(count, generator=random) >= self.probability
            return kept.view(shape).to(self.device) / (1 - self.probability)
        words = torch.empty(-(-count * self.bits // 64), dtype=torch.int64)
        words.random_(-(2**63), None, generator=random)  # all 64 bits
        octets = words.view(torch.uint8).to(self.device).int()
        return self.table.index_select(0, octets).view(-1)[:count].view(shape)


def cached(features: Tensor, views: int = 1) -> FeatureSource:
    """Returns a source of cached features [views * N, F]: N images, then their second views, etc.

    Each time, each image shows one of its views, drawn at random.

    Example:
        >>> cached(torch.eye(2).half())(torch.tensor([1, 0]), torch.Generator())
        tensor([[0., 1.],
                [1., 0.]])
    """
    octets, dtype, count = features.view(torch.uint8), features.dtype, len(features) // views

    def source(rows: Tensor, random: torch.Generator) -> Tensor:
        if views > 1:
            rows = rows + count * torch.randint(views, rows.shape, generator=random)
        rows = part(rows)
        # As bytes: torch lacks index_select for some of the narrow types on some devices.
        return octets.index_select(0, rows.to(octets.device)).view(dtype).float()

    return source


def mean_of(features: Tensor, batch_size: int = 1000) -> Tensor:
    """Returns the mean [F] of features [N, F] of any float type, in float32.

    Example:
        >>> mean_of(torch.tensor([[0.0, 2.0], [1.0, 4.0]]).half())
        tensor([0.5000, 3.0000])
    """
    sums = [
        part.float().sum(dim=0, dtype=torch.float64) for part in torch.split(features, batch_size)
    ]
    return (torch.stack(sums).sum(dim=0) / len(features)).float()


def deviation_of(features: Tensor, mean: Tensor, batch_size: int = 1000) -> Tensor:
    """Returns the standard deviation [F] of features [N, F] about their mean, in float32.

    At least a tenth of the average deviation, so that units of it don't blow up features that are
    nearly constant.

    Example:
        >>> features = torch.tensor([[0.0, 2.0, 1.0], [2.0, 6.0, 1.0]])
        >>> deviation_of(features, mean_of(features))
        tensor([1.0000, 2.0000, 0.1000])
    """
    sums = [
        (part.float() - mean).square_().sum(dim=0, dtype=torch.float64)
        for part in torch.split(features, batch_size)
    ]
    deviation = (torch.stack(sums).sum(dim=0) / len(features)).sqrt()
    return deviation.clamp_min(deviation.mean() / 10).float()


def augmented(
    net: SoftHebbNet, images: Tensor, augment: Augment, precision: AbstractContextManager[object]
) -> FeatureSource:
    """Returns a source of features of freshly augmented images.

    Args:
        net: frozen network.
        images: uint8 images [N, C, H, W].
        augment: function that varies the images.
        precision: context in which the features are computed.
    """

    @torch.no_grad()
    def source(rows: Tensor, random: torch.Generator) -> Tensor:
        batch = images[rows.to(images.device)].to(net.readout.weight.device)
        with precision:
            return net.eval().features(part(augment(batch, rows, random)) / 255).float()

    return source


@torch.no_grad()
def scores(readout: nn.Linear, features: Tensor, batch_size: int = 1000) -> Tensor:
    """Returns logits [N, classes] of a readout for features [N, F] of any float type."""
    return torch.cat([readout(part.float()) for part in torch.split(features, batch_size)])


def predict(readout: nn.Linear, features: Tensor) -> Tensor:
    """Returns the classes [N] that a readout predicts from features [N, F]."""
    return scores(readout, features).argmax(dim=1)


def accuracy(predicted: Tensor, labels: Tensor) -> float:
    """Returns the share of correct answers, in [0, 1]."""
    return float((predicted == labels).double().mean())


def confusion(predicted: Tensor, labels: Tensor, classes: int) -> Tensor:
    """Returns counts [classes, classes]: true classes in rows, predicted ones in columns.

    Example:
        >>> confusion(torch.tensor([0, 1, 1]), torch.tensor([0, 0, 1]), 2)
        tensor([[1, 1],
                [0, 1]])
    """
    counts = torch.bincount(labels.cpu() * classes + predicted.cpu(), minlength=classes**2)
    return counts.view(classes, classes)


def assign_labels(activation: Tensor, labels: Tensor, classes: int) -> Tensor:
    """Returns for each neuron the class that it wins most often: paper A's untrained readout.

    A neuron that never wins gets the class with the largest sum of its responses.

    Args:
        activation: y or any response [N, K].
        labels: int64 labels [N].
        classes: number of classes.

    Returns:
        One class per neuron [K]; predict with ``assigned[activation.argmax(dim=1)]``.

    Raises:
        InputError: label out of range, or a response that is not finite.

    Example:
        >>> assign_labels(torch.tensor([[0.9, 0.1], [0.2, 0.8]]), torch.tensor([1, 0]), 2)
        tensor([1, 0])
    """
    check_labels(labels, classes)
    check_finite(activation=activation)
    neurons = activation.shape[1]
    winners = activation.argmax(dim=1)
    wins = torch.bincount(winners * classes + labels, minlength=neurons * classes)
    wins = wins.view(neurons, classes)
    response = activation.new_zeros(classes, neurons).index_add_(0, labels, activation)
    return torch.where(wins.any(dim=1), wins.argmax(dim=1), response.argmax(dim=0))


def check_labels(labels: Tensor, classes: int) -> None:
    """Raises InputError if a label is not one of 0 .. classes - 1."""
    if len(labels) and not 0 <= int(labels.min()) <= int(labels.max()) < classes:
        raise InputError(
            f"labels lie in {int(labels.min())}..{int(labels.max())}; expected 0..{classes - 1}"
        )
