"""What a ststdp-digits log comes to: figures by name, chosen settings, and claims that can fail."""

import pytest
import torch

from plastorch.experiments.ststdp.claims import claims
from plastorch.experiments.ststdp.digits import MAIN
from plastorch.experiments.ststdp.jobs import chosen
from plastorch.experiments.ststdp.measuring import CONTROLS, DYNAMIC, GRIDS, tried
from plastorch.experiments.ststdp.metrics import curves, metrics, selected

GOOD = {
    "static": 0.5,
    "short-term": 0.95,
    "neuron-trace": 0.6,
    "presynaptic": 0.5,
    "static-mlp": 0.3,
    "static-cnn": 0.4,
    "mlp": 0.7,
    "cnn": 0.8,
    "rnn": 0.6,
    "gru": 0.9,
    "lstm": 0.85,
    "smoothed-mlp": 0.7,
    "smoothed-cnn": 0.82,
    "spiking": 0.93,
    "spiking-static": 0.4,
}


def rows_of(transform: str, accuracy: dict[str, float]) -> list[dict]:
    return [
        {
            "phase": f"tests-{transform}",
            "step": 1,
            "transform": transform,
            "model": model,
            "accuracy": value,
            "middle": value,
            "recovery": 1.0,
            "at_0": value,
            "at_1": value,
        }
        for model, value in accuracy.items()
    ]


def theory() -> list[dict]:
    mismatch = [
        {"phase": "theory", "step": 4, "world": "mismatch", "ratio": ratio, "error": error}
        for ratio, error in ((0.5, 0.6), (1.0, 0.5), (8.0, 1.2))
    ]
    return [
        {"world": "named", "difference": 1e-12, "prediction_difference": 1e-12},
        {"world": "unnamed", "short_term_gap": 0.05, "kalman_gap": 0.03, "static_gap": 0.08},
        {
            "world": "one object",
            "error": 0.221,
            "kalman_error": 0.22,
            "static_error": 1.0,
            "best_gain": 1.0,
        },
        *mismatch,
        {"world": "objects", "tau": 40.0, "short_term": 0.86, "kalman": 0.8, "static": 0.8},
    ]


def log(transforms: tuple[str, ...] = DYNAMIC) -> list[dict]:
    rows = theory()
    for transform in transforms:
        rows += rows_of(transform, GOOD)
    rest = {"static": 0.9, "short-term": 0.895}
    rows += rows_of("new-digits", rest) + rows_of("static", rest)
    return rows + rows_of("abrupt", {"static": 0.3, "short-term": 0.2})


def held(rows: list[dict], evidence: bool = True) -> dict[str, bool | None]:
    found = claims(metrics(rows), DYNAMIC, MAIN, evidence)
    assert len({claim.id for claim in found}) == len(found)
    return {claim.id: claim.holds for claim in found}


def test_all_claims_hold_of_a_run_as_claimed() -> None:
    found = held(log())
    assert found == dict.fromkeys(found, True)
    for transform in DYNAMIC:
        for rival in ("frame-nets", "recurrent-nets", "smoothed", "unaware-nets", "static"):
            assert f"{transform}-above-{rival}" in found
            assert f"{transform}-spiking-above-{rival}" in found
    assert {
        "occlusion-gain",
        "occlusion-gain-middle",
        "neuron-trace",
        "presynaptic",
        "spiking",
        "spiking-convolutional",
        "abrupt",
    } <= set(found)
    assert {"at-rest-new-digits", "at-rest-static", "exact", "kalman", "objects-40"} <= set(found)
    assert set(held(log(), evidence=False).values()) == {None}


def both(transform: str, rival: str) -> set[str]:
    return {f"{transform}-above-{rival}", f"{transform}-spiking-above-{rival}"}


@pytest.mark.parametrize(
    ("transform", "model", "value", "lost"),
    [
        ("rotation", "cnn", 0.94, {"rotation-spiking-above-frame-nets"}),
        ("rotation", "cnn", 0.96, both("rotation", "frame-nets")),
        ("scale", "gru", 0.96, both("scale", "recurrent-nets")),
        ("mixed", "smoothed-cnn", 0.95, both("mixed", "smoothed")),
        ("scale", "static-cnn", 0.96, both("scale", "unaware-nets")),
        ("contrast", "static", 0.95, {"contrast-above-static"}),
        ("occlusion", "neuron-trace", 0.9, {"neuron-trace"}),
        ("occlusion", "presynaptic", 0.8, {"presynaptic"}),
        ("occlusion", "spiking-static", 0.75, {"spiking"}),
        ("occlusion", "smoothed-cnn", 0.89, {"spiking-convolutional"}),
        ("mixed", "spiking-static", 0.94, {"mixed-spiking-above-static"}),
        ("abrupt", "short-term", 0.4, {"abrupt"}),
        ("new-digits", "short-term", 0.88, {"at-rest-new-digits"}),
    ],
)
def test_claims_fail_one_by_one(transform: str, model: str, value: float, lost: set[str]) -> None:
    rows = log()
    for row in rows:
        if (row.get("transform"), row.get("model")) == (transform, model):
            row |= {"accuracy": value, "middle": value}
    assert {name for name, holds in held(rows).items() if holds is False} == lost


@pytest.mark.parametrize(
    ("world", "field", "value", "lost"),
    [
        ("named", "difference", 1e-5, "exact"),
        ("unnamed", "short_term_gap", 0.09, "nearer-exact"),
        ("one object", "error", 0.23, "kalman"),
        ("one object", "best_gain", 2.0, "gain"),
        ("objects", "short_term", 0.84, "objects-40"),
    ],
)
def test_theory_can_fail(world: str, field: str, value: float, lost: str) -> None:
    rows = log()
    for row in rows:
        if row.get("world") == world:
            row[field] = value
    assert [name for name, holds in held(rows).items() if holds is False] == [lost]


def test_claims_name_the_circuit_that_they_are_about() -> None:
    found = {claim.id: claim for claim in claims(metrics(log()), DYNAMIC, MAIN, True)}
    theory = {"exact", "nearer-exact", "kalman", "gain", "time-constant", "objects-40"}
    for name in found.keys() - theory:
        assert ("(rates)" in found[name].statement) != ("spiking" in name)
        assert ("(spike by spike)" in found[name].statement) == ("spiking" in name)


def test_the_spiking_circuit_without_plasticity_has_a_choice_of_its_own() -> None:
    """Among all κ of the circuit with it, and of the circuit of rates without it."""
    kappas = {model: {c.kappa for c in GRIDS[model]} for model in GRIDS}
    assert kappas["spiking-static"] >= kappas["spiking"] | kappas["static"]
    rows = [
        tried("occlusion", "spiking-static", c, torch.tensor([c.kappa == 20]))
        for c in GRIDS["spiking-static"]
    ]
    constants = chosen(rows, "occlusion", "spiking-static")
    assert (constants.kappa, constants.site) == (20, "none")


def test_a_wrong_time_constant_fails() -> None:
    rows = log()
    for row in rows:
        if row.get("ratio") == 8.0:
            row["error"] = 0.4
    assert held(rows)["time-constant"] is False


def test_runs_of_some_transforms_and_models_have_their_claims() -> None:
    found = claims(metrics(log(("rotation",))), ("rotation",), ("mlp",), True)
    names = {claim.id for claim in found if claim.id.startswith("rotation")}
    assert names == {
        name
        for rival in ("frame-nets", "smoothed", "static", "unaware-nets")
        for name in both("rotation", rival)
    }
    assert not {"occlusion-gain", "abrupt"} & {claim.id for claim in found}


def test_settings_are_chosen_by_validation_and_logged() -> None:
    rows = [
        {
            "phase": "settings-scale",
            "transform": "scale",
            "model": "short-term",
            "kappa": c.kappa,
            "gamma": c.gamma,
            "tau": c.tau,
            "validation_accuracy": 1 - abs(number - 17) / 100,
        }
        for number, c in enumerate(GRIDS["short-term"])
    ]
    best = selected(rows, "scale", "short-term")
    expected = GRIDS["short-term"][17]
    assert (best["kappa"], best["gamma"]) == (expected.kappa, expected.gamma)
    assert metrics(rows)["scale_short_term_tau"] == expected.tau
    trained = [{"phase": "scale-gru", "epoch": e, "frames": 100, "loss": 1.0} for e in (1, 2)]
    assert metrics(trained) == {"scale_gru_frames": 200.0}


def test_curves_are_frame_by_frame() -> None:
    found = curves(rows_of("scale", {"gru": 0.25}))
    assert set(found) == {"curve_scale_gru"}
    assert torch.equal(found["curve_scale_gru"], torch.tensor([0.25, 0.25]))
    assert CONTROLS == ("new-digits", "static", "abrupt")
