"""Probes of frozen features with nothing to tune: nearest neighbors and linear classifiers."""

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from plastorch.efference.ridge import as_numpy, check_features, chosen_ridge
from plastorch.engine.errors import InputError, check_positive
from plastorch.learning.modes import evaluating

Apply = Callable[[Tensor], Tensor]
"""Function from images, uint8 [B, C, H, W], to the encoder's input."""
LOGISTIC_ITERATIONS = 1000
"""Maximum number of steps of a logistic regression; it usually takes a tenth."""


class Exam(NamedTuple):
    """Images, or spectra, with which an encoder's features are probed."""

    images: Tensor
    """Images to fit probes to [N, ...]."""
    labels: Tensor
    """Classes, int64 [N]."""
    test_images: Tensor
    test_labels: Tensor


def as_floats(images: Tensor) -> Tensor:
    """Converts bytes to numbers in [0, 1]."""
    return images.float() / 255


@torch.no_grad()
def extract(
    encoder: nn.Module, images: Tensor, apply: Apply = as_floats, batch_size: int = 250
) -> Tensor:
    """Extracts an encoder's features of images, in eval mode; then restores the encoder's mode.

    Args:
        encoder: module from the output of ``apply`` to features [B, D].
        images: images, uint8 [N, C, H, W].
        apply: function from images to the encoder's input.
        batch_size: number of images at a time.

    Returns:
        Features, float32 [N, D], on the encoder's device.

    Raises:
        InputError: there are no images, or features are not [B, D] or not finite.

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


def knn_accuracy(
    features: Tensor, labels: Tensor, test_features: Tensor, test_labels: Tensor, k: int = 20
) -> float:
    """Returns the test accuracy of the majority of the k nearest neighbors by cosine.

    Args:
        features: training features [N, D].
        labels: training classes, int64 [N].
        test_features: test features [M, D].
        test_labels: test classes, int64 [M].
        k: number of neighbors, at most N.

    Raises:
        InputError: features or labels don't fit, or k is out of range.

    Example:
        >>> labels = torch.tensor([0, 1])
        >>> knn_accuracy(torch.eye(2), labels, 3 * torch.eye(2), labels, k=1)
        1.0
    """
    from sklearn.neighbors import KNeighborsClassifier  # takes a second

    if not 1 <= k <= len(features):
        raise InputError(f"k is {k}; expected 1 to {len(features)}, the training samples")
    neighbors = KNeighborsClassifier(k, metric="cosine")
    return _score(neighbors, features, labels, test_features, test_labels)


def ridge_accuracy(
    features: Tensor, labels: Tensor, test_features: Tensor, test_labels: Tensor, seed: int = 0
) -> float:
    """Returns the test accuracy of a ridge regression on classes coded as 1 and -1.

    Args:
        features: training features [N, D].
        labels: training classes, int64 [N], at least two.
        test_features: test features [M, D].
        test_labels: test classes, int64 [M].
        seed: random seed that selects training samples for the choice of penalty.

    Raises:
        InputError: see :func:`chosen_ridge`; or labels don't fit, or all samples are of one class.

    Example:
        >>> x, y = torch.randn(40, 3), torch.arange(40) % 2
        >>> x[:, 0] += 9 * y
        >>> ridge_accuracy(x, y, x, y)
        1.0
    """
    _check_labeled(features, labels)
    _check_labeled(test_features, test_labels, features.shape[1])
    _check_classes(labels)

    def wrong(predicted: Any, wanted: Any) -> float:
        return float((predicted.argmax(1) != wanted.argmax(1)).mean())

    ridge = chosen_ridge(features, 2 * F.one_hot(labels) - 1, wrong, seed)
    return share_right(torch.tensor(ridge.predict(as_numpy(test_features))), test_labels)


def logistic_accuracy(
    features: Tensor, labels: Tensor, test_features: Tensor, test_labels: Tensor
) -> float:
    """Returns the test accuracy of a logistic regression.

    This is a fully trained linear probe, by scikit-learn. Features are standardized to mean 0 and
    deviation 1, and half the sum of squared weights is added to the sum of losses.

    Args:
        features: training features [N, D].
        labels: training classes, int64 [N], at least two.
        test_features: test features [M, D].
        test_labels: test classes, int64 [M].

    Raises:
        InputError: features or labels don't fit, or all samples are of one class.

    Example:
        >>> x, y = torch.randn(40, 3), torch.arange(40) % 2
        >>> x[:, 0] += 9 * y
        >>> logistic_accuracy(x, y, x, y)
        1.0
    """
    from sklearn.linear_model import LogisticRegression  # takes a second
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    _check_labeled(features, labels)
    _check_classes(labels)
    probe = make_pipeline(StandardScaler(), LogisticRegression(max_iter=LOGISTIC_ITERATIONS))
    return _score(probe, features, labels, test_features, test_labels)


def share_right(scores: Tensor, labels: Tensor) -> float:
    """Returns the share of samples whose class, on any device, has the top score [N, classes]."""
    return float((scores.argmax(dim=1) == labels.to(scores.device)).double().mean())


def check_labels(labels: Tensor, count: int, classes: int | None = None) -> None:
    """Raises InputError unless there are ``count`` labels, int64 in range(classes) if given."""
    if tuple(labels.shape) != (count,) or labels.dtype != torch.int64:
        raise InputError(
            f"labels are {labels.dtype} {tuple(labels.shape)}; expected torch.int64 ({count},)"
        )
    low, high = int(labels.min()), int(labels.max())
    if low < 0 or high >= (classes or high + 1):
        raise InputError(f"labels lie in {low}..{high}; expected 0..{(classes or high + 1) - 1}")


def _score(
    classifier: Any, features: Tensor, labels: Tensor, test_features: Tensor, test_labels: Tensor
) -> float:
    """Fits a classifier of scikit-learn, and returns its test accuracy."""
    _check_labeled(features, labels)
    _check_labeled(test_features, test_labels, features.shape[1])
    known, new = (  # numpy has no bfloat16
        of.detach().to(torch.promote_types(of.dtype, torch.float32)).cpu().numpy()
        for of in (features, test_features)
    )
    classes, truth = (of.cpu().numpy() for of in (labels, test_labels))
    return float(classifier.fit(known, classes).score(new, truth))


def _check_labeled(features: Tensor, labels: Tensor, width: int | None = None) -> None:
    check_features("features", features, width)
    check_labels(labels, len(features))


def _check_classes(labels: Tensor) -> None:
    if not (labels != labels[0]).any():
        raise InputError(f"labels are all {int(labels[0])}; expected at least two classes")
