"""Spyker: a fully connected layer and rate code; a digit's winner learns once, at its end."""

import numpy as np
import spyker

PACKAGES = ("spyker", "numpy")


class Network:
    """See :class:`worker.Network`."""

    def __init__(self, pixels: int, neurons: int, batch: int, steps: int) -> None:
        spyker.set_max_threads(1)
        self.steps = steps
        self.layer = spyker.FC(pixels, neurons)
        self.layer.stdpconfig = [spyker.STDPConfig(0.004, -0.003)]

    def learn(self, rates: np.ndarray) -> None:
        counts = spyker.code(rates, self.steps, sort=False, code="rate")
        spikes = spyker.fire(self.layer(counts), threshold=1000.0, code="rate")
        winners = spyker.fcwta(spikes, radius=len(rates[0]), count=1)
        self.layer.stdp(counts, winners, spikes)
