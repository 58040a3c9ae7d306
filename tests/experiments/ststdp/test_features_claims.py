"""Claims of ststdp-features: targets, the better of two rivals, and no judgment of smoke runs."""

import pytest

from plastorch.experiments.ststdp.features import MODELS
from plastorch.experiments.ststdp.features_claims import claims

GOOD = {
    "features_short_term": 0.9,
    "features_static": 0.8,
    "pixels_short_term": 0.7,
    "pixels_cnn": 0.85,
    "features_cnn": 0.8,
    "pixels_lstm": 0.7,
    "features_lstm": 0.88,
}


def found(transform: str = "scale", **changes: float) -> dict[str, float]:
    return {f"{transform}_{model}_accuracy": value for model, value in (GOOD | changes).items()}


def test_all_claims_hold_of_good_figures() -> None:
    rows = {claim.id: claim for claim in claims(found(), ["scale"], MODELS, True)}
    assert list(rows) == [
        "scale-features",
        "scale-above-static",
        "scale-above-cnn",
        "scale-above-lstm",
    ]
    assert all(claim.holds and claim.origin == "ours" for claim in rows.values())
    assert rows["scale-features"].measured == pytest.approx(0.2)
    assert rows["scale-features"].target == 0.15
    assert (
        rows["scale-above-cnn"].target == 0.85 and "(pixels)" in rows["scale-above-cnn"].statement
    )
    assert rows["scale-above-lstm"].target == 0.88


@pytest.mark.parametrize(
    ("model", "value", "name"),
    [
        ("pixels_short_term", 0.76, "scale-features"),
        ("features_static", 0.9, "scale-above-static"),
        ("features_cnn", 0.95, "scale-above-cnn"),
        ("pixels_lstm", 0.95, "scale-above-lstm"),
    ],
)
def test_each_claim_can_fail(model: str, value: float, name: str) -> None:
    rows = claims(found(**{model: value}), ["scale"], MODELS, True)
    assert [claim.id for claim in rows if not claim.holds] == [name]


def test_under_occlusion_pixels_need_no_features() -> None:
    rows = claims(found("occlusion"), ["occlusion"], MODELS, True)
    assert "occlusion-features" not in [claim.id for claim in rows] and len(rows) == 3


def test_a_smoke_run_proves_nothing() -> None:
    assert {claim.holds for claim in claims(found(), ["scale"], MODELS, False)} == {None}


def test_networks_that_were_left_out_are_in_no_claim() -> None:
    circuits = {k: v for k, v in found().items() if "cnn" not in k and "lstm" not in k}
    rows = claims(circuits, ["scale"], (), True)
    assert [claim.id for claim in rows] == ["scale-features", "scale-above-static"]
