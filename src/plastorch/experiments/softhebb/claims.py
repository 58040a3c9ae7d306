"""Claims of the paper about deep SoftHebb and its baselines, compared with measurements.

Paper: Journé et al., *Hebbian Deep Learning Without Feedback*, ICLR 2023.
"""

from plastorch.data import ImageSet
from plastorch.engine.run import Claim
from plastorch.experiments.claims import asserted, at_least, below
from plastorch.experiments.softhebb.config import Cifar10Config, MnistConfig, SoftHebbConfig

RULES = {
    "soft": "SoftHebb",
    "hard": "hard winner-take-all",
    "sampled": "sampled patches",
    "random": "random weights",
    "backprop": "end-to-end backprop",
}
PUBLISHED: dict[str, dict[str, tuple[float | None, ...]]] = {
    "mnist": {"soft": (None, 99.4, 99.4)},
    "cifar10": {
        "soft": (71.10, 77.70, 80.31),
        "hard": (62.69, 60.08, 60.29),
        "random": (63.99, 68.64, 64.62),
        "backprop": (72.42, 82.49, 83.97),
    },
    "cifar100": {
        "soft": (43.00, 52.31, 56.0),
        "hard": (34.34, 33.49, 21.6),
        "random": (34.59, 38.76, 38.25),
        "backprop": (44.76, 52.11, 57.19),
    },
    "stl10": {
        "soft": (65.4, 70.11, 73.1, 76.23),
        "hard": (57.92, 58.4, 54.31, 54.84),
        "random": (62.55, 65.69, 68.12, 68.19),
        "backprop": (67.5, 69.64, 72.93, 74.51),
    },
    "imagenette": {
        "soft": (61.03, 71.29, 75.69, 78.76, 80.98),
        "hard": (56.77, 60.79, 60.66, 59.60, 61.2),
        "random": (61.0, 67.31, 68.12, 74.2, 74.1),
        "backprop": (61.91, 72.32, 76.48, 81.5, 85.3),
    },
    "imagenet": {"soft": (None, None, None, None, 27.3)},
}
"""Test accuracy in % by data set, rule and depth (1, 2, ...): the paper's tables."""

BEYOND: dict[SoftHebbConfig, tuple[float, str]] = {
    Cifar10Config(preset="best"): (
        0.82,
        "the preset best: at least 82 %; of such networks, 80.75 % is the most published",
    ),
    Cifar10Config(preset="fast"): (
        0.803,
        "the preset fast: at least 80.3 %, what the paper's whole network reaches",
    ),
    MnistConfig(preset="best"): (0.995, "the preset best: at least 99.5 %; the paper has 99.4 %"),
}
"""Test accuracies that unchanged presets of ours should reach, and the claims about them."""


def claims(config: SoftHebbConfig, images: ImageSet, quick: bool, measured: float) -> list[Claim]:
    """Returns the paper's claims about this network, asserted only on the data of the paper."""
    embedded = images.source == "inside the package"
    if embedded and not quick and config.rule == "soft":
        statement = "learns real digits from the 5,000 in the package: at least 95 %"
        return [at_least("subset", statement, measured, 0.95)]
    depth = f"{config.depth} layer{'s' if config.depth > 1 else ''}"
    found: list[Claim] = []
    target = _published(config.preset_data, config.rule, config.depth)
    if target and config.width == "4x" and config.triangle_power is None and not config.wide:
        exact = config.preset_data == "mnist"
        statement = (
            f"{RULES[config.rule]}, {depth}: the paper's accuracy, "
            f"{'to one decimal' if exact else 'less 1 point at most'}"
        )
        claim = at_least(
            "accuracy",
            statement,
            measured,
            target,
            origin="paper",
            tolerance=0.0005 if exact else 0.01,
        )
        found += asserted([claim], _as_published(config))
    if config in BEYOND:
        best, statement = BEYOND[config]
        found.append(at_least("best", statement, measured, best))
    soft = _published(config.preset_data, "soft", config.depth)
    if config.rule in ("hard", "random") and soft:
        statement = f"{RULES[config.rule]}, {depth}: accuracy below that of the published SoftHebb"
        found.append(below("below-softhebb", statement, measured, soft, origin="paper"))
    return asserted(found, not (quick or images.notice or config.validation))


def _as_published(config: SoftHebbConfig) -> bool:
    """Returns whether a network is the paper's: one hard layer is, whatever the architecture."""
    one_hard_layer = config.rule == "hard" and (config.preset_data, config.depth) in (
        ("cifar10", 1),
        ("cifar100", 1),
    )
    return config.rule in ("soft", "random") or config.architecture == "published" or one_hard_layer


def _published(data: str, rule: str, depth: int) -> float | None:
    """Returns a figure of the paper's table as a fraction, or None if it has none."""
    row = PUBLISHED.get(data, {}).get(rule, ())
    percent = row[depth - 1] if depth <= len(row) else None
    return None if percent is None else percent / 100
