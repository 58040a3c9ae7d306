"""Speed of two workers that share each batch of deep SoftHebb, against one with all of it."""

import contextlib
import json
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from torch.distributed import FileStore  # type: ignore[attr-defined]

from plastorch.bench.timing import WARM_UP, Row, row
from plastorch.engine.device import fast_matmul
from plastorch.engine.distributed import by_itself, worker
from plastorch.engine.streams import stream
from plastorch.experiments.softhebb.bench import natural_like
from plastorch.hebbian.networks import SoftHebbNet
from plastorch.hebbian.presets import preset
from plastorch.hebbian.spec import NetworkSpec
from plastorch.hebbian.streams import Stream
from plastorch.hebbian.train import HebbianTraining

COST = "3 min, 2 GB"
"""Rough time and peak memory of all rows, on two cores."""
WORKERS = 2


class WorkersSize(NamedTuple):
    """Sizes of a row, which measures training steps in which all blocks learn."""

    name: str
    spec: NetworkSpec
    side: int
    """Side of the images, pixels."""
    batch: int
    """Number of images over all workers."""
    rounds: int


SIZES = (
    WorkersSize("cifar10-10", preset("cifar10"), 32, 10, 20),
    WorkersSize("cifar10-100", preset("cifar10"), 32, 100, 8),
    WorkersSize("imagenet-8", preset("imagenet", 4), 160, 8, 4),
)
"""The published batch and ten times that; for ImageNet, all blocks but the last, of 1.4 GB."""
SUMS = {"sum-4B": 1, "sum-1MB": 1 << 18, "sum-64MB": 1 << 24}
"""Numbers in single precision that workers sum, by name of the row."""
SUM_ROUNDS = 20


def rows() -> tuple[dict[str, object], Iterator[Row]]:
    """Returns a description of the images, and the rows of the group as they are measured."""
    data = {"name": "generated", "source": "noise with a 1/f spectrum", "workers": WORKERS}
    return data, measure(SIZES, SUMS)


def measure(sizes: tuple[WorkersSize, ...], sums: dict[str, int]) -> Iterator[Row]:
    """Yields rows of wall times, with two processes of one thread each.

    A row of steps also tells what the workers sum in a step: ``sums`` operations, ``bytes`` in all.
    The peer of a row of sums copies as many bytes; ``sums`` has their numbers of values, by name.
    """
    with tempfile.TemporaryDirectory() as folder:
        mp.spawn(_measured, (folder, sizes, sums), WORKERS)  # type: ignore[no-untyped-call,attr-defined]
        yield from json.loads(Path(folder, "rows").read_text())


def _measured(
    number: int, folder: str, sizes: tuple[WorkersSize, ...], sums: dict[str, int]
) -> None:
    """Runs in each of the workers; the first one writes the rows."""
    torch.set_num_threads(1)
    store = FileStore(f"{folder}/store", WORKERS)
    dist.init_process_group("gloo", store=store, rank=number, world_size=WORKERS)
    with fast_matmul():
        found = [_step_row(size) for size in sizes]
    found += [_sum_row(name, count) for name, count in sums.items()]
    if number == 0:
        Path(folder, "rows").write_text(json.dumps(found))
    dist.destroy_process_group()


def _step_row(size: WorkersSize) -> Row:
    with by_itself():
        alone = _training(size)
    shared = _training(size)
    summed: list[int] = []
    with _noted(summed):
        shared.step()
    if worker() == 0:
        with by_itself():
            alone.step()
    pairs = zip(alone.net.parameters(), shared.net.parameters(), strict=True)
    equal = all(torch.allclose(one, two, rtol=1e-4, atol=1e-5) for one, two in pairs)
    ours_s, alone_s = _in_turns(shared.step, alone.step, size.rounds)
    told = {"batch": size.batch, "sums": len(summed), "bytes": sum(summed), "equal": equal}
    return row(size.name, ours_s, "one worker, the whole batch", alone_s, **told)


def _sum_row(name: str, count: int) -> Row:
    numbers, copy = torch.zeros(count), torch.empty(count)
    ours_s, copy_s = _in_turns(
        lambda: dist.all_reduce(numbers), lambda: copy.copy_(numbers), SUM_ROUNDS
    )
    return row(name, ours_s, "a copy", copy_s, bytes=4 * count)


def _training(size: WorkersSize) -> HebbianTraining:
    images = natural_like(size.batch, size.side)
    net = SoftHebbNet(size.spec, 3, size.side, 10, generator=stream(0, Stream.WEIGHTS))
    return HebbianTraining(net, images, batch_size=size.batch, mode="consecutive", epochs=1000)


@contextlib.contextmanager
def _noted(summed: list[int]) -> Iterator[None]:
    """Notes the number of bytes of each sum over the workers."""
    all_reduce = dist.all_reduce

    def noting(tensor: torch.Tensor, *arguments: Any, **options: Any) -> Any:
        summed.append(tensor.numel() * tensor.element_size())
        return all_reduce(tensor, *arguments, **options)

    dist.all_reduce = noting
    try:
        yield
    finally:
        dist.all_reduce = all_reduce


def _in_turns(
    ours: Callable[[], object], peer: Callable[[], object], rounds: int
) -> tuple[float, float]:
    """Returns median seconds of what all do together, and of the first while others wait."""
    seconds: tuple[list[float], list[float]] = ([], [])
    for _ in range(WARM_UP + rounds):
        dist.barrier()
        seconds[0].append(_seconds(ours))
        dist.barrier()
        if worker() == 0:
            with by_itself():
                seconds[1].append(_seconds(peer))
    return median(seconds[0][WARM_UP:]), median(seconds[1][WARM_UP:] or [0.0])


def _seconds(run: Callable[[], object]) -> float:
    start = time.perf_counter()
    run()
    return time.perf_counter() - start
