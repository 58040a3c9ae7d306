"""Energy of synapses as conductances and signals as voltages: P = V² |G|.

Paper: Garcia Rodriguez et al., ICML 2022, arXiv 2206.14048, section on energy. Biases, readouts and
changes of synapses are not counted.
"""

import torch
from torch import Tensor

from plastorch.stp.rule import Dynamics, Parameters, STPNState, saturation, step


def synaptic_energy(efficacy: Tensor, pre: Tensor) -> Tensor:
    """Returns the energy of each neuron's synapses in a step: sum over j of |G_ij| z_j².

    Args:
        efficacy: efficacies G [H, K], or per sample [B, H, K].
        pre: presynaptic signals z [B, K]; with G [H, K], any leading dimensions [..., K].

    Returns:
        Energies [B, H] or [..., H].

    Example:
        >>> synaptic_energy(torch.tensor([[1.0, -2.0]]), torch.tensor([[1.0, 3.0]]))
        tensor([[19.]])
    """
    squared = pre.square()
    if efficacy.dim() == 2:
        return squared @ efficacy.abs().mT
    return (efficacy.abs() @ squared.unsqueeze(-1)).squeeze(-1)


@torch.no_grad()
def unit_energy(
    x: Tensor, state: STPNState, parameters: Parameters, dynamics: Dynamics
) -> tuple[Tensor, Tensor]:
    """Computes energy and activity of a short-term plasticity unit's neurons at each step.

    Energy is that of the efficacies used in the response, before the step's update.

    Args:
        x: inputs [T, B, I].
        state: state before the first step.
        parameters: parameters of the unit.
        dynamics: variant of the equations.

    Returns:
        Energies and activities [T, B, H].
    """
    energies, outputs, bound = [], [], saturation(x.dtype)
    for input_ in x.clamp(-bound, bound):
        state, response = step(input_, state, parameters, dynamics)
        energies.append(synaptic_energy(response.efficacy, response.pre))
        outputs.append(state.h)
    return torch.stack(energies), torch.stack(outputs)
