"""The equations of SoftHebb as pure functions: tensors in, tensors out.

A layer sees *rows*: ``pre`` [..., N, n], one row per sample of a linear layer, or one per position
of every image of a convolution, and ``weight`` [..., K, n]. Leading dimensions are groups of
neurons, which compete and are normalized separately.

Papers: A = Moraitis et al., Neuromorph. Comput. Eng. 2 (2022) 044017, arXiv 2107.05747;
B = Journé et al., ICLR 2023, arXiv 2209.11883.
"""

from typing import Literal, get_args

import torch
import torch.nn.functional as F
from torch import Tensor

from plastorch.engine.errors import InputError

Competition = Literal["softkrotov", "soft", "hard"]
"""``softkrotov``: soft competition with anti-Hebbian losers, as in Journé et al. 2023. ``soft``:
without them, as in Moraitis et al. 2022. ``hard``: one winner takes all."""


def compete(
    u: Tensor, competition: Competition = "softkrotov", inverse_temperature: float = 1.0
) -> Tensor:
    """Lets neurons [..., K] of a row compete: y = softmax(t u), losers negated in ``softkrotov``.

    Moraitis et al. 2022, equation of the posterior; Journé et al. 2023, anti-Hebbian losers. Ties
    go to the first neuron. A row with NaN or +inf has NaN in its result. The temperature does not
    matter to ``hard``.
    """
    if competition == "soft":
        return F.softmax(inverse_temperature * u, dim=-1)
    winner = u.argmax(dim=-1, keepdim=True)
    if competition == "hard":
        one = 1 + 0 * u.gather(-1, winner)  # NaN if the winner is NaN or infinite
        return torch.zeros_like(u).scatter_(-1, winner, one)
    if competition == "softkrotov":
        y = F.softmax(inverse_temperature * u, dim=-1)
        winner_probability = y.gather(-1, winner)
        return y.neg_().scatter_(-1, winner, winner_probability)
    raise InputError(
        f"competition is {competition!r}; expected one of {', '.join(get_args(Competition))}"
    )


def hebbian_update(pre: Tensor, u: Tensor, post: Tensor, weight: Tensor) -> Tensor:
    """Returns the plasticity [..., K, n] of all rows: raw_k = sum_b y_bk (x_b - u_bk w_k).

    Moraitis et al. 2022, equation of the weight update, over a mini-batch: inputs x [..., N, n],
    pre-activations u without bias and activations y [..., N, K] (or a teacher's one-hot labels),
    weights w [..., K, n]. A convolution is the same sum over all positions of all images.
    """
    return less_decay((post.mT @ pre).to(weight.dtype), u, post, weight)


def less_decay(sums: Tensor, u: Tensor, post: Tensor, weight: Tensor) -> Tensor:
    """Subtracts sum_b y_bk u_bk w_k from sums of y_bk x_b, in place; see :func:`hebbian_update`."""
    decay = (post * u).sum(dim=-2).unsqueeze(-1)
    return sums.addcmul_(decay, weight, value=-1)


def prior_update(post: Tensor, bias: Tensor, inverse_temperature: float = 1.0) -> Tensor:
    """Returns the plasticity [..., K] of log-priors: raw_k = sum_b (y_bk - e^{t b_k}) / e^{t b_k}.

    Moraitis et al. 2022, equation of the bias; at its equilibrium e^{t b_k} is the neuron's mean
    probability. The sign of losers in the activations [..., N, K] is ignored.
    """
    probability = torch.exp(inverse_temperature * bias)
    return (post.abs().sum(dim=-2) - post.shape[-2] * probability) / probability


def normalize(raw: Tensor, groups: int = 1) -> Tensor:
    """Scales an update [K, ...] to a largest absolute entry of 1: raw / (max |raw| + 1e-30).

    Each group of neurons has its own maximum. This makes the step size independent of batch size,
    image size and activation scale (as the published code of Journé et al. 2023 does); the learning
    rate *is* the largest weight change.
    """
    return raw / largest(raw, groups)


def largest(raw: Tensor, groups: int = 1) -> Tensor:
    """Returns max |raw| + 1e-30 of each neuron's group, shaped [K, 1, ...] to divide ``raw``."""
    rest = tuple(range(1, raw.dim()))
    of_neuron = torch.maximum(raw.amax(rest), -raw.amin(rest)) if rest else raw.abs()
    of_group = of_neuron.view(groups, -1).amax(dim=1) + 1e-30
    return of_group.repeat_interleave(len(raw) // groups).view(-1, *(1,) * len(rest))


def norm_dependent_rate(radius: Tensor, power: float) -> Tensor:
    """Returns factors [K] of neurons' learning rates: (|r - 1| + 1e-10)^power, from norms r [K].

    Journé et al. 2023, section on the learning rate: learning fades as the norm r of a neuron
    reaches 1.
    """
    return ((radius - 1).abs() + 1e-10) ** power


def triangle(u: Tensor, power: float = 1.0, dim: int = 1) -> Tensor:
    """Applies Triangle: relu(u - mean of u over channels)^power, at each position.

    Journé et al. 2023.
    """
    rectified = center(u, dim).relu_()
    return rectified if power == 1 else rectified.pow(power)


def center(u: Tensor, dim: int = 1) -> Tensor:
    """Returns u - mean of u over channels, at each position; the mean is constant in gradients."""
    return u - u.mean(dim=dim, keepdim=True).detach()
