"""Unsupervised training: modes, order, statistics, convergence on real images, and resuming."""

import copy

import pytest
import torch
from torch import Tensor

from plastorch import set_gradients
from plastorch.data import load_images
from plastorch.engine.errors import InputError
from plastorch.engine.streams import stream
from plastorch.hebbian import HebbianTraining, SoftHebbNet, preset
from plastorch.hebbian.networks import blocks_of
from plastorch.hebbian.streams import Stream
from plastorch.learning.phases import run_phase


@pytest.fixture(scope="module")
def images() -> Tensor:
    return load_images("mnist").train_images[:40]


def small_net(depth: int = 2, seed: int = 0) -> SoftHebbNet:
    return SoftHebbNet(preset("mnist", depth, "quarter"), 1, 28, 10, generator=stream(seed))


@pytest.mark.parametrize("mode", ["successive", "consecutive"])
def test_training_is_the_loop_that_the_paper_describes(images: Tensor, mode: str) -> None:
    """Written out by hand: which blocks learn, in which mode the others are, and in what order."""
    net, twin = small_net(), small_net()
    training = HebbianTraining(net, images, batch_size=10, mode=mode, seed=3)
    run_phase(training)
    epochs = 2 if mode == "successive" else 1
    for epoch in range(epochs):
        order = torch.randperm(40, generator=stream(3, Stream.IMAGE_ORDER, epoch))
        for rows in order.split(10):
            x = images[rows].float() / 255
            twin.eval()
            for i, block in enumerate(blocks_of(twin)):
                if mode == "successive" and i < epoch:
                    x = block(x)
                    continue
                step = block.conv.learn(block.train().norm(x))
                x = block.activate(step.output)
                set_gradients(block.conv, step)
                block.conv.weight -= block.spec.learning_rate * block.conv.weight.grad
                if mode == "successive":
                    break
    torch.testing.assert_close(net.state_dict(), twin.state_dict())


@pytest.mark.parametrize("mode", ["successive", "consecutive"])
def test_any_stop_and_restart_gives_the_same_bits(images: Tensor, mode: str) -> None:
    whole = small_net()
    run_phase(HebbianTraining(whole, images, batch_size=10, mode=mode))
    net = small_net()
    for position in range(HebbianTraining(net, images, batch_size=10, mode=mode).total):
        training = HebbianTraining(copy.deepcopy(net), images, batch_size=10, mode=mode)
        training.position = position
        training.step()
        net = training.net
    for name, value in whole.state_dict().items():
        assert torch.equal(value, net.state_dict()[name]), name


def test_statistics_pass_leaves_weights_alone(images: Tensor) -> None:
    net = small_net()
    before = copy.deepcopy(net.state_dict())
    records = run_phase(HebbianTraining(net, images, batch_size=10, plastic=False))
    assert records == []
    for i, block in enumerate(blocks_of(net)):
        assert torch.equal(block.conv.weight, before[f"blocks.{i}.conv.weight"])
        assert not torch.equal(block.norm.running_var, before[f"blocks.{i}.norm.running_var"])


def test_last_batch_may_be_smaller_and_every_image_counts(images: Tensor) -> None:
    training = HebbianTraining(small_net(1), images[:23], batch_size=10)
    assert training.total == 3
    seen = []
    while training.position < training.total:
        seen.append(training._batch())
        training.step()
    assert [len(batch) for batch in seen] == [10, 10, 3]
    assert sorted(map(bytes, torch.cat(seen).flatten(1).numpy())) == sorted(
        map(bytes, images[:23].flatten(1).numpy())
    )


def test_a_batch_of_one_learns(images: Tensor) -> None:
    net = small_net(1)
    before = blocks_of(net)[0].conv.weight.clone()
    run_phase(HebbianTraining(net, images[:3], batch_size=1))
    assert torch.isfinite(blocks_of(net)[0].conv.weight).all()
    assert not torch.equal(before, blocks_of(net)[0].conv.weight)


def test_augmentation_sees_rows_and_its_own_randomness(images: Tensor) -> None:
    calls: list[tuple[int, float]] = []

    def augment(batch: Tensor, rows: Tensor, random: torch.Generator) -> Tensor:
        assert torch.equal(batch, images[rows])
        calls.append((len(rows), float(torch.rand(1, generator=random))))
        return batch.float()

    plain, augmented = small_net(1), small_net(1)
    run_phase(HebbianTraining(augmented, images, batch_size=10, augment=augment))
    run_phase(HebbianTraining(plain, images, batch_size=10))
    assert len({value for _, value in calls}) == 4
    torch.testing.assert_close(plain.state_dict(), augmented.state_dict())


def test_only_so_many_blocks_learn(images: Tensor) -> None:
    some, one, first = small_net(2), small_net(1), small_net(2)
    run_phase(HebbianTraining(some, images, blocks=1))
    run_phase(HebbianTraining(one, images))
    torch.testing.assert_close(some.blocks[0].state_dict(), one.blocks[0].state_dict())
    assert torch.equal(blocks_of(some)[1].conv.weight, blocks_of(first)[1].conv.weight)


BAD = [
    ({"batch_size": 0}, "batch_size is 0"),
    ({"blocks": 0}, "blocks is 0"),
    ({"epochs": 0}, "epochs is 0"),
    ({"images": torch.zeros(0, 1, 28, 28, dtype=torch.uint8)}, "images is 0"),
]


@pytest.mark.parametrize(("options", "message"), BAD)
def test_bad_settings_are_named(images: Tensor, options: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        HebbianTraining(small_net(1), **({"images": images} | options))


@pytest.mark.parametrize("value", [0.0, float("nan")])
def test_neurons_that_cannot_compete_are_named(images: Tensor, value: float) -> None:
    net = small_net(2)
    with torch.no_grad():
        blocks_of(net)[1].conv.weight[5] = value
    with pytest.raises(InputError, match="block 2, neuron 5 has norm"):
        HebbianTraining(net, images)


@pytest.mark.parametrize("rule", ["soft", "hard"])
def test_all_first_layer_filters_reach_norm_one_on_real_images(rule: str) -> None:
    """Spec 1.4: 96 of 96 by step 500 on CIFAR-10, for soft and hard competition."""
    try:
        cifar = load_images("cifar10")
    except InputError as error:
        pytest.skip(f"needs CIFAR-10 in the data root: {error}")
    spec = preset("cifar10", 1).with_competition(rule)
    net = SoftHebbNet(spec, 3, 32, 10, generator=stream(0))
    records = run_phase(HebbianTraining(net, cifar.train_images[:5000], log_every=500))
    assert records[-1]["step"] == 500
    assert records[-1]["r1_neurons"] == records[-1]["neurons"] == 96
    assert records[0]["radius_mean"] == pytest.approx(25, rel=0.05)
