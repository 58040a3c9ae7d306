"""A SoftHebb layer learns the hidden causes of its inputs and infers them by Bayes' theorem.

    python examples/bayesian_inference.py

Inputs come from five causes, each with its own direction and probability. The layer sees only the
inputs. Its softmax becomes the posterior probability of the causes, its bias encodes their prior.
"""

import torch

import plastorch
from plastorch.hebbian.mixtures import HiddenCauses, compare


def main(samples: int = 200_000) -> float:
    """Returns how far the layer's posterior is from Bayes', as mean total variation."""
    torch.manual_seed(0)
    causes = HiddenCauses.draw(causes=5, features=16, concentration=10.0, seed=0)
    layer = plastorch.SoftHebbLinear(
        16,
        5,
        bias=True,
        inverse_temperature=10.0,
        initial_radius=0.1,
        initial_distribution="normal",
    )
    rates = [{"params": layer.weight, "lr": 0.05}, {"params": layer.bias, "lr": 0.005}]
    optimizer = torch.optim.SGD(rates)
    batches = causes.sample(samples, seed=0)[0].split(100)  # each input is seen once, unlabeled
    decay = torch.optim.lr_scheduler.LinearLR(optimizer, 1, 0, total_iters=len(batches))
    for batch in batches:
        plastorch.learn(layer, batch)
        optimizer.step()
        decay.step()

    found = compare(layer, causes)
    print("cause  probability  learned  cosine of weights and direction")
    for k, prior in enumerate(found.prior):
        learned = prior * found.prior_error[k].exp()
        print(f"{k + 1:5}  {prior:11.3f}  {learned:7.3f}  {found.alignment[k]:.4f}")
    print(f"distance of the posteriors from Bayes': {found.posterior_distance:.4f}")
    print(f"cross-entropy {found.cross_entropy:.4f} nats; the least possible: {found.entropy:.4f}")
    return found.posterior_distance


if __name__ == "__main__":
    main()
