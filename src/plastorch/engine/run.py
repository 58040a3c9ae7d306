"""The run folder: configuration, metrics, claims and result of one run of an experiment."""

import contextlib
import hashlib
import json
import os
import platform
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from plastorch.engine.checkpoint import save_tensors
from plastorch.engine.distributed import from_first, worker
from plastorch.engine.errors import InputError
from plastorch.engine.output import write_atomically, writing

_PARTS = (
    *("config.json", "metrics.jsonl", "result.json", "arrays.safetensors"),
    *("checkpoint", "figures", "report.html"),
)
NOTHING = hashlib.sha256().hexdigest()
"""SHA-256 of an empty file."""
Record = dict[str, float | int | str]
"""Line of ``metrics.jsonl``."""


Relation = Literal[">", ">=", "<", "<=", "within"]
"""How a measured value should compare with its target."""


@dataclass(frozen=True)
class Claim:
    """A statement about a result, and the value measured; holds is None if the run can't tell."""

    id: str
    statement: str
    target: float
    measured: float
    holds: bool | None
    origin: Literal["paper", "ours"]
    relation: Relation | None = None
    tolerance: float = 0.0
    """How far the measured value may be on the wrong side of the target, or away from it."""
    runs: int | None = None
    """Number of seeds, or of generated data sets, that it is about, if not that of its run."""
    n_test: int | None = None
    """Number of test examples that it is about, if not that of its run."""


class RunFolder:
    """A folder ``RUNS/EXPERIMENT/STAMP-seedN`` and its files.

    Of several workers, the first one writes and reads; the others receive what it reads, and need
    no access to the folder.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.checkpoint = path / "checkpoint"
        self.also_log: Callable[[list[Record]], None] | None = None
        self._metrics = path / "metrics.jsonl"

    @classmethod
    def create(cls, out: Path, experiment: str, config: dict[str, Any]) -> "RunFolder":
        """Makes a new run folder with its ``config.json``, of plain values that include "seed"."""
        run = cls.reserve(out, experiment, config["seed"])
        run.begin(experiment, config)
        return run

    @classmethod
    def reserve(cls, out: Path, experiment: str, seed: int) -> "RunFolder":
        """Makes an empty folder with a unique name, for a run that :meth:`begin` begins."""
        return cls(new_folder(out, experiment, f"-seed{seed}"))

    def begin(self, experiment: str, config: dict[str, Any]) -> None:
        """Writes ``config.json``; the folder is created if it is gone."""
        self.path.mkdir(parents=True, exist_ok=True)
        full = {"experiment": experiment, **config}
        write_atomically(self.path / "config.json", json.dumps(full, indent=1).encode())

    @property
    def begun(self) -> bool:
        """Whether there is a ``config.json``."""
        return (self.path / "config.json").is_file()

    def finished(self) -> dict[str, Any] | None:
        """Returns the result of a finished run; None for any other."""
        try:
            found = json.loads((self.path / "result.json").read_text())
        except (OSError, ValueError):
            return None
        return found if isinstance(found, dict) and found.get("complete") is True else None

    @contextlib.contextmanager
    def alone(self, wait_s: float = 0.0) -> Iterator[None]:
        """Keeps other processes out; gives one that runs here ``wait_s`` seconds to end."""
        with contextlib.ExitStack() as kept:
            from_first(lambda: kept.enter_context(locked(self.path / "config.json", wait_s)))
            yield

    def discard_if_empty(self) -> None:
        """Removes the folder if nothing but its configuration was written."""
        if worker() > 0:
            return
        if {entry.name for entry in self.path.iterdir()} <= {"config.json"}:
            (self.path / "config.json").unlink(missing_ok=True)
            self.path.rmdir()

    @property
    def config(self) -> dict[str, Any]:
        """Configuration read from ``config.json``."""
        return from_first(self._read_config)

    def _read_config(self) -> dict[str, Any]:
        path = self.path / "config.json"
        if not path.is_file():
            raise InputError(f"{self.path} is not a run folder; expected config.json in it")
        refuse_links(self.path)
        try:
            config = json.loads(path.read_text())
        except (OSError, ValueError, RecursionError):
            config = None
        if not isinstance(config, dict) or not isinstance(config.get("experiment"), str):
            raise InputError(f"{path} is damaged; expected the JSON of a configuration")
        return config

    def log(self, records: list[Record]) -> None:
        """Appends lines to ``metrics.jsonl``."""
        if records and worker() == 0:
            with writing(self._metrics), open(self._metrics, "a") as file:
                file.writelines(json.dumps(record) + "\n" for record in records)
            if self.also_log is not None:
                self.also_log(records)

    def records(self) -> list[Record]:
        """Returns all lines of ``metrics.jsonl``."""
        return from_first(self._read_records)

    def _read_records(self) -> list[Record]:
        if not self._metrics.exists():
            return []
        try:
            records = [json.loads(line) for line in self._metrics.read_text().splitlines()]
        except (OSError, ValueError, RecursionError) as error:
            raise InputError(f"{self._metrics} is damaged: {error}") from None
        if not all(isinstance(record, dict) for record in records):
            raise InputError(f"{self._metrics} is damaged; expected a JSON object in each line")
        return records

    def log_state(self) -> tuple[int, str]:
        """Returns size in bytes and SHA-256 of ``metrics.jsonl``, forced to disk."""
        if not self._metrics.exists():
            return 0, NOTHING
        with open(self._metrics, "rb") as file:
            os.fsync(file.fileno())
            digest = hashlib.file_digest(file, "sha256").hexdigest()
            return file.tell(), digest

    def truncate_log(self, size: int = 0, digest: str = NOTHING) -> None:
        """Keeps the first ``size`` bytes of the log, those of a checkpoint.

        Raises InputError, and changes nothing, if there are fewer or their SHA-256 is another.
        """
        if worker() > 0 or (size == 0 and not self._metrics.exists()):
            return
        if not self._metrics.is_file() or size > self._metrics.stat().st_size:
            raise InputError(f"{self._metrics} is cut off; expected at least {size} bytes")
        with open(self._metrics, "rb") as file:
            if hashlib.sha256(file.read(size)).hexdigest() != digest:
                raise InputError(f"{self._metrics} has changed since its checkpoint was made")
        os.truncate(self._metrics, size)

    def write_result(self, result: dict[str, Any]) -> None:
        """Replaces ``result.json``."""
        if worker() == 0:
            write_atomically(self.path / "result.json", json.dumps(result, indent=1).encode())

    def write_arrays(self, arrays: dict[str, Tensor]) -> None:
        """Replaces ``arrays.safetensors``, from which the report is drawn."""
        if worker() == 0:
            save_tensors(self.path / "arrays.safetensors", arrays)


def new_folder(out: Path, kind: str, ending: str = "") -> Path:
    """Makes a folder ``OUT/KIND/STAMP-ENDING`` with a unique name."""
    stamp = time.strftime("%Y%m%d-%H%M%S") + ending
    for attempt in range(1000):
        path = Path(out) / kind / (f"{stamp}-{attempt}" if attempt else stamp)
        try:
            path.mkdir(parents=True)
        except FileExistsError:
            if not path.is_dir():
                raise InputError(f"out is {str(out)!r}; expected a folder") from None
            continue
        except OSError as error:
            raise InputError(f"out is {str(out)!r}: can't make {path}: {error.strerror}") from None
        return path
    raise InputError(f"out is {str(out)!r}: too many folders of {kind} in one second")


def refuse_links(run: Path) -> None:
    """Raises InputError if a part of a run is a link: writing it would change another file."""
    for name in _PARTS:
        if (run / name).is_symlink():
            raise InputError(f"{run / name} is a link; expected a part of the run itself")


@contextlib.contextmanager
def locked(file: Path, wait_s: float = 0.0) -> Iterator[None]:
    """Locks a file against other processes; the lock ends with the process.

    The file is created if it is missing; nothing may ever replace it. Another process has
    ``wait_s`` seconds to release it, before InputError is raised.
    """
    import fcntl

    deadline = time.monotonic() + wait_s
    with contextlib.ExitStack() as kept:
        try:
            opened = kept.enter_context(open(file, "ab"))  # NFS locks only writable files
        except OSError as error:
            raise InputError(f"can't write {file}: {error.strerror}") from None
        while True:
            try:
                fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except OSError:
                if time.monotonic() >= deadline:
                    raise InputError(f"{file.parent} is in use by another process") from None
                time.sleep(0.2)
        yield


def result(
    experiment: str,
    paper: str,
    config: dict[str, Any],
    data: dict[str, Any],
    device: torch.device,
) -> dict[str, Any]:
    """Returns the content of ``result.json`` of a run that has measured nothing yet.

    ``config`` has "seed" and "quick" among others; ``data`` has name, n_train, n_test, source,
    sha256.
    """
    return {
        "experiment": experiment,
        "paper": paper,
        "config": config,
        "data": data,
        "seed": config["seed"],
        "metrics": {},
        "claims": [],
        "wall_s": 0.0,
        "device": describe(device),
        "versions": versions(),
        "quick": config["quick"],
        "complete": False,
    }


def describe(device: torch.device) -> str:
    """Describes the device and its hardware in words."""
    if device.type == "cuda":
        return f"{device} ({torch.cuda.get_device_name(device)})"
    threads = torch.get_num_threads()
    return f"{device} ({_processor()}, {threads} {'thread' if threads == 1 else 'threads'})"


def versions() -> dict[str, str]:
    """Returns the versions of Python, torch and plastorch."""
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
