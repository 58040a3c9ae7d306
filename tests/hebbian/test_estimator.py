"""SoftHebbClassifier against the library's pieces run by hand, and against scikit-learn's rules."""

import copy
import pickle
import subprocess
import sys
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.exceptions import DataConversionWarning, NotFittedError, SkipTestWarning
from sklearn.linear_model import LogisticRegression, RidgeClassifier
from sklearn.model_selection import GridSearchCV, cross_val_score, train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer
from sklearn.utils.estimator_checks import check_estimator, parametrize_with_checks
from sklearn.utils.validation import check_is_fitted, validate_data

import plastorch
from plastorch.data import load_images
from plastorch.engine.device import fast_matmul
from plastorch.engine.errors import InputError
from plastorch.engine.streams import stream
from plastorch.hebbian import HebbianTraining, SoftHebbNet, preset
from plastorch.hebbian.estimator import SoftHebbClassifier
from plastorch.hebbian.features import FeatureExtraction, cached
from plastorch.hebbian.readout import ReadoutTraining, predict
from plastorch.hebbian.streams import Stream
from plastorch.learning.phases import run_phase

SMALL: dict[str, Any] = {
    "preset": "mnist",
    "depth": 1,
    "width": "quarter",
    "readout_epochs": 10,
    "device": "cpu",
}


def small(**changes: Any) -> SoftHebbClassifier:
    return SoftHebbClassifier(**SMALL | changes)


@pytest.fixture(scope="module")
def digits() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """600 training and 500 test digits, N x H x W."""
    images = load_images("mnist")
    return (
        images.train_images[:600, 0].numpy(),
        images.train_labels[:600].numpy(),
        images.test_images[:500, 0].numpy(),
        images.test_labels[:500].numpy(),
    )


@pytest.fixture(scope="module")
def colors() -> tuple[np.ndarray, np.ndarray]:
    """60 noisy images N x 12 x 12 x 3, red or blue."""
    images = np.random.default_rng(0).integers(0, 100, (60, 12, 12, 3), dtype=np.uint8)
    labels = np.arange(60) % 2
    images[labels == 0, ..., 0] += 100
    images[labels == 1, ..., 2] += 100
    return images, np.where(labels, "blue", "red")


def weights(model: SoftHebbClassifier) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in model.net_.state_dict().items()}


def blocks(model: SoftHebbClassifier) -> dict[str, torch.Tensor]:
    return {name: value for name, value in weights(model).items() if "readout" not in name}


def same(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


class TestLearning:
    @pytest.mark.parametrize(("depth", "mode"), [(1, "successive"), (2, "consecutive")])
    def test_beats_nearest_mean_of_pixels(self, digits: Any, depth: int, mode: str) -> None:
        images, labels, test_images, test_labels = digits
        model = small(depth=depth, mode=mode, readout_epochs=20).fit(images, labels)
        means = np.stack([images[labels == digit].mean(axis=0) for digit in range(10)])
        distance = ((test_images[:, None] - means) ** 2).sum(axis=(2, 3))
        baseline = (distance.argmin(axis=1) == test_labels).mean()
        assert 0.6 < baseline < 0.8
        assert model.score(test_images, test_labels) > baseline + 0.1

    @pytest.mark.parametrize("mode", ["successive", "consecutive"])
    @pytest.mark.parametrize("precision", ["fp32", "bf16"])
    def test_equals_the_pieces_run_by_hand(self, digits: Any, mode: Any, precision: Any) -> None:
        images, labels = (torch.from_numpy(part[:150]) for part in digits[:2])
        images, seed = images[:, None], 5
        net = SoftHebbNet(
            preset("mnist", 2, "quarter"), 1, 28, 10, generator=stream(seed, Stream.WEIGHTS)
        )
        bf16 = torch.autocast(
            "cpu", torch.bfloat16, enabled=precision == "bf16", cache_enabled=False
        )
        with fast_matmul(), bf16:
            training = HebbianTraining(net, images, batch_size=20, epochs=2, mode=mode, seed=seed)
            run_phase(training)
            extraction = FeatureExtraction(net, images)
            run_phase(extraction)
        features = extraction.features
        with fast_matmul():
            readout = ReadoutTraining(
                net.readout,
                cached(features),
                labels,
                features,
                labels,
                epochs=3,
                batch_size=32,
                learning_rate=2e-3,
                seed=seed,
            )
            run_phase(readout)
        model = small(
            depth=2,
            mode=mode,
            precision=precision,
            batch_size=20,
            unsupervised_epochs=2,
            readout_epochs=3,
            readout_batch_size=32,
            readout_learning_rate=2e-3,
            random_state=seed,
        ).fit(digits[0][:150], digits[1][:150])
        assert same(weights(model), net.state_dict())
        np.testing.assert_allclose(model.transform(digits[0][:150]), features, rtol=2e-3, atol=1e-3)
        agreement = model.predict(digits[0][:150]) == predict(net.readout, features).numpy()
        assert agreement.mean() > 0.98

    def test_puts_back_the_precision_of_products(self, digits: Any) -> None:
        before = torch.get_float32_matmul_precision()
        model = small(readout_epochs=1).fit(digits[0][:20], digits[1][:20])
        model.predict(digits[0][:20])
        assert torch.get_float32_matmul_precision() == before

    def test_random_state(self, digits: Any) -> None:
        images, labels = digits[0][:60], digits[1][:60]

        def fitted(random_state: Any) -> dict[str, torch.Tensor]:
            return weights(small(random_state=random_state, readout_epochs=2).fit(images, labels))

        assert same(fitted(3), fitted(np.int64(3)))
        assert not same(fitted(3), fitted(4))
        assert same(fitted(np.random.RandomState(1)), fitted(np.random.RandomState(1)))
        shared = np.random.RandomState(1)
        assert not same(fitted(shared), fitted(shared))
        assert not same(fitted(None), fitted(None))

    def test_fit_forgets_what_was_before(self, digits: Any) -> None:
        images, labels = digits[0][:60], digits[1][:60]
        model = small(readout_epochs=2).fit(digits[0][60:90, :20, :20], labels[:30] % 2)
        again = model.partial_fit(digits[0][60:90, :20, :20]).fit(images, labels)
        assert same(weights(again), weights(small(readout_epochs=2).fit(images, labels)))
        assert again.image_shape_ == (1, 28, 28)
        assert again.n_features_in_ == 784


class TestInput:
    def test_layouts_agree(self, colors: Any) -> None:
        images, labels = colors
        last = small().fit(images, labels)
        first = small().fit(images.transpose(0, 3, 1, 2), labels)
        assert same(weights(last), weights(first))
        assert last.image_shape_ == first.image_shape_ == (3, 12, 12)
        np.testing.assert_array_equal(
            last.predict_proba(images), last.predict_proba(images.transpose(0, 3, 1, 2))
        )

    def test_gray_images_need_no_channel_axis(self, digits: Any) -> None:
        images, labels = digits[0][:50], digits[1][:50]
        plain = small(readout_epochs=2).fit(images, labels)
        for form in (images[:, None], images[..., None]):
            assert same(weights(plain), weights(small(readout_epochs=2).fit(form, labels)))
            np.testing.assert_array_equal(plain.transform(form), plain.transform(images))

    def test_channels_may_be_named(self) -> None:
        images = np.random.default_rng(1).integers(0, 256, (12, 9, 9, 6), dtype=np.uint8)
        last = small(channels="last").partial_fit(images)
        first = small(channels="first").partial_fit(images.transpose(0, 3, 1, 2))
        assert last.image_shape_ == (6, 9, 9)
        assert same(weights(last), weights(first))

    def test_floats_equal_bytes(self, digits: Any) -> None:
        images, labels = digits[0][:50], digits[1][:50]
        expected = weights(small(readout_epochs=2).fit(images, labels))
        for dtype in (np.float32, np.float64, np.dtype(">f4")):
            floats = (images / 255).astype(dtype)
            assert same(expected, weights(small(readout_epochs=2).fit(floats, labels)))

    def test_half_precision(self, digits: Any) -> None:
        images, labels, test_images, test_labels = digits
        half = (images / 255).astype(np.float16)
        model = small().fit(half, labels)
        assert model.predict_proba(half[:5]).dtype == np.float32
        assert model.score((test_images / 255).astype(np.float16), test_labels) > 0.75

    @pytest.mark.parametrize("dtype", [np.uint8, np.float32])
    def test_leaves_arrays_alone_whatever_their_memory(self, digits: Any, dtype: Any) -> None:
        images, labels = digits[0][:30].copy(), digits[1][:30].copy()
        images = images if dtype == np.uint8 else (images / 255).astype(dtype)
        expected = weights(small(readout_epochs=1).fit(images.copy(), labels))
        frozen, before = images.copy(), labels.copy()
        frozen.flags.writeable = labels.flags.writeable = False
        backwards = images[::-1, ::-1].copy()[::-1, ::-1]
        for form in (frozen, np.asfortranarray(images), backwards, list(images)):
            model = small(readout_epochs=1).fit(form, labels)
            model.partial_fit(form, labels).predict(form)
            assert same(expected, weights(small(readout_epochs=1).fit(form, labels)))
        assert (frozen == images).all() and (labels == before).all()

    @pytest.mark.parametrize(
        "names",
        [
            np.array([f"digit {i}" for i in range(10)]),
            np.array([chr(105 - i) for i in range(9)] + ["z"], dtype=object),
            np.array([7, -3, 100, 4, 5, 6, 8, 9, 10, 11]),
            np.arange(10.0) * 2,
            np.arange(10) % 2 == 1,
        ],
    )
    def test_classes_of_any_type(self, digits: Any, names: np.ndarray) -> None:
        images, labels = digits[0][:80], digits[1][:80]
        model = small().fit(images, names[labels])
        np.testing.assert_array_equal(model.classes_, np.unique(names))
        predicted = model.predict(images)
        assert predicted.dtype == names.dtype
        assert model.score(images, names[labels]) > 0.7
        np.testing.assert_array_equal(
            predicted, model.classes_[model.predict_proba(images).argmax(axis=1)]
        )

    def test_column_of_labels_is_taken_with_a_warning(self, digits: Any) -> None:
        images, labels = digits[0][:30], digits[1][:30]
        with pytest.warns(DataConversionWarning):
            model = small(readout_epochs=1).fit(images, labels[:, None])
        assert same(weights(model), weights(small(readout_epochs=1).fit(images, labels)))

    @settings(max_examples=20)
    @given(images=arrays(np.uint8, st.tuples(st.integers(1, 12), *[st.just(n) for n in (6, 6, 2)])))
    def test_any_bytes_can_be_learned(self, images: np.ndarray) -> None:
        codes = np.arange(len(images)) % 2
        model = small().partial_fit(images, codes, classes=[0, 1])
        probability = model.predict_proba(images)
        assert probability.shape == (len(images), 2)
        np.testing.assert_allclose(probability.sum(axis=1), 1, rtol=1e-5)
        np.testing.assert_array_equal(
            model.transform(images), model.transform(images.transpose(0, 3, 1, 2) / 255)
        )


class TestPartialFit:
    def test_learns_digits_in_small_batches(self, digits: Any) -> None:
        images, labels, test_images, test_labels = digits
        model = small()
        for _ in range(2):
            for rows in np.split(np.arange(600), 20):
                model.partial_fit(images[rows], labels[rows], classes=range(10))
        assert model.score(test_images, test_labels) > 0.7

    def test_first_call_is_one_epoch_of_fit(self, digits: Any) -> None:
        images, labels = digits[0][:70], digits[1][:70]
        fitted = small(readout_epochs=1).fit(images, labels)
        online = small().partial_fit(images, labels, classes=range(10))
        assert same(weights(fitted), weights(online))

    def test_without_labels_it_transforms_but_does_not_predict(self, digits: Any) -> None:
        images, labels = digits[0][:40], digits[1][:40]
        model = small()
        for method in (model.transform, model.predict, model.predict_proba):
            with pytest.raises(NotFittedError):
                method(images)
        model.partial_fit(images)
        assert same(blocks(model), blocks(small(readout_epochs=1).fit(images, labels)))
        assert model.transform(images).shape == (40, 24 * 14 * 14)
        for known in (None, range(10)):
            model.partial_fit(images, classes=known)
            for method in (model.predict, model.predict_proba):
                with pytest.raises(NotFittedError, match="no labels"):
                    method(images)
        model.partial_fit(images, labels)
        assert model.predict(images).shape == (40,)

    def test_labels_do_not_reach_the_blocks(self, digits: Any) -> None:
        images, labels = digits[0][:40], digits[1][:40]
        with_labels, without = small(), small()
        for rows in (slice(0, 25), slice(25, 40)):
            with_labels.partial_fit(images[rows], labels[rows], classes=range(10))
            without.partial_fit(images[rows])
        assert same(blocks(with_labels), blocks(without))

    def test_images_without_labels_leave_the_readout(self, digits: Any) -> None:
        images, labels = digits[0][:40], digits[1][:40]
        model = small(readout_epochs=2).fit(images, labels)
        before = weights(model)
        after = weights(model.partial_fit(images[:20]))
        assert torch.equal(before["readout.weight"], after["readout.weight"])
        assert not torch.equal(before["blocks.0.conv.weight"], after["blocks.0.conv.weight"])

    def test_readout_is_one_long_training_by_adam(self, digits: Any) -> None:
        """torch's Adam and autograd on the features of each call, dropout off: same readout."""
        images, labels = digits[0][:60], digits[1][:60]
        model = small().partial_fit(images[:20], classes=range(10))
        model.net_.spec = replace(model.net_.spec, dropout=0.0)
        mine = copy.deepcopy(model.net_.readout)
        optimizer = torch.optim.Adam(mine.parameters(), lr=1e-3)
        for rows in (slice(20, 40), slice(40, 60)):
            model.partial_fit(images[rows], labels[rows])
            features = torch.from_numpy(model.transform(images[rows])).half().float()
            optimizer.zero_grad()
            loss = torch.nn.functional.cross_entropy(mine(features), torch.tensor(labels[rows]))
            loss.backward()
            optimizer.step()
        torch.testing.assert_close(model.net_.readout.weight, mine.weight, rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(model.net_.readout.bias, mine.bias, rtol=1e-4, atol=1e-5)

    def test_order_and_number_of_batches_matter_and_are_reproducible(self, digits: Any) -> None:
        parts = [(digits[0][i : i + 20], digits[1][i : i + 20]) for i in (0, 20)]

        def online(*order: int) -> dict[str, torch.Tensor]:
            model = small()
            for i in order:
                model.partial_fit(*parts[i], classes=range(10))
            return weights(model)

        assert same(online(0, 1), online(0, 1))
        assert not same(online(0, 1), online(1, 0))
        assert not same(online(0, 1), online(0, 1, 1))

    def test_survives_pickle_between_calls(self, digits: Any) -> None:
        images, labels = digits[0][:40], digits[1][:40]
        model = small().partial_fit(images[:20], labels[:20], classes=range(10))
        copied = pickle.loads(pickle.dumps(model))
        model.partial_fit(images[20:], labels[20:])
        copied.partial_fit(images[20:], labels[20:])
        assert same(weights(model), weights(copied))

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            (lambda x, y: (x, y + 10), "y holds .*10.*; expected only the .* known classes"),
            (lambda x, y: (x, y, range(9)), r"classes is \[0 1 2 3 4 5 6 7 8\]; expected None or"),
            (lambda x, y: (x[:, :20, :20], y), r"shape \(1, 20, 20\) .*expected \(1, 28, 28\)"),
            (lambda x, y: (x, y[:3]), "y has 3 classes; expected 20, one for each image"),
            (lambda x, y: (x / 100, y), "X ranges from 0 to 2.55"),
        ],
    )
    def test_bad_batch_leaves_it_as_it_was(self, digits: Any, arguments: Any, message: str) -> None:
        images, labels = digits[0][:20], digits[1][:20]
        model = small().partial_fit(images, labels, classes=range(10))
        before = weights(model)
        with pytest.raises(InputError, match=message):
            model.partial_fit(*arguments(images, labels))
        assert same(before, weights(model))

    def test_first_labels_need_all_classes(self, digits: Any) -> None:
        model = small()
        with pytest.raises(InputError, match="classes is None in the first call with y"):
            model.partial_fit(digits[0][:20], digits[1][:20])
        with pytest.raises(InputError, match="classes holds 1 class"):
            model.partial_fit(digits[0][:20], classes=["cat"])
        assert not hasattr(model, "net_")


BAD_IMAGES = [
    (np.zeros((20, 784)), r"\(20, 784\), 2 dimensions; expected images .*image_shape=\(H, W\)"),
    (np.zeros(784), r"X has shape \(784,\), 1 dimensions; expected images as N x H x W"),
    (np.zeros((0, 28, 28)), r"X has shape \(0, 28, 28\); expected at least one image"),
    (np.zeros((20, 28, 28, 0)), r"X has shape \(20, 28, 28, 0\); expected at least one"),
    (np.zeros((20, 28, 30)), r"images of 28 x 30 pixels; expected square images"),
    (np.zeros((32, 32, 3)), r"images of 32 x 3 pixels; expected square .*pass X\[None\]"),
    (np.zeros((20, 28, 28, 7)), r"neither axis 1 nor axis 3 can be the channels"),
    (np.zeros((20, 3, 3, 3)), "both axis 1 and axis 3 can be the channels .*channels='first'"),
    (np.zeros((20, 28, 28), dtype=np.int64), "X has type int64; expected uint8, or floats"),
    (np.zeros((20, 28, 28), dtype=bool), "X has type bool; expected uint8"),
    (np.zeros((20, 28, 28), dtype=complex), "X has type complex128; expected uint8"),
    ([np.zeros((28, 28)), np.zeros((27, 27))], "X can't be used: .*inhomogeneous"),
    (np.full((20, 28, 28), 255.0), "X ranges from 255 to 255; expected uint8, or floats in"),
    (np.full((20, 28, 28), -0.5, dtype=np.float16), "X ranges from -0.5 to -0.5; expected"),
    (np.full((20, 28, 28), np.nan, dtype=np.float32), "X holds NaN or infinite values; expected"),
    (np.full((20, 28, 28), np.inf, dtype=np.float16), "X holds NaN or infinite values; expected"),
]
BAD_LABELS = [
    (None, "requires y to be passed, but the target y is None"),
    (np.arange(19), "y has 19 classes; expected 20, one for each image"),
    (np.zeros((20, 2)), r"y can't be used: .*shape \(20, 2\)"),
    (np.zeros(20), r"y holds 1 class \(0.0\); expected two or more"),
    (np.arange(20) / 3, "y can't be used: Unknown label type: continuous"),
    (
        np.where(np.arange(20) > 3, np.nan, 1),
        "y is missing 16 times; expected a class for each image",
    ),
    ([0, "a"] * 5 + [None] * 10, "y is missing 10 times"),
]
BAD_ARGUMENTS = [
    ({"batch_size": 0}, "batch_size is 0; expected a whole number, 1 or more"),
    ({"batch_size": 2.5}, "batch_size is 2.5; expected a whole number"),
    ({"depth": 0}, "depth is 0; expected a whole number, 1 or more"),
    ({"depth": 9}, "depth is 9; expected one of"),
    ({"depth": None}, "depth is None; expected"),
    ({"unsupervised_epochs": -1}, "unsupervised_epochs is -1; expected"),
    ({"readout_epochs": 0}, "readout_epochs is 0; expected"),
    ({"readout_batch_size": "64"}, "readout_batch_size is '64'; expected"),
    ({"readout_learning_rate": 0}, "readout_learning_rate is 0; expected more than 0"),
    ({"readout_learning_rate": float("nan")}, "readout_learning_rate is nan; expected"),
    ({"readout_learning_rate": None}, "readout_learning_rate is None; expected"),
    ({"preset": "svhn"}, "preset is 'svhn'; expected one of mnist"),
    ({"width": "3x"}, "width is '3x'; expected one of 1x, 2x, 4x"),
    ({"mode": "parallel"}, "mode is 'parallel'; expected one of successive, consecutive"),
    ({"precision": "fp16"}, "precision is 'fp16'; expected one of fp32, bf16"),
    ({"channels": "middle"}, "channels is 'middle'; expected one of auto, first, last"),
    ({"device": "abacus"}, "device is 'abacus'; expected"),
    ({"random_state": "dice"}, "random_state is 'dice'; expected a whole number"),
    ({"random_state": -1}, "random_state is -1; expected a whole number"),
    ({"preset": "imagenet"}, "X has images of 1 channels; expected 3 for preset 'imagenet'"),
]


class TestBadInput:
    GOOD_IMAGES = np.random.default_rng(0).integers(0, 256, (20, 28, 28), dtype=np.uint8)
    GOOD_LABELS = np.arange(20) % 2

    @pytest.mark.parametrize(("images", "message"), BAD_IMAGES)
    def test_images(self, images: Any, message: str) -> None:
        model = small(readout_epochs=1)
        with pytest.raises(InputError, match=message):
            model.fit(images, np.arange(len(images)) % 2)
        with pytest.raises(InputError, match=message):
            model.partial_fit(images)
        model.fit(self.GOOD_IMAGES, self.GOOD_LABELS)
        for method in (model.transform, model.predict, model.predict_proba):
            with pytest.raises(InputError, match=message):
                method(images)

    @pytest.mark.parametrize(("labels", "message"), BAD_LABELS)
    def test_labels(self, labels: Any, message: str) -> None:
        with pytest.raises(InputError, match=message):
            small().fit(self.GOOD_IMAGES, labels)

    @pytest.mark.parametrize(("changes", "message"), BAD_ARGUMENTS)
    def test_arguments(self, changes: dict[str, Any], message: str) -> None:
        model = small(**changes)
        with pytest.raises(InputError, match=message):
            model.fit(self.GOOD_IMAGES, self.GOOD_LABELS)
        with pytest.raises(InputError, match=message):
            model.partial_fit(self.GOOD_IMAGES)

    def test_images_too_small_for_the_depth(self) -> None:
        with pytest.raises(InputError, match="image_size is 4: block 3 gets a map of 1 x 1"):
            small(depth=3).fit(self.GOOD_IMAGES[:, :4, :4], self.GOOD_LABELS)

    @pytest.mark.parametrize("shape", [(2, 20, 20), (2, 3, 28, 28), (2, 28, 28, 2)])
    def test_other_images_than_fitted(self, shape: tuple[int, ...]) -> None:
        model = small(readout_epochs=1).fit(self.GOOD_IMAGES, self.GOOD_LABELS)
        for method in (model.transform, model.predict, model.predict_proba):
            with pytest.raises(InputError, match=r"expected \(1, 28, 28\) as in earlier images"):
                method(np.zeros(shape, dtype=np.uint8))


class OnTables(SoftHebbClassifier):
    """Makes gray images of table rows, so that scikit-learn's own checks, all on tables, can run.

    A row is repeated over a 6 x 6 image, its numbers squashed into [0, 1]. Only the shape of X is
    checked here and not by the estimator itself.
    """

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array = True
        return tags

    def fit(self, X: Any, y: Any) -> Any:
        super().fit(self._drawn(X, reset=True), y)
        self.n_features_in_ = self._columns
        return self

    def partial_fit(self, X: Any, y: Any = None, classes: Any = None) -> Any:
        super().partial_fit(self._drawn(X, reset=not hasattr(self, "net_")), y, classes)
        self.n_features_in_ = self._columns
        return self

    def transform(self, X: Any) -> Any:
        check_is_fitted(self)
        return super().transform(self._drawn(X))

    def predict_proba(self, X: Any) -> Any:
        check_is_fitted(self)
        return super().predict_proba(self._drawn(X))

    def _drawn(self, X: Any, reset: bool = False) -> np.ndarray:
        table = validate_data(self, X, reset=reset, dtype="numeric").astype(float)
        self._columns = table.shape[1]
        pixels = 1 / (1 + np.exp(-np.clip(table, -50, 50)))
        return pixels[:, np.resize(np.arange(self._columns), 36)].reshape(-1, 6, 6)


class TestScikitLearn:
    @parametrize_with_checks([OnTables(**SMALL | {"readout_learning_rate": 0.02})])
    def test_checks_on_table_rows_drawn_as_images(self, estimator: Any, check: Any) -> None:
        check(estimator)

    def test_checks_of_its_own_tags(self) -> None:
        with pytest.warns(SkipTestWarning, match="two_d_array=False, three_d_array=True"):
            outcome = check_estimator(small(), on_fail="raise")
        assert {check["status"] for check in outcome} == {"passed"}

    def test_parameters(self) -> None:
        model = small(random_state=np.random.RandomState(0)).set_params(depth=2, mode="consecutive")
        assert model.get_params()["depth"] == 2
        copied = clone(model)
        assert copied is not model
        assert copied.get_params().keys() == model.get_params().keys()
        assert repr(small()) == repr(clone(small()))

    def test_pickle(self, digits: Any) -> None:
        images, labels = digits[0][:40], digits[1][:40]
        model = small(readout_epochs=2).fit(images, labels)
        copied = pickle.loads(pickle.dumps(model))
        np.testing.assert_array_equal(model.predict_proba(images), copied.predict_proba(images))
        np.testing.assert_array_equal(model.transform(images), copied.transform(images))

    def test_in_a_pipeline(self, digits: Any) -> None:
        images, labels, test_images, test_labels = digits
        scaled = FunctionTransformer(lambda x: x / np.float32(255))
        last = make_pipeline(scaled, small()).fit(images[:300], labels[:300])
        first = make_pipeline(small(readout_epochs=1), RidgeClassifier())
        first.fit(images[:300], labels[:300])
        assert last.score(test_images, test_labels) > 0.7
        assert first.score(test_images, test_labels) > 0.6

    def test_in_model_selection(self, colors: Any) -> None:
        images, labels = colors
        assert cross_val_score(small(), images, labels, cv=3).min() > 0.8
        grid = {"readout_epochs": [1, 20], "depth": [1, 2]}
        search = GridSearchCV(small(), grid, cv=2, error_score="raise").fit(images, labels)
        assert search.best_score_ > 0.8
        assert search.predict(images).shape == (60,)

    def test_import_of_the_package_leaves_scikit_learn_alone(self) -> None:
        code = (
            "import sys, plastorch; assert 'sklearn' not in sys.modules; "
            "from plastorch import SoftHebbClassifier; assert 'sklearn' in sys.modules"
        )
        subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
        assert plastorch.SoftHebbClassifier is plastorch.hebbian.SoftHebbClassifier
        for module in (plastorch, plastorch.hebbian):
            with pytest.raises(AttributeError, match="has no attribute 'SoftHebbClassifer'"):
                _ = module.SoftHebbClassifer


def test_rows_of_a_table_are_images_of_a_shape(capsys: pytest.CaptureFixture[str]) -> None:
    random = np.random.default_rng(0)
    for shape in ((8, 8), (8, 8, 3), (3, 8, 8)):
        images, labels = random.random((20, *shape), dtype=np.float32), np.arange(20) % 2
        whole = SoftHebbClassifier(**SMALL | {"preset": "cifar10"}).fit(images, labels)
        flat = clone(whole).set_params(image_shape=shape, verbose=shape == (8, 8))
        told = flat.fit(images.reshape(20, -1), labels).predict_proba(images.reshape(20, -1))
        np.testing.assert_array_equal(told, whole.predict_proba(images))
        assert ("readout" in capsys.readouterr().out) is (shape == (8, 8))


def test_digits_of_scikit_learn_are_read_as_well_as_by_logistic_regression() -> None:
    """The settings were chosen on a quarter of the training rows."""
    rows, labels = load_digits(return_X_y=True)
    known, new, known_labels, new_labels = train_test_split(
        rows / 16, labels, stratify=labels, random_state=0
    )
    chosen = {"width": "double", "readout_learning_rate": 0.01, "image_shape": (8, 8)}
    ours = SoftHebbClassifier("mnist", depth=1, **chosen).fit(known, known_labels)
    theirs = LogisticRegression(max_iter=2000).fit(known, known_labels)
    assert ours.score(new, new_labels) >= theirs.score(new, new_labels) > 0.9


@pytest.mark.parametrize("shape", [(8, 9), (64,), [8, 8], (-8, -8), "8x8", (8.0, 8.0)])
def test_a_shape_that_does_not_fit_is_refused(shape: Any) -> None:
    with pytest.raises(InputError, match=r"image_shape is .* expected \(H, W\), .* 64 values"):
        SoftHebbClassifier(image_shape=shape).fit(np.zeros((4, 64)), [0, 1, 0, 1])
