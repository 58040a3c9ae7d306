"""Clusters of unlabeled records, and how well they classify once some labels are known."""

import time
import warnings
from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray
from sklearn.cluster import KMeans
from sklearn.exceptions import ConvergenceWarning

from plastorch.engine.device import seed32
from plastorch.engine.run import Record
from plastorch.experiments.files.baselines import Answers, row, scores
from plastorch.experiments.files.fold import Fold
from plastorch.files.similarity import similarity_matrix

PER_CLASS = 10
"""Number of clusters, or output neurons, per class."""
LABELED = (0.01, 0.1, 1.0)
"""Shares of the training records whose labels are known."""
ROUNDS = 20
"""Maximum number of rounds of each kind of clustering."""
ROWS = 2048
"""Number of records that are compared with all clusters at once."""


class Clusters(NamedTuple):
    """Assignment of records to clusters."""

    train: Answers
    assign: Callable[[], Answers]
    """Function that returns the clusters of the test records."""
    parameters: int
    """Number of values that describe the clusters."""
    operations: float
    """Multiply-accumulates, comparisons or synaptic operations per record."""


def clustered(name: str, fold: Fold, fit: Callable[[Fold], Clusters]) -> list[Record]:
    """Finds clusters without labels, and names them by the labels of few, some and all records.

    Args:
        name: name of the model.
        fold: fold with training and test records.
        fit: function that finds the clusters.

    Returns:
        One record for each share of labels.
    """
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
    records: list[Record] = []
    for share, told in labeled(fold):
        classes = name_clusters(found.train[told], fold.train_labels[told], count_clusters(fold))
        figures = scores(classes[tested], fold.test_labels)
        records.append({**row(name, fold), "labeled": share, **figures, **costs})
    return records


def labeled(fold: Fold) -> Iterator[tuple[float, Answers]]:
    """Yields shares of labels, and the training records, chosen at random, that have them."""
    records = fold.train.height
    for place, share in enumerate(LABELED):
        yield share, fold.some(records, max(1, round(share * records)), 3, place)


def count_clusters(fold: Fold) -> int:
    """Returns K, as many clusters as the unsupervised network has neurons."""
    return min(PER_CLASS * len(fold.classes), fold.train.height)


def name_clusters(clusters: Answers, labels: Answers, count: int) -> Answers:
    """Returns the most frequent class of each cluster; without labels, that of all records.

    Args:
        clusters: clusters of the labeled records [B].
        labels: their classes [B].
        count: number of clusters K.

    Returns:
        Classes [K].

    Example:
        >>> name_clusters(np.array([0, 0, 0, 2]), np.array([1, 1, 0, 0]), count=4)
        array([1, 0, 0, 0])
    """
    counts = np.zeros((count, labels.max() + 1), np.int64)
    np.add.at(counts, (clusters, labels), 1)
    return np.where(counts.any(1), counts.argmax(1), np.bincount(labels).argmax())


def by_means(fold: Fold) -> Clusters:
    """Runs k-means on one-hot categories and scaled numbers."""
    train, test = fold.features
    learner = KMeans(
        count_clusters(fold), n_init=1, max_iter=ROUNDS, random_state=seed32(fold.seed)
    )
    learner.fit(train)
    size = learner.cluster_centers_.size
    used = test.nnz / test.shape[0]
    return Clusters(
        learner.labels_, lambda: learner.predict(test), size, used * count_clusters(fold)
    )


def by_modes(fold: Fold) -> Clusters:
    """Runs k-modes on categories; numbers are divided into 16 levels."""
    train, test = fold.codes
    modes = k_modes(train, train[fold.some(len(train), count_clusters(fold), 4)])
    return Clusters(
        nearest_mode(train, modes), lambda: nearest_mode(test, modes), modes.size, modes.size
    )


def k_modes(codes: Answers, modes: Answers, rounds: int = ROUNDS) -> Answers:
    """Finds clusters whose centers are their most frequent values: Huang, *Extensions to the
    k-means algorithm for clustering large data sets with categorical values*, 1998.

    Args:
        codes: categories, 0 or more [B, M].
        modes: initial modes [K, M].
        rounds: maximum number of rounds.

    Returns:
        Modes [K, M].

    Example:
        >>> k_modes(np.array([[0, 0], [0, 1], [0, 1], [5, 5]]), np.array([[0, 0], [5, 5]]))
        array([[0, 1],
               [5, 5]])
    """
    for _ in range(rounds):
        clusters = nearest_mode(codes, modes)
        found = modes.copy()
        for key in range(codes.shape[1]):
            counts = np.zeros((len(modes), codes[:, key].max() + 1), np.int64)
            np.add.at(counts, (clusters, codes[:, key]), 1)
            found[:, key] = np.where(counts.any(1), counts.argmax(1), modes[:, key])
        if np.array_equal(found, modes):
            break
        modes = found
    return modes


def nearest_mode(codes: Answers, modes: Answers) -> Answers:
    """Returns the mode that shares most values with each record [B]; the first if several do."""
    found = []
    for start in range(0, len(codes), ROWS):
        part = codes[start : start + ROWS]
        equal = np.zeros((len(part), len(modes)), np.int16)
        for key in range(codes.shape[1]):
            equal += part[:, key, None] == modes[:, key]
        found.append(equal.argmax(1))
    return np.concatenate(found)


def by_medoids(fold: Fold) -> Clusters:
    """Runs k-medoids on similarity S, all keys weighted alike, on a sample of records."""
    some = fold.some(fold.train.height, fold.references, 5)
    records = fold.train[some]
    first = fold.some(len(some), count_clusters(fold), 6)
    medoids = records[k_medoids(similarity_matrix(fold.equal_keys, records), first)]

    def assign(part: pl.DataFrame) -> Answers:
        return np.asarray(similarity_matrix(fold.equal_keys, part, medoids).argmax(1))

    size = medoids.height * len(fold.equal_keys)
    return Clusters(assign(fold.train), lambda: assign(fold.test), size, size)


def k_medoids(alike: NDArray[np.float32], medoids: Answers, rounds: int = ROUNDS) -> Answers:
    """Finds clusters centered on the records most similar to the others, in alternating steps.

    Args:
        alike: similarities of all pairs [R, R].
        medoids: indices of the initial medoids [K].
        rounds: maximum number of rounds.

    Returns:
        Indices of the medoids [K].

    Example:
        >>> line = np.array([0.0, 1, 2, 10, 11, 12])
        >>> k_medoids(-abs(line[:, None] - line), np.array([0, 5]))
        array([1, 4])
    """
    for _ in range(rounds):
        clusters = alike[:, medoids].argmax(1)
        found = medoids.copy()
        for cluster in np.unique(clusters):
            inside = np.flatnonzero(clusters == cluster)
            found[cluster] = inside[alike[np.ix_(inside, inside)].sum(0).argmax()]
        if np.array_equal(found, medoids):
            break
        medoids = found
    return medoids


CLUSTERINGS: dict[str, Callable[[Fold], Clusters]] = {
    "k-means": by_means,
    "k-modes": by_modes,
    "k-medoids": by_medoids,
}
"""Models that find clusters without labels, by name."""
