"""Pretrained SoftHebb networks: files ``NAME.safetensors`` in this folder, and their model cards.

A card, ``NAME.json``, says what a network was trained on, how well it does, and how to train it
again. ``benchmarks/add_model.py`` writes both files from a finished run.
"""

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path

from plastorch.engine.errors import InputError, check_file, check_one_of
from plastorch.engine.safe_file import check_types

FOLDER = Path(__file__).parent


@dataclass(frozen=True, kw_only=True)
class Card:
    """Model card of a network inside the package.

    Args:
        name: name of the network.
        experiment: name of the experiment that trained it.
        paper: paper of the experiment.
        data: name of the data set.
        classes: names of the classes, in the order of the network's outputs.
        channels: number of image channels.
        image_size: side of the images in pixels.
        images: what :meth:`SoftHebbNet.prepare` does to images of another size or number of
            channels.
        accuracies: accuracies of the run, as fractions of the test set.
        stored_accuracy: test accuracy of the network as stored, measured once more; a fraction.
        seed: random seed of the run.
        command: command line that trains the network again.
        commit: version and commit of plastorch that trained the network.
        license: license of the weights.
        data_license: license of the data set.
        sha256: SHA-256 of the file of weights, hexadecimal.
    """

    name: str
    experiment: str
    paper: str
    data: str
    classes: list[str]
    channels: int
    image_size: int
    images: str
    accuracies: dict[str, float]
    stored_accuracy: float
    seed: int
    command: str
    commit: str
    license: str
    data_license: str
    sha256: str

    def text(self) -> str:
        """Returns the card as JSON."""
        return json.dumps(asdict(self), indent=1, ensure_ascii=False)


_EXAMPLE = {
    **dict.fromkeys(Card.__annotations__, ""),
    **dict.fromkeys(("channels", "image_size", "seed"), 1),
    **{"classes": [""], "accuracies": {"": 0.5}, "stored_accuracy": 0.5},
}


def cards() -> dict[str, Card]:
    """Returns the card of each network, by name.

    Raises:
        InputError: damaged card.

    Example:
        >>> all(card.accuracies["test_accuracy"] > 0.5 for card in cards().values())
        True
    """
    return {name: card_of(name) for name in _names()}


def card_of(name: str) -> Card:
    """Returns the card of a network.

    Raises:
        InputError: unknown name, or damaged card.
    """
    names = _names()
    if not names:
        raise InputError(f"name is {name!r}; expected a network in {FOLDER}, which has none")
    check_one_of(names, name=name)
    path = FOLDER / f"{name}.json"
    try:
        found = json.loads(path.read_text("utf-8"))
        check_types(found, _EXAMPLE)
        accuracies = found["accuracies"]
        classes = {str(number): word for number, word in enumerate(found["classes"])}
        check_types(accuracies, dict.fromkeys({"test_accuracy", *accuracies}, 0.5))
        check_types(classes, dict.fromkeys(classes, ""))
    except (OSError, ValueError, AttributeError, RecursionError) as error:
        raise InputError(f"{path} is not a model card: {error}") from None
    if found["name"] != name:
        raise InputError(f"{path} is the card of {found['name']!r}; expected that of {name!r}")
    return Card(**found)


def weights_of(name: str) -> Path:
    """Returns the file of a network's weights, after a check against the checksum in its card.

    Raises:
        InputError: unknown name, damaged card, or missing, damaged or swapped weights.
    """
    card, path = card_of(name), FOLDER / f"{name}.safetensors"
    check_file(path, f"the weights of {name!r}")
    found = sha256_of(path)
    if found != card.sha256:
        raise InputError(
            f"{path} has SHA-256 {found}; expected {card.sha256}, as in {name}.json: it was "
            "damaged or changed"
        )
    return path


def sha256_of(path: Path) -> str:
    """Returns the SHA-256 of a file, hexadecimal."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _names() -> list[str]:
    return sorted(path.stem for path in FOLDER.glob("*.json"))
