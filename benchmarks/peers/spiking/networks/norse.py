"""Norse: feed-forward leaky integrate-and-fire neurons, and its step of STDP; compiled by torch."""

import norse.torch as norse
import numpy as np
import torch
from norse.torch.functional.lif import LIFFeedForwardState
from norse.torch.functional.stdp import STDPParameters, STDPState, stdp_step_linear

PACKAGES = ("norse", "torch")


class Network:
    """See :class:`worker.Network`."""

    def __init__(self, pixels: int, neurons: int, batch: int, steps: int) -> None:
        self.encoder = norse.PoissonEncoder(steps, f_max=1000)
        self.cell, self.rule = norse.LIFCell(), STDPParameters()
        self.weight = 0.3 * torch.rand(neurons, pixels)
        self.step = torch.compile(self._step)

    @torch.no_grad()
    def learn(self, rates: np.ndarray) -> None:
        spikes = self.encoder(torch.from_numpy(rates / 1000))
        silence = torch.zeros(len(rates), len(self.weight))
        state, traces = LIFFeedForwardState(silence, silence), (torch.zeros(rates.shape), silence)
        for pre in spikes:
            self.weight, state, traces = self.step(pre, self.weight, state, traces)

    def _step(self, pre, weight, state, traces):
        post, state = self.cell(torch.nn.functional.linear(pre, weight), state)
        weight, stdp = stdp_step_linear(pre, post, weight, STDPState(*traces), self.rule)
        return weight, state, (stdp.t_pre, stdp.t_post)
