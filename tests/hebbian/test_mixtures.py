"""Known hidden causes against SciPy's densities, and the rule against Bayes' optimum."""

import copy
from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scipy.special import ive
from scipy.stats import chi2, vonmises_fisher
from torch import Tensor

from plastorch.engine.errors import InputError
from plastorch.hebbian import SoftHebbLinear
from plastorch.hebbian.mixtures import (
    HiddenCauses,
    Inference,
    compare,
    equilibrium_scores,
    learn_causes,
    untrained,
)
from plastorch.hebbian.streams import WorldStream

WORLDS = [(3, 8, 12.0), (5, 10, 5.0), (8, 20, 12.0)]


def naive_joint(causes: HiddenCauses, x: Tensor) -> np.ndarray:
    """p(x | C_k) P(C_k) [N, K], from SciPy's density of each cause."""
    prior = causes.log_prior.exp().numpy()
    columns = [
        p * vonmises_fisher(mean, causes.concentration).pdf(x.numpy())
        for p, mean in zip(prior, causes.means.numpy(), strict=True)
    ]
    return np.stack(columns, axis=1)


def optimum(causes: HiddenCauses) -> SoftHebbLinear:
    """The layer of the paper's theorem: weights are means, t b the log-priors."""
    layer = untrained(causes, 0.1, 0)
    with torch.no_grad():
        layer.weight.copy_(causes.means)
        layer.bias.copy_(causes.log_prior / causes.concentration)
    return layer


@pytest.mark.parametrize("world", WORLDS, ids=str)
def test_the_posterior_is_bayes_rule(world: tuple[int, int, float]) -> None:
    causes = HiddenCauses.draw(*world, seed=4)
    x, _ = causes.sample(200, seed=1)
    joint = naive_joint(causes, x)
    expected = joint / joint.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(causes.posterior(x), expected, rtol=1e-6, atol=1e-12)
    constant = np.log(joint) - causes.log_joint(x).numpy()
    np.testing.assert_allclose(constant, constant[0, 0], rtol=1e-8)


@pytest.mark.parametrize("world", WORLDS, ids=str)
def test_worlds_have_directions_and_unequal_priors(world: tuple[int, int, float]) -> None:
    causes = HiddenCauses.draw(*world, seed=4)
    assert causes.means.shape == world[:2] and causes.concentration == world[2]
    torch.testing.assert_close(causes.means.norm(dim=1), torch.ones(world[0]).double())
    prior = causes.log_prior.exp()
    assert float(prior.sum()) == pytest.approx(1) and prior.unique().numel() == world[0]
    again, other = (HiddenCauses.draw(*world, seed=seed) for seed in (4, 5))
    assert torch.equal(again.means, causes.means)
    assert torch.equal(again.log_prior, causes.log_prior)
    assert not torch.equal(other.means, causes.means)


@pytest.mark.parametrize("features", [2, 3, 8])  # SciPy has a sampler of its own for each
def test_samples_follow_the_von_mises_fisher_distribution(features: int) -> None:
    """Frequencies, and the moments along and across the mean, within their standard errors."""
    kappa, count = 4.0, 40_000
    causes = HiddenCauses.draw(4, features, kappa, seed=features)
    x, cause = causes.sample(count, seed=2)
    torch.testing.assert_close(x.norm(dim=1), torch.ones(count).double())
    found, expected = torch.bincount(cause, minlength=4), count * causes.log_prior.exp()
    assert float(((found - expected) ** 2 / expected).sum()) < chi2.ppf(0.9999, 3)
    length = ive(features / 2, kappa) / ive(features / 2 - 1, kappa)
    along = 1 - length**2 - (features - 1) * length / kappa  # variance along the mean
    scores = []
    for k, mean in enumerate(causes.means):
        rows = x[cause == k]
        projected = rows @ mean
        scores.append((projected.mean() - length) / (along / len(rows)) ** 0.5)
        basis = torch.linalg.svd(mean[None]).Vh[1:]
        across = (rows @ basis.T).mean(dim=0) / (length / kappa / len(rows)) ** 0.5
        scores.extend(across)
        assert float(projected.var()) == pytest.approx(along, rel=0.1)
    assert float(torch.stack(scores).square().sum()) < chi2.ppf(0.9999, 4 * features)


def test_samples_come_from_their_seed() -> None:
    causes = HiddenCauses.draw(3, 8, 12.0, seed=0)
    (x, cause), (again, same), (other, _) = (causes.sample(50, seed) for seed in (1, 1, 2))
    assert torch.equal(x, again) and torch.equal(cause, same)
    assert not torch.equal(x, other)
    assert not torch.equal(x, causes.sample(50, 1, WorldStream.TEST)[0])


@dataclass(frozen=True)
class Mistaken(HiddenCauses):
    """A belief about the world whose inputs come from another one."""

    truth: HiddenCauses

    def sample(
        self, count: int, seed: int, use: WorldStream = WorldStream.INPUTS
    ) -> tuple[Tensor, Tensor]:
        return self.truth.sample(count, seed, use)


def rms(causes: HiddenCauses) -> float:
    """Root mean square of the scores over several draws of inputs."""
    draws = [equilibrium_scores(causes, 20_000, seed).square().mean() for seed in range(4)]
    return float(torch.stack(draws).mean().sqrt())


def rotated(means: Tensor, angle: float) -> Tensor:
    """Unit vectors, each turned by an angle in a direction of its own."""
    random = torch.randn(means.shape, generator=torch.Generator().manual_seed(0)).double()
    across = F.normalize(random - (random * means).sum(1, keepdim=True) * means, dim=1)
    return np.cos(angle) * means + np.sin(angle) * across


@pytest.mark.parametrize("world", WORLDS, ids=str)
def test_the_rule_rests_at_the_optimum_and_nowhere_near_it(
    world: tuple[int, int, float],
) -> None:
    for seed in range(2):
        causes = HiddenCauses.draw(*world, seed)
        assert 0.8 < rms(causes) < 1.2
        believed = Mistaken(causes.means, causes.log_prior, causes.concentration, causes)
        assert rms(believed) == rms(causes)
        assert rms(replace(believed, means=rotated(causes.means, 0.15))) > 3
        priors = (causes.log_prior.exp() * torch.linspace(0.6, 1.4, world[0])).log()
        assert rms(replace(believed, log_prior=priors.log_softmax(dim=0))) > 2
        assert rms(replace(believed, concentration=0.4 * causes.concentration)) > 2


def test_equilibrium_scores_are_the_mean_update_in_standard_errors() -> None:
    """Every input's update written out, as the closed form of its variance avoids."""
    causes = HiddenCauses.draw(3, 5, 6.0, seed=1)
    x, _ = causes.sample(300, 7, WorldStream.EQUILIBRIUM)
    posterior, prior, updates = causes.posterior(x), causes.log_prior.exp(), []
    for row, y in zip(x, posterior, strict=True):
        weights = [y[k] * (row - (w @ row) * w) for k, w in enumerate(causes.means)]
        updates.append(torch.cat([torch.stack(weights), (y - prior)[:, None]], dim=1))
    stacked = torch.stack(updates)
    expected = stacked.mean(0) / (stacked.var(0, correction=0) / 300).sqrt()
    torch.testing.assert_close(equilibrium_scores(causes, 300, seed=7), expected)


def same(first: Inference, second: Inference, tolerance: float = 1e-9) -> None:
    for name, value in vars(first).items():
        torch.testing.assert_close(
            torch.as_tensor(value).double(),
            torch.as_tensor(getattr(second, name)).double(),
            atol=tolerance,
            rtol=tolerance,
            msg=lambda text, name=name: f"{name}: {text}",
        )


def test_the_truth_compares_as_perfect() -> None:
    causes = HiddenCauses.draw(5, 10, 8.0, seed=3)
    found = compare(optimum(causes), causes)
    assert found.found
    assert found.kl == pytest.approx(0, abs=1e-12)
    assert found.posterior_distance == pytest.approx(0, abs=1e-12)
    assert found.alignment.tolist() == pytest.approx([1] * 5)
    assert found.prior_error.abs().max() < 1e-12
    torch.testing.assert_close(found.prior, causes.log_prior.exp())
    x, cause = causes.sample(20_000, 1, WorldStream.TEST)
    bayes = -np.log(causes.posterior(x).numpy()[np.arange(len(x)), cause])
    assert found.cross_entropy == pytest.approx(bayes.mean(), rel=1e-9)
    assert found.entropy == pytest.approx(bayes.mean(), rel=1e-9)
    assert found.entropy > 0.05  # causes that overlap, so that the bound is one


def test_a_wrong_layer_is_as_wrong_as_its_densities_say() -> None:
    """KL, cross-entropy and distance from SciPy's densities of truth and model."""
    causes = HiddenCauses.draw(4, 6, 7.0, seed=2)
    layer = optimum(causes)
    with torch.no_grad():
        layer.weight.copy_(rotated(causes.means, 0.3))
        layer.bias.add_(torch.tensor([0.1, -0.1, 0.05, 0.0]))
    x, cause = causes.sample(3000, 5, WorldStream.TEST)
    shift = (causes.log_prior + 7 * torch.tensor([0.1, -0.1, 0.05, 0.0])).log_softmax(dim=0)
    model = naive_joint(HiddenCauses(rotated(causes.means, 0.3), shift, 7.0), x)
    truth = naive_joint(causes, x)
    q, p = (joint / joint.sum(axis=1, keepdims=True) for joint in (model, truth))
    found = compare(layer, causes, 3000, seed=5)
    assert found.kl == pytest.approx(np.log(truth.sum(1) / model.sum(1)).mean(), rel=1e-6)
    assert found.kl > 0.05
    expected = -np.log(q[np.arange(3000), cause.numpy()]).mean()
    assert found.cross_entropy == pytest.approx(expected, rel=1e-6)
    assert found.cross_entropy > found.entropy
    assert found.posterior_distance == pytest.approx(abs(q - p).sum(1).mean() / 2, rel=1e-6)
    assert found.alignment.tolist() == pytest.approx([np.cos(0.3)] * 4)
    torch.testing.assert_close(found.prior_error, shift - causes.log_prior)


def test_neither_the_order_of_neurons_nor_their_type_matters() -> None:
    causes = HiddenCauses.draw(5, 10, 8.0, seed=3)
    layer = learn_causes(causes, 5000)
    permuted, single = copy.deepcopy(layer), copy.deepcopy(layer).float()
    order = torch.tensor([3, 0, 4, 1, 2])
    with torch.no_grad():
        permuted.weight.copy_(layer.weight[order])
        permuted.bias.copy_(layer.bias[order])
    same(compare(permuted, causes), compare(layer, causes))
    same(compare(single, causes), compare(layer, causes), tolerance=1e-4)


def test_the_length_of_weights_changes_activations_but_not_the_model() -> None:
    """Moraitis et al.: KL is least for w_k = c E[x | C_k] with any c > 0."""
    causes = HiddenCauses.draw(4, 10, 8.0, seed=3)
    layer = optimum(causes)
    with torch.no_grad():
        layer.weight.mul_(2)
    found = compare(layer, causes)
    assert found.kl == pytest.approx(0, abs=1e-12) and found.found
    assert found.posterior_distance > 0.01


@pytest.mark.parametrize("seed", [1, 3, 13])
def test_learning_finds_the_causes(seed: int) -> None:
    causes = HiddenCauses.draw(4, 10, 15.0, seed)
    before = compare(untrained(causes, 0.1, seed), causes)
    after = compare(learn_causes(causes, 30_000, seed=seed), causes)
    assert not before.found and after.found
    assert after.kl < 0.01 and after.kl < before.kl / 100
    assert after.cross_entropy - after.entropy < 0.01
    assert after.cross_entropy - after.entropy < (before.cross_entropy - before.entropy) / 100
    assert after.alignment.min() > 0.99
    assert after.prior_error.abs().max() < 0.15
    assert after.posterior_distance < 0.01
    assert before.posterior_distance > 0.3


def test_learned_priors_are_those_of_the_world_and_not_uniform() -> None:
    causes = HiddenCauses.draw(4, 10, 15.0, seed=3)
    uniform = causes.log_prior - torch.tensor(1 / 4).log()
    after = compare(learn_causes(causes, 30_000, seed=3), causes)
    assert after.prior_error.square().mean() < uniform.square().mean() / 20


def test_learning_comes_from_its_seed() -> None:
    causes = HiddenCauses.draw(3, 8, 12.0, seed=0)
    first, again, other = (learn_causes(causes, 1000, seed=seed) for seed in (1, 1, 2))
    assert torch.equal(first.weight, again.weight) and torch.equal(first.bias, again.bias)
    assert not torch.equal(first.weight, other.weight)


def test_few_samples_make_one_smaller_batch() -> None:
    causes = HiddenCauses.draw(3, 8, 12.0, seed=0)
    layer, start = learn_causes(causes, samples=1), untrained(causes, 0.1, 0)
    moved = (layer.weight - start.weight).abs().max()
    assert float(moved) == pytest.approx(0.05)  # one update at the full rate


@pytest.mark.parametrize(
    ("world", "message"),
    [
        ((3, 8, 0.0), "concentration is 0.0; expected more than 0"),
        ((3, 8, -1.0), "concentration is -1.0"),
        ((3, 8, float("nan")), "concentration is nan"),
        ((1, 8, 5.0), "causes is 1; expected at least 2"),
        ((3, 1, 5.0), "features is 1; expected at least 2"),
    ],
)
def test_impossible_worlds_are_named(world: tuple, message: str) -> None:
    with pytest.raises(InputError, match=message):
        HiddenCauses.draw(*world, seed=0)


@pytest.mark.parametrize(
    "name", ["samples", "batch_size", "learning_rate", "prior_rate", "initial_radius"]
)
@pytest.mark.parametrize("value", [0, -1])
def test_numbers_that_are_not_positive_are_named(name: str, value: int) -> None:
    causes = HiddenCauses.draw(3, 8, 12.0, seed=0)
    with pytest.raises(InputError, match=f"{name} is {value}; expected more than 0"):
        learn_causes(causes, **({"samples": 10} | {name: value}))


def test_no_samples_are_named() -> None:
    causes = HiddenCauses.draw(3, 8, 12.0, seed=0)
    with pytest.raises(InputError, match="count is 0"):
        causes.sample(0, seed=0)
    with pytest.raises(InputError, match="samples is 0"):
        compare(optimum(causes), causes, samples=0)
    with pytest.raises(InputError, match="samples is -2"):
        equilibrium_scores(causes, samples=-2)


@pytest.mark.parametrize(
    ("shape", "bias", "message"),
    [
        ((8, 3), False, r"weights \(3, 8\) and no bias; expected \(3, 8\) and a bias"),
        ((8, 4), True, r"weights \(4, 8\) and a bias; expected \(3, 8\) and a bias"),
        ((7, 3), True, r"weights \(3, 7\) and a bias"),
    ],
)
def test_layers_that_do_not_fit_are_named(shape: tuple, bias: bool, message: str) -> None:
    causes = HiddenCauses.draw(3, 8, 12.0, seed=0)
    with pytest.raises(InputError, match=message):
        compare(SoftHebbLinear(*shape, bias=bias), causes)
