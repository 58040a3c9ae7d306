"""Claims of a ststdp-features run from its metrics."""

from collections.abc import Iterator, Sequence

from plastorch.engine.run import Claim
from plastorch.experiments.claims import above, asserted, at_least

GAIN = 0.15
"""Least gain of features over pixels, where digits turn, move, grow or fade."""
RIVALS = {"cnn": "a convolutional network", "lstm": "an LSTM"}
"""Networks that learn by backpropagation, in words."""


def claims(
    found: dict[str, float], transforms: Sequence[str], models: Sequence[str], evidence: bool
) -> list[Claim]:
    """Returns the claims about each transform, all ours, not judged without evidence."""
    return asserted((row for name in transforms for row in _rows(found, name, models)), evidence)


def _rows(found: dict[str, float], transform: str, models: Sequence[str]) -> Iterator[Claim]:
    def of(model: str) -> float:
        return found[f"{transform}_{model}_accuracy"]

    ours = of("features_short_term")
    if transform != "occlusion":
        yield at_least(
            f"{transform}-features",
            f"{transform}: the circuit on features that were learned without labels is 15 points "
            "above the circuit on pixels",
            ours - of("pixels_short_term"),
            GAIN,
        )
    yield above(
        f"{transform}-above-static",
        f"{transform}: better than the same features without short-term plasticity",
        ours,
        of("features_static"),
    )
    for name, words in RIVALS.items():
        if name not in models:
            continue
        rival = max(("pixels", "features"), key=lambda kind: of(f"{kind}_{name}"))
        yield above(
            f"{transform}-above-{name}",
            f"{transform}: the circuit on features is better than {words} trained on films of this "
            f"transform, the better one of pixels and features ({rival})",
            ours,
            of(f"{rival}_{name}"),
        )
