"""Division of a batch among threads, for kernels that release the interpreter's lock."""

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from itertools import pairwise

import torch

from plastorch.engine.device import denormals_flushed


def in_threads(run: Callable[[int, int], None], samples: int, useful: int) -> None:
    """Calls ``run(begin, end)`` for shares of the samples, on as many threads as torch may use.

    Denormal numbers count as 0 meanwhile, where the processor can: some take 100 times as long for
    each, and gradients that vanish leave thousands. ``useful`` is the number of threads that have
    enough to do, at least 1.
    """
    shares = max(1, min(torch.get_num_threads(), samples, useful))
    bounds = [samples * share // shares for share in range(shares + 1)]
    others = [
        _pool(os.getpid(), shares).submit(_run, run, begin, end)
        for begin, end in pairwise(bounds[1:])
    ]
    _run(run, bounds[0], bounds[1])
    for other in others:
        other.result()


def _run(run: Callable[[int, int], None], begin: int, end: int) -> None:
    with denormals_flushed():
        run(begin, end)


@cache
def _pool(process: int, threads: int) -> ThreadPoolExecutor:
    """Returns a pool of this process's own, as threads don't survive a fork."""
    return ThreadPoolExecutor(threads - 1, "plastorch")
