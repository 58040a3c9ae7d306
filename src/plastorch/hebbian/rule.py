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
"""``softkrotov``: soft with anti-Hebbian losers, the rule of paper B. ``soft``: paper A.
``hard``: one winner takes all."""


def compete(
    u: Tensor, competition: Competition = "softkrotov", inverse_temperature: float = 1.0
) -> Tensor:
    """Lets the neurons of each row compete: y = softmax(t u), losers negated in ``softkrotov``.

    Paper A, equation of the posterior; paper B, anti-Hebbian losers. Ties go to the first neuron.
    A row with NaN or +inf has NaN in its result.

    Args:
        u: pre-activations [..., K].
        competition: competition rule; see :data:`Competition`.
        inverse_temperature: inverse temperature t = 1 / T; unused by ``hard``.

    Returns:
        Activation y [..., K] that gates plasticity.

    Raises:
        InputError: unknown ``competition``.

    Example:
        >>> compete(torch.tensor([[0.0, 0.0, 1.0]]), "hard")
        tensor([[0., 0., 1.]])
        >>> compete(torch.tensor([[0.0, 0.0]]))
        tensor([[ 0.5000, -0.5000]])
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
    """Sums the plasticity of all rows: raw_k = sum_b y_bk (x_b - u_bk w_k).

    Paper A, equation of the weight update, over a mini-batch. A convolution is the same sum over
    all positions of all images.

    Args:
        pre: inputs x [..., N, n].
        u: pre-activations without bias [..., N, K].
        post: activations y [..., N, K] from :func:`compete`, or one-hot labels of a teacher.
        weight: weights w [..., K, n].

    Returns:
        Update [..., K, n] before :func:`normalize`.

    Example:
        >>> x, w = torch.tensor([[1.0, 0.0]]), torch.tensor([[0.5, 0.5]])
        >>> hebbian_update(x, x @ w.mT, torch.ones(1, 1), w)
        tensor([[ 0.7500, -0.2500]])
    """
    raw = (post.mT @ pre).to(weight.dtype)
    decay = (post * u).sum(dim=-2).unsqueeze(-1)
    return raw.addcmul_(decay, weight, value=-1)


def prior_update(post: Tensor, bias: Tensor, inverse_temperature: float = 1.0) -> Tensor:
    """Sums the plasticity of the log-priors: raw_k = sum_b (y_bk - e^{t b_k}) / e^{t b_k}.

    Paper A, equation of the bias; at its equilibrium e^{t b_k} is the neuron's mean probability.

    Args:
        post: activations [..., N, K]; the sign of losers is ignored.
        bias: log-priors b [..., K].
        inverse_temperature: inverse temperature t of the competition.

    Returns:
        Update [..., K] before :func:`normalize`.

    Example:
        >>> prior_update(torch.tensor([[0.5, 0.5]]), torch.tensor([0.5, 0.5]).log())
        tensor([0., 0.])
    """
    probability = torch.exp(inverse_temperature * bias)
    return (post.abs().sum(dim=-2) - post.shape[-2] * probability) / probability


def normalize(raw: Tensor, groups: int = 1) -> Tensor:
    """Scales an update so that its largest absolute entry is 1: raw / (max |raw| + 1e-30).

    This makes the step size independent of batch size, image size and activation scale (as the
    published code of paper B does); the learning rate *is* the largest weight change.

    Args:
        raw: update [K, ...], neurons in the first dimension.
        groups: number of groups of neurons, each scaled by its own maximum.

    Returns:
        Scaled update, in a new tensor of the same shape.

    Example:
        >>> normalize(torch.tensor([[2.0, -4.0]]))
        tensor([[ 0.5000, -1.0000]])
    """
    return raw / largest(raw, groups)


def largest(raw: Tensor, groups: int = 1) -> Tensor:
    """Returns the largest absolute entry of each group, per neuron, shaped to divide ``raw``.

    Args:
        raw: update [K, ...].
        groups: number of groups of neurons.

    Returns:
        max |raw| + 1e-30 [K, 1, ...].

    Example:
        >>> largest(torch.tensor([[2.0, -4.0]]))
        tensor([[4.]])
    """
    rest = tuple(range(1, raw.dim()))
    of_neuron = torch.maximum(raw.amax(rest), -raw.amin(rest)) if rest else raw.abs()
    of_group = of_neuron.view(groups, -1).amax(dim=1) + 1e-30
    return of_group.repeat_interleave(len(raw) // groups).view(-1, *(1,) * len(rest))


def norm_dependent_rate(radius: Tensor, power: float) -> Tensor:
    """Returns the factor on the learning rate of each neuron: (|r - 1| + 1e-10)^power.

    Paper B, section on the learning rate: learning fades as the norm r of a neuron reaches 1.

    Args:
        radius: Euclidean norms r of the neurons' weights [K].
        power: exponent q; 0 leaves the learning rate constant.

    Returns:
        One factor per neuron [K].

    Example:
        >>> norm_dependent_rate(torch.tensor([2.0, 5.0]), 0.5)
        tensor([1., 2.])
    """
    return ((radius - 1).abs() + 1e-10) ** power


def triangle(u: Tensor, power: float = 1.0, dim: int = 1) -> Tensor:
    """Applies Triangle: relu(u - mean of u over channels)^power, at each position.

    Paper B, equation of the activation.

    Args:
        u: pre-activations [B, K, ...].
        power: exponent.
        dim: dimension of the channels.

    Returns:
        Activations of the same shape.

    Example:
        >>> triangle(torch.tensor([[1.0, 3.0]]))
        tensor([[0., 1.]])
    """
    rectified = center(u, dim).relu_()
    return rectified if power == 1 else rectified.pow(power)


def center(u: Tensor, dim: int = 1) -> Tensor:
    """Returns u - mean of u over channels, at each position: what Triangle rectifies.

    The mean counts as a constant in gradients.

    Args:
        u: pre-activations [B, K, ...].
        dim: dimension of the channels.

    Returns:
        Values of the same shape.

    Example:
        >>> center(torch.tensor([[1.0, 3.0]]))
        tensor([[-1.,  1.]])
    """
    return u - u.mean(dim=dim, keepdim=True).detach()
