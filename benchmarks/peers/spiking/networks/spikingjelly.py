"""SpikingJelly: its leaky neurons behind a linear layer, and its ``STDPLearner``, multi-step."""

import numpy as np
import torch
from spikingjelly.activation_based import encoding, functional, layer, learning, neuron

PACKAGES = ("spikingjelly", "torch")


class Network:
    """See :class:`worker.Network`."""

    def __init__(self, pixels: int, neurons: int, batch: int, steps: int) -> None:
        self.steps = steps
        self.encoder = encoding.PoissonEncoder(step_mode="m")
        synapses = layer.Linear(pixels, neurons, bias=False, step_mode="m")
        torch.nn.init.uniform_(synapses.weight, 0, 0.3)
        neurons_ = neuron.LIFNode(tau=100.0, decay_input=False, v_threshold=15.0, step_mode="m")
        self.net = torch.nn.Sequential(synapses, neurons_)
        self.learner = learning.STDPLearner("m", synapses, neurons_, tau_pre=20.0, tau_post=20.0)
        self.optimizer = torch.optim.SGD(synapses.parameters(), lr=1e-3)

    @torch.no_grad()
    def learn(self, rates: np.ndarray) -> None:
        chances = torch.from_numpy(rates / 1000).expand(self.steps, *rates.shape)
        self.net(self.encoder(chances))
        self.optimizer.zero_grad()
        self.learner.step()
        self.optimizer.step()
        functional.reset_net(self.net)
        self.learner.reset()
