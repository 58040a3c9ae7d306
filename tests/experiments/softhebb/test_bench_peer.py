"""The peer computes the same as ours, and both what the formulas say."""

import itertools

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from plastorch.engine.streams import stream
from plastorch.experiments.softhebb.bench import peer_net
from plastorch.hebbian.networks import SoftHebbNet, blocks_of
from plastorch.hebbian.rule import normalize
from plastorch.hebbian.spec import BlockSpec, NetworkSpec, Pool
from plastorch.hebbian.train import HebbianTraining

SPEC = NetworkSpec(
    "tiny",
    (
        BlockSpec(
            5,
            3,
            padding=1,
            learning_rate=0.08,
            triangle_power=0.7,
            pool=Pool("max", 4, 2, 1),
            initial_radius=3.0,
        ),
        BlockSpec(
            6,
            3,
            padding=1,
            learning_rate=0.01,
            inverse_temperature=0.5,
            pool=Pool("avg", 2, 2),
            initial_radius=3.0,
        ),
    ),
)


@pytest.fixture
def net() -> SoftHebbNet:
    return SoftHebbNet(SPEC, 2, 8, 10, generator=stream(1)).double()


@pytest.fixture
def images() -> Tensor:
    return torch.randint(0, 256, (4, 2, 8, 8), dtype=torch.uint8, generator=stream(2))


def scaled_sum_over_samples(x: Tensor, weight: Tensor, t: float) -> Tensor:
    """sum of y_k (x - u_k w_k) over all positions, one after the other, scaled to a maximum of 1"""
    kernels = weight.flatten(1)
    raw = torch.zeros_like(kernels)
    side = weight.shape[-1]
    height, width = x.shape[2] - side + 1, x.shape[3] - side + 1
    for image, i, j in itertools.product(x, range(height), range(width)):
        patch = image[:, i : i + side, j : j + side].reshape(-1)
        u = [float(kernel @ patch) for kernel in kernels]
        exponentials = [2.718281828459045 ** (t * value) for value in u]
        for k, kernel in enumerate(kernels):
            y = exponentials[k] / sum(exponentials)
            y = y if u[k] == max(u) else -y
            raw[k] += y * (patch - u[k] * kernel)
    return (raw / raw.abs().max()).view_as(weight)


def test_update_is_ours_and_the_sum_over_samples(net: SoftHebbNet, images: Tensor) -> None:
    peer, ours = peer_net(net).train(), net.train().pixels(images)
    theirs = ours.contiguous()
    for peer_block, block in zip(peer.blocks, blocks_of(net), strict=True):
        padded, u = peer_block.respond(theirs)
        delta = peer_block.delta(padded, u)
        step = block.conv.learn(block.norm(ours))
        torch.testing.assert_close(delta, normalize(step.updates["weight"]), rtol=1e-6, atol=1e-8)
        slow = scaled_sum_over_samples(padded, block.conv.weight, block.spec.inverse_temperature)
        torch.testing.assert_close(delta, slow, rtol=1e-9, atol=1e-10)
        theirs, ours = peer_block.activate(u), block.activate(step.output)


def test_learning_is_ours(net: SoftHebbNet, images: Tensor) -> None:
    peer = peer_net(net)
    training = HebbianTraining(net, images, batch_size=len(images), mode="consecutive", epochs=5)
    for _ in range(5):
        training.step()
        peer.train_step(net.pixels(images))
    for theirs, block in zip(peer.blocks, blocks_of(net), strict=True):
        torch.testing.assert_close(theirs.weight, block.conv.weight.data, rtol=1e-6, atol=1e-6)
        torch.testing.assert_close(theirs.norm.running_var, block.norm.running_var)


def test_frozen_features_are_ours_and_leave_the_state_alone(
    net: SoftHebbNet, images: Tensor
) -> None:
    HebbianTraining(net, images, batch_size=2, mode="consecutive").step()
    peer = peer_net(net)
    before = {name: value.clone() for name, value in peer.state_dict().items()}
    theirs = peer.features(net.pixels(images))
    torch.testing.assert_close(theirs, net.eval().features(images), rtol=1e-10, atol=1e-10)
    assert not theirs.requires_grad
    assert all(torch.equal(value, before[name]) for name, value in peer.state_dict().items())


def test_readout_step_trains_the_readout_only(net: SoftHebbNet, images: Tensor) -> None:
    peer, labels = peer_net(net), torch.arange(4)
    peer.dropout.p = 0.0
    before = {name: value.clone() for name, value in peer.state_dict().items()}
    features = peer.features(net.pixels(images))
    start = F.cross_entropy(peer.readout(features), labels)
    peer.readout_step(net.pixels(images), labels)
    assert F.cross_entropy(peer.readout(features), labels) < start
    changed = {n for n, value in peer.state_dict().items() if not torch.equal(value, before[n])}
    assert changed == {"readout.weight", "readout.bias"}
