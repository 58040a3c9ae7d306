"""plastorch: the layer of ``stdp-mnist``, from spike to spike."""

import numpy as np
import torch

from plastorch import set_gradients
from plastorch.experiments.stdp.network import Circuit
from plastorch.spiking.encode import bernoulli

PACKAGES = ("plastorch", "torch", "numba")


class Network:
    """See :class:`worker.Network`."""

    def __init__(self, pixels: int, neurons: int, batch: int, steps: int) -> None:
        self.layer = Circuit(pixels, neurons, 10, seed=0).layer
        self.optimizer = torch.optim.SGD(self.layer.parameters(), lr=float(batch))
        self.duration = steps * self.layer.dt

    def learn(self, rates: np.ndarray) -> None:
        spikes = bernoulli(torch.from_numpy(rates), self.duration)
        set_gradients(self.layer, self.layer.learn_events(spikes, self.duration))
        self.optimizer.step()
