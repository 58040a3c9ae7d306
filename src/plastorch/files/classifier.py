"""Classifier of files, or other records, by their metadata: a scikit-learn estimator.

After Stanojevic, Cherubini, Moraitis, Sebastian, *File classification based on spiking neural
networks*, ISCAS 2020, arXiv 2004.03953.
"""

from collections.abc import Callable
from typing import Any, Self

import numpy as np
import polars as pl
import torch
from numpy.typing import ArrayLike, NDArray
from sklearn.utils.validation import check_is_fitted

from plastorch.engine.errors import InputError
from plastorch.engine.estimators import classes_of, codes_of, seed_of
from plastorch.engine.streams import stream
from plastorch.files.arrays import as_records, check_texts, labels_of
from plastorch.files.calibration import fold_numbers, held_out
from plastorch.files.column_values import lacking
from plastorch.files.kept import Kept, grown, shown
from plastorch.files.learner import (
    FEW,
    HELD_OUT,
    LEAST_EPOCHS,
    MOST_HELD_OUT,
    PARTS,
    Learner,
)
from plastorch.files.predict import calibrated
from plastorch.files.streams import Stream
from plastorch.spiking.patterns.training import answer, update


class FileClassifier(Learner):
    """Classifier of records by their keys and values: a spiking network.

    Each key owns some input neurons, more if its values tell more about the classes. A value sets
    when they fire, so that similar records give similar spike patterns
    (:mod:`plastorch.files.encode`). A two-layer network answers with a spike pattern, and the
    predicted class is that of the nearest target pattern (:mod:`plastorch.spiking.patterns.rule`).

    Records are matched to the model by the names of their keys; order and additional keys don't
    matter. The neurons of a missing key don't fire; if all records lack a key, predictions come
    with a warning. A category unseen in training has a pattern of its own, unlike any other. In a
    key of numbers, text that is not a number counts as missing.

    Confidence is calibrated: :meth:`fit` holds back a tenth of each class with ten records or more,
    and chooses on it how distances become probabilities (:mod:`plastorch.files.calibration`). If
    there are fewer than 500 records, it learns from all of them; each fifth of them then calibrates
    the confidence of a network that learns from the other four fifths.

    Args:
        hidden: number of hidden neurons.
        members: number of networks side by side: each has an equal part of the hidden neurons and
            learns by itself, and their answers are averaged. None means one for 64 hidden neurons
            if there are two or three classes, and one otherwise.
        neurons: total number of input neurons of single keys, at least one per key.
        key_pairs: largest number of pairs of keys that get input neurons of their own, as many
            each as a key has on average. Pairs of categories are chosen that tell most about the
            classes beyond their single keys; there are none unless they clearly tell more than all
            keys do separately (:mod:`plastorch.files.pairs`).
        bins: number of times at which input neurons may fire, 2 to 254.
        epochs: number of passes over the records. None means 15 in :meth:`update`, and in
            :meth:`fit` as many as give 10,000 weight updates, but at least 15 and at most 60.
        learning_rate: peak learning rate in :meth:`fit`, constant one in :meth:`partial_fit`.
        dropout: share of input spikes, 0 to less than 1, left out at random in :meth:`fit` and
            :meth:`update`. It keeps a network of many neurons from memorizing few records.
        batch_size: number of records per weight update.
        random_state: seed of weights, order of records and patterns: a whole number, a RandomState,
            or None for numpy's global one.

    Attributes:
        classes_: sorted classes.
        class_count_: number of training records of each class, without those held back.
        calibration_: :class:`plastorch.files.calibration.Calibration` of the confidence.
        kept_: sample of past records, as spike patterns (:mod:`plastorch.files.kept`).
        keys_: learned description of each key (:class:`plastorch.files.key.Key`).
        pairs_: pairs of keys with neurons of their own (:class:`plastorch.files.pairs.Pair`).
        network_: :class:`plastorch.spiking.patterns.network.PatternNetwork`.
        n_features_in_: number of keys of the first training records.

    Example:
        >>> rows = [{"owner": name, "size": size} for name in ("ada", "bob") for size in range(20)]
        >>> model = FileClassifier(hidden=16, neurons=40).fit(rows, ["code"] * 20 + ["music"] * 20)
        >>> model.predict([{"owner": "bob", "size": 7}, {"owner": "ada"}]).tolist()
        ['music', 'code']
        >>> model.describe([{"owner": "bob", "size": 7}])["keys"].to_list()
        ['owner']
    """

    def fit(self, X: Any, y: ArrayLike, tell: Callable[[int, float], None] | None = None) -> Self:
        """Trains from scratch, and calibrates the confidence on records not learned from.

        All patterns are in memory, one byte per record and input neuron.

        Args:
            X: records [N]: dicts, a polars, pandas or Arrow frame, the path of a Parquet or CSV
                file (see :func:`plastorch.files.as_frame.as_frame`), or an array of numbers [N, M],
                whose columns are x0, x1, ….
            y: classes [N] of any sortable type, at least two different ones; a model of text,
                numbers or truth values can be saved.
            tell: callback after each epoch, given its number and the training accuracy.

        Returns:
            The estimator itself.

        Raises:
            InputError: records, classes or a constructor argument are unusable; the model is left
                as it was.
        """
        return self._learn_aside(X, y, tell)

    def calibrate(self, X: Any, y: ArrayLike) -> Self:
        """Calibrates the confidence again, as :meth:`fit` does.

        Args:
            X: records that the model has not learned from, as in :meth:`fit`; a few hundred or
                more, distributed like those to be predicted.
            y: classes [N], each a known class.

        Returns:
            The estimator itself.

        Raises:
            InputError: records or classes are unusable; the model is left as it was.
            NotFittedError: the estimator has not been trained.
        """
        check_is_fitted(self)
        frame = as_records(self, X, reset=False)
        codes = codes_of(labels_of(y, frame.height), self.classes_)
        self.calibration_ = calibrated(answer(self.network_, self._bins(frame)), codes)
        return self

    def update(
        self, X: Any, y: ArrayLike, tell: Callable[[int, float], None] | None = None
    ) -> Self:
        """Learns new records, also of new classes, without forgetting the old ones.

        Old records that the model keeps (:mod:`plastorch.files.kept`) are learned again beside the
        new ones. Of each class with ten new records or more, a tenth of the new records is held
        back, and the confidence is calibrated again; a model that holds back none of its old
        records holds back no new ones either, and keeps its calibration. The keys stay as
        :meth:`fit` learned them.

        Args:
            X: new records, as in :meth:`fit`, with all keys of the model.
            y: classes [N], known or new ones.
            tell: callback, as in :meth:`fit`.

        Returns:
            The estimator itself.

        Raises:
            InputError: records or classes are unusable, or the model keeps no records; the model
                is left as it was.
            NotFittedError: the estimator has not been trained.
        """
        check_is_fitted(self)
        self._check_arguments()
        frame = as_records(self, X, reset=False)
        labels = labels_of(y, frame.height)
        classes = self._more_classes(frame, labels)
        codes, places = (codes_of(some, classes) for some in (labels, self.classes_))
        held = held_out(codes, self._seed, HELD_OUT) & self.kept_.held.any()
        new = Kept(self._encoder.encode(frame), codes, held)
        old = self.kept_._replace(codes=places[self.kept_.codes])
        random = stream(self._seed, Stream.UPDATE, int(self.class_count_.sum()))
        network = grown(self.network_, places, len(classes), random)
        seen = shown(old.take(~old.held), new.take(~new.held))
        epochs = LEAST_EPOCHS if self.epochs is None else int(self.epochs)
        bins, targets = torch.from_numpy(seen.bins), torch.from_numpy(seen.codes)
        self._train(network, bins, targets, random, epochs=epochs, tell=tell)
        counts = np.zeros(len(classes), np.int64)
        counts[places] = self.class_count_
        self.network_, self.classes_, self.class_count_ = network, classes, counts
        self._count(codes[~new.held])
        self._optimizer = None
        whole = old.and_also(new)
        self.kept_, asked = whole.sample(self._seed), whole.take(whole.held)
        if len(asked.codes):
            response = answer(network, torch.from_numpy(asked.bins))
            self.calibration_ = calibrated(response, asked.codes)
        return self

    def partial_fit(self, X: Any, y: ArrayLike, classes: ArrayLike | None = None) -> Self:
        """Trains online on one batch of records, in one pass at a constant learning rate.

        The keys are learned from the first batch, which should be typical, and then stay fixed.
        After :meth:`fit`, the fitted network is trained further. The optimizer keeps its state
        between calls, but not in a saved model. No record is held back: call :meth:`calibrate` at
        the end for a calibrated confidence.

        Args:
            X: records, as in :meth:`fit`.
            y: classes [N], each a known class.
            classes: all classes that will ever occur; needed in the first call, unless :meth:`fit`
                came before.

        Returns:
            The estimator itself.

        Raises:
            InputError: records, classes or a constructor argument are unusable; the model is left
                as it was.
        """
        self._check_arguments()
        first = not hasattr(self, "network_")
        frame = as_records(self, X, reset=first)
        labels = labels_of(y, frame.height)
        known = self._known_classes(classes)
        codes = codes_of(labels, known)
        bins = (
            self._start(frame, codes, known, seed_of(self.random_state))
            if first
            else self._bins(frame)
        )
        if self._optimizer is None:
            weights = self.network_.parameters()
            self._optimizer = torch.optim.Adam(weights, float(self.learning_rate))
        targets = torch.from_numpy(codes)
        random = stream(self._seed, Stream.PARTIAL_FIT_ORDER, self._calls)
        order = torch.randperm(len(bins), generator=random)
        for index in torch.split(order, int(self.batch_size)):
            update(self.network_, self._optimizer, bins[index], targets[index])
        self._calls += 1
        self._count(codes)
        return self

    def _learn(self, X: Any, y: ArrayLike, tell: Callable[[int, float], None] | None) -> None:
        self._check_arguments()
        frame = as_records(self, X, reset=True)
        labels = labels_of(y, frame.height)
        classes = classes_of(labels, "y")
        codes = codes_of(labels, classes)
        seed = seed_of(self.random_state)
        few, epochs = frame.height < FEW, self.epochs_for(frame.height)
        held = np.zeros(len(codes), bool)
        held = held if few else held_out(codes, seed, HELD_OUT, MOST_HELD_OUT)
        learned = codes[~held]
        targets = torch.from_numpy(learned)
        bins = self._start(frame.filter(~held), learned, classes, seed)
        if few:
            parts = fold_numbers(learned, PARTS, seed)
            response = self._cross_answered(bins, targets, epochs, parts)
            self.calibration_ = calibrated(response, learned)
        random = stream(self._seed, Stream.FIT_ORDER)
        self._train(self.network_, bins, targets, random, epochs=epochs, tell=tell)
        self._count(learned)
        kept = Kept(bins.numpy(), learned, np.zeros(len(learned), bool))
        if held.any():
            others = self._bins(frame.filter(held))
            self.calibration_ = calibrated(answer(self.network_, others), codes[held])
            kept = kept.and_also(Kept(others.numpy(), codes[held], np.ones(len(others), bool)))
        self.kept_ = kept.sample(seed)

    def _more_classes(self, frame: pl.DataFrame, labels: NDArray[Any]) -> NDArray[Any]:
        """Returns known and new classes; raises InputError if new records don't fit the model."""
        if self.kept_.held.all():
            raise InputError("the model keeps no records that it learned from; call fit first")
        if absent := lacking(frame.columns, self.keys_):
            raise InputError(
                f"records lack {len(absent)} of the model's {len(self.keys_)} keys: "
                f"{', '.join(absent[:8])}; expected all of them"
            )
        known, new = self.classes_.tolist()[0], labels.tolist()[0]
        if type(known) is not type(new):
            raise InputError(f"y holds {new!r}; expected classes like {known!r}")
        return classes_of(np.concatenate([self.classes_, labels]), "y")

    def _count(self, codes: NDArray[np.int64]) -> None:
        self.class_count_ = self.class_count_ + np.bincount(codes, minlength=len(self.classes_))

    def _known_classes(self, classes: ArrayLike | None) -> NDArray[Any]:
        known: NDArray[Any] | None = getattr(self, "classes_", None)
        if classes is None:
            if known is None:
                raise InputError(
                    "classes is None in the first call; expected all classes that will occur"
                )
            return known
        check_texts(classes, "classes")
        given = classes_of(classes, "classes")
        if known is not None and not np.array_equal(known, given):
            raise InputError(f"classes is {given}; expected None or the known ones, {known}")
        return given
