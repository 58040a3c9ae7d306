"""BindsNET: its model ``DiehlAndCook2015v2``, whose neurons inhibit each other directly."""

import numpy as np
import torch
from bindsnet.encoding import bernoulli
from bindsnet.models import DiehlAndCook2015v2

PACKAGES = ("bindsnet", "torch")


class Network:
    """See :class:`worker.Network`."""

    def __init__(self, pixels: int, neurons: int, batch: int, steps: int) -> None:
        self.model, self.steps = DiehlAndCook2015v2(pixels, neurons, nu=(0, 1e-2)), steps

    def learn(self, rates: np.ndarray) -> None:
        spikes = bernoulli(torch.from_numpy(rates / 1000), time=self.steps)
        self.model.run({"X": spikes}, time=self.steps)
        self.model.reset_state_variables()
