"""Scikit-learn estimator for early classification of time series."""

from collections.abc import Callable, Hashable
from pathlib import Path
from typing import Any, Literal, NamedTuple, Self

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils import Tags
from sklearn.utils.validation import check_is_fitted, validate_data
from torch import nn

from plastorch.engine.errors import InputError
from plastorch.engine.estimators import as_labels, classes_of, codes_of, seed_of
from plastorch.rank.cores import Core
from plastorch.rank.estimator_file import Saved, read, write
from plastorch.rank.fitting import (
    AT_ONCE,
    Fitting,
    HeldOut,
    check_arguments,
    class_weights,
    train,
)
from plastorch.rank.model import Answer, Listener
from plastorch.rank.objectives import Objective
from plastorch.rank.series import (
    Missing,
    Series,
    checked,
    floats,
    is_list,
    of_array,
    ragged,
    scaling_of,
)
from plastorch.rank.thresholds import costs


class Early(NamedTuple):
    """Early answers to N series."""

    label: NDArray[Any]
    """Classes [N]."""
    time: NDArray[np.int64]
    """Number of steps that were read before each answer [N], from 1."""
    confidence: NDArray[np.float64]
    """Probability of the class after that step [N]."""


class RankClassifier(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """Classifier of time series that answers as early as the evidence allows.

    Networks read series from the start, and answer as soon as one class is certain enough; later
    steps are not computed. By default, outputs are trained at all steps; ``objective="first"``
    trains only answers, which is rank coding (Jeffares et al., ICLR 2022). The threshold is the one
    with the smallest AvgCost = α · error + (1 - α) · t / T on series held out from training, t
    being the number of steps read, T the length. Each of ``folds`` networks learns from all series
    except one part, which serves to stop its training early and to choose the threshold; all
    networks then answer together, by the geometric mean of their probabilities. Values are
    standardized by mean and deviation of each channel in the training series, so no later step of a
    series is needed.

    Series are an array [cases, channels, time], a table [cases, time] of one channel, or a list of
    arrays [channels, time] or [time] of any lengths.

    Args:
        core: "convolutional" (dilated causal convolutions with running mean and maximum), "gru",
            "lstm", or a function from the number of channels to a module with a ``hidden_size``
            that maps sequences [T, B, channels] and a state as :class:`~plastorch.rank.RankCoder`
            takes it, such as ``lambda channels: STPN(channels, 64)``.
        hidden_size: number of units, or features of each convolution, of a named core.
        objective: outputs that are trained; see :func:`plastorch.rank.losses`.
        alpha: price α of a wrong answer against that of a late one, in (0, 1).
        thresholds: "constant", or "per-step" for one threshold for each step, which takes many
            training series.
        training_threshold: threshold θ at which answers count in training.
        folds: number of networks, each with a different part held out; 1 holds out a fifth.
        epochs: largest number of passes over the series.
        patience: number of passes without a smaller loss on the held-out part, after which training
            ends.
        batch_size: series per update; None takes a 50th of all, but 16 to 256.
        learning_rate: learning rate of AdamW.
        class_weight: None, "balanced", or a dict from each class to its weight.
        missing: "error" rejects NaN; "mask" treats NaN as missing, and shows the network where.
        n_jobs: number of processes that train the networks at the same time, as in scikit-learn:
            None is one, -1 as many as there are CPUs. If joblib would use threads, it is one.
            Results differ by rounding at most.
        device: "auto" (a GPU if there is one), "cpu", "cuda" or "cuda:N".
        random_state: seed of folds, weights, order and dropout: a whole number, a RandomState, or
            None to take numpy's global one.

    Attributes:
        classes_: sorted classes.
        coder_: trained :class:`~plastorch.rank.RankCoder`, with its thresholds.
        scaling_: mean and deviation of each channel.
        n_channels_: number of channels.
        n_timepoints_: number of steps of the longest training series.
        validation_cost_: AvgCost of held-out series at the chosen thresholds; a little too good,
            as the thresholds were chosen on these series.

    Raises:
        InputError: unusable argument, series or labels (raised by methods).

    Example:
        >>> random = np.random.default_rng(0)
        >>> y = np.repeat(["down", "up"], 20)
        >>> X = random.normal(np.where(y == "up", 1, -1)[:, None], 1, (40, 30))
        >>> model = RankClassifier("gru", 8, folds=1, epochs=10).fit(X, y)
        >>> early = model.predict_early(X)
        >>> early.label.shape, bool((early.time <= 30).all())
        ((40,), True)
    """

    _held_out: HeldOut | None

    def __init__(
        self,
        core: Core | Callable[[int], nn.Module] = "convolutional",
        hidden_size: int = 32,
        objective: Objective = "all",
        alpha: float = 0.8,
        thresholds: Literal["constant", "per-step"] = "constant",
        training_threshold: float = 0.95,
        folds: int = 5,
        epochs: int = 150,
        patience: int = 30,
        batch_size: int | None = None,
        learning_rate: float = 2e-3,
        class_weight: Any = None,
        missing: Missing = "error",
        n_jobs: int | None = None,
        device: str = "auto",
        random_state: int | np.random.RandomState | None = 0,
    ) -> None:
        self.core = core
        self.hidden_size = hidden_size
        self.objective = objective
        self.alpha = alpha
        self.thresholds = thresholds
        self.training_threshold = training_threshold
        self.folds = folds
        self.epochs = epochs
        self.patience = patience
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.class_weight = class_weight
        self.missing = missing
        self.n_jobs = n_jobs
        self.device = device
        self.random_state = random_state

    def fit(self, X: ArrayLike, y: ArrayLike) -> Self:
        """Trains networks, and chooses the thresholds at which they answer.

        Args:
            X: series, see :class:`RankClassifier`.
            y: classes [N] of any sortable type, at least two different ones.

        Returns:
            The estimator.

        Raises:
            InputError: unusable series, labels or constructor argument.
        """
        params = self.get_params(deep=False)
        check_arguments(**params)
        # a copy gets the attributes, so that a failure leaves a fitted estimator as it was
        seen = type(self)(**params)
        series = seen._series(X, self.missing, reset=True)
        labels = as_labels(y, len(series.lengths), "series")
        classes = classes_of(labels, "y")
        scaling = scaling_of(series)
        fitting = Fitting(
            scaling(series, self.missing),
            torch.from_numpy(codes_of(labels, classes)),
            class_weights(self.class_weight, labels),
            len(classes),
            seed_of(self.random_state),
        )
        coder, self._held_out = train(self, fitting)
        steps = len(series.values)
        params |= {"hidden_size": int(self.hidden_size), "random_state": fitting.seed}
        self._set(Saved(params, classes, coder, scaling=scaling, steps=steps, cost=0.0))
        for name in ("n_features_in_", "feature_names_in_"):  # only tables have them
            if hasattr(seen, name):
                setattr(self, name, getattr(seen, name))
            elif hasattr(self, name):
                delattr(self, name)
        return self.set_price(self.alpha)

    def set_price(self, alpha: float) -> Self:
        """Chooses the thresholds again for another price of wrong answers, without training.

        With objective "cost", the networks remain trained for the earlier price.

        Args:
            alpha: price α of a wrong answer against that of a late one, in (0, 1).

        Returns:
            The estimator.

        Raises:
            InputError: alpha is out of range, or the estimator comes from a file, which holds no
                results of held-out series.
        """
        check_is_fitted(self)
        if self._held_out is None:
            raise InputError("held-out series are not in the file; expected set_price before save")
        threshold, cost = self._held_out.thresholds(self.thresholds, alpha)
        self.alpha, self.coder_.threshold, self.validation_cost_ = alpha, threshold, cost
        return self

    def predict_early(self, X: ArrayLike) -> Early:
        """Answers each series as early as the threshold allows.

        Args:
            X: series, see :class:`RankClassifier`.

        Returns:
            Classes, times and confidences [N]; see :class:`Early`.

        Raises:
            InputError: unusable series, or other channels than in :meth:`fit`.
        """
        chances, time = self._answers(X)
        return Early(self.classes_[chances.argmax(axis=1)], time, chances.max(axis=1))

    def predict_proba(self, X: ArrayLike) -> NDArray[np.float64]:
        """Returns the probability of each class [N, classes] at the time of the early answer.

        Args:
            X: series, see :class:`RankClassifier`.

        Raises:
            InputError: unusable series, or other channels than in :meth:`fit`.
        """
        return self._answers(X)[0]

    def predict(self, X: ArrayLike) -> NDArray[Any]:
        """Returns the class [N] of each early answer.

        Args:
            X: series, see :class:`RankClassifier`.

        Raises:
            InputError: unusable series, or other channels than in :meth:`fit`.
        """
        chances = self.predict_proba(X)
        labels: NDArray[Any] = self.classes_[chances.argmax(axis=1)]
        return labels

    def score(self, X: ArrayLike, y: ArrayLike) -> float:
        """Returns the negative AvgCost, -(α · error + (1 - α) · mean t / T): higher is better.

        α is the estimator's own, so scores of estimators with different ``alpha`` can't be
        compared.

        Args:
            X: series, see :class:`RankClassifier`.
            y: classes [N].

        Raises:
            InputError: unusable series or labels, or other channels than in :meth:`fit`.
        """
        check_is_fitted(self)
        lengths = self._known(X).lengths.numpy()
        labels = as_labels(y, len(lengths), "series")
        early = self.predict_early(X)
        right = early.label == labels
        return -float(costs(right, early.time, lengths, self.alpha).mean())

    def update(self, new_samples: ArrayLike, stream: Hashable = 0) -> Answer | None:
        """Takes the next samples of a live stream, and answers as soon as possible.

        Each stream has a state of its own, which begins with its first samples and ends with
        :meth:`end`. Rejected samples leave the state as it was.

        Args:
            new_samples: samples [channels, t], or [t] of one channel.
            stream: name of the stream.

        Returns:
            The answer, whose ``step`` counts from 0, or None if there is none yet.

        Raises:
            InputError: the samples are unusable or have other channels than in :meth:`fit`, or the
                stream already has its answer.
        """
        check_is_fitted(self)
        missing = self._fitted["missing"]
        row = torch.from_numpy(checked(new_samples, missing, "new_samples").copy())
        self._check_channels(len(row), "new_samples")
        listener = self._streams.get(stream) or self.coder_.eval().stream()
        if listener.answer is not None:
            raise InputError(
                f"stream {stream!r} was answered at step {listener.answer.step}; expected "
                "end(stream) before its next samples"
            )
        series = Series(row.T[:, None], torch.tensor([row.shape[1]]))
        values = self.scaling_(series, missing).values[:, 0]
        answer = listener.feed(values.to(next(self.coder_.parameters()).device))
        self._streams[stream] = listener
        return self._named(answer)

    def end(self, stream: Hashable = 0) -> Answer:
        """Ends a live stream and returns its answer, that at its last sample if it had none yet.

        Args:
            stream: name of the stream.

        Raises:
            InputError: the stream has no samples.
        """
        check_is_fitted(self)
        if stream not in self._streams:
            raise InputError(f"stream {stream!r} has no samples; expected some before its end")
        answer = self._named(self._streams.pop(stream).finish())
        assert answer is not None
        return answer

    def save(self, path: str | Path) -> None:
        """Writes the fitted estimator to one safetensors file.

        Args:
            path: file to write.

        Raises:
            InputError: the core is not a named one, classes are neither text nor numbers, or
                ``class_weight`` has others.
        """
        check_is_fitted(self)
        saved = Saved(
            self._fitted | {"alpha": self.alpha},
            self.classes_,
            self.coder_,
            scaling=self.scaling_,
            steps=self.n_timepoints_,
            cost=self.validation_cost_,
        )
        write(Path(path), saved)

    @classmethod
    def load(cls, path: str | Path) -> "RankClassifier":
        """Reads an estimator that :meth:`save` wrote; nothing in the file is executed.

        The constructor's arguments are those of training, except ``device`` and ``n_jobs``, which
        depend on the machine and have their defaults.

        Args:
            path: file to read.

        Raises:
            InputError: the file is missing, damaged or not such an estimator.
        """
        saved = read(Path(path))
        model = cls(**saved.params)
        model._set(saved)
        model._held_out = None
        return model

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.three_d_array = True
        tags.input_tags.allow_nan = self.missing == "mask"
        return tags

    def _set(self, fitted: Saved) -> None:
        """Sets all fitted attributes except scikit-learn's own; there are no streams yet."""
        self.classes_, self.coder_, self.scaling_ = fitted.classes, fitted.coder, fitted.scaling
        self.n_channels_, self.n_timepoints_ = len(fitted.scaling.mean), fitted.steps
        self.validation_cost_, self._fitted = fitted.cost, fitted.params
        self._streams: dict[Hashable, Listener] = {}

    def _answers(self, X: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        """Returns probabilities [N, classes] and numbers of steps read [N]."""
        check_is_fitted(self)
        series = self._known(X)
        device = next(self.coder_.parameters()).device
        scaled = self.scaling_(series, self._fitted["missing"])
        logits, steps = [], []
        self.coder_.eval()
        with torch.no_grad():
            for rows in torch.split(torch.arange(len(series.lengths)), AT_ONCE):
                part = scaled.some(rows)
                decision = self.coder_(part.values.to(device), part.lengths.to(device))
                logits.append(decision.logits.double().softmax(dim=1).cpu())
                steps.append(decision.step.cpu() + 1)
        return torch.cat(logits).numpy(), torch.cat(steps).numpy()

    def _known(self, X: ArrayLike) -> Series:
        """Returns series unchanged, checked to have the form of those in :meth:`fit`."""
        series = self._series(X, self._fitted["missing"], reset=False)
        self._check_channels(series.values.shape[2], "X")
        return series

    def _series(self, X: ArrayLike, missing: Missing, reset: bool) -> Series:
        """Returns series unchanged, checked for shape and missing values."""
        finite: Any = "allow-nan" if missing == "mask" else True
        if is_list(X):
            return ragged(X, missing)
        if getattr(X, "ndim", 2) == 3:
            return of_array(floats(X, missing, "X"))
        kinds = [np.float64, np.float32]
        table = validate_data(self, X, reset=reset, dtype=kinds, ensure_all_finite=finite)
        return of_array(table[:, None])

    def _check_channels(self, channels: int, name: str) -> None:
        if channels != self.n_channels_:
            raise InputError(
                f"{name} has {channels} channels; expected {self.n_channels_} as in fit"
            )

    def _named(self, answer: Answer | None) -> Answer | None:
        """Returns an answer with the class in place of the class's number."""
        return answer and answer._replace(label=self.classes_[answer.label])
