"""The network of :mod:`plastorch.spiking.patterns.rule` as a module."""

from math import sqrt
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from plastorch.engine.errors import InputError, check_positive
from plastorch.engine.threads import in_threads
from plastorch.spiking.patterns.rule import PatternNeuron, Response, Weights, respond

WORK_PER_THREAD = 1 << 20
"""Weights of patterns' spikes that are worth a thread."""
INITIAL_DRIVE = 1.4
"""Standard deviation of a hidden neuron's summed weights: a tenth of them fire at a time."""
INITIAL_ANSWER = 2.0
"""The same of an output neuron, of whose inputs few fire."""


class PatternNetwork(nn.Module):
    """Classifies patterns of one spike per input by a pattern of output spikes.

    Stanojevic et al., *File classification based on spiking neural networks*, arXiv 2004.03953;
    equations in :mod:`plastorch.spiking.patterns.rule`. On a CPU, compiled loops compute the
    response and its gradient; elsewhere torch does.

    Args:
        inputs: N.
        hidden: H.
        classes: C.
        neuron: constants; the default ones if None.
        generator: of the initial weights; torch's own if None.

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
        """All that is learned, as :func:`plastorch.spiking.patterns.rule.respond` takes it."""
        return Weights(self.hidden_weight, self.hidden_bias, self.output_weight, self.output_bias)

    def forward(self, bins: Tensor) -> Response:
        """Answers patterns.

        Args:
            bins: step of each input's spike, or 255 if it doesn't fire, uint8 [B, N].

        Raises:
            InputError: for patterns of another size or type, or spikes after the last input step.
        """
        inputs, last = len(self.hidden_weight), self.neuron.input_steps
        if bins.dim() != 2 or bins.shape[1] != inputs or bins.dtype != torch.uint8:
            raise InputError(
                f"bins have shape {tuple(bins.shape)} and type {bins.dtype}; expected uint8 of "
                f"shape (B, {inputs})"
            )
        if bool(((bins >= last) & (bins != 255)).any()):
            wrong = int(bins[(bins >= last) & (bins != 255)].max())
            raise InputError(f"bins hold {wrong}; expected less than {last}, or 255 for no spike")
        if bins.device.type != "cpu":
            return respond(bins, self.weights(), self.neuron)
        keep = torch.is_grad_enabled() and any(p.requires_grad for p in self.weights())
        return Response(*_Answer.apply(bins, self.neuron, keep, *self.weights()))  # type: ignore[no-untyped-call]

    def extra_repr(self) -> str:
        inputs, hidden = self.hidden_weight.shape
        return f"{inputs}, {hidden}, {len(self.output_bias)}, {self.neuron}"


class _Answer(torch.autograd.Function):
    """Compiled; differentiable in the weights, but not twice."""

    @staticmethod
    def forward(
        ctx: Any, bins: Tensor, neuron: PatternNeuron, keep: bool, *weights: Tensor
    ) -> tuple[Tensor, ...]:
        from plastorch.spiking.patterns import kernels

        batch, (hidden, classes) = len(bins), weights[2].shape
        new = weights[0].new_empty
        results = new(batch, classes), new(batch, classes), new(batch), new(batch)
        sizes = [(batch if keep else 0, neuron.steps, k) for k in (hidden, classes, classes)]
        kept = [new(size) for size in sizes]
        arguments = bins.contiguous().numpy(), _arrays(weights), _constants(neuron, weights[0])
        memory = kernels.Memory(*_arrays(kept))

        def run(begin: int, end: int) -> None:
            kernels.forward(*arguments, begin, end, memory, _arrays(results))

        in_threads(run, batch, batch * weights[0].numel() // WORK_PER_THREAD)
        if keep:
            ctx.neuron = neuron
            ctx.save_for_backward(bins, *weights, *kept)
        ctx.mark_non_differentiable(results[1], results[3])
        return results

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        from plastorch.spiking.patterns import kernels

        bins, *tensors = ctx.saved_tensors
        weights, kept = tensors[:4], tensors[4:]
        wanted = gradients[0].contiguous().numpy(), gradients[2].contiguous().numpy()
        arguments = bins.contiguous().numpy(), _arrays(weights), _constants(ctx.neuron, weights[0])
        memory, shares = kernels.Memory(*_arrays(kept)), []

        def run(begin: int, end: int) -> None:
            share = [torch.zeros_like(weight) for weight in weights]
            shares.append(share)
            kernels.backward(*arguments, begin, end, memory, *wanted, _arrays(share))

        in_threads(run, len(bins), len(bins) * weights[0].numel() // WORK_PER_THREAD)
        sums = [torch.stack(parts).sum(0) for parts in zip(*shares, strict=True)]
        return None, None, None, *sums


def _arrays(tensors: Any) -> tuple[Any, ...]:
    return tuple(tensor.detach().contiguous().numpy() for tensor in tensors)


def _constants(neuron: PatternNeuron, like: Tensor) -> Any:
    """The kernels' constants."""
    from plastorch.spiking.patterns import kernels

    number = np.float64 if like.dtype == torch.float64 else np.float32
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
