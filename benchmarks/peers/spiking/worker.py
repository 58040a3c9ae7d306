"""Runs one package's network in a process of its own: ``python worker.py TASK``.

TASK is JSON: the fields of :class:`Task`. The process writes one line of JSON when it is ready, and
then one for each line that it is sent, when it has learned more digits.
"""

import gc
import json
import os
import sys
import time
from collections.abc import Iterator
from functools import partial
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np

SECONDS, MOST = 1.0, 512
"""Aim of a measurement's length, and the largest number of its mini-batches."""
WARM_UP = 2
"""Number of measurements that don't count; in the first one some packages compile."""


class Task(NamedTuple):
    """What a process does."""

    network: str
    neurons: int
    batch: int
    steps: int
    rates: str
    """File of firing rates, Hz [digits, pixels]."""


class Network(Protocol):
    """A network of a package, which learns digits by STDP.

    Args:
        pixels: number of inputs.
        neurons: number of neurons.
        batch: number of digits in a mini-batch.
        steps: number of time steps of 1 ms for which a digit is shown.
    """

    def __init__(self, pixels: int, neurons: int, batch: int, steps: int) -> None: ...

    def learn(self, rates: np.ndarray) -> None:
        """Encodes a mini-batch of firing rates, Hz [batch, pixels], as spikes, and learns it."""


def batches(rates: np.ndarray, size: int) -> Iterator[np.ndarray]:
    """Yields mini-batches of rates [digits, pixels], from the first again after the last."""
    start = 0
    while True:
        yield np.take(rates, range(start, start + size), axis=0, mode="wrap")
        start += size


def measurements(network: Network, rates: np.ndarray, batch: int) -> Iterator[dict[str, Any]]:
    """Yields what it took to learn digits, with CPU seconds; first of one mini-batch.

    Those after the warm-up are of so many mini-batches that they take about ``SECONDS``.
    """
    digits = batches(rates, batch)
    count = 1
    for number in range(sys.maxsize):
        shown = [next(digits) for _ in range(count)]
        start = time.process_time()
        for some in shown:
            network.learn(some)
        seconds = time.process_time() - start
        yield {"digits": count * batch, "seconds": seconds, "peak_mb": peak_mb()}
        if number < WARM_UP:
            count = min(max(1, round(count * SECONDS / seconds)), MOST)


def peak_mb(status: str | None = None) -> int:
    """Returns the largest memory so far, MB, of this process or of one whose status is given.

    ``getrusage`` would count what the process that started this one has.
    """
    lines = (status or Path("/proc/self/status").read_text()).splitlines()
    (kilobytes,) = (line.split()[1] for line in lines if line.startswith("VmHWM:"))
    return round(int(kilobytes) * 1024 / 1e6)


def main(task: Task) -> None:
    """Builds the network, warms up, and answers each line of the standard input."""
    answers, sys.stdout = sys.stdout, sys.stderr  # some packages print
    module = import_module(f"networks.{task.network}")
    if "torch" in sys.modules:
        sys.modules["torch"].set_flush_denormal(True)
    rates = np.load(task.rates)
    network = module.Network(rates.shape[1], task.neurons, task.batch, task.steps)
    found = getattr(network, "measurements", partial(measurements, network))(rates, task.batch)
    gc.collect()
    gc.disable()
    for _ in range(WARM_UP):
        next(found)
    versions = {name: version(name) for name in module.PACKAGES}
    print(json.dumps({"ready_s": spent(), "versions": versions}), file=answers, flush=True)
    for _ in sys.stdin:
        print(json.dumps(next(found)), file=answers, flush=True)


def spent() -> float:
    """Returns the CPU seconds of this process and of those it started, such as a compiler."""
    used = os.times()
    return used.user + used.system + used.children_user + used.children_system


if __name__ == "__main__":
    main(Task(**json.loads(sys.argv[1])))
