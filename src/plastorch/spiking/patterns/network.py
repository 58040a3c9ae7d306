"""The network of :mod:`plastorch.spiking.patterns.rule` as a module."""

from functools import cache
from math import sqrt
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from plastorch.engine.errors import InputError, check_positive
from plastorch.engine.threads import in_threads
from plastorch.spiking.patterns.rule import (
    NO_SPIKE,
    PatternNeuron,
    Response,
    Weights,
    respond,
)

WORK_PER_THREAD = 1 << 20
"""Work that is worth a thread: number of patterns times number of weights."""
INITIAL_DRIVE = 1.4
"""Standard deviation of hidden neurons' summed weights; a tenth of the neurons fire at a time."""
INITIAL_ANSWER = 2.0
"""Standard deviation of an output neuron's summed weights; few of its inputs fire."""


class PatternNetwork(nn.Module):
    """Network that classifies patterns of one spike per input by a pattern of output spikes.

    Stanojevic et al., *File classification based on spiking neural networks*, arXiv 2004.03953;
    equations in :mod:`plastorch.spiking.patterns.rule`. On a CPU, compiled loops compute the
    response and its gradient; elsewhere torch does.

    Args:
        inputs: number of inputs N.
        hidden: number of hidden neurons H.
        classes: number of classes C.
        neuron: constants of the neurons; the defaults if None.
        generator: random generator for the initial weights; torch's own if None.

    Raises:
        InputError: if a size is not positive.

    Example:
        >>> network = PatternNetwork(inputs=3, hidden=8, classes=2)
        >>> network(torch.tensor([[0, 7, 255]], dtype=torch.uint8)).distance.shape
        torch.Size([1, 2])
    """

    def __init__(
        self,
        inputs: int,
        hidden: int,
        classes: int,
        neuron: PatternNeuron | None = None,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        check_positive(inputs=inputs, hidden=hidden, classes=classes)
        self.neuron = PatternNeuron() if neuron is None else neuron

        def normal(rows: int, columns: int, deviation: float) -> nn.Parameter:
            weight = torch.randn(rows, columns, generator=generator)
            return nn.Parameter(weight * deviation / sqrt(rows))

        self.hidden_weight = normal(inputs, hidden, INITIAL_DRIVE)
        self.hidden_bias = nn.Parameter(torch.zeros(hidden))
        self.output_weight = normal(hidden, classes, INITIAL_ANSWER)
        self.output_bias = nn.Parameter(torch.zeros(classes))

    def weights(self) -> Weights:
        """Returns the weights as :func:`plastorch.spiking.patterns.rule.respond` takes them."""
        return Weights(self.hidden_weight, self.hidden_bias, self.output_weight, self.output_bias)

    def forward(self, bins: Tensor) -> Response:
        """Answers patterns.

        Args:
            bins: step of each input's spike, or 255 if it doesn't fire, uint8 [B, N].

        Raises:
            InputError: if patterns have another size or type, or spikes after the last input step.
        """
        self.check(bins)
        if bins.device.type != "cpu":
            return respond(bins, self.weights(), self.neuron)
        keep = torch.is_grad_enabled() and any(p.requires_grad for p in self.weights())
        return Response(*_Answer.apply(bins, self.neuron, keep, *self.weights()))  # type: ignore[no-untyped-call]

    def check(self, bins: Tensor) -> None:
        """Raises InputError if the network can't take the patterns; see :meth:`forward`."""
        inputs = len(self.hidden_weight)
        if bins.dim() != 2 or bins.shape[1] != inputs or bins.dtype != torch.uint8:
            raise InputError(
                f"bins have shape {tuple(bins.shape)} and type {bins.dtype}; expected uint8 of "
                f"shape (B, {inputs})"
            )
        self.check_steps(bins)

    def check_steps(self, bins: Tensor) -> None:
        """Raises InputError if there are spikes after the last input step."""
        last = self.neuron.input_steps
        wrong = (bins >= last) & (bins != NO_SPIKE)
        if bool(wrong.any()):
            raise InputError(
                f"bins hold {int(bins[wrong].max())}; expected less than {last}, or {NO_SPIKE} for "
                "no spike"
            )

    def extra_repr(self) -> str:
        inputs, hidden = self.hidden_weight.shape
        return f"{inputs}, {hidden}, {len(self.output_bias)}, {self.neuron}"


class _Answer(torch.autograd.Function):
    """Compiled response; differentiable in the weights, but only once."""

    @staticmethod
    def forward(
        ctx: Any, bins: Tensor, neuron: PatternNeuron, keep: bool, *weights: Tensor
    ) -> tuple[Tensor, ...]:
        results, kept = compute(bins, Weights(*weights), neuron, keep)
        if keep:
            ctx.neuron = neuron
            ctx.save_for_backward(bins, *weights, *kept)
        ctx.mark_non_differentiable(results[1], results[3])
        return tuple(results)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        from plastorch.spiking.patterns import gradient_kernels, kernels

        bins, *tensors = ctx.saved_tensors
        weights, kept = Weights(*tensors[:4]), tensors[4:]
        sizes = bins.shape[1], kept[0].shape[-1], kept[1].shape[-1]
        check_weights(weights, *sizes)  # a parameter may have been replaced by now
        wanted = gradients[0].contiguous().numpy(), gradients[2].contiguous().numpy()
        arguments = as_arrays(bins, weights, ctx.neuron)
        memory, shares = kernels.Memory(*arrays_of(kept)), {}

        def run(begin: int, end: int) -> None:
            share = shares[begin] = [torch.zeros_like(weight) for weight in weights]
            gradient_kernels.backward(*arguments, begin, end, memory, *wanted, arrays_of(share))

        in_threads(run, len(bins), len(bins) * weights[0].numel() // WORK_PER_THREAD)
        ordered = [shares[begin] for begin in sorted(shares)]  # in whichever order threads ended
        sums = [torch.stack(parts).sum(0) for parts in zip(*ordered, strict=True)]
        return None, None, None, *sums


def compute(
    bins: Tensor, weights: Weights, neuron: PatternNeuron, keep: bool
) -> tuple[Response, list[Tensor]]:
    """Runs compiled :func:`plastorch.spiking.patterns.rule.respond`; keeps what a gradient needs.

    Args:
        bins: patterns on the CPU [B, N].
        weights: weights on the CPU.
        neuron: constants of the neurons.
        keep: whether to keep potentials and traces, as a gradient needs them.

    Returns:
        Response, without a gradient, and the tensors of a ``kernels.Memory``.

    Raises:
        InputError: if weights don't fit the patterns or each other, or are not finite, or a
            constant is out of range for their type.
    """
    from plastorch.spiking.patterns import kernels

    check_weights(weights, bins.shape[1])
    batch, (hidden, classes) = len(bins), weights.output.shape
    new = weights.hidden.new_empty
    results = Response(new(batch, classes), new(batch, classes), new(batch), new(batch))
    sizes = [(batch if keep else 0, neuron.steps, k) for k in (hidden, classes, classes)]
    kept = [new(size) for size in sizes]
    arguments = as_arrays(bins, weights, neuron)
    memory = kernels.Memory(*arrays_of(kept))

    def run(begin: int, end: int) -> None:
        kernels.forward(*arguments, begin, end, memory, arrays_of(results))

    in_threads(run, batch, batch * weights.hidden.numel() // WORK_PER_THREAD)
    return results, kept


def check_weights(
    weights: Weights, inputs: int, hidden: int | None = None, classes: int | None = None
) -> None:
    """Raises InputError unless weights fit each other and the sizes given (None: any size)."""
    from plastorch.engine.numba_options import REAL, check_arrays  # importing numba takes a second

    check_arrays(hidden_weight=(weights.hidden, (inputs, hidden), REAL))
    hidden, real = weights.hidden.shape[1], weights.hidden.dtype
    check_arrays(
        hidden_bias=(weights.hidden_bias, (hidden,), real),
        output_weight=(weights.output, (hidden, classes), real),
        output_bias=(weights.output_bias, weights.output.shape[1:], real),
    )


def as_arrays(bins: Tensor, weights: Any, neuron: PatternNeuron) -> tuple[Any, Any, Any]:
    """Returns patterns, weights and constants as the kernels take them."""
    return bins.contiguous().numpy(), arrays_of(weights), constants_of(neuron, weights[0].dtype)


def arrays_of(tensors: Any) -> tuple[Any, ...]:
    """Returns tensors on the CPU as arrays in C order."""
    return tuple(tensor.detach().contiguous().numpy() for tensor in tensors)


@cache
def constants_of(neuron: PatternNeuron, dtype: torch.dtype) -> Any:
    """Returns the constants of the kernels, in the type of the weights."""
    from plastorch.engine.numba_options import check_constants
    from plastorch.spiking.patterns import kernels

    check_constants(dtype, resistance=neuron.resistance, slope=neuron.slope)
    number = np.float64 if dtype == torch.float64 else np.float32
    membrane = neuron.decay(neuron.tau_membrane)
    return kernels.Constants(
        number(membrane),
        number(neuron.decay(neuron.tau_synapse)),
        number((1 - membrane) * neuron.resistance),
        number(neuron.decay(neuron.tau_trace)),
        number(neuron.slope),
        neuron.input_steps,
        neuron.target().numpy().astype(number),
    )
