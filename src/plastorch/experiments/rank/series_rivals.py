"""Rivals of early networks: separate classifiers for prefixes, and rules that tell when to stop.

TEASER: Schäfer and Leser 2020. MiniRocket: Dempster et al. 2021. Backward induction: the idea of
CALIMERA, Bilski and Jastrzębska 2023: the cost of going on is learned from the last time back.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.base import clone
from sklearn.kernel_ridge import KernelRidge
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.parallel import Parallel, delayed

from plastorch.data.series import SeriesSet
from plastorch.rank.thresholds import answer_times, constant_threshold, costs

TIMES = 20
"""Number of prefixes, of evenly spaced lengths."""
FOLDS = 5
KERNELS = 1000
SHORTEST = 9
"""Shortest series that MiniRocket takes; shorter prefixes are continued by their last value."""

SHORTEST_WORDS = 8
"""Shortest series that TEASER's classifier takes."""

Floats = NDArray[np.float64]
Whole = NDArray[np.int64]


class Answers(NamedTuple):
    """Answers to N series."""

    right: NDArray[np.bool_]
    """Whether they are right [N]."""
    time: Whole
    """Numbers of steps that were read [N]."""
    lengths: Whole
    """Numbers of steps of the series [N]."""


class Prefixes(NamedTuple):
    """Class probabilities after each of the times, and what they were for."""

    chances: Floats
    """Probabilities [N, K, C]."""
    labels: Whole
    """Numbers of the classes [N]."""
    last: Whole
    """Number of the first time at which a series is over, from 1 [N]."""
    steps: Whole
    """Number of steps of the longest series that have been read at each time [K]."""
    lengths: Whole
    """Numbers of steps of the series [N]."""

    @property
    def right(self) -> NDArray[np.bool_]:
        """Whether the most probable class is right [N, K]."""
        right: NDArray[np.bool_] = self.chances.argmax(axis=2) == self.labels[:, None]
        return right

    def answers(self, time: Whole) -> Answers:
        """Returns the answers at some times, from 1 [N]."""
        right = self.right[np.arange(len(time)), time - 1]
        return Answers(right, np.minimum(self.steps[time - 1], self.lengths), self.lengths)


def minirocket(data: SeriesSet, seed: int) -> tuple[Prefixes, Prefixes]:
    """Reads prefixes by a MiniRocket with logistic regression for each of the times.

    Returns probabilities of the training series by models of other folds, and of the test series.
    """
    longest = max(row.shape[1] for row in (*data.train, *data.test))
    steps = np.unique(np.ceil(np.arange(1, TIMES + 1) * longest / TIMES).astype(np.int64))
    classes, labels = np.unique(data.train_labels, return_inverse=True)
    at_once, read = Parallel(n_jobs=torch.get_num_threads()), delayed(_at)
    found = at_once(read(data, int(step), labels, seed) for step in steps)
    held_out, test = (np.stack(parts, axis=1) for parts in zip(*found, strict=True))
    codes = np.searchsorted(classes, data.test_labels)
    return _prefixes(held_out, labels, data.train, steps), _prefixes(test, codes, data.test, steps)


def by_threshold(held_out: Prefixes, test: Prefixes, alpha: float) -> Answers:
    """Answers at the first confidence above the threshold with the least cost on held-out ones."""
    sure = held_out.chances.max(axis=2)
    threshold = constant_threshold(sure, held_out.right, held_out.last, alpha)
    return test.answers(answer_times(test.chances.max(axis=2), threshold, test.last))


def by_induction(held_out: Prefixes, test: Prefixes, alpha: float) -> Answers:
    """Answers where waiting is expected to cost more; that is learned from the last time back.

    At each time, a kernel ridge regression from the sorted probabilities tells by how much the
    answer will be cheaper later, under the rules of all later times.
    """
    count = len(held_out.steps)
    rows = np.arange(len(held_out.labels))
    later = costs(held_out.right[rows, held_out.last - 1], held_out.last, held_out.last, alpha)
    time = test.last.copy()
    for place in range(count - 2, -1, -1):
        live = rows[held_out.last > place + 1]
        if not len(live):
            continue
        when = np.full(len(live), place + 1)
        now = costs(held_out.right[live, place], when, held_out.last[live], alpha)
        model = make_pipeline(StandardScaler(), KernelRidge(kernel="rbf"))
        model.fit(_features(held_out.chances[live, place]), now - later[live])
        stop = model.predict(_features(held_out.chances[live, place])) <= 0
        later[live[stop]] = now[stop]
        waits = model.predict(_features(test.chances[:, place])) > 0
        time = np.where(waits | (test.last <= place + 1), time, place + 1)
    return test.answers(time)


def teaser(data: SeriesSet, seed: int) -> Answers:
    """Answers by aeon's TEASER, as it is."""
    from aeon.classification.early_classification import TEASER

    train, test = (_cut(rows, None) for rows in (data.train, data.test))
    length = test.shape[2]
    points = sorted({round(length / part) for part in range(1, TIMES + 1)})  # aeon's default
    points = [point for point in points if point >= SHORTEST_WORDS]
    model = TEASER(classification_points=points, random_state=seed)
    model.fit(train, data.train_labels)
    found = np.full(len(test), "", dtype=data.test_labels.dtype)
    time, open_rows = np.full(len(test), length), np.ones(len(test), bool)
    for place, step in enumerate(points):
        rows = np.flatnonzero(open_rows)
        if not len(rows):
            break
        part = test[rows, :, :step]
        labels, sure = model.predict(part) if place == 0 else model.update_predict(part)
        decided = np.asarray(sure, bool) | (step == length)
        found[rows[decided]], time[rows[decided]] = np.asarray(labels)[decided], step
        open_rows[rows[decided]] = False
    return Answers(found == data.test_labels, time, np.full(len(test), length))


def _at(data: SeriesSet, step: int, labels: Whole, seed: int) -> tuple[Floats, Floats]:
    """Returns out-of-fold probabilities of training series, and those of test series, at a time."""
    from aeon.transformations.collection.convolution_based import MiniRocket

    train, test = _cut(data.train, step), _cut(data.test, step)
    rocket = MiniRocket(n_kernels=KERNELS, random_state=seed).fit(train)
    x, new = np.asarray(rocket.transform(train)), np.asarray(rocket.transform(test))
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=500))
    splits = min(FOLDS, int(np.bincount(labels).min()))
    folds = StratifiedKFold(max(splits, 2), shuffle=True, random_state=seed)
    held_out = np.zeros((len(labels), labels.max() + 1))
    for rows, others in folds.split(x, labels):
        fitted = clone(model).fit(x[rows], labels[rows])
        held_out[np.ix_(others, fitted.classes_)] = fitted.predict_proba(x[others])
    return held_out, model.fit(x, labels).predict_proba(new)


def _cut(rows: Sequence[NDArray[np.float32]], step: int | None) -> NDArray[np.float32]:
    """Returns the first steps of series, continued by the last value if they are shorter."""
    length = max(row.shape[1] for row in rows) if step is None else step
    wide = max(length, SHORTEST)
    cut = [row[:, :length] for row in rows]
    return np.stack([np.pad(row, ((0, 0), (0, wide - row.shape[1])), "edge") for row in cut])


def _prefixes(
    chances: Floats, labels: Whole, rows: Sequence[NDArray[np.float32]], steps: Whole
) -> Prefixes:
    lengths = np.array([row.shape[1] for row in rows])
    return Prefixes(chances, labels, np.searchsorted(steps, lengths) + 1, steps, lengths)


def _features(chances: Floats) -> Floats:
    """Returns the probabilities of the three most probable classes [N, 3 or fewer]."""
    return -np.sort(-chances, axis=1)[:, :3]
