"""The network of :mod:`plastorch.spiking.patterns.rule` as a module."""

from functools import cache
from math import sqrt
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from plastorch.engine.device import REAL
from plastorch.engine.errors import InputError, check_positive
from plastorch.engine.threads import in_threads
from plastorch.spiking.patterns.rule import (
    NO_SPIKE,
    NetworkWeights,
    PatternNeuron,
    Response,
    by_class,
    check_patterns,
    respond,
)

WORK_PER_THREAD = 1 << 20
"""Work that justifies a thread: number of patterns times number of weights."""
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
        in_features: number of inputs N.
        hidden_size: number of hidden neurons H.
        out_features: number of classes C.
        population: number of output neurons per class, whose mean distance counts. One neuron
            fires few spikes; several express evidence in finer steps.
        ensemble: whether the output neurons of a class belong to different networks, which share
            only the inputs: the m-th one reads the m-th of equal parts of the hidden neurons, and
            :func:`plastorch.spiking.patterns.training.update` trains each by its own loss.
        neuron: constants of the neurons; the defaults if None.
        generator: random generator of the initial weights, on the CPU; torch's global one if None.
        device: device of the parameters.
        dtype: type of the parameters.

    Raises:
        InputError: if a size is not positive, or an ensemble has fewer hidden neurons than members.

    Example:
        >>> network = PatternNetwork(in_features=3, hidden_size=8, out_features=2)
        >>> network(torch.tensor([[0, 7, 255]], dtype=torch.uint8)).distance.shape
        torch.Size([1, 2])
    """

    def __init__(
        self,
        in_features: int,
        hidden_size: int,
        out_features: int,
        *,
        population: int = 1,
        ensemble: bool = False,
        neuron: PatternNeuron | None = None,
        generator: torch.Generator | None = None,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        check_positive(
            in_features=in_features,
            hidden_size=hidden_size,
            out_features=out_features,
            population=population,
        )
        if ensemble and population > hidden_size:
            raise InputError(
                f"population is {population}; expected at most {hidden_size}, the number of hidden "
                "neurons, in an ensemble"
            )
        self.in_features, self.hidden_size = in_features, hidden_size
        self.out_features, self.population, self.ensemble = out_features, population, ensemble
        self.neuron = PatternNeuron() if neuron is None else neuron

        def normal(inputs: int, neurons: int, deviation: float) -> nn.Parameter:
            # In memory, the weights of an input are adjacent: its spike adds them up.
            weight = torch.randn(inputs, neurons, generator=generator, dtype=dtype).to(device).mT
            return nn.Parameter(weight * deviation / sqrt(inputs))

        def zeros(neurons: int) -> nn.Parameter:
            return nn.Parameter(torch.zeros(neurons, device=device, dtype=dtype))

        self.hidden_weight = normal(in_features, hidden_size, INITIAL_DRIVE)
        self.hidden_bias = zeros(hidden_size)
        outputs = out_features * population
        self.output_weight = normal(hidden_size, outputs, INITIAL_ANSWER)
        self.output_bias = zeros(outputs)
        self.register_buffer("_read", None, persistent=False)
        if ensemble:
            part = torch.arange(hidden_size, device=device) * population // hidden_size
            self._read = part == (torch.arange(outputs, device=device) % population)[:, None]
            self.output_weight.data *= sqrt(population) * self._read

    def weights(self) -> NetworkWeights:
        """Returns the weights as :func:`plastorch.spiking.patterns.rule.respond` takes them."""
        output = self.output_weight if self._read is None else self.output_weight * self._read
        return NetworkWeights(self.hidden_weight, self.hidden_bias, output, self.output_bias)

    def forward(self, bins: Tensor) -> Response:
        """Runs the network on patterns.

        Args:
            bins: step of each input's spike, or 255 if it doesn't fire, uint8 [B, N].

        Returns:
            Distances to the target of each class [B, C], and more; see
            :class:`plastorch.spiking.patterns.rule.Response`.

        Raises:
            InputError: if patterns have another size or type, or, on a CPU, spikes after the last
                input step, which are ignored elsewhere.
        """
        return by_class(self.of_neurons(bins), self.population)

    def of_neurons(self, bins: Tensor) -> Response:
        """Returns the same, but of each output neuron: distances are [B, C * population]."""
        self.check(bins)
        weights = self.weights()
        if bins.device.type != "cpu":
            return respond(bins, weights, self.neuron)
        keep = torch.is_grad_enabled() and any(p.requires_grad for p in weights)
        found = _Answer.apply(bins, self.neuron, keep, *weights)  # type: ignore[no-untyped-call]
        return Response(*found)

    def check(self, bins: Tensor) -> None:
        """Raises InputError if the network can't take the patterns; see :meth:`forward`."""
        check_patterns(bins, self.in_features)
        if bins.device.type == "cpu":
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
        sizes = f"{self.in_features}, {self.hidden_size}, {self.out_features}"
        return f"{sizes}, population={self.population}, ensemble={self.ensemble}, {self.neuron}"


class _Answer(torch.autograd.Function):
    """Compiled response; differentiable in the weights, but only once."""

    @staticmethod
    def forward(
        ctx: Any, bins: Tensor, neuron: PatternNeuron, keep: bool, *weights: Tensor
    ) -> tuple[Tensor, ...]:
        results, kept = compute(bins, NetworkWeights(*weights), neuron, keep)
        if keep:
            ctx.neuron = neuron
            ctx.save_for_backward(bins, *weights, *kept)
        ctx.mark_non_differentiable(results[1], results[3])
        return tuple(results)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        from plastorch.spiking.patterns import gradient_kernels, kernels

        bins, *tensors = ctx.saved_tensors
        weights, kept = NetworkWeights(*tensors[:4]), tensors[4:]
        sizes = bins.shape[1], kept[0].shape[-1], kept[1].shape[-1]
        check_weights(weights, *sizes)  # a parameter may have been replaced by now
        wanted = gradients[0].contiguous().numpy(), gradients[2].contiguous().numpy()
        arguments = as_arrays(bins, weights, ctx.neuron)
        memory, shares = kernels.Memory(*arrays_of(kept)), {}

        def run(begin: int, end: int) -> None:
            share = shares[begin] = [w.new_zeros(w.shape) for w in by_input(weights)]
            gradient_kernels.backward(*arguments, begin, end, memory, *wanted, arrays_of(share))

        in_threads(run, len(bins), len(bins) * weights[0].numel() // WORK_PER_THREAD)
        ordered = [shares[begin] for begin in sorted(shares)]  # in whichever order threads ended
        sums = [torch.stack(parts).sum(0) for parts in zip(*ordered, strict=True)]
        return None, None, None, *by_input(NetworkWeights(*sums))


def compute(
    bins: Tensor, weights: NetworkWeights, neuron: PatternNeuron, keep: bool
) -> tuple[Response, list[Tensor]]:
    """Runs compiled :func:`plastorch.spiking.patterns.rule.respond` on patterns on the CPU [B, N].

    Returns the response, without a gradient, and the tensors of a ``kernels.Memory``, with
    potentials and traces if ``keep``. Raises InputError also if the weights' type can't hold a
    constant.
    """
    from plastorch.spiking.patterns import kernels

    check_weights(weights, bins.shape[1])
    batch, (outputs, hidden) = len(bins), weights.output.shape
    new = weights.hidden.new_empty
    results = Response(new(batch, outputs), new(batch, outputs), new(batch), new(batch))
    sizes = [(batch if keep else 0, neuron.steps, k) for k in (hidden, outputs, outputs)]
    kept = [new(size) for size in sizes]
    arguments = as_arrays(bins, weights, neuron)
    memory = kernels.Memory(*arrays_of(kept))

    def run(begin: int, end: int) -> None:
        kernels.forward(*arguments, begin, end, memory, arrays_of(results))

    in_threads(run, batch, batch * weights.hidden.numel() // WORK_PER_THREAD)
    return results, kept


def check_weights(
    weights: NetworkWeights, inputs: int, hidden: int | None = None, outputs: int | None = None
) -> None:
    """Raises InputError unless weights fit each other and the sizes given (None: any size)."""
    from plastorch.engine.numba_options import check_arrays  # importing numba takes a second

    check_arrays(hidden_weight=(weights.hidden, (hidden, inputs), REAL))
    hidden, real = len(weights.hidden), weights.hidden.dtype
    check_arrays(
        hidden_bias=(weights.hidden_bias, (hidden,), real),
        output_weight=(weights.output, (outputs, hidden), real),
        output_bias=(weights.output_bias, weights.output.shape[:1], real),
    )


def as_arrays(bins: Tensor, weights: NetworkWeights, neuron: PatternNeuron) -> tuple[Any, Any, Any]:
    """Returns patterns, weights and constants as the kernels take them."""
    arrays = arrays_of(by_input(weights))
    return bins.contiguous().numpy(), arrays, constants_of(neuron, weights.hidden.dtype)


def by_input(weights: NetworkWeights) -> NetworkWeights:
    """Turns weights to a row per input, as the kernels take them, or back."""
    return weights._replace(hidden=weights.hidden.mT, output=weights.output.mT)


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
    return kernels.PatternConstants(
        membrane=number(membrane),
        synapse=number(neuron.decay(neuron.tau_synapse)),
        gain=number((1 - membrane) * neuron.resistance),
        trace=number(neuron.decay(neuron.tau_trace)),
        slope=number(neuron.slope),
        input_steps=neuron.input_steps,
        target=neuron.target().numpy().astype(number),
    )
