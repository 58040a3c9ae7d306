"""Ridge readout, compared with scikit-learn's."""

import pytest
import torch
from sklearn.linear_model import Ridge
from sklearn.preprocessing import StandardScaler

from plastorch.engine.errors import InputError
from plastorch.hebbian import ridge
from plastorch.hebbian.ridge import PENALTIES, FrozenFeatures, Moments, RidgeReadout, coarse


def rows(count: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Returns features [N, 36] far from 0 and of several scales, and labels that they tell."""
    random = torch.Generator().manual_seed(seed)
    features = torch.randn(count, 36, generator=random)
    labels = features[:, :3].argmax(dim=1)
    return 40 + features * torch.logspace(-0.4, 0.6, 36), labels


def fitted(features: torch.Tensor, labels: torch.Tensor) -> RidgeReadout:
    test, test_labels = rows(500, 1)
    frozen = FrozenFeatures(
        lambda rows: features[rows], labels, test, test_labels, classes=3, maps=[(9, 2)]
    )
    readout = RidgeReadout(frozen)
    while readout.position < readout.total:
        readout.step()
    return readout


@pytest.mark.parametrize(("penalty", "block"), [(1.0, 1024), (0.001, 1024), (0.001, 10)])
def test_solution_is_that_of_another_library(
    penalty: float, block: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ridge, "BLOCK", block)
    features, labels = rows(3000, 0)
    targets = torch.nn.functional.one_hot(labels).float()
    moments = Moments(features[:100].mean(dim=0), 3)
    for some, of in zip(features.split(700), targets.split(700), strict=True):
        moments.add(some, of)
    weight, bias = moments.solve(penalty)
    scaler = StandardScaler().fit(features.double())
    other = Ridge(alpha=penalty * len(features))
    other.fit(scaler.transform(features.double()), targets.double())
    expected = torch.from_numpy(other.predict(scaler.transform(features.double()))).float()
    # Deviations here lie above the least one, so that both divide by the same.
    torch.testing.assert_close(features @ weight + bias, expected, atol=2e-4, rtol=0)


def test_sums_of_parts_add_up() -> None:
    features, labels = rows(400, 0)
    targets = torch.nn.functional.one_hot(labels).float()
    whole, first, second = (Moments(features[0], 3) for _ in range(3))
    whole.add(features, targets)
    first.add(features[:150], targets[:150])
    second.add(features[150:], targets[150:])
    first.add_all_of(second)
    torch.testing.assert_close(first.solve(0.1)[0], whole.solve(0.1)[0], rtol=1e-4, atol=1e-5)


def test_it_tells_classes_and_chooses_a_penalty_of_held_out_rows() -> None:
    figures = fitted(*rows(5000, 0)).figures
    assert figures["ridge_accuracy"] > 0.9 and figures["ridge_penalty"] in PENALTIES
    assert abs(figures["ridge_accuracy"] - figures["ridge_held_out_accuracy"]) < 0.05


def test_labels_without_meaning_leave_chance() -> None:
    features, labels = rows(5000, 0)
    shuffled = labels[torch.randperm(len(labels), generator=torch.Generator().manual_seed(2))]
    assert fitted(features, shuffled).figures["ridge_accuracy"] < 0.45


def test_scales_of_features_do_not_matter() -> None:
    features, labels = rows(2000, 0)
    test, test_labels = rows(500, 1)
    found = []
    for scale in (1.0, 1e-3):
        frozen = FrozenFeatures(
            lambda rows, scale=scale: scale * features[rows],  # type: ignore[misc]
            labels,
            scale * test,
            test_labels,
            classes=3,
            maps=[(36, 1)],
        )
        readout = RidgeReadout(frozen)
        while readout.position < readout.total:
            readout.step()
        found.append(readout.figures["ridge_accuracy"])
    assert found[0] == pytest.approx(found[1], abs=0.005)


def test_maps_are_averaged_until_they_are_few() -> None:
    maps = torch.arange(2 * 3 * 16.0).view(2, 48)
    averaged = coarse(maps, [(3, 4)], most=12)
    assert averaged.shape == (2, 12)
    assert averaged[0, 0] == maps[0, [0, 1, 4, 5]].mean()
    assert torch.equal(coarse(maps, [(3, 4)], most=48), maps)
    assert coarse(maps, [(3, 4)], most=1).shape == (2, 3)
    both = torch.cat([maps, maps[:, :8]], dim=1)  # two maps more, of side 2, which are kept
    assert torch.equal(coarse(both, [(3, 4), (2, 2)], most=20)[:, 12:], maps[:, :8])
    assert coarse(both, [(3, 4), (2, 2)], most=1).shape == (2, 5)
    odd = torch.ones(1, 9)
    assert torch.equal(coarse(odd, [(1, 3)], most=4), torch.ones(1, 4))


def test_labels_outside_of_the_classes_are_refused() -> None:
    features, labels = rows(100, 0)
    with pytest.raises(InputError, match=r"labels lie in 0\.\.2; expected 0\.\.1"):
        RidgeReadout(
            FrozenFeatures(lambda rows: features, labels, features, labels, 2, maps=[(36, 1)])
        )
