"""Probes of frozen features that leave nothing to tune: nearest neighbours, linear classifiers."""

import contextlib
from collections.abc import Callable, Iterator

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from plastorch.efference.ridge import check_features, chosen_ridge
from plastorch.engine.errors import InputError, check_positive

Apply = Callable[[Tensor], Tensor]
"""Images uint8 [B, C, H, W] in, what an encoder takes out."""
LOGISTIC_ITERATIONS = 1000
"""Most steps of a logistic regression; a tenth of them is usual."""
_BLOCK = 1 << 24  # similarities that are held at a time


def as_floats(images: Tensor) -> Tensor:
    """Bytes as numbers in [0, 1].

    Example:
        >>> as_floats(torch.tensor([0, 255], dtype=torch.uint8))
        tensor([0., 1.])
    """
    return images.float() / 255


@torch.no_grad()
def extract(
    encoder: nn.Module, images: Tensor, apply: Apply = as_floats, batch_size: int = 250
) -> Tensor:
    """Features of images by an encoder in eval mode; its modes are put back afterwards.

    Args:
        encoder: from what ``apply`` gives to features [B, D].
        images: uint8 [N, C, H, W].
        apply: makes of them what the encoder takes.
        batch_size: images at a time.

    Returns:
        float32 [N, D], on the encoder's device.

    Raises:
        InputError: if there are no images, or features are not [B, D] or not finite.

    Example:
        >>> encoder = nn.Sequential(nn.Flatten(), nn.Linear(12, 5))
        >>> extract(encoder, torch.zeros(7, 3, 2, 2, dtype=torch.uint8)).shape
        torch.Size([7, 5])
    """
    check_positive(images=len(images), batch_size=batch_size)
    device = next(encoder.parameters()).device
    with evaluating(encoder):
        parts = [
            encoder(apply(part.to(device))).float() for part in torch.split(images, batch_size)
        ]
    features = torch.cat(parts)
    check_features("features", features)
    return features


@contextlib.contextmanager
def evaluating(module: nn.Module) -> Iterator[None]:
    """Eval mode for a while; then each part goes back to the mode that it had.

    Example:
        >>> net = nn.Sequential(nn.Dropout().eval(), nn.Dropout())
        >>> with evaluating(net):
        ...     net[1].training
        False
        >>> net[0].training, net[1].training
        (False, True)
    """
    before = {part: part.training for part in module.modules()}
    module.eval()
    try:
        yield
    finally:
        for part, training in before.items():
            part.training = training


@torch.no_grad()
def knn_predict(
    features: Tensor, labels: Tensor, queries: Tensor, k: int = 20, temperature: float | None = None
) -> Tensor:
    """The class that most of the k nearest neighbours by cosine have; the lower of equals.

    Args:
        features: of the training set [N, D].
        labels: theirs, int64 [N]; they may lie on another device.
        queries: features to classify [M, D].
        k: neighbours, at most N.
        temperature: a neighbour's vote weighs exp(cosine / temperature); 1 if None.

    Returns:
        int64 [M].

    Raises:
        InputError: if shapes differ, features are not finite or k is out of range.

    Example:
        >>> knn_predict(torch.eye(2), torch.tensor([5, 7]), torch.tensor([[1.0, 3.0]]), k=1)
        tensor([7])
    """
    _check_labelled(features, labels)
    check_features("queries", queries, features.shape[1])
    if not 1 <= k <= len(features):
        raise InputError(f"k is {k}; expected 1 to {len(features)}, the training samples")
    if temperature is not None:
        check_positive(temperature=temperature)
    keys, classes = F.normalize(features, dim=1).T, int(labels.max()) + 1
    labels = labels.to(features.device)
    found = []
    for block in torch.split(queries, max(1, _BLOCK // len(features))):
        cosine, nearest = (F.normalize(block, dim=1) @ keys).topk(k, dim=1)
        weight = (
            torch.ones_like(cosine) if temperature is None else (cosine / temperature).softmax(1)
        )
        votes = weight.new_zeros(len(block), classes).scatter_add_(1, labels[nearest], weight)
        found.append(votes.argmax(dim=1))
    return torch.cat(found)


def knn_accuracy(
    features: Tensor,
    labels: Tensor,
    test_features: Tensor,
    test_labels: Tensor,
    k: int = 20,
    temperature: float | None = None,
) -> float:
    """Share of test samples that :func:`knn_predict` gets right.

    Example:
        >>> labels = torch.tensor([0, 1])
        >>> knn_accuracy(torch.eye(2), labels, 3 * torch.eye(2), labels, k=1)
        1.0
    """
    _check_labelled(test_features, test_labels)
    predicted = knn_predict(features, labels, test_features, k, temperature)
    return float((predicted == test_labels.to(predicted.device)).double().mean())


def ridge_accuracy(
    features: Tensor, labels: Tensor, test_features: Tensor, test_labels: Tensor, seed: int = 0
) -> float:
    """Share of test samples for which a ridge regression of the classes, 1 or -1, is highest.

    Args:
        features: of the training set [N, D].
        labels: theirs, int64 [N].
        test_features: [M, D].
        test_labels: int64 [M].
        seed: decides which training samples choose the penalty.

    Raises:
        InputError: as :func:`chosen_ridge`, or if labels don't fit.

    Example:
        >>> x, y = torch.randn(40, 3), torch.arange(40) % 2
        >>> x[:, 0] += 9 * y
        >>> ridge_accuracy(x, y, x, y)
        1.0
    """
    _check_labelled(features, labels)
    _check_labelled(test_features, test_labels, features.shape[1])
    targets = 2 * F.one_hot(labels.to(features.device)).double() - 1

    def wrong(predicted: Tensor, wanted: Tensor) -> Tensor:
        return (predicted.argmax(dim=1) != wanted.argmax(dim=1)).double().mean()

    predicted = chosen_ridge(features, targets, wrong, seed=seed)(test_features).argmax(dim=1)
    return float((predicted == test_labels.to(predicted.device)).double().mean())


def logistic_accuracy(
    features: Tensor, labels: Tensor, test_features: Tensor, test_labels: Tensor
) -> float:
    """Share of test samples for which a logistic regression finds the class.

    It is a linear probe that has learned to the end: by scikit-learn, of features brought to mean 0
    and deviation 1, with half the sum of squared weights added to the sum of losses.

    Args:
        features: of the training set [N, D].
        labels: theirs, int64 [N], of at least two classes.
        test_features: [M, D].
        test_labels: int64 [M].

    Raises:
        InputError: if features or labels don't fit, or are all of one class.

    Example:
        >>> x, y = torch.randn(40, 3), torch.arange(40) % 2
        >>> x[:, 0] += 9 * y
        >>> logistic_accuracy(x, y, x, y)
        1.0
    """
    from sklearn.linear_model import LogisticRegression  # costs a second
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    _check_labelled(features, labels)
    _check_labelled(test_features, test_labels, features.shape[1])
    if not (labels != labels[0]).any():
        raise InputError(f"labels are all {int(labels[0])}; expected at least two classes")
    known, classes, new, truth = (
        of.detach().cpu().numpy() for of in (features, labels, test_features, test_labels)
    )
    probe = make_pipeline(StandardScaler(), LogisticRegression(max_iter=LOGISTIC_ITERATIONS))
    return float(probe.fit(known, classes).score(new, truth))


def _check_labelled(features: Tensor, labels: Tensor, width: int | None = None) -> None:
    check_features("features", features, width)
    check_labels(labels, len(features))


def check_labels(labels: Tensor, count: int, classes: int | None = None) -> None:
    """Raises InputError unless there are that many labels, int64 in range(classes) if given.

    Example:
        >>> check_labels(torch.tensor([0, 2]), 2, classes=3)
    """
    if tuple(labels.shape) != (count,) or labels.dtype != torch.int64:
        raise InputError(
            f"labels are {labels.dtype} {tuple(labels.shape)}; expected torch.int64 ({count},)"
        )
    low, high = int(labels.min()), int(labels.max())
    if low < 0 or high >= (classes or high + 1):
        raise InputError(f"labels lie in {low}..{high}; expected 0..{(classes or high + 1) - 1}")
