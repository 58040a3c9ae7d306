"""Claims: when they hold."""

from plastorch.experiments.claims import above, asserted, at_least, at_most, below


def test_claims_compare_with_their_target() -> None:
    held = [
        [make("id", "statement", measured, 0.5).holds for measured in (0.4, 0.5, 0.6)]
        for make in (above, at_least, below, at_most)
    ]
    assert held == [
        [False, False, True],
        [False, True, True],
        [True, False, False],
        [True, True, False],
    ]


def test_a_run_that_is_no_evidence_decides_nothing() -> None:
    claims = [above("gain", "learning helps", 0.1, 0.0)]
    assert asserted(claims) == claims
    assert asserted(claims, evidence=False)[0].holds is None
