"""Classical models for tables, with which networks on spike patterns are compared."""

import time
import warnings
from collections.abc import Callable, Sequence
from operator import itemgetter
from typing import Any, NamedTuple

import numpy as np
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.exceptions import ConvergenceWarning
from sklearn.kernel_approximation import Nystroem
from sklearn.linear_model import LogisticRegression, SGDClassifier
from sklearn.metrics import cohen_kappa_score, f1_score
from sklearn.pipeline import make_pipeline
from sklearn.svm import SVC, LinearSVC

from plastorch.engine.device import seed32
from plastorch.engine.run import Record
from plastorch.experiments.files.fold import Fold
from plastorch.experiments.files.streams import FoldStream
from plastorch.files.evaluation import naive_bayes
from plastorch.files.features import Codes
from plastorch.files.similarity import similarity_matrix

STEPS = 300
"""Maximum number of iterations of logistic regression."""
TOLERANCE = 1e-3
"""Tolerance of linear support-vector machines."""
LINEAR_COSTS, GAUSSIAN_COSTS = (0.1, 1.0, 10.0), (1.0, 10.0, 100.0)
"""Values of C; each model takes the best one on a validation part of its training records."""
COST = 10.0
"""C of the approximate kernel."""
EXACT, SOME = 40_000, 12_000
"""Maximum number of records for the full Gaussian kernel; sample size if there are more."""
COMPONENTS = 1000
"""Number of components of Nyström's approximation of that kernel."""
PASSES = 10
"""Number of passes of stochastic gradient descent over all records, with these components."""
LEAVES = (31, 63)
"""Numbers of leaves of boosted trees; they take the one that is best on the same part."""
ITERATIONS, PATIENCE, MOST_ITERATIONS = 50, 100, 1000
"""Numbers of boosting iterations: between tests on that part; without a better one, after which
boosting ends; and at most. Each iteration makes a tree per class."""
NEIGHBORS = 5


class TrainedModel(NamedTuple):
    """A trained model."""

    answer: Callable[[], Codes]
    """Function that returns the classes of the test records."""
    parameters: int
    """Number of values that the model has to keep."""
    operations: float
    """Multiply-accumulates, comparisons or synaptic operations per record."""
    learned_from: int = 0
    """Number of training records; 0 for all of them."""


def measured(name: str, fold: Fold, fit: Callable[[Fold], TrainedModel | None]) -> list[Record]:
    """Returns one record of a model, with CPU seconds, or none if the table doesn't suit it."""
    _ = fold.features, fold.codes, fold.train_bins, fold.test_bins  # prepared before timing
    start = time.process_time()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        model = fit(fold)
    if model is None:
        return []
    fitted = time.process_time()
    answers = model.answer()
    seconds = time.process_time() - fitted
    record: Record = {
        **row(name, fold),
        **scores(answers, fold.test_labels),
        "fit_seconds": fitted - start,
        "microseconds": 1e6 * seconds / len(answers),
        "parameters": model.parameters,
        "operations": model.operations,
        "learned_from": model.learned_from or fold.train.height,
    }
    return [record]


def row(name: str, fold: Fold) -> Record:
    """Returns the fields that identify a record."""
    return {"table": fold.name, "fold": fold.number, "model": name}


def scores(answers: Codes, labels: Codes) -> Record:
    """Returns accuracy, macro F1 and kappa of answers [B]."""
    constant = len(np.unique(np.concatenate([answers, labels]))) < 2
    return {
        "accuracy": float((answers == labels).mean()),
        "macro_f1": float(f1_score(labels, answers, average="macro", zero_division=0)),
        "kappa": 0.0 if constant else float(cohen_kappa_score(labels, answers)),
    }


def majority(fold: Fold) -> TrainedModel:
    """Predicts the most frequent class."""
    most = int(np.bincount(fold.train_labels).argmax())
    return TrainedModel(lambda: np.full(fold.test.height, most), 1, 0)


def logistic(fold: Fold) -> TrainedModel:
    """Fits logistic regression to one-hot categories and scaled numbers."""
    return _linear(fold, lambda cost: LogisticRegression(C=cost, max_iter=STEPS))


def linear_svm(fold: Fold) -> TrainedModel:
    """Fits a linear support-vector machine to the same features, one class against all others."""
    return _linear(
        fold, lambda cost: LinearSVC(C=cost, tol=TOLERANCE, random_state=seed32(fold.seed))
    )


def _linear(fold: Fold, make: Callable[[float], Any]) -> TrainedModel:
    train, test = fold.features
    learner = _best(fold, make, LINEAR_COSTS).fit(train, fold.train_labels)
    used = test.nnz / test.shape[0]
    return TrainedModel(
        lambda: learner.predict(test),
        learner.coef_.size + learner.intercept_.size,
        used * len(learner.coef_),
    )


def _best(fold: Fold, make: Callable[[float], Any], costs: Sequence[float]) -> Any:
    """Returns a model with the C that is best on held-out training records."""
    held, rest = (rows.numpy() for rows in fold.validation())
    train, labels = fold.features[0], fold.train_labels

    def score(cost: float) -> float:
        learner = make(cost).fit(train[rest], labels[rest])
        return float(learner.score(train[held], labels[held]))

    return make(max(costs, key=score))


def gaussian_svm(fold: Fold) -> TrainedModel:
    """Fits a support-vector machine with a Gaussian kernel, to a sample if records are many."""
    train, test = fold.features
    some = fold.some(
        train.shape[0], EXACT if train.shape[0] <= EXACT else SOME, FoldStream.KERNEL_SAMPLE
    )
    learner = _best(fold, lambda cost: SVC(C=cost, cache_size=500), GAUSSIAN_COSTS)
    learner.fit(train[some], fold.train_labels[some])
    vectors = learner.support_vectors_
    classes = len(fold.classes)
    return TrainedModel(
        lambda: learner.predict(test),
        int(vectors.nnz + learner.dual_coef_.size),
        vectors.nnz + len(learner.support_) * (classes - 1),
        len(some),
    )


def nystroem_svm(fold: Fold) -> TrainedModel | None:
    """Fits a linear machine with Nyström's approximation of that kernel, if records are many."""
    train, test = fold.features
    records, width = train.shape
    if records <= EXACT:
        return None
    scale = 1 / (width * (train.multiply(train).mean() - train.mean() ** 2))
    learner = make_pipeline(
        Nystroem(gamma=scale, n_components=COMPONENTS, random_state=seed32(fold.seed)),
        SGDClassifier(
            "hinge",
            alpha=1 / (COST * records),
            max_iter=PASSES,
            tol=None,
            average=True,
            random_state=seed32(fold.seed),
        ),
    ).fit(train, fold.train_labels)
    machine = learner[-1]
    used = test.nnz / test.shape[0]
    return TrainedModel(
        lambda: learner.predict(test),
        COMPONENTS**2 + machine.coef_.size + learner[0].components_.nnz,
        COMPONENTS * (used + COMPONENTS) + machine.coef_.size,
    )


def boosting(fold: Fold) -> TrainedModel:
    """Fits gradient-boosted trees to numbers and to categories in alphabetical order."""
    train, test = fold.ordinals
    _, iterations, leaves = max((_validated(fold, leaves) for leaves in LEAVES), key=itemgetter(0))
    learner = _trees(fold, leaves).set_params(max_iter=iterations).fit(train, fold.train_labels)
    trees = [tree for of_classes in learner._predictors for tree in of_classes]
    depth = float(np.mean([tree.get_max_depth() for tree in trees]))
    nodes = sum(len(tree.nodes) for tree in trees)
    return TrainedModel(lambda: learner.predict(test), 2 * nodes, len(trees) * depth)


def _trees(fold: Fold, leaves: int) -> Any:
    return HistGradientBoostingClassifier(
        max_leaf_nodes=leaves,
        l2_regularization=1.0,  # without it, a class of two records spoils the others
        early_stopping=False,
        random_state=seed32(fold.seed),
    )


def _validated(fold: Fold, leaves: int) -> tuple[float, int, int]:
    """Returns the best accuracy on held-out training records, and its iterations and leaves."""
    held, rest = (rows.numpy() for rows in fold.validation())
    train, labels = fold.ordinals[0], fold.train_labels
    learner = _trees(fold, leaves).set_params(warm_start=True)
    best = 0.0, 0, leaves
    for iterations in range(ITERATIONS, MOST_ITERATIONS + 1, ITERATIONS):
        learner.set_params(max_iter=iterations).fit(train[rest], labels[rest])
        score = float(learner.score(train[held], labels[held]))
        if score > best[0]:
            best = score, iterations, leaves
        elif iterations - best[1] >= PATIENCE:
            break
    return best


def naive_bayes_of_categories(fold: Fold) -> TrainedModel:
    """Fits naive Bayes to categories; numbers are divided into 16 levels."""
    train, test = fold.codes
    learner = naive_bayes(train, fold.train_labels, test)
    size = sum(table.size for table in learner.feature_log_prob_) + len(fold.classes)
    return TrainedModel(lambda: learner.predict(test), size, train.shape[1] * len(fold.classes))


def neighbors(fold: Fold) -> TrainedModel:
    """Predicts from the most similar of a sample of training records, by similarity S."""
    some = fold.some(fold.train.height, fold.references, FoldStream.REFERENCES)
    records, classes = fold.train[some], np.eye(len(fold.classes))[fold.train_labels[some]]
    count = min(NEIGHBORS, len(some))

    def answer() -> Codes:
        alike = similarity_matrix(fold.keys, fold.test, records)
        nearest = np.argpartition(-alike, count - 1, axis=1)[:, :count]
        votes = np.take_along_axis(alike, nearest, 1)[:, :, None] * classes[nearest]
        return np.asarray(votes.sum(1).argmax(1))

    size = len(some) * len(fold.keys)
    return TrainedModel(answer, size, size, len(some))


BASELINES: dict[str, Callable[[Fold], TrainedModel | None]] = {
    "majority": majority,
    "logistic": logistic,
    "linear-svm": linear_svm,
    "rbf-svm": gaussian_svm,
    "rbf-nystroem": nystroem_svm,
    "boosting": boosting,
    "naive-bayes": naive_bayes_of_categories,
    "neighbors": neighbors,
}
"""Models that learn from labels and records, by name."""
