"""Claims of the paper about deep SoftHebb and its baselines, compared with measurements.

Paper: Journé et al., *Hebbian Deep Learning Without Feedback*, ICLR 2023.
"""

from plastorch.data import ImageSet
from plastorch.engine.run import Claim
from plastorch.experiments.claims import asserted, at_least, below, within
from plastorch.experiments.softhebb.config import Cifar10Config, MnistConfig, SoftHebbConfig
from plastorch.hebbian.presets import PUBLISHED_FOR, preset

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
        "soft-1x": (71.09, 71.69, 66.44),
        "soft-2x": (71.09, 74.85, 73.87),
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
"""Test accuracy in % by data set, rule and depth (1, 2, ...): the paper's tables.

Layers grow by "4x" unless the rule's name ends with another width.
"""

BEYOND: dict[SoftHebbConfig, tuple[float, str]] = {
    Cifar10Config(preset="best"): (
        0.85,
        "the preset best: at least 85 %; of local rules, 81.43 % is the most published",
    ),
    Cifar10Config(preset="fast"): (
        0.803,
        "the preset fast: at least 80.3 %, what the paper's whole network reaches",
    ),
    MnistConfig(preset="best"): (0.995, "the preset best: at least 99.5 %; the paper has 99.4 %"),
}
"""Test accuracies that unchanged presets of ours should reach, and the claims about them."""


def claims(config: SoftHebbConfig, images: ImageSet, quick: bool, measured: float) -> list[Claim]:
    """Returns the paper's claims about this network, judged only with its data and settings."""
    embedded = images.source == "inside the package"
    if embedded and not quick and config.rule == "soft":
        statement = "learns real digits from the 5,000 in the package: at least 95 %"
        return [at_least("subset", statement, measured, 0.95)]
    name = f"{RULES[config.rule]}, {config.depth} layer{'s' if config.depth > 1 else ''}"
    found: list[Claim] = []
    target, soft = (_published(config, rule) for rule in (config.rule, "soft"))
    if target:
        found += asserted([_accuracy(config, name, measured, target)], _as_published(config))
    if config.rule in ("hard", "random") and soft:
        statement = f"{name}: accuracy below that of the published SoftHebb"
        found.append(below("below-softhebb", statement, measured, soft, origin="paper"))
    found = asserted(found, config.ordinary)
    if config in BEYOND:
        best, statement = BEYOND[config]
        found.append(at_least("best", statement, measured, best))
    return asserted(found, not (quick or images.notice))


def _accuracy(config: SoftHebbConfig, name: str, measured: float, target: float) -> Claim:
    """Returns the claim about the paper's accuracy, which a baseline must not exceed either."""
    exact = config.preset_data == "mnist"
    given = {"measured": measured, "target": target, "tolerance": 0.0005 if exact else 0.01}
    statement = f"{name}: the paper's accuracy, "
    if config.rule == "soft":
        statement += "to one decimal" if exact else "less 1 point at most"
        return at_least("accuracy", statement, origin="paper", **given)
    return within("accuracy", f"{statement}within 1 point", origin="paper", **given)


def _as_published(config: SoftHebbConfig) -> bool:
    """Returns whether a network is the paper's: SoftHebb's is, whoever chose its settings."""
    if config.rule == "soft":
        return True
    data, rule = config.preset_data, config.rule
    if data not in PUBLISHED_FOR[rule]:
        return False
    published = preset(data, config.depth, config.width, rule, "published")
    return published.blocks == config.spec().blocks


def _published(config: SoftHebbConfig, rule: str) -> float | None:
    """Returns a rule's figure in the paper's tables as a fraction, or None if it has none."""
    name = rule if config.width == "4x" else f"{rule}-{config.width}"
    row = PUBLISHED.get(config.preset_data, {}).get(name, ())
    percent = row[config.depth - 1] if config.depth <= len(row) else None
    return None if percent is None else percent / 100
