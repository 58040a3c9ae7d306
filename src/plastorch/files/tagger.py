"""Several tags per record by its metadata, and models of classes or of tags from files."""

from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Self

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray
from sklearn.utils.validation import check_is_fitted

from plastorch.engine.errors import InputError
from plastorch.engine.estimators import seed_of
from plastorch.engine.streams import stream
from plastorch.files.arrays import as_records
from plastorch.files.calibration import checked_confidence, fold_numbers, held_out
from plastorch.files.classifier import FileClassifier
from plastorch.files.learner import FEW, HELD_OUT, MOST_HELD_OUT, PARTS, Learner
from plastorch.files.model_file import SavedModel, read
from plastorch.files.streams import Stream
from plastorch.files.tags import (
    Tagging,
    as_tags,
    calibrated_tags,
    described_tags,
    given_tags,
    probable_tags,
    rows_of_tags,
)
from plastorch.files.trained import TrainedClassifier
from plastorch.spiking.patterns.training import answer


class FileTagger(Learner):
    """Tagger of records by their keys and values, several tags each: a spiking network.

    It is like :class:`plastorch.files.FileClassifier`, but has two output neurons for each tag, one
    for yes and one for no. A tag's probability is calibrated, and a tag is given if its probability
    reaches the tag's own threshold, the one with the highest F1 on records not learned from: see
    :mod:`plastorch.files.tags`.

    Args:
        hidden: number of hidden neurons.
        members: number of networks side by side: each has an equal part of the hidden neurons and
            learns by itself, and their answers are averaged. None means one for 64 hidden neurons
            if there are one to three tags, and one otherwise.
        neurons: total number of input neurons of single keys, at least one per key.
        key_pairs: largest number of pairs of keys that get input neurons of their own, as many
            each as a key has on average. Pairs of categories are chosen that tell most about the
            tags beyond their single keys; there are none unless they clearly tell more than all
            keys do separately (:mod:`plastorch.files.pairs`).
        bins: number of times at which input neurons may fire, 2 to 254.
        epochs: number of passes over the records; None means as many as give 10,000 weight
            updates, but at least 15 and at most 60.
        learning_rate: peak learning rate.
        dropout: share of input spikes, 0 to less than 1, left out at random in training.
        batch_size: number of records per weight update.
        random_state: seed of weights, order of records and patterns: a whole number, a RandomState,
            or None for numpy's global one.
        separator: text between tags where they are written as one text; no tag may contain it.

    Attributes:
        classes_: sorted tags.
        class_count_: number of training records with each tag, without those held back.
        calibration_: :class:`plastorch.files.calibration.Calibration` of the confidence.
        tagging_: :class:`plastorch.files.tags.Tagging`, with a threshold for each tag.
        keys_: learned description of each key (:class:`plastorch.files.key.Key`).
        pairs_: pairs of keys with neurons of their own (:class:`plastorch.files.pairs.Pair`).
        network_: :class:`plastorch.spiking.patterns.network.PatternNetwork`.
        n_features_in_: number of keys of the training records.

    Example:
        >>> rows = [{"owner": name, "size": size} for name in ("ada", "bob") for size in range(20)]
        >>> tags = [{row["owner"], "big"} if row["size"] > 9 else {row["owner"]} for row in rows]
        >>> model = FileTagger(hidden=32, neurons=60, epochs=60).fit(rows, tags)
        >>> model.predict([{"owner": "bob", "size": 18}, {"owner": "ada", "size": 1}]).tolist()
        [('big', 'bob'), ('ada',)]
    """

    tagging_: Tagging
    _outputs = 2

    def __init__(
        self,
        hidden: int = 256,
        members: int | None = None,
        neurons: int = 400,
        key_pairs: int = 15,
        bins: int = 20,
        epochs: int | None = None,
        learning_rate: float = 0.01,
        dropout: float = 0.2,
        batch_size: int = 128,
        random_state: int | np.random.RandomState | None = 0,
        separator: str = ",",
    ) -> None:
        super().__init__(
            hidden=hidden,
            members=members,
            neurons=neurons,
            key_pairs=key_pairs,
            bins=bins,
            epochs=epochs,
            learning_rate=learning_rate,
            dropout=dropout,
            batch_size=batch_size,
            random_state=random_state,
        )
        self.separator = separator

    def fit(
        self, X: Any, y: Iterable[Any], tell: Callable[[int, float], None] | None = None
    ) -> Self:
        """Trains from scratch, and chooses temperature and thresholds on records not learned from.

        These are a tenth of all records, or, if there are fewer than 500, each fifth in turn,
        answered by a network that learns from the other four fifths.

        Args:
            X: records [N], as for :meth:`plastorch.files.FileClassifier.fit`.
            y: tags of each record [N]: a set, list or tuple of text; may be empty.
            tell: callback after each epoch, given its number and the share of training records
                whose tags were all right.

        Returns:
            The estimator itself.

        Raises:
            InputError: records, tags or a constructor argument are unusable, or a tag holds the
                separator; the model is left as it was.
        """
        return self._learn_aside(X, y, tell)

    def predict(self, X: Any) -> NDArray[Any]:
        """Predicts the tags of each record.

        Args:
            X: records, as in :meth:`fit`.

        Returns:
            Tuples of tags in order [N].

        Raises:
            InputError: the records are unusable, or have none of the keys.
            NotFittedError: the estimator has not been trained.
        """
        given = given_tags(self.predict_proba(X), self.tagging_.thresholds)
        sets, which = np.unique(given, axis=0, return_inverse=True)
        found = np.empty(len(sets), object)
        found[:] = [tuple(self.classes_[row].tolist()) for row in sets]
        return found[which.ravel()]

    def predict_proba(self, X: Any) -> NDArray[np.float32]:
        """Predicts the probability of each tag.

        Args:
            X: records, as in :meth:`fit`.

        Returns:
            Probabilities [N, tags], in the order of ``classes_``; those of a record don't sum to 1.

        Raises:
            InputError: the records are unusable, or have none of the keys.
            NotFittedError: the estimator has not been trained.
        """
        check_is_fitted(self)
        chances = partial(probable_tags, temperature=self.calibration_.temperature)
        return np.concatenate(list(self._each(X, chances)))

    def describe(self, X: Any, min_confidence: float = 0.0) -> pl.DataFrame:
        """Predicts the tags of each record, a confidence, and the keys that drove them.

        Confidence is the probability of the least probable tag that is given, or, if none is given,
        the probability that the most probable one is absent.

        Args:
            X: records, as in :meth:`fit`.
            min_confidence: confidence, 0 to 1, below which the label is missing (None).

        Returns:
            Frame with a row per record: ``label``, tags joined by the separator, empty if there are
            none; ``confidence``; ``keys``, up to three, largest share first, joined by ", ".

        Raises:
            InputError: the records are unusable, or have none of the keys; or min_confidence is
                out of range.
            NotFittedError: the estimator has not been trained.
        """
        check_is_fitted(self)
        told = partial(
            described_tags,
            temperature=self.calibration_.temperature,
            names=self.classes_.tolist(),
            tagging=self.tagging_,
            least=checked_confidence(min_confidence),
        )
        return pl.concat(self._each(X, told))

    def score(self, X: Any, y: Any, sample_weight: None = None) -> float:
        """Returns F1 over all decisions: twice the right tags over the tags given and present.

        Args:
            X: records, as in :meth:`fit`.
            y: tags of each record [N]; tags that the model doesn't know count as missed.
            sample_weight: always None.
        """
        wanted = rows_of_tags(y)
        found = [set(row) for row in self.predict(X)]
        if len(wanted) != len(found):
            raise InputError(
                f"y has {len(wanted)} elements; expected {len(found)}, a set of tags for each"
            )
        right = sum(len(one & two) for one, two in zip(found, wanted, strict=True))
        return 2 * right / max(1, sum(map(len, found)) + sum(map(len, wanted)))

    @property
    def tagging(self) -> Tagging:
        """How tags are decided and written."""
        return self.tagging_

    @classmethod
    def of(cls, found: SavedModel) -> Self:
        """Returns the model of a file's content."""
        model = super().of(found)
        assert found.tagging is not None
        model.tagging_, model.separator = found.tagging, found.tagging.separator
        return model

    def _learn(self, X: Any, y: Iterable[Any], tell: Callable[[int, float], None] | None) -> None:
        self._check_arguments()
        if not isinstance(self.separator, str) or not self.separator:
            raise InputError(f"separator is {self.separator!r}; expected text")
        frame = as_records(self, X, reset=True)
        tags, present = as_tags(y, frame.height, self.separator)
        seed, few = seed_of(self.random_state), frame.height < FEW
        epochs = self.epochs_for(frame.height)
        held = held_out(np.zeros(len(present), np.int64), seed, HELD_OUT, MOST_HELD_OUT)
        held &= not few
        learned = present[~held]
        groups = np.unique(learned, axis=0, return_inverse=True)[1].ravel()
        bins = self._start(frame.filter(~held), groups, tags, seed)
        targets = torch.from_numpy(learned)
        if few:
            parts = fold_numbers(groups, PARTS, seed)
            response, asked = self._cross_answered(bins, targets, epochs, parts), learned
        random = stream(self._seed, Stream.FIT_ORDER)
        self._train(self.network_, bins, targets, random, epochs=epochs, tell=tell)
        if not few:
            response = answer(self.network_, self._bins(frame.filter(held)))
            asked = present[held]
        self.calibration_, thresholds = calibrated_tags(response, asked)
        self.tagging_ = Tagging(thresholds, self.separator)
        self.class_count_ = learned.sum(0)

    def _saved(self) -> SavedModel:
        return replace(super()._saved(), tagging=self.tagging_)


def load_model(path: Path) -> TrainedClassifier:
    """Reads a model of classes or of tags; nothing in the file is ever executed."""
    found = read(path)
    kind: type[FileClassifier] | type[FileTagger]
    kind = FileClassifier if found.tagging is None else FileTagger
    return kind.of(found)
