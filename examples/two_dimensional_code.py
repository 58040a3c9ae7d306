"""Two neurons read the same spikes: one learns brightness from rates, one color from timing.

    python examples/two_dimensional_code.py

Of 200 pixels, half are bright and spike in 80 % of all cycles, dim ones in 10 %. The phase of a
pixel's spikes in a cycle is its color: 40 are red, the others have colors of their own.
"""

import torch

from plastorch import FatiguingNeuron, set_gradients
from plastorch.spiking import FatiguingSTDP
from plastorch.spiking.events import Events, from_raster

PIXELS, CYCLE = 200, 50  # steps of 1 ms
RED, BRIGHT = torch.arange(PIXELS) < 40, torch.arange(PIXELS) % 2 == 1
RULES = {"without": FatiguingSTDP(fatigue=0.0), "strong": FatiguingSTDP(tau_fatigue=4.0)}


def spikes(cycles: int, random: torch.Generator) -> Events:
    """Spikes of all pixels, each at its phase in the cycles in which it spikes."""
    phase = torch.randint(CYCLE, (PIXELS,), generator=random).masked_fill(RED, CYCLE // 2)
    raster = torch.zeros(cycles, CYCLE, PIXELS, dtype=torch.bool)
    drawn = torch.rand(cycles, PIXELS, generator=random)
    raster[:, phase, torch.arange(PIXELS)] = drawn < torch.where(BRIGHT, 0.8, 0.1)
    return from_raster(raster.view(-1, 1, PIXELS), 1e-3)


def main(cycles: int = 1200, seed: int = 0) -> dict[str, list[float]]:
    """Returns, per rule, how often a bright pixel has a larger weight than a dim one, and a red one
    than one of another color."""
    events, found = spikes(cycles, torch.Generator().manual_seed(seed)), {}
    for name, rule in RULES.items():
        neuron = FatiguingNeuron(PIXELS, rule=rule)
        set_gradients(neuron, neuron.learn_events(events, cycles * CYCLE * 1e-3))
        torch.optim.SGD(neuron.parameters(), lr=1.0).step()
        weight, groups = neuron.weight[0], (BRIGHT, RED)
        found[name] = [(weight[g, None] > weight[~g]).double().mean().item() for g in groups]
        print("fatigue {}: brightness {:.2f}, color {:.2f}".format(name, *found[name]))
    return found


if __name__ == "__main__":
    main()
