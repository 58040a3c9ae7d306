"""When an output counts as an answer, and the loss of that answer.

Jeffares, Guo, Stenetorp, Moraitis, *Spike-inspired Rank Coding for Fast and Accurate Recurrent
Neural Networks*, ICLR 2022, arXiv 2110.02865.
"""

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from plastorch.engine.device import has_kernels, traced
from plastorch.engine.errors import InputError
from plastorch.learning.lengths import checked_lengths


def probabilities(logits: Tensor) -> Tensor:
    """Returns class probabilities [..., C]: softmax of C logits, or sigmoid of one (two classes).

    Example:
        >>> probabilities(torch.zeros(2))
        tensor([0.5000, 0.5000])
    """
    return logits.sigmoid() if logits.shape[-1] == 1 else logits.softmax(dim=-1)


def answer(logits: Tensor) -> Tensor:
    """Returns the most probable class, int64 [...], of logits [..., C].

    Example:
        >>> answer(torch.tensor([[0.0, 5.0, 1.0]])), answer(torch.tensor([[-5.0]]))
        (tensor([1]), tensor([0]))
    """
    return (logits[..., 0] > 0).long() if logits.shape[-1] == 1 else logits.argmax(dim=-1)


def confidence(logits: Tensor) -> Tensor:
    """Returns the probability of the most probable class [...], of logits [..., C].

    Example:
        >>> confidence(torch.tensor([[0.0, 0.0], [-30.0, 30.0]]))
        tensor([0.5000, 1.0000])
    """
    if logits.shape[-1] == 1:
        chance = logits.sigmoid()[..., 0]
        return torch.maximum(chance, 1 - chance)
    # exp(best) / Σ exp, which takes half the time of a softmax over a few classes
    rest = logits - logits.amax(dim=-1, keepdim=True)
    return rest.exp_().sum(dim=-1).reciprocal()


def log_odds(logits: Tensor) -> Tensor:
    """Returns ln(c / (1 - c)) of the confidence c [...], exact near 1; of logits [..., C].

    Example:
        >>> log_odds(torch.tensor([[0.0, 40.0]])), log_odds(torch.tensor([[-3.0]]))
        (tensor([40.]), tensor([3.]))
    """
    if logits.shape[-1] == 1:
        return logits[..., 0].abs()
    best, place = logits.max(dim=-1, keepdim=True)
    return best[..., 0] - logits.scatter(-1, place, -torch.inf).logsumexp(dim=-1)


def crosses(logits: Tensor, threshold: float | Tensor) -> Tensor:
    """Returns whether outputs are answers: max_c p_c > θ; for a single output, p > θ or p < 1 - θ.

    Args:
        logits: logits [..., C].
        threshold: threshold θ, or thresholds that can be broadcast to [...].

    Returns:
        Bool [...].

    Example:
        >>> crosses(torch.tensor([[0.0, 5.0], [0.0, 1.0]]), 0.9), crosses(torch.tensor([-5.0]), 0.9)
        (tensor([ True, False]), tensor(True))
    """
    return confidence(logits) > threshold


def first_crossing(
    logits: Tensor, threshold: float, lengths: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Finds the step of each sample's answer: the first crossing, or the last step if none.

    Args:
        logits: logits of all steps [T, B, C].
        threshold: threshold θ.
        lengths: number of steps of each sample [B]; T if None.

    Returns:
        Steps from 0, int64 [B], and whether the threshold was crossed, bool [B].

    Raises:
        InputError: threshold is not in (0, 1], lengths are not from 1 to T, or logits are not
            floating-point numbers of one step, sample and class or more.

    Example:
        >>> logits = torch.tensor([0.0, 1.0, 9.0]).view(3, 1, 1)
        >>> first_crossing(logits, 0.9), first_crossing(logits, 0.9, torch.tensor([2]))
        ((tensor([2]), tensor([True])), (tensor([1]), tensor([False])))
    """
    check_threshold(threshold)
    _check_logits(logits)
    return crossing_before(logits, threshold, checked_lengths(lengths, logits))


def crossing_before(
    logits: Tensor, threshold: float | Tensor, ends: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Does the work of :func:`first_crossing`, without a check of threshold and ends.

    Args:
        logits: logits of all steps [T, B, C].
        threshold: threshold θ, or one for each step, the last of which holds for all later.
        ends: int64 [B]; only steps before a sample's end, which may be below 0, count. T if None.
    """
    _check_logits(logits)
    if not has_kernels(logits) or traced():
        if isinstance(threshold, Tensor):
            steps = torch.arange(len(logits)).clamp(max=len(threshold) - 1)
            threshold = threshold.cpu()[steps, None].to(logits.device)
        return first_hit(crosses(logits, threshold), ends)
    from plastorch.rank.criterion_kernels import first_crossings  # importing numba takes a second

    values = logits.detach().contiguous().numpy()
    thresholds = torch.as_tensor(threshold, dtype=logits.dtype, device="cpu").reshape(-1).numpy()
    limits = np.empty(0, dtype=np.int64) if ends is None else ends.contiguous().numpy()
    step = torch.empty(logits.shape[1], dtype=torch.int64)
    crossed = torch.empty(logits.shape[1], dtype=torch.bool)
    first_crossings(values, thresholds, limits, step.numpy(), crossed.numpy())
    return step, crossed


def first_hit(hits: Tensor, ends: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Returns each sample's first true step before its end, or its last, and if there is one."""
    if ends is not None:
        hits = hits & (torch.arange(len(hits), device=hits.device)[:, None] < ends)
    hit, first = hits.max(dim=0)
    last = len(hits) - 1 if ends is None else ends - 1
    return torch.where(hit, first, last), hit


def entropy(logits: Tensor) -> Tensor:
    """Returns the entropy H = -Σ p ln p [...]; one output stands for two classes.

    Example:
        >>> entropy(torch.zeros(1)), entropy(torch.zeros(2))
        (tensor(0.6931), tensor(0.6931))
    """
    if logits.shape[-1] == 1:
        logits = torch.cat([logits, torch.zeros_like(logits)], dim=-1)
    logs = logits.log_softmax(dim=-1)
    return -(logs.exp() * logs).sum(dim=-1)


def check_threshold(threshold: float | Tensor) -> None:
    """Raises InputError unless θ, or each θ of a vector, is in (0, 1]."""
    if isinstance(threshold, Tensor):
        wrong = threshold.dim() != 1 or not len(threshold)
        if wrong or not bool(((threshold > 0) & (threshold <= 1)).all()):
            raise InputError(
                f"threshold is {threshold}; expected one number or more above 0, up to 1"
            )
    elif not 0 < threshold <= 1:
        raise InputError(f"threshold is {threshold}; expected more than 0 and at most 1")


def _check_logits(logits: Tensor) -> None:
    if logits.dim() != 3 or logits.numel() == 0 or not logits.is_floating_point():
        raise InputError(
            f"logits have shape {tuple(logits.shape)} and type {logits.dtype}; expected (T, B, C), "
            "not empty, and floating-point numbers"
        )


def check_labels(logits: Tensor, labels: Tensor) -> None:
    """Raises InputError unless each sample has one label that is a class of the readout.

    Logits are [..., B, C], labels int64 [B]. Values are checked only on the CPU, where that doesn't
    wait for a device.
    """
    classes = max(2, logits.shape[-1])
    wrong = labels.shape != logits.shape[-2:-1] or not len(labels)
    if wrong or labels.dtype != torch.int64:
        raise InputError(
            f"labels have shape {tuple(labels.shape)} and type {labels.dtype}; expected "
            f"({logits.shape[-2]},), not empty, and torch.int64"
        )
    if labels.is_cpu and (int(labels.min()) < 0 or int(labels.max()) >= classes):
        raise InputError(
            f"labels go from {int(labels.min())} to {int(labels.max())}; expected 0 to "
            f"{classes - 1}, the classes of the readout"
        )


def cross_entropies(logits: Tensor, labels: Tensor) -> Tensor:
    """Returns the cross-entropy -ln p_y of each sample, at each step if there are several.

    Args:
        logits: logits [B, C] or [T, B, C].
        labels: classes, int64 [B].

    Returns:
        Cross-entropies [B] or [T, B].

    Raises:
        InputError: there is not one label per sample, or a label is not a class.

    Example:
        >>> cross_entropies(torch.zeros(2, 1, 1), torch.tensor([1]))
        tensor([[0.6931],
                [0.6931]])
    """
    check_labels(logits, labels)
    spread = labels.expand(logits.shape[:-1])
    if logits.shape[-1] == 1:
        return F.binary_cross_entropy_with_logits(
            logits[..., 0], spread.to(logits), reduction="none"
        )
    flat = F.cross_entropy(logits.flatten(0, -2), spread.flatten(), reduction="none")
    return flat.view(spread.shape)


def mean_over(values: Tensor, weights: Tensor | None = None) -> Tensor:
    """Returns the mean over samples [B], weighted if there are weights; 0 if all weights are 0.

    Raises:
        InputError: there is not one weight per sample.
    """
    if weights is None:
        return values.mean()
    if weights.shape != values.shape:
        raise InputError(
            f"weights have shape {tuple(weights.shape)}; expected {tuple(values.shape)}"
        )
    least = torch.finfo(values.dtype).tiny
    return (weights * values).sum() / weights.sum().clamp(min=least)


def rank_loss(
    logits: Tensor, labels: Tensor, entropy_weight: float = 0.0, weights: Tensor | None = None
) -> Tensor:
    """Returns the cross-entropy of the answers minus β times their entropy, mean over samples.

    The entropy reward keeps a network from being certain too early: a larger β makes answers later
    and more accurate.

    Args:
        logits: logits at the step of the answer [B, C].
        labels: classes, int64 [B].
        entropy_weight: weight β of the entropy.
        weights: weights of the samples [B]; equal if None.

    Raises:
        InputError: there is not one label, or weight, per sample, or a label is not a class.

    Example:
        >>> rank_loss(torch.zeros(1, 2), torch.tensor([1]), entropy_weight=1.0)
        tensor(0.)
    """
    wrong = cross_entropies(logits, labels)
    return mean_over(wrong - entropy_weight * entropy(logits), weights)


def effective_threshold(threshold: float, entropy_weight: float) -> float:
    """Returns the two-class posterior at which an optimal output is θ: θ + β θ (1 - θ) logit(θ).

    An output p that minimizes the loss solves q = p (1 + β (ln p + H(p))), with the posterior q. If
    the result is 1 or more, no evidence is enough; this is the case for β ≥ 1 / (θ logit θ).

    Example:
        >>> round(effective_threshold(0.95, 0.3), 3)
        0.992
    """
    logit = float(torch.logit(torch.tensor(threshold, dtype=torch.float64)))
    return threshold + entropy_weight * threshold * (1 - threshold) * logit
