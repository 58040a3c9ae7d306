"""Brian2: Poisson inputs, leaky neurons that inhibit each other, event-driven STDP; in C++.

Brian2 knows no mini-batches: one digit is shown after the other. Its standalone program measures
itself, so that neither compiling nor making the synapses counts.
"""

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from brian2 import Hz as hertz
from brian2 import (
    NeuronGroup,
    PoissonGroup,
    Synapses,
    TimedArray,
    device,
    ms,
    prefs,
    run,
    second,
    set_device,
)
from worker import peak_mb

PACKAGES = ("brian2", "numpy", "cython")
SYNAPTIC_EVENTS = 40_000_000
"""Number of synapses that input spikes reach in a measurement, roughly."""
BEFORE = "const clock_t began = clock();"
AFTER = """
const double seconds = double(clock() - began) / CLOCKS_PER_SEC;
std::ofstream("cost") << seconds << std::endl << std::ifstream("/proc/self/status").rdbuf();
"""
NEURON = """
dv/dt = -v / (1 * second) : 1
dtheta/dt = -theta / forgetting : 1
"""
SYNAPSE = """
w : 1
dpre/dt = -pre / (50 * ms) : 1 (event-driven)
"""


class Network:
    """See :class:`worker.Network`; the network that it is runs as a program, all digits at once."""

    def __init__(self, pixels: int, neurons: int, batch: int, steps: int) -> None:
        if batch != 1:
            raise ValueError("Brian2 has no mini-batches")
        self.neurons, self.steps = neurons, steps
        self.folder = tempfile.TemporaryDirectory()
        prefs.core.default_float_dtype = np.float32
        set_device("cpp_standalone", build_on_run=False)

    def measurements(self, rates: np.ndarray, batch: int) -> Iterator[dict[str, Any]]:
        """Yields what it took to learn digits of firing rates, Hz [digits, pixels]."""
        per_digit = rates.sum(axis=1).mean() * self.steps / 1000 * self.neurons
        digits = max(2, min(round(SYNAPTIC_EVENTS / per_digit), len(rates)))
        self._build(rates[:digits])
        while True:
            device.run()
            seconds, status = Path(self.folder.name, "cost").read_text().split("\n", 1)
            yield {"digits": digits, "seconds": float(seconds), "peak_mb": peak_mb(status)}

    def _build(self, digits: np.ndarray) -> None:
        shown, (number, size) = self.steps * ms, digits.shape
        names = {"pixels": TimedArray(digits * hertz, dt=shown)}
        inputs = PoissonGroup(size, rates="pixels(t, i)", namespace=names, dt=1 * ms)
        neurons = NeuronGroup(
            self.neurons,
            NEURON,
            threshold="v > 0.5 + theta",
            reset="v = 0; theta += 0.5",
            method="exact",
            namespace={"forgetting": self.neurons / 2 * second},
            dt=1 * ms,
        )
        neurons.run_regularly("v = 0", dt=shown)
        synapses = Synapses(
            inputs,
            neurons,
            SYNAPSE,
            on_pre="v_post += w; pre += 1",
            on_post="w = clip(w + 1e-3 * pre, 0, 1)",
            dt=1 * ms,
        )
        synapses.connect()
        synapses.w = f"2 * rand() / {size}"
        lateral = Synapses(neurons, neurons, on_pre="v_post -= 10", dt=1 * ms)
        lateral.connect(condition="i != j")
        device.insert_code("before_network_run", BEFORE)
        device.insert_code("after_network_run", AFTER)
        run(number * shown)
        device.build(directory=self.folder.name, run=False)
