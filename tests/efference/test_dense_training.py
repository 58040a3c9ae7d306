"""Training on scenes: a naive twin, and what it leaves alone."""

import math
import re
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from plastorch.data.tasks.pasted import Pasting, pasted_scenes
from plastorch.data.tasks.scenes import Scenes
from plastorch.efference.dense import DenseNet, Detector, Segmenter
from plastorch.efference.dense_training import train_dense
from plastorch.efference.encoders import Encoder
from plastorch.engine.errors import InputError
from plastorch.engine.streams import stream


def net(detects: bool = False) -> DenseNet:
    torch.manual_seed(0)
    encoder = Encoder(nn.Sequential(nn.Conv2d(3, 8, 8, stride=8), nn.ReLU()), 8)
    return Detector(encoder, 1, width=8) if detects else Segmenter(encoder, 1)


def scenes() -> Scenes:
    square = torch.full((1, 1, 8, 8), 255, dtype=torch.uint8)
    gray = torch.full((1, 3, 40, 40), 40, dtype=torch.uint8)
    pasting = Pasting(side=40, least_size=12, most_size=20)
    random = torch.Generator().manual_seed(0)
    return pasted_scenes(7, gray, square, torch.tensor([0]), ("square",), pasting, random)


def trained(network: DenseNet) -> list[float]:
    return train_dense(network, scenes(), 3, batch_size=3, learning_rate=0.01, path=(6,))


def test_it_is_adamw_along_half_a_cosine() -> None:
    network, twin, given = net(), net(), scenes()
    found, losses = trained(network), []
    optimizer = torch.optim.AdamW(twin.learners(), weight_decay=1e-4)
    for epoch in range(3):
        random = stream(6, epoch)
        order = torch.randperm(7, generator=random)
        torch.manual_seed(random.initial_seed())
        losses.append(0.0)
        for place, rows in enumerate((order[:3], order[3:6], order[6:])):
            rate = 0.005 * (1 + math.cos(math.pi * (3 * epoch + place) / 9))
            optimizer.param_groups[0]["lr"] = rate
            loss = twin.loss(twin.train().feature_map(given.images[rows]), given.take(rows))
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            nn.utils.clip_grad_norm_(twin.learners(), 1.0)
            optimizer.step()
            losses[-1] += float(loss.detach()) * len(rows) / 7
    assert found == pytest.approx(losses, rel=1e-5)
    for one, other in zip(network.parameters(), twin.parameters(), strict=True):
        torch.testing.assert_close(one, other)


@pytest.mark.parametrize("detects", [False, True])
def test_a_path_means_the_same_training_and_the_global_stream_is_left_alone(detects: bool) -> None:
    torch.manual_seed(5)
    first, second = net(detects), net(detects)
    torch.manual_seed(5)
    losses = trained(first)
    assert torch.equal(torch.rand(3), torch.rand(3, generator=torch.Generator().manual_seed(5)))
    assert trained(second) == losses and losses[-1] < losses[0]


def test_a_frozen_encoder_sees_each_scene_once_and_stays() -> None:
    network, seen = net(), 0
    before = [p.clone() for p in network.encoder.parameters()]

    def count(_: nn.Module, inputs: tuple[Tensor]) -> None:
        nonlocal seen
        seen += len(inputs[0])

    network.encoder.trunk.register_forward_pre_hook(count)
    trained(network)
    assert seen == 7
    after = network.encoder.parameters()
    assert all(torch.equal(one, other) for one, other in zip(before, after, strict=True))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: train_dense(net(), scenes(), 0), "epochs is 0; expected more than 0"),
        (lambda: train_dense(net(), scenes(), batch_size=0), "batch_size is 0"),
        (lambda: train_dense(net(), scenes(), learning_rate=-1.0), "learning_rate is -1.0"),
        (
            lambda: train_dense(Segmenter(net().encoder, 4), scenes()),
            "scenes have 1 classes; expected 4, as the network",
        ),
    ],
)
def test_bad_input_is_named(call: Callable[[], Any], message: str) -> None:
    with pytest.raises(InputError, match=re.escape(message)):
        call()
