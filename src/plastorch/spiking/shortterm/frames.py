"""Frames one after the other: compiled on a CPU, in torch elsewhere."""

import math

import numpy as np
import torch
from torch import Tensor

from plastorch.engine.device import REAL, has_kernels
from plastorch.engine.errors import InputError, check_finite
from plastorch.engine.threads import in_threads
from plastorch.spiking.shortterm.rule import ShortTerm, ShortTermState, compete, scores, step


def run(
    x: Tensor, state: ShortTermState, weight: Tensor, bias: Tensor, constants: ShortTerm
) -> tuple[Tensor, ShortTermState]:
    """Runs frames [T, S, D] one by one: compiled on a CPU, but for half precision, in torch
    elsewhere; see :func:`step`.

    Returns posteriors [T, S, K], and the last state; on a CPU, frames that are not finite raise
    InputError. The compiled version ignores changes of synapses below 1e-9, and raises InputError
    if numbers overflow. It has no gradient: where one is required, torch is used on a CPU as well.
    """
    asked = torch.is_grad_enabled() and any(
        part.requires_grad for part in (x, state.F, weight, bias)
    )
    half = weight.dtype == x.dtype and not has_kernels(x)
    if constants.site == "synapse" and x.is_cpu and not half and not asked:
        return _run_compiled(x, state, weight, bias, constants)
    if x.device.type == "cpu":
        check_finite(x=x)
    if constants.site == "none":
        u = scores(x.flatten(0, 1), state, weight, bias, constants)
        return compete(u, constants.competition).view(*x.shape[:2], len(weight)), state
    posteriors = []
    for frame in x:
        y, state = step(frame, state, weight, bias, constants)
        posteriors.append(y)
    empty = x.new_zeros(0, x.shape[1], len(weight))
    return torch.stack(posteriors) if posteriors else empty, state


def _run_compiled(
    x: Tensor, state: ShortTermState, weight: Tensor, bias: Tensor, constants: ShortTerm
) -> tuple[Tensor, ShortTermState]:
    from plastorch.engine.numba_options import check_arrays
    from plastorch.spiking.shortterm import kernels

    check_arrays(x=(x, (None, None, None), REAL))
    check_circuit(x, state.F, weight, bias, constants)
    memory = state.F.detach().clone(memory_format=torch.contiguous_format)
    drive = x.detach() @ weight.detach().mT
    number = np.float64 if x.dtype == torch.float64 else np.float32
    arrays = [t.detach().contiguous().numpy() for t in (x, weight, bias, memory, drive)]
    settings = (
        number(constants.kappa),
        number(constants.gamma),
        math.exp(-1 / constants.tau),
        kernels.SCORE[constants.score],
        constants.update == "track",
        constants.competition == "hard",
    )

    def share(begin: int, end: int) -> None:
        kernels.frames(*arrays, *settings, begin, end)

    in_threads(share, x.shape[1], x.shape[1])
    check_arrays(posterior=(drive, drive.shape, x.dtype))
    return drive, state._replace(F=memory)


def check_circuit(
    x: Tensor, memory: Tensor, weight: Tensor, bias: Tensor, constants: ShortTerm
) -> None:
    """Raises InputError unless F [S, K, D], W [K, D] and b [K] fit inputs or traces ``x``
    [..., S, D], whose values are not checked, have their type, and are finite."""
    from plastorch.engine.numba_options import check_arrays, check_constants

    (streams, inputs), real = x.shape[-2:], x.dtype
    check_arrays(weight=(weight, (None, inputs), real))
    neurons = len(weight)
    check_arrays(bias=(bias, (neurons,), real), F=(memory, (streams, neurons, inputs), real))
    if weight.numel() == 0:
        raise InputError(f"weight is [{neurons}, {inputs}]; expected neurons and inputs")
    check_constants(real, kappa=constants.kappa, gamma=constants.gamma)
