"""Readouts against torch's own modules and autograd."""

from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from plastorch.engine.errors import InputError
from plastorch.engine.streams import stream
from plastorch.hebbian import SoftHebbNet, preset
from plastorch.hebbian.features import FeatureExtraction, augmented, cached, deviation_of, mean_of
from plastorch.hebbian.networks import blocks_of
from plastorch.hebbian.optim import readout_rate
from plastorch.hebbian.readout import (
    DropoutMask,
    ReadoutTraining,
    assign_labels,
    predict,
    scores,
)
from plastorch.hebbian.streams import Stream
from plastorch.learning.phases import run_phase


def problem(n: int = 60, features: int = 16, classes: int = 3) -> tuple[Tensor, Tensor]:
    random = torch.Generator().manual_seed(0)
    labels = torch.randint(0, classes, (n,), generator=random)
    centers = torch.randn(classes, features, generator=random)
    return centers[labels] + 0.3 * torch.randn(n, features, generator=random), labels


def test_training_equals_autograd_with_torchs_modules() -> None:
    """Same order and masks, but nn.Linear, cross-entropy, autograd and unfused Adam."""
    x, labels = problem()
    torch.manual_seed(1)
    ours, theirs = nn.Linear(16, 3), nn.Linear(16, 3)
    theirs.load_state_dict(ours.state_dict())
    records = run_phase(
        ReadoutTraining(
            ours,
            cached(x),
            labels,
            x,
            labels,
            epochs=20,
            batch_size=8,
            dropout=0.5,
            learning_rate=0.01,
            seed=4,
        )
    )
    optimizer = torch.optim.Adam(theirs.parameters())
    mask = DropoutMask(0.5, "cpu")
    for epoch in range(20):
        random = stream(4, Stream.READOUT, epoch)
        order = torch.randperm(60, generator=random)
        optimizer.param_groups[0]["lr"] = readout_rate(0.01, epoch, 20)
        loss_sum = 0.0
        for rows in order.split(8):
            loss = F.cross_entropy(theirs(x[rows] * mask((len(rows), 16), random)), labels[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            loss_sum += float(loss.detach()) * len(rows)
        assert records[epoch]["loss"] == pytest.approx(loss_sum / 60, rel=1e-4)
    torch.testing.assert_close(ours.state_dict(), theirs.state_dict(), rtol=1e-4, atol=1e-5)
    assert records[-1]["test_accuracy"] == float((theirs(x).argmax(1) == labels).double().mean())
    assert records[-1]["test_accuracy"] > 0.95


def test_centered_training_equals_plain_training_on_what_is_left_without_the_mean() -> None:
    x, labels = problem()
    x = x + 5 * torch.randn(16, generator=torch.Generator().manual_seed(2))
    mean = mean_of(x)
    torch.testing.assert_close(mean, x.mean(dim=0))
    torch.manual_seed(1)
    ours, theirs = nn.Linear(16, 3), nn.Linear(16, 3)
    with torch.no_grad():
        theirs.weight.copy_(ours.weight)
        theirs.bias.copy_(ours.bias + ours.weight @ mean)
    records = run_phase(
        ReadoutTraining(
            ours, cached(x), labels, x, labels, epochs=20, batch_size=8, seed=4, mean=mean
        )
    )
    left = x - mean
    known = run_phase(
        ReadoutTraining(theirs, cached(left), labels, left, labels, epochs=20, batch_size=8, seed=4)
    )
    torch.testing.assert_close(ours.weight, theirs.weight, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(ours(x), theirs(left), rtol=1e-4, atol=1e-4)
    for key in ("loss", "train_accuracy", "test_accuracy"):
        assert [r[key] for r in records] == pytest.approx([r[key] for r in known], rel=1e-4)


def test_standardized_training_equals_plain_training_on_standardized_features() -> None:
    x, labels = problem()
    x = (x + 5 * torch.randn(16, generator=torch.Generator().manual_seed(2))) * torch.logspace(
        -3, 3, 16
    )
    mean = mean_of(x)
    deviation = deviation_of(x, mean)
    floor = x.std(dim=0, correction=0).mean() / 10
    torch.testing.assert_close(deviation, x.std(dim=0, correction=0).clamp_min(floor))
    torch.manual_seed(1)
    ours, theirs = nn.Linear(16, 3), nn.Linear(16, 3)
    theirs.load_state_dict(ours.state_dict())
    settings: Any = {"epochs": 20, "batch_size": 8, "seed": 4}
    records = run_phase(
        ReadoutTraining(
            ours, cached(x), labels, x, labels, **settings, mean=mean, deviation=deviation
        )
    )
    left = (x - mean) / deviation
    known = run_phase(ReadoutTraining(theirs, cached(left), labels, left, labels, **settings))
    torch.testing.assert_close(ours.weight * deviation, theirs.weight, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(ours(x), theirs(left), rtol=1e-4, atol=1e-4)
    for key in ("loss", "train_accuracy", "test_accuracy"):
        assert [r[key] for r in records] == pytest.approx([r[key] for r in known], rel=1e-4)


@pytest.mark.parametrize("finished", [0, 1])
def test_an_epoch_that_failed_begins_anew(finished: int) -> None:
    x, labels = problem()
    x = x * torch.logspace(-3, 3, 16)
    mean, ends = mean_of(x), []
    settings: Any = {"epochs": 3, "mean": mean, "deviation": deviation_of(x, mean)}

    def failing(rows: Tensor, random: torch.Generator) -> Tensor:
        raise OSError("no such file")

    for failures in (0, 3):
        torch.manual_seed(1)
        readout = nn.Linear(16, 3)
        training = ReadoutTraining(readout, cached(x), labels, x, labels, **settings)
        for _ in range(finished):
            training.step()
        training.source = failing
        for _ in range(failures):
            with pytest.raises(OSError, match="no such file"):
                training.step()
        training.source = cached(x)
        run_phase(training)
        ends.append(readout(x))
    torch.testing.assert_close(*ends, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float8_e5m2])
@pytest.mark.parametrize("dropout", [0.0, 0.5, 0.25, 3 / 256])
def test_narrow_features_are_learned_from_as_if_they_were_wide(
    dtype: torch.dtype, dropout: float
) -> None:
    x, labels = problem(features=37)
    x = x.to(dtype)
    mean = mean_of(x)
    settings: Any = {
        "epochs": 5,
        "batch_size": 8,
        "dropout": dropout,
        "mean": mean,
        "deviation": deviation_of(x, mean),
    }
    torch.manual_seed(1)
    ours, theirs = nn.Linear(37, 3), nn.Linear(37, 3)
    theirs.load_state_dict(ours.state_dict())
    found = run_phase(ReadoutTraining(ours, cached(x), labels, x, labels, **settings))
    wide = run_phase(
        ReadoutTraining(theirs, cached(x.float()), labels, x.float(), labels, **settings)
    )
    assert [r["loss"] for r in found] == pytest.approx([r["loss"] for r in wide], rel=1e-5)
    torch.testing.assert_close(ours.state_dict(), theirs.state_dict(), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("taken_account_of", [(), ("mean",), ("mean", "deviation")])
def test_resumed_training_has_the_same_bits(taken_account_of: tuple[str, ...]) -> None:
    x, labels = problem()
    mean = mean_of(x)
    statistics: Any = {"mean": mean, "deviation": deviation_of(x, mean)}
    given = {name: statistics[name] for name in taken_account_of}

    def fresh() -> ReadoutTraining:
        torch.manual_seed(1)
        return ReadoutTraining(
            nn.Linear(16, 3), cached(x), labels, x, labels, epochs=6, batch_size=8, **given
        )

    whole = fresh()
    expected = run_phase(whole)
    part = fresh()
    records = [part.step()[0] for _ in range(3)]
    resumed = fresh()
    resumed.readout.load_state_dict(part.readout.state_dict())
    resumed.position = 3
    resumed.load_state_dict({k: v.clone() for k, v in part.state_dict().items()})
    records += run_phase(resumed)
    assert records == expected
    assert torch.equal(whole.readout.weight, resumed.readout.weight)


@pytest.mark.parametrize("p", [0.0, 3 / 256, 0.25, 0.4, 0.5, 0.75, 0.9])
def test_dropout_mask_statistics(p: float) -> None:
    mask = DropoutMask(p, "cpu")((501, 803), torch.Generator().manual_seed(0))
    kept = mask > 0
    assert mask.shape == (501, 803)
    assert torch.allclose(mask[kept], torch.tensor(1 / (1 - p)))
    error = 5 * (p * (1 - p) / mask.numel()) ** 0.5
    assert float(kept.double().mean()) == pytest.approx(1 - p, abs=error + 1e-12)
    for neighbors in (kept[:, :-1] ^ kept[:, 1:], kept[:-1] ^ kept[1:]):
        wanted, n = 2 * p * (1 - p), neighbors.numel()
        assert float(neighbors.double().mean()) == pytest.approx(wanted, abs=5 / n**0.5)


@pytest.mark.parametrize(("p", "masks"), [(0.5, 64), (0.25, 32), (0.875, 16), (3 / 256, 8)])
def test_dropout_mask_uses_every_bit(p: float, masks: int) -> None:
    """Each position of a word is kept as often as any other, that of the sign bit too."""
    mask = DropoutMask(p, "cpu")((1000, masks), torch.Generator().manual_seed(0))
    error = 5 * (p / (1 - p) / len(mask)) ** 0.5
    assert torch.allclose(mask.mean(0), torch.ones(masks), atol=error)


def small_net() -> SoftHebbNet:
    return SoftHebbNet(preset("mnist", 1, "quarter"), 1, 28, 10, generator=stream(0))


def test_features_are_extracted_in_half_precision() -> None:
    net, images = small_net(), torch.randint(0, 256, (25, 1, 28, 28), dtype=torch.uint8)
    extraction = FeatureExtraction(net, images, batch_size=10)
    assert extraction.total == 3
    for _ in range(3):
        extraction.step()
    assert extraction.features.dtype == torch.float16
    expected = net.eval().features(images)
    torch.testing.assert_close(extraction.features.float(), expected, rtol=1e-3, atol=1e-3)


def test_features_beyond_half_precision_are_kept_in_single() -> None:
    net, images = small_net(), torch.randint(0, 256, (25, 1, 28, 28), dtype=torch.uint8)
    with torch.no_grad():
        blocks_of(net)[0].conv.weight.mul_(1e7)
    extraction = FeatureExtraction(net, images, batch_size=10)
    run_phase(extraction)
    assert extraction.features.dtype == torch.float32
    expected = net.features(images)
    assert (extraction.features - expected).abs().max() < 1e-5 * expected.max()


def test_a_narrow_cache_keeps_two_bits_of_mantissa() -> None:
    net, images = small_net(), torch.randint(0, 256, (25, 1, 28, 28), dtype=torch.uint8)
    extraction = FeatureExtraction(net, images, batch_size=10, dtype=torch.float8_e5m2)
    run_phase(extraction)
    assert extraction.features.element_size() == 1
    found = cached(extraction.features)(torch.arange(25), torch.Generator()).float()
    expected = net.eval().features(images)
    torch.testing.assert_close(found, expected, rtol=1 / 8, atol=2**-16)
    assert found.sum() == pytest.approx(float(expected.sum().detach()), rel=0.01)


def test_the_last_features_are_replaced_by_those_of_other_images() -> None:
    net, images = small_net(), torch.randint(0, 256, (25, 1, 28, 28), dtype=torch.uint8)
    extraction = FeatureExtraction(net, images, batch_size=4)
    run_phase(extraction)
    extraction.replace_last(images[:10].flip(2))
    wanted = torch.cat([images[:15], images[:10].flip(2)])
    expected = net.eval().features(wanted).detach().half()
    torch.testing.assert_close(extraction.features, expected)


def test_the_source_is_renewed_before_each_epoch() -> None:
    x, labels = problem()
    epochs, seen = [], []

    def source(rows: Tensor, random: torch.Generator) -> Tensor:
        seen.append(len(epochs))
        return x[rows]

    run_phase(
        ReadoutTraining(
            nn.Linear(16, 3),
            source,
            labels,
            x,
            labels,
            epochs=3,
            batch_size=60,
            renew=epochs.append,
        )
    )
    assert epochs == [0, 1, 2] and seen == [1, 2, 3]


def test_each_image_shows_each_of_its_views_equally_often() -> None:
    """Views are told apart by their value: image i, view v has the feature 10 i + v."""
    count, views = 7, 5
    image, view = torch.meshgrid(torch.arange(count), torch.arange(views), indexing="ij")
    features = (10 * image + view).T.reshape(-1, 1).half()
    rows = torch.randint(count, (20_000,), generator=torch.Generator().manual_seed(1))
    found = cached(features, views)(rows, torch.Generator().manual_seed(2))[:, 0].long()
    assert torch.equal(found // 10, rows)
    shares = torch.bincount(rows * views + found % 10, minlength=count * views) / len(rows)
    expected = 1 / (count * views)
    deviation = (expected * (1 - expected) / len(rows)) ** 0.5
    assert float((shares - expected).abs().max()) < 5 * deviation


def test_non_finite_features_are_named() -> None:
    net, images = small_net(), torch.zeros(2, 1, 28, 28, dtype=torch.uint8)
    with torch.no_grad():
        blocks_of(net)[0].conv.weight[0] = float("nan")
    with pytest.raises(InputError, match="NaN or infinite"):
        FeatureExtraction(net, images).step()


def test_augmented_source_recomputes_features() -> None:
    net, images = small_net(), torch.randint(0, 256, (9, 1, 28, 28), dtype=torch.uint8)
    source = augmented(
        net, images, lambda batch, rows, random: batch.flip(-1).float(), torch.no_grad()
    )
    rows = torch.tensor([4, 2])
    expected = net.eval().features(images[rows].flip(-1))
    torch.testing.assert_close(source(rows, torch.Generator()), expected)


def test_label_assignment_is_a_count_of_wins() -> None:
    random = torch.Generator().manual_seed(0)
    activation = torch.rand(200, 12, generator=random)
    activation[:, 11] = -1  # never wins
    labels = torch.randint(0, 4, (200,), generator=random)
    winners = activation.argmax(1)
    expected = []
    for neuron in range(12):
        wins = np.bincount(labels[winners == neuron].numpy(), minlength=4)
        sums = [float(activation[labels == c, neuron].sum()) for c in range(4)]
        expected.append(int(wins.argmax()) if wins.any() else int(np.argmax(sums)))
    assert assign_labels(activation, labels, 4).tolist() == expected


def test_predict_is_the_readouts_best_class() -> None:
    x, _ = problem()
    readout = nn.Linear(16, 3)
    predicted = predict(readout, x.half())
    assert torch.equal(predicted, readout(x.half().float()).argmax(1))
    torch.testing.assert_close(scores(readout, x.half()), readout(x.half().float()))


BAD = [
    ({"epochs": 0}, "epochs is 0"),
    ({"learning_rate": 0.0}, "learning_rate is 0"),
    ({"learning_rate": -1.0}, "learning_rate is -1"),
    ({"dropout": 1.0}, "dropout is 1"),
    ({"labels": torch.tensor([0, 3])}, "labels lie in 0..3; expected 0..2"),
    ({"labels": torch.tensor([0, -1])}, "labels lie in -1..0"),
    ({"mean": torch.zeros(3)}, r"mean has shape \(3,\); expected \(16,\)"),
    ({"deviation": torch.ones(3)}, r"deviation has shape \(3,\); expected \(16,\)"),
    ({"deviation": torch.arange(16.0)}, "deviation holds 0.0; expected all above 0"),
]


@pytest.mark.parametrize(("options", "message"), BAD)
def test_bad_settings_are_named(options: dict, message: str) -> None:
    x, labels = problem(2)
    given = {"labels": labels, "test_features": x, "test_labels": labels} | options
    with pytest.raises(InputError, match=message):
        ReadoutTraining(nn.Linear(16, 3), cached(x), **given)
