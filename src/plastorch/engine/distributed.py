"""Several workers, as started by ``torchrun``, that train as one on their joined batch.

Each takes its part of the same batch, with the same random numbers, and sums are taken over all.
Without a process group, or with a single worker, everything here acts as for one worker.
"""

import contextlib
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextvars import ContextVar
from typing import Any, TypeVar, cast

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor, nn

from plastorch.engine.errors import InputError, WorkerLost

if dist.is_available():
    # Otherwise the compiler imports it later, and its functions keep the process group of that
    # time, whose threads outlive the group and can abort the process as Python exits.
    import torch.distributed.nn.functional

T = TypeVar("T")
_by_itself: ContextVar[bool] = ContextVar("by_itself", default=False)


@contextlib.contextmanager
def by_itself() -> Iterator[None]:
    """Hides the other workers inside its ``with`` block, for jobs done by one worker each."""
    token = _by_itself.set(True)
    try:
        yield
    finally:
        _by_itself.reset(token)


def workers() -> int:
    """Returns the number of workers."""
    alone = _by_itself.get() or not dist.is_available() or not dist.is_initialized()
    return 1 if alone else dist.get_world_size()


def worker() -> int:
    """Returns the index of this worker, from 0."""
    return dist.get_rank() if workers() > 1 else 0


def check_parts(**batches: int) -> None:
    """Raises InputError naming the first batch that can't be divided evenly among the workers."""
    for name, size in batches.items():
        if size % workers():
            raise InputError(
                f"{name} is {size}; expected a multiple of {workers()}, the number of workers"
            )


def part(rows: Tensor, dim: int = 0) -> Tensor:
    """Returns this worker's part of a batch; parts differ by one row at most, and may be empty."""
    return rows if workers() == 1 else rows.tensor_split(workers(), dim)[worker()]


def sum_over_workers(tensor: Tensor) -> Tensor:
    """Adds the tensors of all workers in place, and returns the sum."""
    if workers() > 1:
        with together():
            dist.all_reduce(tensor)
    return tensor


def sum_tensors(tensors: Sequence[Tensor]) -> Sequence[Tensor]:
    """Returns each tensor's sum over all workers, in one message; leaves the tensors unchanged."""
    if workers() == 1 or not tensors:
        return tensors
    flat = sum_over_workers(torch.cat([tensor.flatten() for tensor in tensors]))
    parts = torch.split(flat, [tensor.numel() for tensor in tensors])
    return [
        torch.empty_like(tensor).copy_(total.view(tensor.shape))
        for tensor, total in zip(tensors, parts, strict=True)
    ]


def mean_over_workers(mean: Tensor, rows: int) -> Tensor:
    """Returns the mean over the joined batch of a scalar that is the mean over each worker's part.

    ``rows`` is the number of rows of the part; the mean of an empty part is ignored.
    """
    if workers() == 1:
        return mean
    total = mean * rows if rows else torch.zeros_like(mean)
    sums = sum_over_workers(torch.stack([total, torch.full_like(mean, rows)]))
    return sums[0] / sums[1]


def any_worker(flag: bool) -> bool:
    """Returns whether a flag is true on any worker. All workers wait here for each other."""
    return flag if workers() == 1 else bool(sum_over_workers(torch.tensor(int(flag))))


def gathered(rows: Tensor) -> Tensor:
    """Returns the rows [R, ...] of all workers in order [workers R, ...]; gradients flow back."""
    return rows if workers() == 1 else cast(Tensor, _Gather.apply(rows))  # type: ignore[no-untyped-call]


def summed(tensor: Tensor) -> Tensor:
    """Returns the sum of all workers' tensors as a new one; gradients flow back to each."""
    return tensor if workers() == 1 else cast(Tensor, _Sum.apply(tensor))  # type: ignore[no-untyped-call]


def dropout(x: Tensor, probability: float, training: bool = True) -> Tensor:
    """Applies ``F.dropout`` to this worker's part [rows, ...] of a batch as in the joined batch."""
    if workers() == 1 or not training:
        return F.dropout(x, probability, training)
    rows = torch.zeros(workers(), dtype=torch.int64)
    rows[worker()] = len(x)
    counts = sum_over_workers(rows).tolist()
    kept = F.dropout(x.new_ones(sum(counts), *x.shape[1:]), probability)
    return x * torch.split(kept, counts)[worker()]


def backward(loss: Tensor, parameters: Iterable[nn.Parameter], share: float | None = None) -> None:
    """Calls ``loss.backward()``, and gives all workers the gradient of the mean over a batch.

    ``loss`` is the mean over this worker's part, or anything if the part is empty; ``share`` is the
    part's share of the rows, None for equal shares.
    """
    if workers() > 1:
        loss = loss * (1 / workers() if share is None else share)
    loss.backward()  # type: ignore[no-untyped-call]
    sum_gradients(parameters)


def sum_gradients(parameters: Iterable[nn.Parameter]) -> None:
    """Sums gradients over all workers, in place; parameters without one are left out."""
    if workers() == 1:
        return
    gradients = [p.grad for p in parameters if p.grad is not None]
    for gradient, total in zip(gradients, sum_tensors(gradients), strict=True):
        gradient.copy_(total)


def share_state(module: nn.Module) -> None:
    """Gives all workers the parameters and buffers of the first, in place."""
    if workers() > 1:
        for tensor in module.state_dict().values():
            whole = tensor.contiguous()
            with together():
                dist.broadcast(whole, 0)
            tensor.copy_(whole)


def from_first(make: Callable[[], T]) -> T:
    """Calls a function on the first worker only, and passes its result or InputError to all."""
    if workers() == 1:
        return make()
    box = [_attempted(make) if worker() == 0 else None]
    with together():
        dist.broadcast_object_list(box, 0, device=torch.device("cpu"))
    return cast(T, _opened(box[0]))


def share_out(jobs: Sequence[Callable[[], T]]) -> list[T]:
    """Divides independent jobs among the workers, and gives every worker all results in order.

    The jobs are the same on every worker; if one raises InputError, all workers do.
    """
    if workers() == 1:
        return [job() for job in jobs]
    mine = jobs[worker() :: workers()]
    with by_itself():
        done = [_attempted(job) for job in mine]
    boxes: list[Any] = [None] * workers()
    with together():
        dist.all_gather_object(boxes, done)
    found = [boxes[number % workers()][number // workers()] for number in range(len(jobs))]
    return [cast(T, _opened(one)) for one in found]


def _attempted(make: Callable[[], T]) -> T | InputError:
    try:
        return make()
    except InputError as error:
        return error


def _opened(found: object) -> object:
    if isinstance(found, InputError):
        raise found
    return found


@contextlib.contextmanager
def together() -> Iterator[None]:
    """Raises WorkerLost if a collective operation fails because a worker is gone."""
    try:
        yield
    except RuntimeError as error:
        where_and_what = str(error).splitlines()[0].split(". ")[0]
        what = re.sub(r"^\[[^]]*\] ", "", where_and_what)
        raise WorkerLost(f"lost another worker ({what})") from error


class _Gather(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, rows: Tensor) -> Tensor:
        whole = [torch.empty_like(rows) for _ in range(workers())]
        with together():
            dist.all_gather(whole, rows.contiguous())
        return torch.cat(whole)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        return part(sum_over_workers(gradient.clone()))


class _Sum(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, tensor: Tensor) -> Tensor:
        return sum_over_workers(tensor.clone())

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        return sum_over_workers(gradient.clone())
