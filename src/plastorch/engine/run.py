"""The run folder: configuration, metrics, claims and result of one run of an experiment."""

import contextlib
import json
import os
import platform
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from plastorch.engine.checkpoint import save_tensors, write_atomically
from plastorch.engine.distributed import from_first, worker
from plastorch.engine.errors import InputError

Record = dict[str, float | int | str]
"""One line of ``metrics.jsonl``."""


@dataclass(frozen=True)
class Claim:
    """Something a paper, or we, say of a result, and what was measured.

    ``holds`` is None where the run can't tell: smoke runs, reduced data, other settings.
    """

    id: str
    statement: str
    target: float
    measured: float
    holds: bool | None
    origin: Literal["paper", "ours"]


class RunFolder:
    """A folder ``RUNS/EXPERIMENT/STAMP-seedN`` and what is written into it.

    Of several workers, the first one writes and reads; the others take what it reads, and need
    not see the folder.

    Args:
        path: an existing run folder; :meth:`create` makes a new one.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.checkpoint = path / "checkpoint"
        self._metrics = path / "metrics.jsonl"

    @classmethod
    def create(cls, out: Path, experiment: str, config: dict[str, Any]) -> "RunFolder":
        """Makes a new run folder with its ``config.json``.

        Args:
            out: the RUNS folder.
            experiment: name of the experiment.
            config: plain values, among them "seed".

        Raises:
            InputError: if ``out`` can't be written.
        """
        stamp = time.strftime("%Y%m%d-%H%M%S")
        for attempt in range(1000):
            suffix = f"-{attempt}" if attempt else ""
            path = Path(out) / experiment / f"{stamp}-seed{config['seed']}{suffix}"
            try:
                path.mkdir(parents=True)
            except FileExistsError:
                if not path.is_dir():
                    raise InputError(f"out is {str(out)!r}; expected a folder") from None
                continue
            except OSError as error:
                raise InputError(
                    f"out is {str(out)!r}: can't make {path}: {error.strerror}"
                ) from None
            run = cls(path)
            full = {"experiment": experiment, **config}
            write_atomically(path / "config.json", json.dumps(full, indent=1).encode())
            return run
        raise InputError(f"out is {str(out)!r}: too many runs of {experiment} in one second")

    @contextlib.contextmanager
    def alone(self) -> Iterator[None]:
        """Keeps other processes from running in this folder at the same time.

        Raises:
            InputError: if one is doing so, for instance one that was told to stop and ends its
                last step.
        """
        with contextlib.ExitStack() as kept:
            from_first(lambda: kept.enter_context(self._locked()))
            yield

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        import fcntl

        with open(self.path / "config.json", "rb") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                raise InputError(f"{self.path} is in use by another process") from None
            yield

    def discard_if_empty(self) -> None:
        """Removes a folder in which nothing but its configuration was written."""
        if worker() > 0:
            return
        if {entry.name for entry in self.path.iterdir()} <= {"config.json"}:
            (self.path / "config.json").unlink(missing_ok=True)
            self.path.rmdir()

    @property
    def config(self) -> dict[str, Any]:
        """What ``config.json`` holds.

        Raises:
            InputError: if it is missing or broken.
        """
        return from_first(self._read_config)

    def _read_config(self) -> dict[str, Any]:
        path = self.path / "config.json"
        try:
            config = json.loads(path.read_text())
        except OSError:
            raise InputError(f"{self.path} is no run folder; expected config.json in it") from None
        except ValueError:
            config = None
        if not isinstance(config, dict) or not isinstance(config.get("experiment"), str):
            raise InputError(f"{path} is damaged; expected the JSON of a configuration")
        return config

    def log(self, records: list[Record]) -> None:
        """Appends lines to ``metrics.jsonl``."""
        if records and worker() == 0:
            try:
                with open(self._metrics, "a") as file:
                    file.writelines(json.dumps(record) + "\n" for record in records)
            except OSError as error:
                raise InputError(f"can't write {self._metrics}: {error.strerror}") from None

    def records(self) -> list[Record]:
        """All lines of ``metrics.jsonl``."""
        return from_first(self._read_records)

    def _read_records(self) -> list[Record]:
        if not self._metrics.exists():
            return []
        return [json.loads(line) for line in self._metrics.read_text().splitlines()]

    def log_size(self) -> int:
        """Bytes of ``metrics.jsonl``, forced to disk."""
        if not self._metrics.exists():
            return 0
        with open(self._metrics, "rb") as file:
            os.fsync(file.fileno())
        return self._metrics.stat().st_size

    def truncate_log(self, size: int) -> None:
        """Forgets the lines after a checkpoint."""
        if worker() == 0 and self._metrics.exists():
            os.truncate(self._metrics, size)

    def write_result(self, result: dict[str, Any]) -> None:
        """Replaces ``result.json``.

        Raises:
            InputError: if it can't be written.
        """
        if worker() == 0:
            write_atomically(self.path / "result.json", json.dumps(result, indent=1).encode())

    def write_arrays(self, arrays: dict[str, Tensor]) -> None:
        """Replaces ``arrays.safetensors``, from which the report draws.

        Raises:
            InputError: if it can't be written.
        """
        if worker() == 0:
            save_tensors(self.path / "arrays.safetensors", arrays)


def result(
    experiment: str,
    paper: str,
    config: dict[str, Any],
    data: dict[str, Any],
    device: torch.device,
    *,
    metrics: dict[str, float] | None = None,
    claims: list[Claim] | None = None,
    wall_s: float = 0.0,
    complete: bool = False,
) -> dict[str, Any]:
    """The contents of ``result.json``.

    Args:
        experiment: its name.
        paper: authors, year and arXiv number.
        config: plain values, among them "seed" and "quick".
        data: name, n_train, n_test, source, sha256 and more.
        device: where it ran.
        metrics: figures by name; accuracies as fractions.
        claims: what is said of them.
        wall_s: seconds, over all sittings.
        complete: False until the run has ended.

    Returns:
        A dictionary that JSON can hold.
    """
    return {
        "experiment": experiment,
        "paper": paper,
        "config": config,
        "data": data,
        "seed": config["seed"],
        "metrics": metrics or {},
        "claims": [asdict(claim) for claim in claims or []],
        "wall_s": round(wall_s, 2),
        "device": describe(device),
        "versions": versions(),
        "quick": config["quick"],
        "complete": complete,
    }


def describe(device: torch.device) -> str:
    """The device and its hardware in words."""
    if device.type == "cuda":
        return f"{device} ({torch.cuda.get_device_name(device)})"
    return f"{device} ({_processor()}, {torch.get_num_threads()} threads)"


def versions() -> dict[str, str]:
    """Versions of Python, torch and plastorch."""
    return {
        "python": platform.python_version(),
        "torch": torch.__version__,
        "plastorch": version("plastorch"),
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()
