"""Segmenters and detectors: against torchvision's whole models, and on scenes that are easy."""

import re
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torchvision.models.detection.generalized_rcnn import GeneralizedRCNN
from torchvision.models.detection.transform import GeneralizedRCNNTransform

from plastorch.data.tasks.pasted import Pasting, pasted_scenes
from plastorch.data.tasks.scenes import Scenes
from plastorch.efference.dense import (
    DenseNet,
    Detector,
    Segmenter,
    detect,
    detection_ap50,
    segmentation_iou,
)
from plastorch.efference.encoders import Encoder
from plastorch.efference.probes import as_floats
from plastorch.efference.transfer import average_precision
from plastorch.engine.errors import InputError


def encoder(seed: int = 0) -> Encoder:
    torch.manual_seed(seed)
    trunk = nn.Sequential(
        nn.Conv2d(3, 12, 4, stride=4), nn.BatchNorm2d(12), nn.ReLU(),
        nn.Conv2d(12, 16, 2, stride=2), nn.BatchNorm2d(16), nn.ReLU(),
    )  # fmt: skip
    return Encoder(trunk, 16)


def scenes(count: int = 6, seed: int = 0) -> Scenes:
    """Bars down and beams across, on noise that is hard to see."""
    glyphs = torch.zeros(2, 1, 28, 28, dtype=torch.uint8)
    glyphs[0, :, :, 7:21], glyphs[1, :, 7:21] = 255, 255
    random = torch.Generator().manual_seed(seed)
    grounds = torch.randint(0, 30, (4, 3, 64, 64), generator=random).to(torch.uint8)
    pasting = Pasting(least_size=24, most_size=40)
    kinds = torch.tensor([0, 1])
    return pasted_scenes(count, grounds, glyphs, kinds, ("bar", "beam"), pasting, random)


def loss_of(net: DenseNet, given: Scenes) -> Tensor:
    return net.loss(net.feature_map(given.images), given)


NETS: list[Callable[[], DenseNet]] = [
    lambda: Segmenter(encoder(), 2),
    lambda: Detector(encoder(), 2, width=8),
]


@pytest.mark.parametrize("make", NETS, ids=["segmenter", "detector"])
def test_the_encoder_gets_no_gradient_and_keeps_its_statistics(
    make: Callable[[], DenseNet],
) -> None:
    net, given = make(), scenes()
    before = {name: value.clone() for name, value in net.encoder.state_dict().items()}
    assert net.train() is net
    assert not any(part.training for part in net.encoder.modules())
    loss_of(net, given).backward()  # type: ignore[no-untyped-call]
    assert all(p.grad is None for p in net.encoder.parameters())
    assert all(torch.equal(value, before[k]) for k, value in net.encoder.state_dict().items())
    heads = [p for name, p in net.named_parameters() if not name.startswith("encoder.")]
    assert [id(p) for p in net.learners()] == [id(p) for p in heads]
    assert heads and all(p.grad is not None for p in heads)


def test_loss_of_a_segmenter_leaves_out_what_is_not_said() -> None:
    net, given = Segmenter(encoder(), 2).eval(), scenes()
    given.instances[:, :20] = 255
    logs = net(given.images).log_softmax(dim=1)[:, :, 20:]
    wanted = given.class_maps[:, 20:].long()
    expected = -logs.gather(1, wanted[:, None]).mean()
    torch.testing.assert_close(loss_of(net, given), expected)


class Backbone(nn.Module):
    def __init__(self, net: Detector) -> None:
        super().__init__()
        self.net = net

    def forward(self, images: Tensor) -> Tensor:
        found: Tensor = self.net.neck(self.net.encoder.feature_map(images))
        return found


def whole_model(net: Detector) -> Any:
    """The same parts in torchvision's own frame."""
    transform = GeneralizedRCNNTransform(64, 64, [0.0] * 3, [1.0] * 3)
    return GeneralizedRCNN(Backbone(net), net.rpn, net.roi_heads, transform)


def test_a_detector_does_as_torchvisions_model() -> None:
    net, given = Detector(encoder(), 2, width=8), scenes()
    images, theirs = as_floats(given.images), whole_model(net)
    net.train()
    targets = [
        {"boxes": given.boxes[given.owners == i], "labels": given.labels[given.owners == i] + 1}
        for i in range(len(given))
    ]
    torch.manual_seed(3)
    ours = loss_of(net, given)
    net.rpn.train(), net.roi_heads.train()
    theirs.train()
    torch.manual_seed(3)
    theirs.transform.torch_choice = lambda sizes: sizes[0]  # draws nothing
    torch.testing.assert_close(ours, sum(theirs(list(images), targets).values()))
    net.eval(), theirs.eval()
    with torch.no_grad():
        for mine, yours in zip(net(given.images), theirs(list(images)), strict=True):
            assert len(mine["scores"]) and torch.equal(mine["labels"] + 1, yours["labels"])
            torch.testing.assert_close(mine["boxes"], yours["boxes"])
            torch.testing.assert_close(mine["scores"], yours["scores"])


def test_measures_are_those_of_all_scenes_at_once() -> None:
    given = scenes(7)
    given.instances[:, :5] = 255
    net = Segmenter(encoder(), 2).eval()
    answers, wanted = net(given.images).argmax(dim=1), given.class_maps
    shares = []
    for kind in range(3):
        said, true = (answers == kind) & (wanted != 255), wanted == kind
        shares.append(float((said & true).sum() / (said | true).sum()))
    net.train()
    assert segmentation_iou(net, given, batch_size=3) == pytest.approx(sum(shares) / 3)
    assert net.head.training

    detector = Detector(encoder(), 2, width=8)
    parts, whole = (detect(detector, given, batch_size=size) for size in (2, 100))
    for part, same in zip(parts, whole, strict=True):
        torch.testing.assert_close(part, same)
    assert len(parts.owners) == len(parts.scores) and (parts.owners.diff() >= 0).all()
    assert detection_ap50(detector, given) == average_precision(whole, given)


def learn(net: DenseNet, given: Scenes, steps: int, rate: float) -> None:
    optimizer = torch.optim.AdamW(net.learners(), rate)
    net.train()
    torch.manual_seed(1)
    for _ in range(steps):
        optimizer.zero_grad()
        loss_of(net, given).backward()  # type: ignore[no-untyped-call]
        optimizer.step()


def test_a_segmenter_learns_where_objects_are() -> None:
    given, unseen = scenes(12), scenes(12, seed=1)
    net = Segmenter(encoder(), 2)
    before = segmentation_iou(net, unseen)
    learn(net, given, 60, 0.02)
    assert segmentation_iou(net, unseen) > max(0.45, before + 0.1)


def test_a_detector_learns_where_objects_are() -> None:
    given, unseen = scenes(8), scenes(12, seed=1)
    net = Detector(encoder(), 2, width=16)
    before = detection_ap50(net, unseen)
    learn(net, given, 80, 0.01)
    assert detection_ap50(net, unseen) > before + 0.25


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: Segmenter(encoder(), 0), "classes is 0; expected more than 0"),
        (lambda: Detector(encoder(), -1), "classes is -1"),
        (lambda: Detector(encoder(), 2, width=0), "width is 0"),
    ],
)
def test_bad_input_is_named(call: Callable[[], Any], message: str) -> None:
    with pytest.raises(InputError, match=re.escape(message)):
        call()


def test_maps_that_are_no_numbers_are_refused() -> None:
    spoiled = encoder()
    with torch.no_grad():
        next(spoiled.parameters())[0] = torch.nan
    with pytest.raises(InputError, match="NaN or infinite values in logits"):
        segmentation_iou(Segmenter(spoiled, 2), scenes(2))
