"""Speed of plastorch's spikes beside other packages: ``python benchmarks/peers/spiking``.

Digits of MNIST are shown for 350 steps to 100, 400 and 1,600 neurons, one by one and in
mini-batches of 32; encoding, simulating and learning by STDP are timed. Each package has an
environment of its own in ``build/peers``, which is made at first. Rows that the result file has of
packages that are not asked for stay in it.
"""

import argparse
import itertools
import json
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch.nn.functional as F
from peers import PEERS, python_of
from table import measured
from worker import Task

from plastorch.bench.timing import Row, check_out, line, one_quiet_thread, write_rows
from plastorch.data import load_images
from plastorch.experiments.stdp.network import RATE

ROOT = Path(__file__).parents[3]
NEURONS, BATCHES = (100, 400, 1600), (1, 32)
STEPS, DIGITS = 350, 512


def numbers(text: str) -> tuple[int, ...]:
    """Returns whole numbers that stand between commas."""
    return tuple(int(part) for part in text.split(","))


def arguments() -> argparse.Namespace:
    """Returns what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--peers", nargs="+", choices=PEERS, default=list(PEERS))
    parser.add_argument("--neurons", type=numbers, default=NEURONS)
    parser.add_argument("--batches", type=numbers, default=BATCHES)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks/results/peers-spiking.json")
    return parser.parse_args()


def rows(asked: argparse.Namespace, rates: Path, left_out: dict[str, str]) -> Iterator[Row]:
    """Yields the rows that are asked for; adds peers that fail to ``left_out``, with the reason."""
    for name in asked.peers:
        try:
            interpreter = (str(python_of(name, ROOT / "build" / "peers")), "-E")
            for neurons, batch in itertools.product(asked.neurons, asked.batches):
                if batch == 1 or PEERS[name].batches:
                    task = Task(name, neurons, batch, STEPS, str(rates))
                    yield measured(interpreter, task, asked.rounds)
        except RuntimeError as error:
            left_out[name] = str(error)


def main() -> None:
    """Measures, shows and writes the table; what was measured is written after each row."""
    asked = arguments()
    check_out(asked.out)
    images = load_images("mnist")
    shown = RATE * F.normalize(images.train_images[:DIGITS].flatten(1).float())
    data: dict[str, object] = {
        "name": images.name,
        "source": images.source,
        "steps": STEPS,
        "input_spikes": round(float(shown.sum(dim=1).mean()) * STEPS / 1000),
        "peers": {name: {"title": PEERS[name].title, "does": PEERS[name].does} for name in PEERS},
    }
    found: list[Row] = []
    left_out: dict[str, str] = {}
    with tempfile.TemporaryDirectory() as folder, one_quiet_thread():
        rates = Path(folder, "rates.npy")
        np.save(rates, shown.numpy())
        for row in rows(asked, rates, left_out):
            found.append(row)
            print(line(row), flush=True)
            write(asked, data, found, left_out)
        write(asked, data, found, left_out)
    for name, reason in left_out.items():
        print(f"{name} is left out: {reason}", file=sys.stderr)


def write(
    asked: argparse.Namespace, data: dict[str, object], found: list[Row], left_out: dict[str, str]
) -> None:
    """Writes the result file anew, with the rows that it has and that are not measured anew; each
    row has its date."""
    found = [row | {"date": time.strftime("%Y-%m-%d")} for row in found]
    if asked.out.exists():
        before, names = json.loads(asked.out.read_text()), {row["name"] for row in found}
        stay = [
            {"date": before["date"]} | row for row in before["rows"] if row["name"] not in names
        ]
        found = [row for row in stay if row["peer"] not in left_out] + found
        others = before["data"]["left_out"].items()
        left_out = {name: why for name, why in others if name not in asked.peers} | left_out
    write_rows(asked.out, "peers-spiking", data | {"left_out": left_out}, found)


if __name__ == "__main__":
    main()
