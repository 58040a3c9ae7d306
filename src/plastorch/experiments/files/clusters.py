"""Clusters of unlabeled records, and how well they classify once some labels are known."""

import time
import warnings
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.stats import mode
from sklearn.cluster import KMeans
from sklearn.exceptions import ConvergenceWarning

from plastorch.engine.device import seed32
from plastorch.engine.run import Record
from plastorch.experiments.files.baselines import row, scores
from plastorch.experiments.files.fold import Fold
from plastorch.experiments.files.streams import FoldStream
from plastorch.files.features import Codes
from plastorch.files.similarity import similarity_matrix
from plastorch.spiking.patterns.winners_readout import label_neurons

PER_CLASS = 10
"""Number of clusters, or output neurons, per class."""
LABELED = (0.01, 0.1, 1.0)
"""Shares of the training records whose labels are known."""
ROUNDS = 20
"""Maximum number of rounds of each kind of clustering."""


class Clusters(NamedTuple):
    """Assignment of records to clusters."""

    train: Codes
    assign: Callable[[], Codes]
    """Function that returns the clusters of the test records."""
    parameters: int
    """Number of values that describe the clusters."""
    operations: float
    """Multiply-accumulates, comparisons or synaptic operations per record."""


def clustered(name: str, fold: Fold, fit: Callable[[Fold], Clusters]) -> list[Record]:
    """Finds clusters without labels; returns a record for each share of labels that name them."""
    _ = fold.features, fold.codes, fold.train_bins, fold.test_bins  # prepared before timing
    start = time.process_time()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # if fewer records differ than clusters
        found = fit(fold)
    fitted = time.process_time()
    tested = found.assign()
    seconds = time.process_time() - fitted
    costs: Record = {
        "fit_seconds": fitted - start,
        "microseconds": 1e6 * seconds / len(tested),
        "parameters": found.parameters,
        "operations": found.operations,
    }
    clusters, labels = torch.from_numpy(found.train).long(), torch.from_numpy(fold.train_labels)

    def named(told: Codes) -> dict[str, Codes]:
        names = label_neurons(clusters[told], labels[told], count_clusters(fold), len(fold.classes))
        return {name: names.numpy()[tested]}

    return by_labels(fold, costs, named)


def by_labels(
    fold: Fold, costs: Record, answers: Callable[[Codes], dict[str, Codes]]
) -> list[Record]:
    """Tests models that found clusters, and then learn what few, some and all labels say of them.

    ``costs`` are figures that the labels don't change. ``answers`` takes the training records whose
    labels are known, chosen at random, and returns each model's classes of the test records.
    """
    records: list[Record] = []
    height = fold.train.height
    for place, share in enumerate(LABELED):
        count = max(1, round(share * height))
        told = fold.some(height, count, FoldStream.KNOWN_LABELS, place)
        for name, found in answers(told).items():
            figures = scores(found, fold.test_labels)
            records.append({**row(name, fold), "labeled": share, **figures, **costs})
    return records


def count_clusters(fold: Fold) -> int:
    """Returns K, as many clusters as the unsupervised network has neurons."""
    return min(PER_CLASS * len(fold.classes), fold.train.height)


def by_means(fold: Fold) -> Clusters:
    """Runs k-means on one-hot categories and scaled numbers."""
    (train, test), count = fold.features, count_clusters(fold)
    learner = KMeans(count, n_init=1, max_iter=ROUNDS, random_state=seed32(fold.seed)).fit(train)
    return Clusters(
        learner.labels_,
        lambda: learner.predict(test),
        learner.cluster_centers_.size,
        test.nnz / test.shape[0] * count,
    )


def by_modes(fold: Fold) -> Clusters:
    """Runs k-modes on categories; numbers are divided into 16 levels."""
    train, test = fold.codes
    first = fold.some(len(train), count_clusters(fold), FoldStream.FIRST_MODES)
    modes = k_modes(train, train[first])
    return Clusters(
        nearest_mode(train, modes), lambda: nearest_mode(test, modes), modes.size, modes.size
    )


def by_medoids(fold: Fold) -> Clusters:
    """Runs k-medoids on similarity S, all keys weighted alike, on a sample of records."""
    some = fold.some(fold.train.height, fold.references, FoldStream.MEDOID_SAMPLE)
    records, keys = fold.train[some], fold.equal_keys
    first = fold.some(len(some), count_clusters(fold), FoldStream.FIRST_MEDOIDS)
    medoids = records[k_medoids(similarity_matrix(keys, records), first)]
    size = medoids.height * len(keys)
    return Clusters(
        similarity_matrix(keys, fold.train, medoids).argmax(1),
        lambda: similarity_matrix(keys, fold.test, medoids).argmax(1),
        size,
        size,
    )


def k_modes(codes: Codes, modes: Codes, rounds: int = ROUNDS) -> Codes:
    """Returns centers of clusters of codes [B, M], their most frequent values [K, M]: Huang,
    *Extensions to the k-means algorithm for clustering large data sets with categorical values*,
    1998."""
    return _alternated(
        lambda modes: nearest_mode(codes, modes),
        lambda inside: np.asarray(mode(codes[inside]).mode),
        modes,
        rounds,
    )


def nearest_mode(codes: Codes, modes: Codes) -> Codes:
    """Returns the mode that shares most values with each record [B]; the first if several do."""
    equal = np.zeros((len(codes), len(modes)), np.int16)
    for values, of_modes in zip(codes.T, modes.T, strict=True):
        equal += values[:, None] == of_modes
    return np.asarray(equal.argmax(1))


def k_medoids(alike: NDArray[np.float32], medoids: Codes, rounds: int = ROUNDS) -> Codes:
    """Returns indices of the records most similar to the others of their clusters [K], found from
    the similarities of all pairs [R, R] in alternating steps."""
    return _alternated(
        lambda medoids: alike[:, medoids].argmax(1),
        lambda inside: inside[alike[np.ix_(inside, inside)].sum(0).argmax()],
        medoids,
        rounds,
    )


def _alternated(
    nearest: Callable[[Codes], Codes], center: Callable[[Codes], Codes], first: Codes, rounds: int
) -> Codes:
    """Assigns records to the nearest center and centers to their records, until nothing changes."""
    centers = first
    for _ in range(rounds):
        clusters, found = nearest(centers), centers.copy()
        for cluster in np.unique(clusters):
            found[cluster] = center(np.flatnonzero(clusters == cluster))
        if np.array_equal(found, centers):
            break
        centers = found
    return centers


CLUSTERINGS: dict[str, Callable[[Fold], Clusters]] = {
    "k-means": by_means,
    "k-modes": by_modes,
    "k-medoids": by_medoids,
}
"""Models that find clusters without labels, by name."""
