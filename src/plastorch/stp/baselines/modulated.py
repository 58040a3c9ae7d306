"""Neuromodulated plasticity: Miconi, Rawal, Clune, Stanley, *Backpropamine*, ICLR 2019."""

from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from plastorch.engine.device import has_kernels, traced
from plastorch.engine.streams import made_with
from plastorch.stp.checks import autocasts
from plastorch.stp.energy import synaptic_energy

COURSE_BYTES = 1 << 26
"""Maximum size of the traces of all steps of a sample, for the compiled time loop."""


class ModulatedState(NamedTuple):
    """State that the network carries from step to step."""

    h: Tensor
    """Activity [B, H]."""
    hebb: Tensor
    """Hebbian trace of the recurrent synapses [B, H, H]."""


class ModulatedPlasticity(nn.Module):
    """RNN whose Hebbian plasticity is set by its own activity.

    h = tanh(V x + c + (W + α Hb) h(t-1)); Hb = clamp(Hb + m h h(t-1)', ±1); m = tanh(M h + d).

    The trace Hb is clamped to ±``clamp``, by default 1.
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        *,
        clamp: float = 1.0,
        generator: torch.Generator | None = None,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        self.input_size, self.hidden_size, self.clamp = input_size, hidden_size, clamp
        with made_with(generator, device, dtype):
            self.input = nn.Linear(input_size, hidden_size)
            self.weight = nn.Parameter(0.01 * torch.rand(hidden_size, hidden_size))
            self.alpha = nn.Parameter(0.01 * torch.rand(hidden_size, hidden_size))
            self.modulator = nn.Linear(hidden_size, 1)

    def forward(
        self, x: Tensor, state: ModulatedState | None = None
    ) -> tuple[Tensor, ModulatedState]:
        """Returns activities [T, B, H] and the last state for sequences [T, B, I]."""
        output, _, state = self._unroll(x, state, False)
        return output, state

    @torch.no_grad()
    def energy(self, x: Tensor, state: ModulatedState | None = None) -> Tensor:
        """Returns the energy of each neuron [T, B, H]; the modulator is not counted."""
        return self._unroll(x, state, True)[1]

    def _unroll(
        self, x: Tensor, state: ModulatedState | None, count: bool
    ) -> tuple[Tensor, Tensor, ModulatedState]:
        if state is None:
            zeros = x.new_zeros
            batch, size = x.shape[1], self.hidden_size
            state = ModulatedState(zeros(batch, size), zeros(batch, size, size))
        if not count and self._compiles(x, state):
            of_modulator = self.modulator.weight[0], self.modulator.bias
            parameters = self.weight, self.alpha, *of_modulator
            output, h, hebb = _Sequence.apply(self.clamp, self.input(x), *state, *parameters)  # type: ignore[no-untyped-call]
            output = output.clone()  # callers may change it in place
            return output, output, ModulatedState(h, hebb)
        h, hebb = state
        outputs, energies = [], []
        for input_, drive in zip(x, self.input(x), strict=True):
            before = h
            weight = torch.addcmul(self.weight, self.alpha, hebb)
            # Twice as fast as a batched matrix-vector product, which does not vectorize.
            h = torch.tanh(drive + (weight * before.unsqueeze(-2)).sum(-1))
            modulated = torch.tanh(self.modulator(h)) * h
            hebb = torch.addcmul(hebb, modulated.unsqueeze(-1), before.unsqueeze(-2))
            hebb = F.hardtanh(hebb, -self.clamp, self.clamp)
            outputs.append(h)
            if count:
                of_input = synaptic_energy(self.input.weight, input_)
                energies.append(of_input + synaptic_energy(weight, before))
        output = torch.stack(outputs)
        energy = torch.stack(energies) if count else output
        return output, energy, ModulatedState(h, hebb)

    def _compiles(self, x: Tensor, state: ModulatedState) -> bool:
        """Whether the time loop is compiled: it is differentiable once, and checks no index."""
        if traced():
            return False
        size, batch = self.hidden_size, x.shape[1]
        same = {(x.dtype, x.device)} == {(of.dtype, of.device) for of in state}
        fits = [of.shape for of in state] == [(batch, size), (batch, size, size)]
        small = (len(x) + 1) * size**2 * x.element_size() <= COURSE_BYTES
        return same and fits and has_kernels(x) and small and not autocasts(x.device)


class _Sequence(torch.autograd.Function):
    """Activities [T, B, H] and the last h and Hb, of V x + c, the first state and parameters."""

    @staticmethod
    def forward(ctx: Any, clamp: float, *tensors: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        from plastorch.stp.baselines import modulated_kernels

        drives, h, hebb, *parameters = (tensor.detach().contiguous() for tensor in tensors)
        weight, alpha, modulator, offset = (tensor.numpy() for tensor in parameters)
        ctx.clamp = weight.dtype.type(clamp)
        output, modulations = torch.empty_like(drives), drives.new_empty(drives.shape[:2])
        last = h.clone(), hebb.clone()
        modulated_kernels.forward(
            *(tensor.numpy() for tensor in last),
            *(weight, alpha, modulator, offset[0], drives.numpy(), ctx.clamp),
            (output.numpy(), modulations.numpy()),
        )
        ctx.save_for_backward(h, hebb, *parameters[:3], output, modulations)
        return output, *last

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, d_output: Tensor, d_last: Tensor, d_hebb: Tensor) -> Any:
        from plastorch.stp.baselines import modulated_kernels

        h, hebb, weight, alpha, modulator, output, modulations = ctx.saved_tensors
        d_output, d_hebb = d_output.clone(), d_hebb.clone(memory_format=torch.contiguous_format)
        d_output[-1] += d_last
        d_drives, d_h, d_offset = torch.empty_like(output), torch.empty_like(h), weight.new_zeros(1)
        sums = [torch.zeros_like(tensor) for tensor in (weight, alpha, modulator)]
        kept = [tensor.numpy() for tensor in (h, output, modulations, d_output, d_drives)]
        modulated_kernels.backward(
            *(tensor.numpy() for tensor in (d_h, d_hebb, hebb, d_offset)),
            *(tensor.numpy() for tensor in (weight, alpha, modulator)),
            *(ctx.clamp, *kept, *(tensor.numpy() for tensor in sums)),
        )
        return None, d_drives, d_h, d_hebb, *sums, d_offset
