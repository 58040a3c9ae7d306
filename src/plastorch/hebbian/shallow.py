"""Shallow SoftHebb: a competing layer and a readout of its activations, and a backprop twin.

Paper: Moraitis et al., Neuromorph. Comput. Eng. 2 (2022) 044017, arXiv 2107.05747.
"""

from collections.abc import Callable
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from plastorch.engine.distributed import backward, check_parts, part
from plastorch.engine.errors import InputError, check_finite, check_positive
from plastorch.engine.run import Record
from plastorch.engine.streams import made_with, stream
from plastorch.hebbian.layers import SoftHebbLinear
from plastorch.hebbian.optim import linear_decay
from plastorch.hebbian.readout import accuracy, assign_labels, check_labels
from plastorch.hebbian.rule import Competition
from plastorch.hebbian.streams import Stream
from plastorch.learning import learn, set_gradients
from plastorch.learning.phases import EpochOrder, Phase


class ShallowSoftHebb(nn.Module):
    """Hidden SoftHebb layer and linear readout: u = W x / ||x||, softmax(s u) -> classes.

    Inputs of unit length make u a cosine similarity once the weights have length 1, as in Moraitis
    et al.'s theory.

    Args:
        inverse_temperature: inverse temperature t of the hidden layer's competition in learning.
        readout_inverse_temperature: inverse temperature s of the activations that the readout sees.
        initial_radius: R of the initial weights. Above 1 it spreads the work: a neuron that wins
            shrinks toward 1 and leaves the next win to others.
        generator: random generator of the initial weights; torch's global one if None.
        device: device of the weights.
        dtype: type of the weights.
    """

    def __init__(
        self,
        in_features: int,
        neurons: int,
        classes: int = 10,
        *,
        competition: Competition = "soft",
        inverse_temperature: float = 100.0,
        readout_inverse_temperature: float = 50.0,
        initial_radius: float = 3.0,
        generator: torch.Generator | None = None,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        check_positive(classes=classes, readout_inverse_temperature=readout_inverse_temperature)
        self.readout_inverse_temperature = readout_inverse_temperature
        with made_with(device=device, dtype=dtype):
            self.hidden = SoftHebbLinear(
                in_features,
                neurons,
                competition=competition,
                inverse_temperature=inverse_temperature,
                initial_radius=initial_radius,
                generator=generator,
            )
            self.readout = _linear(neurons, classes, generator)

    def activation(self, images: Tensor) -> Tensor:
        """Returns the readout's input softmax(s u) [B, K], for images [B, ...] in [0, 1]."""
        return self._activation(self.hidden(unit_length(images)))

    def scores(self, u: Tensor) -> Tensor:
        """Returns class scores (logits) [B, classes] of the hidden layer's output u [B, K]."""
        logits: Tensor = self.readout(self._activation(u))
        return logits

    def forward(self, images: Tensor) -> Tensor:
        """Returns class scores (logits) [B, classes]."""
        return self.scores(self.hidden(unit_length(images)))

    def _activation(self, u: Tensor) -> Tensor:
        return F.softmax(self.readout_inverse_temperature * u, dim=1)


class BackpropMlp(nn.Module):
    """Baseline of the same size, trained end to end: Linear, ReLU, Linear.

    Args:
        unit_inputs: whether inputs get length 1, as those of :class:`ShallowSoftHebb` do.
        generator: random generator of the initial weights; torch's global one if None.
        device: device of the weights.
        dtype: type of the weights.
    """

    def __init__(
        self,
        in_features: int,
        neurons: int,
        classes: int = 10,
        *,
        unit_inputs: bool = False,
        generator: torch.Generator | None = None,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        self.unit_inputs = unit_inputs
        with made_with(device=device, dtype=dtype):
            self.hidden = _linear(in_features, neurons, generator)
            self.readout = _linear(neurons, classes, generator)

    def forward(self, images: Tensor) -> Tensor:
        """Returns class scores (logits) [B, classes] of images [B, ...] in [0, 1]."""
        x = unit_length(images) if self.unit_inputs else images.flatten(1)
        logits: Tensor = self.readout(F.relu(self.hidden(x)))
        return logits


class _Softened(nn.Module):
    """Network whose softmax functions are far from saturated."""

    def __init__(self, net: nn.Module, factor: float) -> None:
        super().__init__()
        self.net, self.factor = net, factor

    def forward(self, images: Tensor) -> Tensor:
        if not isinstance(self.net, ShallowSoftHebb):
            logits: Tensor = self.net(images) / self.factor
            return logits
        u = self.net.hidden(unit_length(images))
        y = F.softmax(self.net.readout_inverse_temperature / self.factor * u, dim=1)
        scores: Tensor = self.net.readout(y)
        return scores


def softened(net: nn.Module, factor: float = 5.0) -> nn.Module:
    """Returns a network of nearly the same decisions, with gradients where the original's vanish.

    A saturated softmax hides its gradient from an attack, which then makes the network look more
    robust than it is. The hidden softmax of a SoftHebb network gets a higher temperature; logits of
    other networks are divided by the factor. The weights are shared, not copied.
    """
    check_positive(factor=factor)
    return _Softened(net, factor)


@torch.no_grad()
def sample_weights(net: ShallowSoftHebb, images: Tensor, seed: int = 0) -> None:
    """Sets hidden weights to random images of length 1: a control, of which nothing is learned.

    Images are uint8 [N, ...]; some may be drawn twice.
    """
    random = stream(seed, Stream.SAMPLED_PATCHES)
    rows = torch.randint(len(images), (len(net.hidden.weight),), generator=random)
    net.hidden.weight.copy_(unit_length(images[rows.to(images.device)] / 255))


class OnlineTraining(Phase):
    """Trains hidden layer and readout on the same mini-batches, and tests them at intervals.

    Images are uint8 [N, ...]. A SoftHebb layer learns without labels, by its rule, at a rate (the
    largest change of a weight) that falls linearly to 0, and its readout by Adam on cross-entropy;
    either may be left as it is. A hidden layer that learns again from its start under a finished
    readout shows, as in Moraitis et al.'s post-hoc protocol, that its rule lowers the supervised
    loss; there, the readout learned for 100 passes on the frozen layer. A backprop network, whose
    last layer is ``readout``, learns as a whole by Adam. Tests come at growing intervals within the
    first pass, then once per pass; if ``look`` is given, its figures take the place of a test's.
    """

    def __init__(
        self,
        net: nn.Module,
        images: Tensor,
        labels: Tensor,
        test_images: Tensor,
        test_labels: Tensor,
        *,
        batch_size: int = 32,
        epochs: int = 1,
        hebbian_rate: float = 0.1,
        adam_rate: float = 1e-3,
        learn_hidden: bool = True,
        learn_readout: bool = True,
        seed: int = 0,
        name: str = "online",
        look: Callable[[], Record] | None = None,
    ) -> None:
        check_positive(batch_size=batch_size, epochs=epochs, hebbian_rate=hebbian_rate)
        check_positive(adam_rate=adam_rate)
        check_parts(batch_size=batch_size)
        _check_counts(images=images, labels=labels)
        _check_counts(test_images=test_images, test_labels=test_labels)
        readout = cast(nn.Linear, net.readout)
        for given in (labels, test_labels):
            check_labels(given, readout.out_features)
        self.net, self.images, self.labels = net, images, labels
        self.test_images, self.test_labels = test_images, test_labels
        self.hebbian_rate, self.learn_readout = hebbian_rate, learn_readout
        self.look = look or self._tested
        self.rows = EpochOrder(len(images), batch_size, seed, Stream.IMAGE_ORDER)
        super().__init__(name, self.rows.per_epoch * epochs)
        self.tests = _growing(self.rows.per_epoch)
        readout.requires_grad_(learn_readout)
        self.learning = [p for p in net.parameters() if p.requires_grad]
        self.adam = None
        if self.learning:
            self.adam = torch.optim.Adam(self.learning, lr=adam_rate, fused=True)
            self.optimizers = [self.adam]
        self.sgd = None
        if isinstance(net, ShallowSoftHebb):
            net.hidden.train(learn_hidden)
            if learn_hidden:
                self.sgd = torch.optim.SGD(net.hidden.parameters(), lr=hebbian_rate)

    def step(self) -> list[Record]:
        """Learns from one mini-batch; returns a record after a test."""
        batch = self.rows(self.position).to(self.images.device)
        rows = part(batch)
        x, labels = self.images[rows] / 255, self.labels[rows]
        if isinstance(self.net, ShallowSoftHebb) and self.sgd is not None:
            self.net.hidden.train()
            logits = self.net.scores(learn(self.net.hidden, unit_length(x)))
        else:
            logits = self.net(x)
        if self.adam is not None:
            self.adam.zero_grad()
            backward(F.cross_entropy(logits, labels), self.learning, len(rows) / len(batch))
        if self.sgd is not None:
            rate = linear_decay(self.hebbian_rate, self.position, self.total)
            self.sgd.param_groups[0]["lr"] = rate
            self.sgd.step()
        if self.adam is not None:
            self.adam.step()
        self.position += 1
        epoch, number = divmod(self.position, self.rows.per_epoch)
        if number and (epoch or number not in self.tests):
            return []
        return [{"phase": self.name, "step": self.position, **self.look()}]

    def _tested(self) -> Record:
        loss, right = cross_entropy(self.net, self.test_images, self.test_labels)
        return {"cross_entropy": loss, "test_accuracy": right}


def unit_length(images: Tensor) -> Tensor:
    """Returns images [B, ...] as rows of length 1 [B, n]; a black image stays 0."""
    return F.normalize(images.flatten(1), dim=1)


@torch.no_grad()
def activations(net: ShallowSoftHebb, images: Tensor, batch_size: int = 2000) -> Tensor:
    """Returns activations [N, K] of uint8 images, in half precision: those below 6e-8 become 0."""
    parts = [net.activation(part / 255).half() for part in torch.split(images, batch_size)]
    return torch.cat(parts)


def label_assignment_accuracy(
    train: Tensor, train_labels: Tensor, test: Tensor, test_labels: Tensor, classes: int
) -> float:
    """Returns accuracy without a trained readout: neurons answer the class they win most often.

    Activations are ``train`` [N, K], of labeled images, and ``test`` [M, K].
    """
    _check_counts(train=train, train_labels=train_labels)
    _check_counts(test=test, test_labels=test_labels)
    check_finite(train=train, test=test)
    assigned = assign_labels(train.float(), train_labels, classes)
    return accuracy(assigned[test.argmax(dim=1)], test_labels)


@torch.no_grad()
def teacher_clamped_accuracy(
    train: Tensor,
    train_labels: Tensor,
    test: Tensor,
    test_labels: Tensor,
    classes: int,
    learning_rate: float = 0.045,
    batch_size: int = 32,
    seed: int = 0,
) -> float:
    """Returns accuracy of a SoftHebb output layer whose activations were clamped to the labels.

    Activations are ``train`` [N, K] and ``test`` [M, K]. Journé et al.'s code, Hebbian classifier:
    y := one-hot label in the same rule, one pass, a rate that falls linearly to 0, R = 35; the
    answer is the neuron with the largest u.
    """
    check_positive(learning_rate=learning_rate, batch_size=batch_size)
    _check_counts(train=train, train_labels=train_labels)
    _check_counts(test=test, test_labels=test_labels)
    check_labels(train_labels, classes)
    check_finite(train=train, test=test)
    layer = SoftHebbLinear(
        train.shape[1], classes, initial_radius=35.0, generator=stream(seed, Stream.TAUGHT_WEIGHTS)
    )
    optimizer = torch.optim.SGD(layer.parameters(), lr=learning_rate)
    teacher = F.one_hot(train_labels, classes).float()
    order = torch.randperm(len(train), generator=stream(seed, Stream.TAUGHT_ORDER))
    batches = torch.split(order, batch_size)
    for step, rows in enumerate(batches):
        x = F.normalize(train[rows].float(), dim=1)
        set_gradients(layer, layer.learn(x, teacher=teacher[rows]))
        optimizer.param_groups[0]["lr"] = linear_decay(learning_rate, step, len(batches))
        optimizer.step()
    answers = [layer(part.float()).argmax(dim=1) for part in torch.split(test, 2000)]
    return accuracy(torch.cat(answers), test_labels)


@torch.no_grad()
def cross_entropy(net: nn.Module, images: Tensor, labels: Tensor) -> tuple[float, float]:
    """Returns mean cross-entropy in nats, and accuracy, of a network on uint8 images [N, ...]."""
    _check_counts(images=images, labels=labels)
    logits = torch.cat([net(part / 255) for part in torch.split(images, 2000)])
    return float(F.cross_entropy(logits, labels)), accuracy(logits.argmax(dim=1), labels)


def _check_counts(**pair: Tensor) -> None:
    """Raises InputError unless inputs and labels, given by name, are equal in number and not 0."""
    (inputs, x), (labels, y) = pair.items()
    if len(x) != len(y) or not len(x):
        raise InputError(f"{inputs} are {len(x)}, {labels} {len(y)}; expected equal numbers, not 0")


def _linear(in_features: int, out_features: int, generator: torch.Generator | None) -> nn.Linear:
    """Returns ``nn.Linear`` with its default initial values drawn from a generator."""
    layer = nn.Linear(in_features, out_features)
    bound = in_features**-0.5
    with torch.no_grad():
        layer.weight.uniform_(-bound, bound, generator=generator)
        layer.bias.uniform_(-bound, bound, generator=generator)
    return layer


def _growing(steps: int, count: int = 50) -> set[int]:
    """Returns up to ``count`` whole numbers from 1 to ``steps``, evenly spaced on a log scale."""
    exponents = torch.linspace(0, 1, count, dtype=torch.float64)
    return set((float(steps) ** exponents).round().long().tolist())
