"""One layer of SoftHebb finds the hidden causes of its inputs, and infers them as Bayes would.

    python examples/bayesian_inference.py

Inputs come from five causes, each with a direction and a probability of its own. The layer sees the
inputs alone. Its softmax becomes the posterior probability of the causes, its bias their prior.
"""

import torch

import plastorch
from plastorch import SoftHebbLinear
from plastorch.hebbian.mixtures import HiddenCauses, compare

CAUSES, FEATURES, CONCENTRATION = 5, 16, 10.0


def learn(inputs: torch.Tensor, batch_size: int = 100) -> SoftHebbLinear:
    """A layer with a neuron per cause; each input is seen once, without a label."""
    torch.manual_seed(0)
    layer = SoftHebbLinear(
        FEATURES,
        CAUSES,
        bias=True,
        inverse_temperature=CONCENTRATION,
        initial_radius=0.1,
        initial_distribution="normal",
        dtype=torch.float64,
    )
    optimizer = torch.optim.SGD([{"params": layer.weight}, {"params": layer.bias}], lr=0.05)
    batches = inputs.split(batch_size)
    for number, batch in enumerate(batches):
        rate = 0.05 * (1 - number / len(batches))
        for group, share in zip(optimizer.param_groups, (1.0, 0.1), strict=True):
            group["lr"] = share * rate
        plastorch.learn(layer, batch)
        optimizer.step()
    return layer


def main(samples: int = 200_000) -> float:
    """Returns how far the layer's posterior is from Bayes', as mean total variation."""
    causes = HiddenCauses.draw(CAUSES, FEATURES, CONCENTRATION, seed=0)
    inputs, _ = causes.sample(samples, seed=0)
    found = compare(learn(inputs), causes)
    print("cause  probability  learned  cosine of weights and direction")
    learned = (found.prior.log() + found.prior_error).exp()
    for k, (prior, own, cosine) in enumerate(
        zip(found.prior, learned, found.alignment, strict=True), start=1
    ):
        print(f"{k:5}  {prior:11.3f}  {own:7.3f}  {cosine:.4f}")
    print(f"distance of the posteriors from Bayes': {found.posterior_distance:.4f}")
    print(f"cross-entropy {found.cross_entropy:.4f} nats; no inference has less than ", end="")
    print(f"{found.entropy:.4f}")
    return found.posterior_distance


if __name__ == "__main__":
    main()
