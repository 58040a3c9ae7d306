"""End-to-end training of a network: how it starts, and how it goes on."""

import torch

from plastorch.hebbian import SoftHebbNet, preset
from plastorch.hebbian.backprop import BackpropTraining
from plastorch.hebbian.networks import blocks_of

RANDOM = torch.Generator().manual_seed(0)
IMAGES = torch.randint(0, 256, (12, 3, 32, 32), dtype=torch.uint8, generator=RANDOM)
LABELS = torch.arange(12) % 10


def network() -> SoftHebbNet:
    spec = preset("cifar10", depth=1, width="quarter", rule="backprop")
    return SoftHebbNet(spec, 3, 32, 10, generator=torch.Generator().manual_seed(1))


def training(net: SoftHebbNet) -> BackpropTraining:
    return BackpropTraining(net, IMAGES, LABELS, epochs=2, batch_size=4)


def test_convolutions_start_as_those_of_torch_do() -> None:
    net = network()
    before = blocks_of(net)[0].conv.weight.clone()
    phase = training(net)
    assert torch.equal(blocks_of(net)[0].conv.weight, before)
    phase.learning_rate = 0.0
    phase.step()
    bound = before[0].numel() ** -0.5
    weight = blocks_of(net)[0].conv.weight.detach().abs()
    assert 0.95 * bound < weight.max() <= bound and abs(weight.mean() / bound - 0.5) < 0.05


def test_a_stopped_training_goes_on_to_the_same_weights() -> None:
    whole = network()
    phase = training(whole)
    for _ in range(3):
        phase.step()
    again = network()
    again.load_state_dict(whole.state_dict())
    resumed = training(again)
    resumed.position = phase.position
    resumed.load_state_dict({name: value.clone() for name, value in phase.state_dict().items()})
    for each in (phase, resumed):
        while each.position < each.total:
            each.step()
    assert all(torch.equal(v, again.state_dict()[k]) for k, v in whole.state_dict().items())
