"""A deep SoftHebb network learns from a folder of your own images, and is saved in one file.

    python examples/own_images.py FOLDER    # with CLASS/*.png or *.jpg, and unlabeled images
    python examples/own_images.py           # digits from the package, written as PNG files

The blocks learn without labels, from all images; the readout, from those in a class folder.
"""

import sys
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image

from plastorch import SoftHebbClassifier, SoftHebbNet
from plastorch.data import load_images


def read(files: list[Path], side: int = 28) -> np.ndarray:
    """Color images, uint8 [N, side, side, 3]."""
    return np.stack([Image.open(file).convert("RGB").resize((side, side)) for file in files])


def write_digits(folder: Path, count: int) -> None:
    """A class folder for each of 0, 1 and 2, and as many unlabeled digits beside the folders."""
    digits = load_images("mnist")
    for digit in range(3):
        (folder / str(digit)).mkdir()
        images = digits.train_images[digits.train_labels == digit, 0][:count].numpy()
        for i, image in enumerate(images):
            Image.fromarray(image).save(folder / (str(digit) if i % 2 else "") / f"{digit}-{i}.png")


def main(folder: Path) -> float:
    """Learns from two thirds of the labeled images; returns the accuracy on the rest."""
    named = sorted([*folder.glob("*/*.png"), *folder.glob("*/*.jpg")])
    nameless = sorted([*folder.glob("*.png"), *folder.glob("*.jpg")])
    held_out, known = named[::3], sorted({*named} - {*named[::3]})
    classes = [file.parent.name for file in known]

    model = SoftHebbClassifier("cifar10", depth=2, width="quarter", readout_epochs=20)
    model.partial_fit(read([*nameless, *known]))  # one pass, without labels
    for _ in range(10):
        model.partial_fit(read(known), classes, classes=np.unique(classes))
    right = model.score(read(held_out), [file.parent.name for file in held_out])
    print(f"{len(nameless)} images without a class, {len(known)} with; {right:.1%} of others right")

    model.net_.save(file := folder / "net.safetensors")
    print(f"{file} holds {SoftHebbNet.load(file).macs / 1e6:.1f} million products per image")
    return right


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        write_digits(Path(folder), count=200)
        main(Path(sys.argv[1] if len(sys.argv) > 1 else folder))
