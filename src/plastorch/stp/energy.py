"""Energy of synapses as conductances and signals as voltages: P = V² |G|.

Paper: Garcia Rodriguez et al., ICML 2022, arXiv 2206.14048, section on energy. Biases, readouts and
changes of synapses are not counted.
"""

import torch
from torch import Tensor

from plastorch.stp.rule import Dynamics, Parameters, STPNState, saturation, step


def synaptic_energy(efficacy: Tensor, pre: Tensor) -> Tensor:
    """Returns energies [..., H] of each neuron's synapses in a step: sum over j of |G_ij| z_j².

    Signals z are [..., K] for efficacies G [H, K], and [B, K] for efficacies per sample [B, H, K].
    """
    squared = pre.square()
    if efficacy.dim() == 2:
        return squared @ efficacy.abs().mT
    return (efficacy.abs() @ squared.unsqueeze(-1)).squeeze(-1)


@torch.no_grad()
def unit_energy(
    x: Tensor, state: STPNState, parameters: Parameters, dynamics: Dynamics
) -> tuple[Tensor, Tensor]:
    """Returns energies and activities [T, B, H] of a plastic unit's neurons on inputs [T, B, I].

    Energy is that of the efficacies used in the response, before the step's update.
    """
    energies, outputs, bound = [], [], saturation(x.dtype)
    for input_ in x.clamp(-bound, bound):
        state, response = step(input_, state, parameters, dynamics)
        energies.append(synaptic_energy(response.efficacy, response.pre))
        outputs.append(state.h)
    return torch.stack(energies), torch.stack(outputs)
