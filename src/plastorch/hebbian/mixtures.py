"""Hidden causes with a known posterior, and how close a SoftHebb layer comes to it.

Moraitis et al. 2022, theory: inputs of unit length come from hidden causes C_k, and a softmax layer
performs Bayesian inference of these once w_k = E[x | C_k] / ||E[x | C_k]|| and its log-prior is
ln P(C_k). With von Mises-Fisher causes, p(x | C_k) = c exp(kappa mu_k.x), all of this is known in
closed form.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from plastorch.engine.errors import InputError, check_positive
from plastorch.engine.streams import stream
from plastorch.hebbian.layers import SoftHebbLinear
from plastorch.hebbian.optim import linear_decay
from plastorch.hebbian.rule import hebbian_update
from plastorch.hebbian.streams import Stream, WorldStream
from plastorch.learning import learn


@dataclass(frozen=True)
class HiddenCauses:
    """Mixture of von Mises-Fisher distributions on the unit sphere.

    Means mu_k are unit vectors [K, n], log-priors ln P(C_k) [K]; the concentration kappa is common
    to all causes, and larger means less overlap.
    """

    means: Tensor
    log_prior: Tensor
    concentration: float

    @classmethod
    def draw(cls, causes: int, features: int, concentration: float, seed: int) -> "HiddenCauses":
        """Draws random directions, and unequal priors from a Dirichlet distribution (alpha = 5)."""
        check_positive(concentration=concentration)
        for name, value in (("causes", causes), ("features", features)):
            if value < 2:
                raise InputError(f"{name} is {value}; expected at least 2")
        random = np.random.default_rng([seed, WorldStream.CAUSES])
        means = torch.from_numpy(random.normal(size=(causes, features)))
        prior = torch.from_numpy(random.dirichlet(np.full(causes, 5.0)))
        return cls(F.normalize(means, dim=1), prior.log(), concentration)

    def sample(
        self, count: int, seed: int, use: WorldStream = WorldStream.INPUTS
    ) -> tuple[Tensor, Tensor]:
        """Draws inputs x [count, n] of unit length; returns them and their causes [count]."""
        from scipy.stats import vonmises_fisher

        check_positive(count=count)
        random = np.random.default_rng([seed, use])
        prior = self.log_prior.exp().numpy()
        cause = random.choice(len(prior), count, p=prior / prior.sum())
        x = np.empty((count, self.means.shape[1]))
        for k, mean in enumerate(self.means.numpy()):
            rows = np.flatnonzero(cause == k)
            if len(rows):
                draws = vonmises_fisher(mean, self.concentration).rvs(len(rows), random)
                x[rows] = draws.reshape(len(rows), -1)
        return torch.from_numpy(x), torch.from_numpy(cause)

    def log_joint(self, x: Tensor) -> Tensor:
        """Returns ln p(x, C_k) [N, K], up to the constant that all causes share."""
        return self.concentration * x @ self.means.T + self.log_prior

    def posterior(self, x: Tensor) -> Tensor:
        """Returns Bayes' P(C_k | x) [N, K]."""
        return self.log_joint(x).softmax(dim=1)


@dataclass(frozen=True)
class Inference:
    """Comparison of a layer's model of its inputs with the truth, on fresh samples.

    Args:
        kl: KL(p || q) of the distribution of inputs, in nats; 0 is a perfect model.
        cross_entropy: cross-entropy of the layer's activations with the true causes, in nats.
        entropy: entropy of the true causes given the input: the least cross-entropy, in nats.
        posterior_distance: mean total variation between the layer's and Bayes' posterior.
        alignment: cosine of each cause's mean and the weights of its neuron [K].
        prior_error: learned minus true log-prior [K].
        prior: true probabilities [K].
    """

    kl: float
    cross_entropy: float
    entropy: float
    posterior_distance: float
    alignment: Tensor
    prior_error: Tensor
    prior: Tensor

    @property
    def found(self) -> bool:
        """Whether each cause has its own neuron: a global optimum, not a local one."""
        return bool(self.alignment.min() > 0.95)


def untrained(causes: HiddenCauses, initial_radius: float, seed: int) -> SoftHebbLinear:
    """Returns a float64 layer with one neuron per cause, and the causes' temperature."""
    neurons, features = causes.means.shape
    return SoftHebbLinear(
        features,
        neurons,
        bias=True,
        inverse_temperature=causes.concentration,
        initial_radius=initial_radius,
        initial_distribution="normal",
        generator=stream(seed, Stream.WORLD_WEIGHTS),
        dtype=torch.float64,
    )


def learn_causes(
    causes: HiddenCauses,
    samples: int = 300_000,
    batch_size: int = 100,
    learning_rate: float = 0.05,
    prior_rate: float = 0.1,
    initial_radius: float = 0.1,
    seed: int = 0,
) -> SoftHebbLinear:
    """Trains a layer with one neuron per cause on a stream of inputs, each seen once.

    Moraitis et al.'s rule for weights and log-priors, rates falling linearly to 0. Small initial
    weights start a soft competition that hardens as norms grow to 1. They find the causes far more
    often than weights of norm 1 do. The rate of the log-priors, relative to that of the weights, is
    below 1: a neuron that loses its prior before it has found a cause loses the competition for
    good.
    """
    check_positive(samples=samples, batch_size=batch_size, learning_rate=learning_rate)
    check_positive(prior_rate=prior_rate)
    layer = untrained(causes, initial_radius, seed)
    x, _ = causes.sample(samples, seed)
    groups: list[dict[str, Any]] = [{"params": [p]} for p in (layer.weight, layer.bias)]
    optimizer = torch.optim.SGD(groups, lr=0.0)
    batches = torch.split(x, batch_size)
    for step, batch in enumerate(batches):
        rate = linear_decay(learning_rate, step, len(batches))
        for group, factor in zip(optimizer.param_groups, (1, prior_rate), strict=True):
            group["lr"] = rate * factor
        learn(layer, batch)
        optimizer.step()
    return layer


@torch.no_grad()
def equilibrium_scores(causes: HiddenCauses, samples: int = 50_000, seed: int = 2) -> Tensor:
    """Returns the distance from 0 of the expected update at Bayes' optimum, in standard errors.

    Moraitis et al. 2022 claims that the rule rests at w_k = mu_k, b_k = ln P(C_k) / t. There the
    mean of y_k (x - u_k w_k) and of y_k - P(C_k) over many inputs must vanish up to sampling error:
    each of the scores [K, n + 1] is about normally distributed with standard deviation 1.
    """
    check_positive(samples=samples)
    x, _ = causes.sample(samples, seed, WorldStream.EQUILIBRIUM)
    y, w = causes.posterior(x), causes.means
    u = x @ w.T
    mean = hebbian_update(x, u, y, w) / samples
    # E[y^2 (x - u w)^2], multiplied out to avoid a tensor [samples, K, n].
    y2 = y.square()
    square = (
        y2.T @ x.square() - 2 * w * ((y2 * u).T @ x) + w.square() * (y2 * u * u).sum(0)[:, None]
    ) / samples
    prior = causes.log_prior.exp()
    mean = torch.cat([mean, (y.mean(0) - prior)[:, None]], dim=1)
    square = torch.cat([square, (y - prior).square().mean(0)[:, None]], dim=1)
    return mean / ((square - mean.square()) / samples).sqrt()


@torch.no_grad()
def compare(
    layer: SoftHebbLinear, causes: HiddenCauses, samples: int = 20_000, seed: int = 1
) -> Inference:
    """Compares a layer with the truth on fresh inputs, each neuron matched to its nearest cause."""
    from scipy.optimize import linear_sum_assignment

    if layer.bias is None or layer.weight.shape != causes.means.shape:
        raise InputError(
            f"layer has weights {tuple(layer.weight.shape)} and "
            f"{'no bias' if layer.bias is None else 'a bias'}; expected "
            f"{tuple(causes.means.shape)} and a bias"
        )
    check_positive(samples=samples)
    x, cause = causes.sample(samples, seed, WorldStream.TEST)
    direction = F.normalize(layer.weight.double(), dim=1)
    _, neuron = linear_sum_assignment(-(causes.means @ direction.T).numpy())
    direction = direction[neuron]
    t = layer.inverse_temperature
    log_prior = (t * layer.bias[neuron].double()).log_softmax(dim=0)
    model = HiddenCauses(direction, log_prior, causes.concentration)
    truth, posterior = causes.log_joint(x), causes.posterior(x)
    activation = (t * layer(x).double())[:, neuron].log_softmax(dim=1)
    rows = torch.arange(samples)
    return Inference(
        kl=float((truth.logsumexp(dim=1) - model.log_joint(x).logsumexp(dim=1)).mean()),
        cross_entropy=float(-activation[rows, cause].mean()),
        entropy=float(-posterior[rows, cause].log().mean()),
        posterior_distance=float((activation.exp() - posterior).abs().sum(dim=1).mean() / 2),
        alignment=(causes.means * direction).sum(dim=1),
        prior_error=log_prior - causes.log_prior,
        prior=causes.log_prior.exp(),
    )
