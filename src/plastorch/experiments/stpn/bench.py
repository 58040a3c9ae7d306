"""Speed of short-term plasticity neurons against their equations in plain torch, and an LSTM.

Rows are of training steps, of whole sequences; one is of a single step of a cell.
"""

from collections.abc import Callable, Iterator
from copy import deepcopy
from itertools import chain
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from plastorch.bench.peers import has_peer, peer
from plastorch.bench.timing import Row, interleaved, row
from plastorch.data.tasks.retrieval import SYMBOLS
from plastorch.engine.streams import stream
from plastorch.stp import STPN, STPNCell

COST = "5 min, 11 GB"
"""Rough time and peak memory of all rows, on one core."""
BATCH = 128
PEER = "plain PyTorch, a loop over steps"


class STPNSize(NamedTuple):
    """Sizes of a row."""

    name: str
    hidden: int
    steps: int
    rounds: int
    threads: int = 1


SIZES = (
    STPNSize("train-step-h11", 11, 20, 40),
    STPNSize("train-step-h64", 64, 20, 20),
    STPNSize("train-step-h128", 128, 20, 8),
    STPNSize("train-step-h11-t9", 11, 9, 40),
    STPNSize("train-step-h128-t31", 128, 31, 5),
    STPNSize("train-step-h64-t200", 64, 200, 3),
    STPNSize("train-step-h11-threads2", 11, 20, 40, threads=2),
    STPNSize("train-step-h64-threads2", 64, 20, 20, threads=2),
    STPNSize("train-step-h128-threads2", 128, 20, 8, threads=2),
)
AGAINST_LSTM = STPNSize("train-step-lstm-h64", 64, 20, 20)
CHUNKED = STPNSize("chunked-h128-t512", 128, 512, 3)
CELL_STEP = STPNSize("cell-step", 64, 1, 400)
CELL_BATCH = 64


def rows() -> tuple[dict[str, object], Iterator[Row]]:
    """Returns a description of the sequences, and the rows of the group as they are measured."""
    data: dict[str, object] = {"name": "one-hot sequences", "symbols": SYMBOLS}
    if has_peer("stpn"):
        return data, chain(
            measure(SIZES, AGAINST_LSTM), measure_chunked(CHUNKED), measure_cell(CELL_STEP)
        )
    data["left_out"] = [size.name for size in (*SIZES, CELL_STEP)]
    return data, chain(measure((), AGAINST_LSTM), measure_chunked(CHUNKED))


def measure(
    sizes: tuple[STPNSize, ...], against_lstm: STPNSize, batch: int = BATCH
) -> Iterator[Row]:
    """Measures row by row a training step, from the input to the updated parameters.

    Rows of ``sizes`` are against the plain loop, the last one against ``nn.LSTM`` with as many
    parameters.
    """
    for size in sizes:
        layer = STPN(SYMBOLS, size.hidden)
        # A rate at which plasticity matters, unlike at the start of training.
        nn.init.uniform_(layer.cells[0].weight_gamma, -0.1, 0.1)  # type: ignore[arg-type]
        yield _row(size, layer, peer("stpn").PeerSTPN(layer), PEER, batch)
    layer = STPN(SYMBOLS, against_lstm.hidden)
    lstm = matched_lstm(layer)
    yield _row(against_lstm, layer, lstm, f"nn.LSTM({SYMBOLS}, {lstm.hidden_size})", batch)


def measure_chunked(size: STPNSize, batch: int = BATCH) -> Iterator[Row]:
    """Measures a training step with one Λ and Γ for all synapses against as many equal ones, for
    which our layer runs step by step."""
    layer, steps = STPN(SYMBOLS, size.hidden, scalar=True), STPN(SYMBOLS, size.hidden)
    with torch.no_grad():
        numbers = {"weight_lambda": 0.9, "weight_gamma": 0.02}
        for core in (layer, steps):
            for name, number in numbers.items():
                core.cells[0].get_parameter(name).fill_(number)
        steps.cells[0].get_parameter("weight").copy_(layer.cells[0].get_parameter("weight"))
        steps.cells[0].get_parameter("bias").copy_(layer.cells[0].get_parameter("bias"))
    yield _row(size, layer, steps, "the same, step by step", batch)


def measure_cell(size: STPNSize, batch: int = CELL_BATCH) -> Iterator[Row]:
    """Measures a step of a cell without gradients, as of an agent, from a state of some steps."""
    random = stream(0)
    cell = STPNCell(SYMBOLS, size.hidden)
    plain = peer("stpn").PeerCell(cell)
    x = torch.randn(batch, SYMBOLS, generator=random)
    with torch.no_grad():
        state = cell(x, cell(x)[1])[1]
        equal = all(
            torch.allclose(one, other, rtol=0, atol=1e-5)
            for one, other in zip(cell(x, state)[1], plain(x, state)[1], strict=True)
        )
        seconds = interleaved(lambda: cell(x, state), lambda: plain(x, state), size.rounds)
    words = f"plain PyTorch; batch {batch}, a step without gradients, {size.hidden} neurons"
    yield row(size.name, seconds[0], words, seconds[1], equal=equal)


def matched_lstm(layer: STPN) -> nn.LSTM:
    """Returns the LSTM whose number of parameters is nearest."""
    wanted = sum(parameter.numel() for parameter in layer.parameters())
    inputs = layer.input_size
    size = min(range(1, wanted), key=lambda h: abs(4 * h * (inputs + h + 2) - wanted))
    return nn.LSTM(inputs, size)


def _row(size: STPNSize, layer: STPN, other: nn.Module, name: str, batch: int) -> Row:
    """Measures a training step of both sides on the same sequences, and memory for the gradient."""
    random = stream(0)
    symbols = torch.randint(SYMBOLS, (size.steps, batch), generator=random)
    x = F.one_hot(symbols, SYMBOLS).float()
    labels = torch.randint(SYMBOLS, (batch,), generator=random)
    ours, theirs = _trainer(layer, x, labels), _trainer(other, x, labels)
    plain = not isinstance(other, nn.LSTM)
    more: dict[str, object] = {"equal": gradients_agree(layer, other, x)} if plain else {}
    more |= {"kept_mb": kept_mb(layer, x), "peer_kept_mb": kept_mb(other, x)}
    seconds = interleaved(ours, theirs, size.rounds, threads=size.threads)
    words = f"{name}; batch {batch}, {size.steps} steps, {size.hidden} neurons"
    words += f", {size.threads} threads" if size.threads > 1 else ""
    return row(size.name, seconds[0], words, seconds[1], **more)


def _trainer(core: nn.Module, x: Tensor, labels: Tensor) -> Callable[[], None]:
    """Returns an update by Adam of a core and of a readout of its last activity."""
    with torch.no_grad():
        readout = nn.Linear(core(x[:1])[0].shape[-1], SYMBOLS)
    optimizer = torch.optim.Adam([*core.parameters(), *readout.parameters()])

    def step() -> None:
        optimizer.zero_grad()
        loss: Tensor = F.cross_entropy(readout(core(x)[0][-1]), labels)
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()

    return step


def gradients_agree(layer: STPN, peer: nn.Module, x: Tensor) -> bool:
    """Whether both sides' gradients of some samples agree, to 1e-9 of their norm.

    Of a parameter that is shared, it is the sum of the other's. This is in double precision: over
    many steps, single-precision rounding grows beyond 1e-5.
    """
    gradients = []
    for core in (deepcopy(layer).double(), deepcopy(peer).double()):
        loss = core(x[:, :16].double())[0].square().sum()
        gradients.append(torch.autograd.grad(loss, list(core.parameters())))
    return all(
        torch.allclose(one, other.sum_to_size(one.shape), rtol=0, atol=1e-9 * float(other.norm()))
        for one, other in zip(*gradients, strict=True)
    )


def kept_mb(core: nn.Module, x: Tensor) -> float:
    """Returns the megabytes that a forward pass keeps for its backward pass."""
    sizes: dict[int, int] = {}

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        sizes[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        output = core(x)
    del output
    return round(sum(sizes.values()) / 1e6, 2)
