"""Rows of the table: a process of plastorch and one of a peer take turns at the same digits."""

import contextlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from subprocess import PIPE
from typing import IO, Any, Protocol

from worker import Task

from plastorch.bench.timing import Row, row

WORKER = Path(__file__).parent / "worker.py"
OURS = (sys.executable,)
"""Command of the interpreter that has plastorch."""
PATIENCE = 60.0
"""CPU seconds of a peer after which a row has no further turn."""
THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS")


class Side(Protocol):
    """A package that learns digits whenever it is asked to."""

    ready: dict[str, Any]
    """CPU seconds until it was ready, and the versions of what it runs on."""

    def learn(self) -> dict[str, Any]:
        """Returns the number of digits, CPU seconds, and peak memory so far."""


class Program:
    """A side in a process of its own; see :func:`program`."""

    def __init__(self, network: str, process: subprocess.Popen[str], told: IO[str]) -> None:
        self.network, self.process, self.told = network, process, told
        self.ready = self._answer()

    def learn(self) -> dict[str, Any]:
        """See :class:`Side`."""
        assert self.process.stdin is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        return self._answer()

    def _answer(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        if line := self.process.stdout.readline():
            answer: dict[str, Any] = json.loads(line)
            return answer
        status = self.process.wait()
        self.told.seek(0)
        told = self.told.read().split("\n")
        reason = next((line for line in reversed(told) if line), f"exit status {status}")
        raise RuntimeError(f"{self.network}: {reason}")


@contextlib.contextmanager
def program(interpreter: tuple[str, ...], task: Task) -> Iterator[Program]:
    """Runs a side in a process of its own, with one thread.

    Args:
        interpreter: command of a Python that has the package.
        task: what it does.

    Raises:
        RuntimeError: it failed; the message is the last line that it wrote.
    """
    command = [*interpreter, str(WORKER), json.dumps(task._asdict())]
    one_thread = os.environ | dict.fromkeys(THREADS, "1")
    with (
        tempfile.TemporaryFile("w+") as told,
        subprocess.Popen(
            command, stdin=PIPE, stdout=PIPE, stderr=told, text=True, env=one_thread
        ) as process,
    ):
        yield Program(task.network, process, told)


def measured(interpreter: tuple[str, ...], task: Task, rounds: int) -> Row:
    """Returns the row of a peer, whose task is given; plastorch has the same."""
    ours = task._replace(network="plastorch")
    name = f"{task.network}-784x{task.neurons}-b{task.batch}"
    with program(OURS, ours) as one, program(interpreter, task) as other:
        return compared(name, one, other, rounds)


def compared(name: str, ours: Side, peer: Side, rounds: int) -> Row:
    """Returns a row: medians of CPU seconds per digit of two sides that take turns.

    There are so many turns, or fewer if those of the peer take longer than ``PATIENCE``.
    """
    turns: list[tuple[dict[str, Any], dict[str, Any]]] = []
    while len(turns) < rounds and sum(turn["seconds"] for _, turn in turns) < PATIENCE:
        turns.append((ours.learn(), peer.learn()))
    ours_s, peer_s = (
        median(each["seconds"] / each["digits"] for each in side)
        for side in zip(*turns, strict=True)
    )
    last, last_peer = turns[-1]
    return row(
        name,
        ours_s,
        name.split("-")[0],
        peer_s,
        peak_mb=last["peak_mb"],
        peer_peak_mb=last_peer["peak_mb"],
        rounds=len(turns),
        digits=last["digits"],
        peer_digits=last_peer["digits"],
        ready_s=round(ours.ready["ready_s"], 2),
        peer_ready_s=round(peer.ready["ready_s"], 2),
        peer_versions=peer.ready["versions"],
    )
