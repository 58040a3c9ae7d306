"""snnTorch: its leaky neurons behind a linear layer, and its ``STDPLearner``."""

import numpy as np
import snntorch
import torch
from snntorch import spikegen
from snntorch.functional.stdp_learner import STDPLearner

PACKAGES = ("snntorch", "torch")


class Network:
    """See :class:`worker.Network`."""

    def __init__(self, pixels: int, neurons: int, batch: int, steps: int) -> None:
        self.steps = steps
        self.synapses = torch.nn.Linear(pixels, neurons, bias=False)
        torch.nn.init.uniform_(self.synapses.weight, 0, 0.3)
        self.neurons = snntorch.Leaky(beta=0.99, threshold=15.0, init_hidden=True)

    @torch.no_grad()
    def learn(self, rates: np.ndarray) -> None:
        spikes = spikegen.rate(torch.from_numpy(rates / 1000), num_steps=self.steps)
        self.neurons.reset_hidden()
        learner = STDPLearner(self.synapses, self.neurons, tau_pre=20.0, tau_post=20.0)
        for pre in spikes:
            self.neurons(self.synapses(pre))
            change = learner.step(on_grad=False, scale=1e-3)
            self.synapses.weight.add_(change).clamp_(0, 1)
