"""The job that ``torchrun`` runs: its workers, their devices, and what survives a restart."""

import contextlib
import os
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch.distributed import TCPStore  # type: ignore[attr-defined]


def launched() -> bool:
    """Returns whether ``torchrun``, or something like it, started this process."""
    return {"RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT"} <= os.environ.keys()


@contextlib.contextmanager
def joined() -> Iterator[None]:
    """Joins the job's processes as workers, or raises WorkerLost; one process stays alone."""
    if not launched() or os.environ["WORLD_SIZE"] == "1":
        yield
        return
    import torch
    import torch.distributed as dist
    from torch.distributed import PrefixStore  # type: ignore[attr-defined]

    from plastorch.engine.distributed import together

    backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"
    rank, size = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
    with together():
        # The launcher's store still has the addresses of workers from before a restart.
        store = PrefixStore(f"plastorch/start/{_start()}", _store())
        dist.init_process_group(backend, store=store, rank=rank, world_size=size)
    try:
        yield
    finally:
        dist.destroy_process_group()


def own_device(name: str) -> str:
    """Returns a device's name; "cuda" becomes the GPU with the worker's number on its machine."""
    return f"cuda:{os.environ['LOCAL_RANK']}" if launched() and name == "cuda" else name


def run_folder(make: Callable[[], Path]) -> Path:
    """Returns the job's run folder, made once: it stays the same after a restart of its workers."""
    if not launched():
        return make()
    store = _store()
    if store.check(["plastorch/run"]):
        kept = Path(store.get("plastorch/run").decode())
        if kept.is_dir():
            return kept
    made = make()
    store.set("plastorch/run", str(made.absolute()))
    return made


def first_to_say(line: str) -> bool:
    """Returns whether no other worker has printed this since the last start of the job."""
    if not launched():
        return True
    try:
        return int(_store(5).add(f"plastorch/said/{_start()}/{line}", 1)) == 1
    except RuntimeError:  # twice is better than never
        return True


def _start() -> str:
    """Returns how often the workers were started before."""
    return os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")


def _store(seconds: int = 60) -> "TCPStore":
    """Returns the launcher's store in memory; it outlives the workers, and is up soon."""
    from torch.distributed import TCPStore  # type: ignore[attr-defined]

    return TCPStore(
        os.environ["MASTER_ADDR"],
        int(os.environ["MASTER_PORT"]),
        is_master=False,
        wait_for_workers=False,
        timeout=timedelta(seconds=seconds),
    )
