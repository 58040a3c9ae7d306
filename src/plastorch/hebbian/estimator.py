"""Deep SoftHebb as a scikit-learn estimator: blocks that learn without labels, a linear readout.

Paper: Journé et al., *Hebbian Deep Learning Without Feedback*, ICLR 2023, arXiv 2209.11883.
"""

from collections.abc import Callable
from typing import Any, Self, get_args

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from sklearn.base import BaseEstimator, ClassifierMixin, TransformerMixin
from sklearn.exceptions import NotFittedError
from sklearn.utils import Tags
from sklearn.utils.validation import check_is_fitted
from torch import Tensor

from plastorch.engine.device import Precision, autocast, fast_matmul, select_device
from plastorch.engine.errors import InputError, check_counts, check_one_of, check_positive
from plastorch.engine.estimators import as_labels, classes_of, codes_of, seed_of
from plastorch.engine.streams import stream
from plastorch.hebbian.arrays import Channels, as_images
from plastorch.hebbian.features import FeatureExtraction, cached
from plastorch.hebbian.networks import SoftHebbNet
from plastorch.hebbian.presets import Data, Width, preset
from plastorch.hebbian.readout import ReadoutTraining
from plastorch.hebbian.streams import Stream
from plastorch.hebbian.train import HebbianTraining, Mode
from plastorch.learning.phases import Phase

BATCH = 50
"""Number of images whose features are computed at once."""


class SoftHebbClassifier(ClassifierMixin, TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """Deep SoftHebb (Journé et al. 2023) on arrays of images.

    :meth:`fit` is the paper's training: the blocks learn from the images alone, then a linear
    readout from their features and the labels. Images are square, uint8 or floats in [0, 1], as
    N x H x W x C, N x C x H x W or (gray) N x H x W.

    Args:
        preset: data set of the published network: mnist, fashion-mnist, cifar10, cifar100, stl10,
            imagenette or imagenet; see :func:`plastorch.hebbian.preset`.
        depth: number of plastic layers.
        width: growth of the channels from layer to layer ("1x", "2x", "4x"), or scale of all layers
            of the "4x" network ("quarter", "half", "double").
        mode: "successive" trains block after block, "consecutive" all on the same mini-batches.
        precision: precision of matrix products, "fp32" or "bf16"; updates and readout stay in fp32.
        batch_size: images per Hebbian update.
        unsupervised_epochs: number of passes of the blocks over the images in :meth:`fit`.
        readout_epochs: number of passes of the readout over the features in :meth:`fit`.
        readout_batch_size: rows per update of the readout.
        readout_learning_rate: learning rate of the readout's first epoch.
        device: "auto" (a GPU if there is one), "cpu", "cuda" or "cuda:N".
        random_state: seed of weights, image order and dropout: a whole number, a RandomState, or
            None to take numpy's global one. A number means the same as ``plastorch run --seed``.
        channels: position of the channels in 4-D arrays: "first", "last", or "auto": the one of
            these two axes that has 1 to 4 entries.
        image_shape: shape of an image, (H, W), (H, W, C) or (C, H, W), for tables [N, features]
            whose rows are the values of one image; without it, tables are refused.
        verbose: whether to show a progress bar.

    Attributes:
        net_: trained :class:`SoftHebbNet`.
        image_shape_: shape (channels, height, width) of the images.
        n_features_in_: number of values per image.
        classes_: sorted classes, once they are known.

    Example:
        >>> images = np.random.default_rng(0).integers(0, 256, (20, 8, 8), dtype=np.uint8)
        >>> labels = np.repeat(["cat", "dog"], 10)
        >>> model = SoftHebbClassifier(depth=1, width="quarter", readout_epochs=2)
        >>> model.fit(images, labels).predict_proba(images).shape
        (20, 2)
    """

    def __init__(
        self,
        preset: Data = "cifar10",
        depth: int = 3,
        width: Width = "4x",
        mode: Mode = "successive",
        precision: Precision = "fp32",
        batch_size: int = 10,
        unsupervised_epochs: int = 1,
        readout_epochs: int = 50,
        readout_batch_size: int = 64,
        readout_learning_rate: float = 1e-3,
        device: str = "auto",
        random_state: int | np.random.RandomState | None = 0,
        channels: Channels = "auto",
        image_shape: tuple[int, ...] | None = None,
        verbose: bool = False,
    ) -> None:
        self.preset = preset
        self.depth = depth
        self.width = width
        self.mode = mode
        self.precision = precision
        self.batch_size = batch_size
        self.unsupervised_epochs = unsupervised_epochs
        self.readout_epochs = readout_epochs
        self.readout_batch_size = readout_batch_size
        self.readout_learning_rate = readout_learning_rate
        self.device = device
        self.random_state = random_state
        self.channels = channels
        self.image_shape = image_shape
        self.verbose = verbose

    def fit(self, X: ArrayLike, y: ArrayLike) -> Self:
        """Trains a new network: the blocks on the images, then the readout on their features.

        Args:
            X: images [N, H, W, C], [N, C, H, W] or [N, H, W].
            y: classes [N] of any sortable type, at least two different ones.

        Returns:
            The estimator.

        Raises:
            InputError: unusable images, labels or constructor argument.
        """
        self._check_arguments()
        images = as_images(X, self.channels, self.image_shape)
        labels = as_labels(y, len(images), "image")
        classes = classes_of(labels, "y")
        self._start(images, classes)
        self._learn(images, self.unsupervised_epochs)
        codes = torch.from_numpy(codes_of(labels, classes))
        self._read_out(images, codes, self.readout_epochs)
        self._calls = 1
        return self

    def partial_fit(
        self, X: ArrayLike, y: ArrayLike | None = None, classes: ArrayLike | None = None
    ) -> Self:
        """Learns online from one more batch of images, with or without labels.

        The blocks make one pass over the batch, without labels. With labels, the readout then makes
        one pass over the batch's features at ``readout_learning_rate``; its Adam moments are kept
        from call to call. The number of epochs doesn't matter here: call again to learn more. After
        :meth:`fit` the fitted network goes on learning. The first call uses the initial weights and
        the image order that :meth:`fit` would use; later orders follow from seed and call number.

        A batch without labels moves the features but leaves the readout as it was, so end with some
        labeled batches.

        Args:
            X: images as in :meth:`fit`, at least 1.
            y: classes [N], each one of the known classes.
            classes: all classes that can ever occur; needed in or before the first call with
                labels, unless :meth:`fit` came before.

        Returns:
            The estimator; it predicts from the first call with labels on.

        Raises:
            InputError: unusable images, labels, classes or constructor argument; what was learned
                before stays as it was.
        """
        self._check_arguments()
        images = as_images(X, self.channels, self.image_shape)
        known = self._known_classes(classes)
        codes = None if y is None else self._codes(as_labels(y, len(images), "image"), known)
        if not hasattr(self, "net_"):
            self._start(images, known)
        self._check_shape(images)
        if known is not None and not hasattr(self, "classes_"):
            self._set_classes(known)
        self._learn(images, 1)
        if codes is not None:
            self._read_out(images, codes, 1)
        self._calls += 1
        return self

    def transform(self, X: ArrayLike) -> NDArray[np.float32]:
        """Returns the features of the last block, which the readout sees.

        Args:
            X: images as in :meth:`fit`.

        Returns:
            Features [N, F], F running over channels, height and width.

        Raises:
            InputError: unusable images, or of another shape than the fitted ones.
            NotFittedError: nothing learned yet.
        """
        check_is_fitted(self, "net_")
        return self._over_batches(X, self.net_.readout.in_features, lambda features: features)

    def predict_proba(self, X: ArrayLike) -> NDArray[np.float32]:
        """Returns the probability of each class.

        Args:
            X: images as in :meth:`fit`.

        Returns:
            Probabilities [N, classes], in the order of ``classes_``.

        Raises:
            InputError: unusable images, or of another shape than the fitted ones.
            NotFittedError: no labels learned from yet.
        """
        check_is_fitted(self, "net_")
        if not self._moments:
            raise NotFittedError(
                "This SoftHebbClassifier has seen images, but no labels yet: call 'fit', or "
                "'partial_fit' with y, before predicting"
            )
        readout = self.net_.readout
        return self._over_batches(X, readout.out_features, lambda f: readout(f).softmax(dim=1))

    def predict(self, X: ArrayLike) -> NDArray[Any]:
        """Returns the most probable class of each image.

        Args:
            X: images as in :meth:`fit`.

        Returns:
            Classes [N].

        Raises:
            InputError: unusable images, or of another shape than the fitted ones.
            NotFittedError: no labels learned from yet.
        """
        best = self.predict_proba(X).argmax(axis=1)
        predicted: NDArray[Any] = self.classes_[best]
        return predicted

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array = self.image_shape is not None
        tags.input_tags.three_d_array = True
        tags.transformer_tags.preserves_dtype = ["float32"]
        return tags

    def _start(self, images: Tensor, classes: NDArray[Any] | None) -> None:
        """Makes a new network; without classes, its readout is a placeholder of one output."""
        spec = preset(self.preset, self.depth, self.width)
        channels, side = images.shape[1], images.shape[2]
        if spec.pixel_mean is not None and len(spec.pixel_mean) != channels:
            raise InputError(
                f"X has images of {channels} channels; expected {len(spec.pixel_mean)} for preset "
                f"{self.preset!r}, which scales each of them"
            )
        seed, count = seed_of(self.random_state), 1 if classes is None else len(classes)
        net = SoftHebbNet(spec, channels, side, count, generator=stream(seed, Stream.WEIGHTS))
        self.net_ = net.to(select_device(self.device))
        self.image_shape_ = (channels, side, side)
        self.n_features_in_ = channels * side**2
        self._seed, self._calls, self._moments = seed, 0, dict[str, Tensor]()
        if classes is not None:
            self.classes_ = classes

    def _set_classes(self, classes: NDArray[Any]) -> None:
        """Replaces the placeholder with the readout that :meth:`fit` would start with."""
        net, count = self.net_, len(classes)
        same = SoftHebbNet(
            net.spec,
            net.in_channels,
            net.image_size,
            count,
            generator=stream(self._seed, Stream.WEIGHTS),
        )
        net.readout = same.readout.to(net.readout.weight.device)
        self.classes_ = classes

    def _learn(self, images: Tensor, epochs: int) -> None:
        """Makes Hebbian passes of the blocks."""
        seed = self._call_seed()
        with fast_matmul(), self._autocast():
            training = HebbianTraining(
                self.net_,
                images,
                batch_size=self.batch_size,
                epochs=epochs,
                mode=self.mode,
                seed=seed,
            )
            self._run(training)

    def _read_out(self, images: Tensor, labels: Tensor, epochs: int) -> None:
        """Makes passes of the readout over the features, which are computed once."""
        extraction = FeatureExtraction(self.net_, images, BATCH)
        with fast_matmul(), self._autocast():
            self._run(extraction)
        training = ReadoutTraining(
            self.net_.readout,
            cached(extraction.features),
            labels,
            extraction.features[:0],
            labels[:0],
            epochs=epochs,
            batch_size=self.readout_batch_size,
            dropout=self.net_.spec.dropout,
            learning_rate=self.readout_learning_rate,
            seed=self._call_seed(),
        )
        training.load_state_dict(self._moments)
        with fast_matmul():
            self._run(training)
        self._moments = training.state_dict()

    def _run(self, phase: Phase) -> None:
        columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn()
        with Progress(*columns, TimeRemainingColumn(), disable=not self.verbose) as bar:
            task = bar.add_task(phase.name, total=phase.total)
            while phase.position < phase.total:
                phase.step()
                bar.update(task, completed=phase.position)

    def _call_seed(self) -> int:
        """Returns the seed in the first call, later a seed that follows from seed and call."""
        later = stream(self._seed, Stream.LATER_CALL, self._calls)
        return later.initial_seed() if self._calls else self._seed

    def _autocast(self) -> torch.autocast:
        return autocast(self.precision, self.net_.readout.weight.device)

    @torch.no_grad()
    def _over_batches(
        self, X: ArrayLike, width: int, function: Callable[[Tensor], Tensor]
    ) -> NDArray[np.float32]:
        """Returns rows [N, width] of a function of the images' float32 features."""
        images = as_images(X, self.channels, self.image_shape)
        self._check_shape(images)
        net = self.net_.eval()
        result = torch.empty(len(images), width)
        parts = zip(torch.split(images, BATCH), torch.split(result, BATCH), strict=True)
        with fast_matmul():
            for batch, rows in parts:
                with self._autocast():
                    features = net.features(batch.to(net.readout.weight.device))
                rows.copy_(function(features.float()))
        return result.numpy()

    def _check_shape(self, images: Tensor) -> None:
        found = tuple(images.shape[1:])
        if found != self.image_shape_:
            raise InputError(
                f"X has images of shape {found} (channels, height, width); expected "
                f"{self.image_shape_} as in earlier images"
            )

    def _codes(self, labels: NDArray[Any], known: NDArray[Any] | None) -> Tensor:
        if known is None:
            raise InputError(
                "classes is None in the first call with y; expected all classes that will occur"
            )
        return torch.from_numpy(codes_of(labels, known))

    def _known_classes(self, classes: ArrayLike | None) -> NDArray[Any] | None:
        known: NDArray[Any] | None = getattr(self, "classes_", None)
        if classes is None:
            return known
        given = classes_of(classes, "classes")
        if known is not None and not np.array_equal(known, given):
            raise InputError(f"classes is {given}; expected None or the known ones, {known}")
        return given

    def _check_arguments(self) -> None:
        check_counts(
            depth=self.depth,
            batch_size=self.batch_size,
            unsupervised_epochs=self.unsupervised_epochs,
            readout_epochs=self.readout_epochs,
            readout_batch_size=self.readout_batch_size,
        )
        check_positive(readout_learning_rate=self.readout_learning_rate)
        check_one_of(get_args(Mode), mode=self.mode)
        check_one_of(get_args(Precision), precision=self.precision)
        check_one_of(get_args(Channels), channels=self.channels)
        preset(self.preset, self.depth, self.width)
        select_device(self.device)
