"""Spiking neurons learn digits without labels, event by event; labels only name the neurons.

python examples/stdp_digits.py
"""

import torch
import torch.nn.functional as F

from plastorch import STDPLayer, set_gradients
from plastorch.data import load_images
from plastorch.spiking import LIF, PairSTDP, class_scores, count_spikes, name_neurons
from plastorch.spiking.encode import bernoulli


def main(neurons: int = 400, train: int = 30_000, named: int = 5000, test: int = 5000) -> float:
    """Returns the accuracy on test digits; ``named`` is the number of labels used."""
    digits = load_images("mnist")
    parts = digits.train_images[:train], digits.test_images[:test]
    rates, test_rates = (999 * F.normalize(part.flatten(1).float()) for part in parts)
    neuron = LIF(tau=1.0, threshold=0.5, theta_increase=0.5, theta_tau=neurons / 2)
    rule = PairSTDP(potentiation=1e-3, depression=0.0, tau_plus=0.05, norm=1.0)
    layer = STDPLayer(784, neurons, neuron=neuron, rule=rule, inhibition=10.0)
    optimizer = torch.optim.SGD(layer.parameters(), lr=1.0)
    batches = torch.randperm(len(rates)).split(32)
    for step, rows in enumerate(batches):
        left = 1 - step / len(batches)  # sums changes of 32 digits; the rate rises, then falls
        optimizer.param_groups[0]["lr"] = 32 * min(5.05 - 5 * left, 1.25 * left)
        set_gradients(layer, layer.learn_events(bernoulli(rates[rows], 0.1), duration=0.1))
        optimizer.step()
    named_by, _ = layer.respond(bernoulli(rates[:named], 0.1), duration=0.1)
    names = name_neurons(count_spikes(named_by, neurons), digits.train_labels[:named], classes=10)
    tested, _ = layer.respond(bernoulli(test_rates, 0.1), duration=0.1)
    scores = class_scores(count_spikes(tested, neurons), names, classes=10)
    right = (scores.argmax(dim=1) == digits.test_labels[:test]).double().mean().item()
    print(f"{neurons} neurons, {len(rates):,} digits: {right:.1%} right")
    return right


if __name__ == "__main__":
    main()
