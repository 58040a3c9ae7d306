"""A trained classifier: its answers, and its file."""

import warnings
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, Self, TypeVar

import numpy as np
import polars as pl
import torch
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils import Tags
from sklearn.utils.validation import check_is_fitted

from plastorch.engine.errors import InputError
from plastorch.engine.streams import stream
from plastorch.files.arrays import as_records
from plastorch.files.calibration import Calibration, checked_confidence
from plastorch.files.catalog import frames
from plastorch.files.column_values import lacking
from plastorch.files.encode import CorrelativeEncoder
from plastorch.files.kept import Kept, nothing
from plastorch.files.key import Key
from plastorch.files.model_file import SavedModel, read
from plastorch.files.pairs import Pair
from plastorch.files.predict import decided, described, probable
from plastorch.files.streams import Stream
from plastorch.files.tags import Tagging
from plastorch.spiking.patterns.network import PatternNetwork
from plastorch.spiking.patterns.rule import PatternNeuron, decide
from plastorch.spiking.patterns.training import answer

Result = TypeVar("Result")

MOST_ROWS, MOST_BYTES = 1 << 19, 1 << 28
"""Largest numbers of records and of bytes of spike patterns in memory at a time."""


class AbsentKeysWarning(UserWarning):
    """Warning of records that all lack keys that the model has learned."""


class TrainedClassifier(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """Answers of a trained classifier, however it was trained."""

    calibration_: Calibration
    class_count_: NDArray[np.int64]
    classes_: NDArray[Any]
    kept_: Kept
    keys_: tuple[Key, ...]
    n_features_in_: int
    network_: PatternNetwork
    pairs_: tuple[Pair, ...]
    _calls: int
    _encoder: CorrelativeEncoder
    _optimizer: torch.optim.Optimizer | None
    _seed: int
    _outputs = 1
    """Number of output neurons per class."""

    def kept_score(self, classes: ArrayLike, kept: Kept | None = None) -> float:
        """Returns the share of right answers to kept records that were never learned from.

        Args:
            classes: classes of the records that count.
            kept: records, with numbers of this model's classes; what it keeps if None.

        Returns:
            Share, 0 to 1; NaN if there is no such record.
        """
        check_is_fitted(self)
        kept = self.kept_ if kept is None else kept
        held = kept.take(np.isin(self.classes_[kept.codes], np.asarray(classes)) & kept.held)
        if not len(held.codes):
            return float("nan")
        found = decide(answer(self.network_, torch.from_numpy(held.bins))).numpy()
        return float((found == held.codes).mean())

    def predict(self, X: Any) -> NDArray[Any]:
        """Predicts the class of each record.

        Args:
            X: records, as in :meth:`fit`; a Parquet file is read in chunks of half a million
                records at most.

        Returns:
            Classes [N].

        Raises:
            InputError: the records are unusable, or have none of the keys.
            NotFittedError: the estimator has not been trained.
        """
        codes = np.concatenate(list(self._each(X, decided)))
        predicted: NDArray[Any] = self.classes_[codes]
        return predicted

    def predict_proba(self, X: Any) -> NDArray[np.float32]:
        """Predicts the probability of each class.

        Args:
            X: records, as in :meth:`fit`.

        Returns:
            Probabilities [N, classes], in the order of ``classes_``; the class with the highest is
            that of :meth:`predict`.

        Raises:
            InputError: the records are unusable, or have none of the keys.
            NotFittedError: the estimator has not been trained.
        """
        check_is_fitted(self)
        chances = partial(probable, calibration=self.calibration_)
        return np.concatenate(list(self._each(X, chances)))

    def threshold(self, coverage: float) -> float:
        """Returns the least confidence at which a share of the records gets an answer.

        It comes from the records that calibrated the confidence, so that records can be answered
        one by one; for other records, the share may differ.

        Args:
            coverage: share of the records to answer, above 0, up to 1.

        Raises:
            InputError: coverage is out of range, or below 1 in a model that was not calibrated.
            NotFittedError: the estimator has not been trained.
        """
        check_is_fitted(self)
        return self.calibration_.threshold(coverage)

    def describe(self, X: Any, min_confidence: float = 0.0) -> pl.DataFrame:
        """Predicts the class of each record, its probability, and the keys that drove it.

        A key's share is what its neurons' spikes add to the margin between the class and the
        runner-up (:mod:`plastorch.spiking.patterns.attribution`).

        Args:
            X: records, as in :meth:`fit`.
            min_confidence: confidence, 0 to 1, below which the label is missing (None).

        Returns:
            Frame with a row per record: ``label``, the class as text; ``confidence``, its
            probability; ``keys``, up to three with a positive share, largest first, joined by ", ".

        Raises:
            InputError: the records are unusable, or have none of the keys; or min_confidence is
                out of range.
            NotFittedError: the estimator has not been trained.
        """
        check_is_fitted(self)
        told = partial(
            described,
            calibration=self.calibration_,
            names=[str(name) for name in self.classes_.tolist()],
            least=checked_confidence(min_confidence),
        )
        return pl.concat(self._each(X, told))

    def save(self, path: str | Path) -> None:
        """Writes the model to one file atomically: safetensors, with settings as JSON.

        Args:
            path: file; an existing one is replaced.

        Raises:
            InputError: the file can't be written, or the classes are not text, numbers or truth
                values.
            NotFittedError: the estimator has not been trained.
        """
        self._saved().write(Path(path))

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Reads a model that :meth:`save` wrote; nothing in the file is ever executed.

        Args:
            path: file to read.

        Raises:
            InputError: the file is missing, damaged, of a later version, or not a model.
        """
        found = read(Path(path))
        if found.outputs != cls._outputs:
            kinds = {1: "a class for each record", 2: "tags"}
            raise InputError(
                f"{path} gives {kinds[found.outputs]}; expected a model of {kinds[cls._outputs]}"
            )
        return cls.of(found)

    @classmethod
    def of(cls, found: SavedModel) -> Self:
        """Returns the model of a file's content."""
        model = cls(**found.params)
        seed, members = found.encoder.seed, found.members
        model._build(found.encoder, found.neuron, found.classes, seed, members)
        model.class_count_, model.n_features_in_ = found.class_count, found.features
        model.calibration_, model.kept_ = found.calibration, found.kept
        for name, weight in model.network_.named_parameters():
            weight.data.copy_(torch.from_numpy(found.tensors[name].T))
        return model

    @property
    def tagging(self) -> Tagging | None:
        """How tags are decided and written; None in a model of classes."""
        return None

    @property
    def fingerprint(self) -> str:
        """Returns the SHA-256 of settings and weights as hexadecimal digits."""
        return self._saved().fingerprint()

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        return tags

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "network_")

    def _build(
        self,
        encoder: CorrelativeEncoder,
        neuron: PatternNeuron,
        classes: Any,
        seed: int,
        members: int,
    ) -> None:
        self._encoder = encoder
        self.keys_, self.pairs_ = tuple(encoder.keys), tuple(encoder.pairs)
        self.network_ = PatternNetwork(
            encoder.neurons,
            int(self.hidden),
            self._outputs * len(classes),
            population=members,
            ensemble=members > 1,
            neuron=neuron,
            generator=stream(seed, Stream.WEIGHTS),
        )
        self.classes_ = classes
        self.class_count_ = np.zeros(len(classes), np.int64)
        self.calibration_, self.kept_ = Calibration(), nothing(encoder.neurons)
        self._seed, self._calls = seed, 0
        self._optimizer = None

    def _each(
        self, X: Any, of_chunk: Callable[[PatternNetwork, CorrelativeEncoder, pl.DataFrame], Result]
    ) -> Iterator[Result]:
        """Yields the result of a function for each chunk of the records; warns of absent keys."""
        check_is_fitted(self)
        rows = max(1, min(MOST_ROWS, MOST_BYTES // self._encoder.neurons))
        if isinstance(X, (str, Path)):
            chunks = frames(X, rows)
        else:
            chunks = as_records(self, X, reset=False).iter_slices(rows)
        for place, chunk in enumerate(chunks):
            absent = [] if place else lacking(chunk.columns, self.keys_)
            if 0 < len(absent) < len(self.keys_):
                warnings.warn(
                    f"records lack {len(absent)} of the model's {len(self.keys_)} keys, which "
                    f"count as missing: {', '.join(absent[:8])}",
                    AbsentKeysWarning,
                    stacklevel=3,
                )
            yield of_chunk(self.network_, self._encoder, chunk)

    def _saved(self) -> SavedModel:
        check_is_fitted(self)
        names = ("hidden", "neurons", "key_pairs", "bins", "batch_size")
        params: dict[str, Any] = {name: int(getattr(self, name)) for name in names}
        for name in ("epochs", "members"):
            value = getattr(self, name)
            params[name] = None if value is None else int(value)
        shares = ("learning_rate", "dropout")
        params |= {name: float(getattr(self, name)) for name in shares}
        weights = {name: w.detach().numpy() for name, w in self.network_.named_parameters()}
        return SavedModel(
            params=params | {"random_state": self._seed},
            encoder=self._encoder,
            neuron=self.network_.neuron,
            members=self.network_.population,
            classes=self.classes_,
            class_count=self.class_count_,
            calibration=self.calibration_,
            kept=self.kept_,
            features=self.n_features_in_,
            tensors={name: np.ascontiguousarray(weight.T) for name, weight in weights.items()},
        )
