"""The linear probe that is trained: a naive twin, going on after a stop, a frozen encoder."""

import math
import re
from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from plastorch.efference.linear_probe import LinearProbe, probe_layer
from plastorch.efference.probes import Exam
from plastorch.engine.errors import InputError
from plastorch.engine.streams import stream


def encoder() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), nn.BatchNorm1d(12), nn.Linear(12, 6), nn.ReLU())


def images(count: int, seed: int) -> tuple[Tensor, Tensor]:
    """Bright in the channel of their class."""
    random = torch.Generator().manual_seed(seed)
    labels = torch.arange(count) % 3
    noise = torch.randint(0, 80, (count, 3, 2, 2), generator=random)
    return (noise + 170 * F.one_hot(labels)[:, :, None, None]).to(torch.uint8), labels


EXAM = Exam(*images(20, 0), *images(9, 1))


def dimmed(batch: Tensor, random: torch.Generator) -> Tensor:
    return batch / 255 * (1 - 0.1 * torch.rand(len(batch), 1, 1, 1, generator=random))


def probe(**settings: Any) -> LinearProbe:
    chosen = {"epochs": 3, "batch_size": 8, "learning_rate": 0.5} | settings
    layer = probe_layer(6, 3, torch.Generator().manual_seed(1))
    return LinearProbe(encoder(), layer, EXAM, dimmed, path=(4,), **chosen)


def test_it_is_nesterov_descent_along_half_a_cosine() -> None:
    """The weights after two epochs, by the update written out."""
    phase, net = probe(epochs=2), encoder().eval()
    layer = probe_layer(6, 3, torch.Generator().manual_seed(1))
    parameters = [layer.weight, layer.bias]
    momentum = [torch.zeros_like(p) for p in parameters]
    data, labels = images(20, 0)
    records = [phase.step()[0] for _ in range(2)]
    for epoch in range(2):
        random = stream(4, epoch)
        order = torch.randperm(20, generator=random)
        losses, right = 0.0, 0
        for place, start in enumerate((0, 8, 16)):
            rows = order[start : start + 8]
            logits = layer(net(dimmed(data[rows], random)).detach())
            loss = F.cross_entropy(logits, labels[rows])
            rate = 0.25 * (1 + math.cos(math.pi * (3 * epoch + place) / 6))
            gradients = torch.autograd.grad(loss, parameters)
            with torch.no_grad():
                for p, v, g in zip(parameters, momentum, gradients, strict=True):
                    v.mul_(0.9).add_(g)
                    p -= rate * (g + 0.9 * v)
            losses += float(loss.detach()) * len(rows)
            right += int((logits.argmax(dim=1) == labels[rows]).sum())
        assert records[epoch]["loss"] == pytest.approx(losses / 20, rel=1e-5)
        assert records[epoch]["train_accuracy"] == right / 20
    torch.testing.assert_close(phase.probe.weight, layer.weight)
    torch.testing.assert_close(phase.probe.bias, layer.bias)


def test_it_learns_and_leaves_the_encoder_alone() -> None:
    phase = probe(epochs=20)
    phase.encoder.train()
    before = {name: value.clone() for name, value in phase.encoder.state_dict().items()}
    records = [phase.step()[0] for _ in range(phase.total)]
    assert records[-1]["test_accuracy"] == 1.0 and phase.position == 20
    assert all(torch.equal(value, before[k]) for k, value in phase.encoder.state_dict().items())
    assert phase.encoder.training and all(p.grad is None for p in phase.encoder.parameters())


def test_going_on_from_a_state_gives_the_same_bits() -> None:
    whole, first, second = probe(), probe(), probe()
    expected = [whole.step() for _ in range(3)]
    assert first.step() == expected[0]
    second.probe.load_state_dict(first.probe.state_dict())
    second.position = 1
    second.load_state_dict(first.state_dict())
    assert [second.step() for _ in range(2)] == expected[1:]
    assert torch.equal(second.probe.weight, whole.probe.weight)


def test_training_and_test_features_are_of_one_precision() -> None:
    given: list[torch.dtype] = []
    phase = probe(bfloat16=True)
    phase.encoder[2].register_forward_hook(lambda *args: given.append(args[2].dtype))
    phase.step()
    assert set(given) == {torch.bfloat16} and len(given) == 4  # three batches, and the test images
    assert phase.probe.weight.dtype == torch.float32


def test_nothing_is_extracted_before_the_first_step() -> None:
    given: list[Tensor] = []
    net = encoder()
    net.register_forward_hook(lambda *args: given.append(args[2]))
    layer = probe_layer(6, 3, torch.Generator())
    LinearProbe(net, layer, EXAM, dimmed)
    assert given == []


def test_the_layer_starts_small() -> None:
    layer = probe_layer(500, 100, torch.Generator().manual_seed(0))
    assert float(layer.weight.detach().std()) == pytest.approx(0.01, rel=0.02)
    assert not layer.bias.any()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: probe(epochs=0), "epochs is 0; expected more than 0"),
        (lambda: probe(batch_size=-1), "batch_size is -1"),
        (lambda: probe(learning_rate=0.0), "learning_rate is 0.0"),
        (
            lambda: LinearProbe(encoder(), nn.Linear(6, 2), EXAM, dimmed),
            "labels lie in 0..2; expected 0..1",
        ),
        (
            lambda: LinearProbe(
                encoder(), nn.Linear(6, 3), EXAM._replace(labels=images(9, 0)[1]), dimmed
            ),
            "labels are torch.int64 (9,); expected torch.int64 (20,)",
        ),
    ],
)
def test_bad_input_is_named(call: Callable[[], Any], message: str) -> None:
    with pytest.raises(InputError, match=re.escape(message)):
        call()
