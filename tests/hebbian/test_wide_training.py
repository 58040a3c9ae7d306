"""Training of the wide layer, and the network that it is a part of."""

import re
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from plastorch.engine.errors import InputError
from plastorch.experiments.softhebb.bench import natural_like
from plastorch.hebbian import (
    NetworkSpec,
    SoftHebbNet,
    WideSpec,
    WideTraining,
    preset,
    wide_training,
)
from plastorch.hebbian.presets import Rule
from plastorch.learning.phases import run_phase

WIDE = WideSpec(32, kernel_size=5)
SPEC = replace(preset("cifar10", depth=1, width="quarter"), wide=WIDE)


def network(spec: NetworkSpec = SPEC) -> SoftHebbNet:
    return SoftHebbNet(spec, 3, 16, 10, generator=torch.Generator().manual_seed(0))


def trained(rule: Rule, seed: int = 0) -> torch.Tensor:
    net = network()
    run_phase(WideTraining(net, natural_like(200, 16), rule, seed))
    assert net.wide is not None
    return net.wide.conv.weight.detach().flatten(1)


@pytest.fixture(autouse=True)
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wide_training, "STEPS", 300)
    monkeypatch.setattr(wide_training, "FITTED", 5000)


def test_all_neurons_settle_near_but_not_at_the_patches_they_start_from() -> None:
    learned, sampled = trained("soft"), trained("sampled")
    assert ((learned.norm(dim=1) - 1).abs() < 0.05).float().mean() > 0.9
    cosine = (learned * sampled).sum(dim=1) / learned.norm(dim=1)
    assert 0.3 < float(cosine.median()) < 0.999


def test_learned_weights_are_nearer_to_patches_than_sampled_ones() -> None:
    net = network()
    run_phase(WideTraining(net, natural_like(200, 16), "sampled"))
    assert net.wide is not None
    patches = net.wide.whiten(net.pixels(natural_like(50, 16))).transpose(0, 1).flatten(1).T
    nearest = [
        float((torch.nn.functional.normalize(weight, dim=1) @ patches.T).amax(dim=0).mean())
        for weight in (trained("soft"), trained("sampled"), trained("random"))
    ]
    assert nearest == sorted(nearest, reverse=True)


def test_the_seed_is_all_that_chance_depends_on() -> None:
    assert torch.equal(trained("soft"), trained("soft"))
    assert not torch.equal(trained("soft"), trained("soft", seed=1))


def test_it_learns_in_a_network_that_was_in_eval_mode() -> None:
    net = network().eval()
    run_phase(WideTraining(net, natural_like(200, 16)))
    assert net.wide is not None
    assert torch.equal(net.wide.conv.weight.detach().flatten(1), trained("soft"))


def test_images_of_floats_are_those_of_whole_numbers() -> None:
    nets, images = [network(), network()], natural_like(200, 16)
    for net, given in zip(nets, (images, images.float() / 255), strict=True):
        run_phase(WideTraining(net, given))
    weights = [net.wide.conv.weight for net in nets if net.wide is not None]
    assert torch.equal(*weights)


def test_a_network_reads_the_layer_beside_its_blocks() -> None:
    with_it, without = network(), network(replace(SPEC, wide=None))
    images = natural_like(4, 16)
    features, plain = with_it.eval().features(images), without.eval().features(images)
    assert features.shape[1] == plain.shape[1] + 2 * 32 * 4
    assert with_it.wide is not None
    assert torch.equal(features[:, : plain.shape[1]], plain)
    expected = with_it.wide(with_it.pixels(images)).flatten(1)
    assert torch.equal(features[:, plain.shape[1] :], expected)
    assert with_it.macs == without.macs + (75 * 75 + 32 * 75) * 12**2


def test_a_network_is_saved_with_it(tmp_path: Path) -> None:
    net = network()
    run_phase(WideTraining(net, natural_like(200, 16)))
    net.save(tmp_path / "net.safetensors")
    loaded = SoftHebbNet.load(tmp_path / "net.safetensors")
    assert loaded.spec.wide == WIDE
    images = natural_like(4, 16)
    assert torch.equal(loaded(images), net.eval()(images))


def test_bad_input() -> None:
    with pytest.raises(InputError, match="net has no wide layer"):
        WideTraining(network(replace(SPEC, wide=None)), natural_like(2, 16))
    with pytest.raises(InputError, match="images is 0"):
        WideTraining(network(), torch.empty(0, 3, 16, 16, dtype=torch.uint8))
    message = "image_size is 16; expected at least 18, for the wide layer's receptive fields of 17"
    with pytest.raises(InputError, match=re.escape(message)):
        network(replace(SPEC, wide=WideSpec(8, kernel_size=17)))
