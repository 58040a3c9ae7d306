"""A spiking circuit that learned still digits recognizes them while a bar moves across.

    python examples/short_term_stdp.py

Its synapses have a part that is learned permanently, without labels, and one that follows recent
input and fades within frames. Labels only name its neurons afterwards.
"""

import torch

import plastorch
from plastorch.data import load_images
from plastorch.data.tasks.streams import TRANSFORMS
from plastorch.spiking import LongTerm, ShortTerm, ShortTermWTA, class_scores, name_neurons
from plastorch.spiking.shortterm.recognition import Classify, Digits, recognize

MEMORY, STATIC = ShortTerm(kappa=40.0, gamma=0.6, tau=8.0), ShortTerm(kappa=40.0, site="none")


def classifier(net: ShortTermWTA, names: torch.Tensor) -> Classify:
    """Classes of frames, by the names of the winning neurons."""

    def classify(frames: torch.Tensor, state: object) -> tuple[torch.Tensor, object]:
        shares, state = net(frames, state)
        return class_scores(shares, names, 10), state

    return classify


def main(neurons: int = 100, train: int = 2000, test: int = 400) -> dict[str, float]:
    """Returns the accuracy over frames, with short-term plasticity and without."""
    digits = load_images("mnist")
    images, labels = digits.train_images[:train, 0] / 255, digits.train_labels[:train]
    torch.manual_seed(0)
    frames, rule = images.flatten(1)[:, None], LongTerm(rate=0.1, homeostasis=0.2)
    net = ShortTermWTA(784, neurons, short_term=STATIC, long_term=rule)
    optimizer = torch.optim.SGD(net.parameters(), lr=1.0)
    for _ in range(2):
        for some in frames[torch.randperm(train)].split(200):
            plastorch.learn(net, some)
            optimizer.step()
    won, _ = net.eval()(frames)
    names = name_neurons(won[:, 0], labels, 10)
    held_out = Digits(digits.test_images[:test, 0] / 255, digits.test_labels[:test])
    found = {}
    for name, constants in {"with": MEMORY, "without": STATIC}.items():
        net.short_term = constants
        bar, circuit = TRANSFORMS["occlusion"], classifier(net, names)
        right = recognize(circuit, held_out, bar, streams=20, path=(1,))
        found[name] = right.double().mean().item()
        print(f"{name:7} short-term plasticity: {found[name]:.1%} of all frames right")
    return found


if __name__ == "__main__":
    main()
