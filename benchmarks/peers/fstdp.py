"""The peers of our spiking networks: the same networks as dense loops over time steps in torch.

Each is as fast as such a loop can reasonably be: operations are in place, and limited to what a
step needs. In the layer, potentiation touches only neurons that fired; a dense loop can't avoid one
pass over all synapses for the input, and two for depression and its bound.
"""

from math import exp

import torch
from torch import Tensor

from plastorch.spiking.fatigue.rule import FatiguingSTDP
from plastorch.spiking.network import STDPLayer


class PeerLayer:
    """A copy of our layer with additive bounds, which learns from a mini-batch.

    Args:
        layer: layer whose constants and weights are copied.
        samples: size B of the mini-batch; each sample has its own weights until it ends.
    """

    def __init__(self, layer: STDPLayer, samples: int) -> None:
        self.dt, self.circuit = layer.dt, layer.circuit
        neuron, rule, dt = layer.circuit.neuron, layer.circuit.rule, layer.dt
        self.weight = layer.weight.detach().expand(samples, -1, -1).clone()
        self.pre = torch.zeros_like(self.weight[:, :1])
        self.decaying = torch.zeros(3, *self.weight.shape[:2])
        """Membrane potential above rest, theta, and trace."""
        taus = torch.tensor([neuron.tau, neuron.theta_tau, rule.tau_minus]).double()
        self.factors = torch.exp(-dt / taus).float().view(3, 1, 1)
        self.closed = torch.zeros_like(self.decaying[0])
        """Steps until a neuron takes input again; it does below 1/2."""

    def present(self, rates: Tensor, duration: float, generator: torch.Generator) -> Tensor:
        """Learns from random input spikes at rates [S, B, N]; returns output spikes [T, B, K]."""
        spikes = []
        for chance in rates * self.dt:
            uniform = torch.rand(round(duration / self.dt), *chance.shape, generator=generator)
            spikes.append(self.run((uniform < chance).float()))
        if len(self.weight) > 1:
            self.weight.copy_(self.weight.mean(dim=0))
        return torch.cat(spikes)

    def run(self, raster: Tensor) -> Tensor:
        """Returns output spikes, bool [T, B, K], for input spikes, float [T, B, N]."""
        neuron, rule = self.circuit.neuron, self.circuit.rule
        threshold, keep_pre = neuron.threshold - neuron.rest, exp(-self.dt / rule.tau_plus)
        weight, columns, pre, closed = self.weight, self.weight.mT, self.pre, self.closed
        membrane, theta, post = self.decaying.unbind()
        post_column, drive = post.unsqueeze(2), torch.empty_like(membrane)
        drive_row = drive.unsqueeze(1)
        spikes = torch.empty(len(raster), *membrane.shape, dtype=torch.bool)
        for x, fired in zip(raster.unsqueeze(2), spikes, strict=True):
            torch.bmm(x, columns, out=drive_row)
            pre.add_(x)
            weight.baddbmm_(post_column, x, alpha=-rule.depression).clamp_(min=rule.low)
            takes_input = closed < 0.5
            membrane.addcmul_(drive, takes_input)
            torch.gt(membrane - theta, threshold, out=fired).logical_and_(takes_input)
            closed.sub_(1)
            if fired.any():
                self._fire(fired, takes_input)
            self.decaying.mul_(self.factors)
            pre.mul_(keep_pre)
        return spikes

    def _fire(self, fired: Tensor, takes_input: Tensor) -> None:
        neuron, rule = self.circuit.neuron, self.circuit.rule
        membrane, theta, post = self.decaying.unbind()
        network, place = fired.nonzero(as_tuple=True)
        rows = self.weight[network, place].add_(self.pre[network, 0], alpha=rule.potentiation)
        self.weight[network, place] = rows.clamp_(max=rule.high)
        count = fired.sum(dim=1, keepdim=True) * self.circuit.inhibition
        membrane.sub_(count * takes_input).masked_fill_(fired, neuron.reset - neuron.rest)
        theta.add_(fired, alpha=neuron.theta_increase)
        post.add_(fired)
        self.closed.masked_fill_(fired, neuron.refractory / self.dt - 1)


@torch.no_grad()
def dense_loop(spikes: Tensor, rule: FatiguingSTDP, dt: float) -> tuple[Tensor, list[int]]:
    """Simulates a fatiguing neuron that learns from spike trains.

    Args:
        spikes: 0 or 1, in the type to compute with [T, N].
        rule: constants of the one-sided window and fatigued traces.
        dt: duration of a step, seconds.

    Returns:
        Final weights [N]; the steps with output spikes.
    """
    recovery = exp(-dt / rule.tau_fatigue)
    fade, leak = exp(-dt / rule.tau_trace), exp(-dt / rule.tau_membrane)
    fall, rise = exp(-dt / rule.tau_theta), 1 + rule.theta_step
    resource = torch.ones_like(spikes[0])
    weight, trace = rule.initial_weight * resource, torch.zeros_like(resource)
    sent, membrane, theta = torch.empty_like(resource), 0.0, rule.initial_theta
    fired = []
    for step, row in enumerate(spikes.unbind()):
        torch.mul(resource, row, out=sent)
        membrane += float(torch.dot(weight, sent))
        trace.add_(sent)
        if membrane > theta:
            fired.append(step)
            growth = (1 - weight).mul_(trace).div_(trace.mean()).sub_(weight)
            weight.add_(growth, alpha=rule.learning_rate).clamp_(0, 1)
            membrane, theta = 0.0, theta * rise
        resource.sub_(sent, alpha=rule.fatigue).mul_(recovery).add_(1 - recovery)
        trace.mul_(fade)
        membrane, theta = membrane * leak, theta * fall
    return weight, fired
