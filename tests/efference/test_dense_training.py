"""Training on scenes: a naive twin, logs, going on after a stop."""

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
from plastorch.efference.dense_training import DenseSettings, DenseTraining
from plastorch.efference.encoders import Encoder
from plastorch.efference.probes import as_floats
from plastorch.engine.device import generator
from plastorch.engine.errors import InputError
from plastorch.engine.run import Record


def net(detects: bool = False, learns: bool = True) -> DenseNet:
    torch.manual_seed(0)
    encoder = Encoder(nn.Sequential(nn.Conv2d(3, 8, 8, stride=8), nn.ReLU()), 8)
    return (
        Detector(encoder, 1, learns, width=8) if detects else Segmenter(encoder, 1, "fcn", learns)
    )


def scenes() -> Scenes:
    square = torch.full((1, 1, 8, 8), 255, dtype=torch.uint8)
    gray = torch.full((1, 3, 40, 40), 40, dtype=torch.uint8)
    pasting = Pasting(side=40, least_size=12, most_size=20)
    random = torch.Generator().manual_seed(0)
    return pasted_scenes(7, gray, square, torch.tensor([0]), ("square",), pasting, random)


def phase(network: DenseNet, **more: Any) -> DenseTraining:
    settings = DenseSettings(epochs=3, batch_size=3, learning_rate=0.01, max_norm=0.5)
    return DenseTraining("heads", network, scenes(), settings, path=(6,), **more)


@pytest.mark.parametrize("learns", [False, True])
def test_it_is_adamw_along_half_a_cosine(learns: bool) -> None:
    learner, twin = phase(net(learns=learns)), net(learns=learns)
    optimizer = torch.optim.AdamW(twin.learners(), weight_decay=1e-4)
    given = scenes()
    for epoch in range(3):
        (record,) = learner.step()
        random = generator(6, epoch)
        order = torch.randperm(7, generator=random)
        torch.manual_seed(random.initial_seed())
        losses = 0.0
        for place, rows in enumerate((order[:3], order[3:6], order[6:])):
            rate = 0.005 * (1 + math.cos(math.pi * (3 * epoch + place) / 9))
            optimizer.param_groups[0]["lr"] = rate
            maps = twin.train().feature_map(as_floats(given.images[rows]))
            loss = twin.loss(maps, given.take(rows))
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            nn.utils.clip_grad_norm_(twin.learners(), 0.5)
            optimizer.step()
            losses += float(loss.detach()) * len(rows)
        assert record["epoch"] == epoch + 1 and record["phase"] == "heads"
        assert record["loss"] == pytest.approx(losses / 7, rel=1e-5)
    for one, other in zip(learner.network.parameters(), twin.parameters(), strict=True):
        torch.testing.assert_close(one, other)


@pytest.mark.parametrize("detects", [False, True])
def test_going_on_from_a_state_gives_the_same_bits(detects: bool) -> None:
    whole, first, second = (phase(net(detects)) for _ in range(3))
    expected = [whole.step()[0]["loss"] for _ in range(3)]
    torch.manual_seed(99)
    assert first.step()[0]["loss"] == expected[0]
    second.network.load_state_dict(first.network.state_dict())
    second.position = 1
    second.load_state_dict(first.state_dict())
    assert [second.step()[0]["loss"] for _ in range(2)] == expected[1:]
    for one, other in zip(second.network.parameters(), whole.network.parameters(), strict=True):
        assert torch.equal(one, other)


def test_it_leaves_the_global_stream_alone() -> None:
    learning = phase(net())
    torch.manual_seed(5)
    learning.step()
    assert torch.equal(torch.rand(3), torch.rand(3, generator=torch.Generator().manual_seed(5)))


@pytest.mark.parametrize("learns", [False, True])
def test_a_frozen_encoder_sees_each_scene_once(learns: bool) -> None:
    network, seen = net(learns=learns), 0

    def count(_: nn.Module, inputs: tuple[Tensor]) -> None:
        nonlocal seen
        seen += len(inputs[0])

    network.encoder.trunk.register_forward_pre_hook(count)
    learning = phase(network)
    for _ in range(3):
        learning.step()
    assert seen == (21 if learns else 7)


def test_what_validation_finds_is_logged_and_a_frozen_encoder_stays() -> None:
    network = net(learns=False)
    before = [p.clone() for p in network.encoder.parameters()]
    seen: list[DenseNet] = []

    def validate(given: DenseNet) -> Record:
        seen.append(given)
        return {"test_iou": 0.25}

    learning = phase(network, validate=validate)
    (record,) = learning.step()
    assert record["test_iou"] == 0.25 and seen == [network]
    assert record["seconds"] >= 0  # type: ignore[operator]
    pairs: list[tuple[Tensor, Tensor]] = list(
        zip(before, network.encoder.parameters(), strict=True)
    )
    assert all(torch.equal(one, other) for one, other in pairs)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: DenseSettings(epochs=0), "epochs is 0; expected more than 0"),
        (lambda: DenseSettings(batch_size=0), "batch_size is 0"),
        (lambda: DenseSettings(learning_rate=-1.0), "learning_rate is -1.0"),
        (lambda: DenseSettings(max_norm=0.0), "max_norm is 0.0"),
        (lambda: DenseSettings(weight_decay=-0.1), "weight_decay is -0.1; expected 0 or more"),
        (
            lambda: DenseTraining("x", Segmenter(net().encoder, 4), scenes()),
            "scenes have 1 classes; expected 4, as the network",
        ),
    ],
)
def test_bad_input_is_named(call: Callable[[], Any], message: str) -> None:
    with pytest.raises(InputError, match=re.escape(message)):
        call()
