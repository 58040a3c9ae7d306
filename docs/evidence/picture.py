"""The picture of README: receptive fields of three layers beside their accuracies.

``python docs/evidence/picture.py RUN`` takes the fields from the folder of a whole run of
``softhebb-cifar10``; the accuracies are those of the committed results.
"""

import base64
import sys
from pathlib import Path

import numpy as np
from PIL import Image
from safetensors.numpy import load_file

FIELDS = Path(__file__).parent.parent / "_static" / "fields.png"
SIDE, GAP, ACROSS = 40, 4, 12
"""Pixels of a field as it is drawn, and between two; fields per layer."""
BETWEEN = (210, 214, 220)


def embedded() -> str:
    """Returns the picture of the fields as a data URI."""
    return f"data:image/png;base64,{base64.b64encode(FIELDS.read_bytes()).decode()}"


def write_fields(run: Path) -> None:
    """Draws fields of a run's three layers, which have values in [0, 1], a row per layer."""
    arrays = load_file(run / "arrays.safetensors")
    step = SIDE + GAP
    sheet = Image.new("RGB", (ACROSS * step - GAP, 3 * step - GAP), BETWEEN)
    for row in range(3):
        for column, field in enumerate(arrays[f"receptive_fields_layer{row + 1}"][:ACROSS]):
            colors = (255 * field.transpose(1, 2, 0)).round().astype(np.uint8)
            tile = Image.fromarray(colors).resize((SIDE, SIDE), Image.Resampling.NEAREST)
            sheet.paste(tile, (column * step, row * step))
    sheet.save(FIELDS, optimize=True)


if __name__ == "__main__":
    write_fields(Path(sys.argv[1]))
