"""Losses from two views of the same sources: identity of the source, and the action.

Scherr, Guo, Moraitis, *Self-Supervised Learning Through Efference Copies*, NeurIPS 2022, arXiv
2210.09224. An action is a choice of a source m and a manipulation g; an inverse model
q(m, g | x, x') = q_D(m | x, x') q_M(g | x, x') infers both. SimCLR, BYOL and ReLIC are forms of
-log q_D.

Losses are means over a worker's rows, so their mean over workers is that of the joined batch.
Half-precision inputs are converted to single precision.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from plastorch.efference.actions import any_on_cpu
from plastorch.engine.distributed import gathered, sum_over_workers, worker, workers
from plastorch.engine.errors import InputError, check_positive


def nt_xent(z_a: Tensor, z_b: Tensor, temperature: float = 0.5) -> Tensor:
    """Returns SimCLR's loss -log q_D(j | x), q_D = exp(cos(z, z_j) / T) / Σ_l exp(cos(z, z_l) / T).

    Each of the 2 B views is an anchor; j is the other view of its source, and l are all other views
    of all workers.

    Args:
        z_a: projections of one view of each source [B, P].
        z_b: projections of the other view [B, P].
        temperature: temperature T.

    Returns:
        Loss, mean over the anchors.

    Raises:
        InputError: there are fewer than two sources, shapes differ, or T is not positive.

    Example:
        >>> z = torch.eye(4)
        >>> nt_xent(z, z, temperature=0.1) < nt_xent(z, z.roll(1, 0), temperature=0.1)
        tensor(True)
    """
    _check_pair(z_a, z_b, least=2)
    check_positive(temperature=temperature)
    z, count = torch.cat([z_a, z_b]), len(z_a)
    own = torch.arange(len(z), device=z.device) + worker() * len(z)
    logits = similarity(z, gathered(z), temperature)
    itself = own[:, None] == torch.arange(logits.shape[1], device=z.device)
    logits = logits.masked_fill(itself, torch.finfo(logits.dtype).min)
    return F.cross_entropy(logits, own.view(2, count).flip(0).flatten())


def byol(prediction: Tensor, target: Tensor) -> Tensor:
    """Returns BYOL's loss 2 - 2 cos(p, z'): a von Mises-Fisher -log q(z' | x) up to constants.

    Args:
        prediction: predicted direction p [B, P].
        target: actual direction z' [B, P]; it receives no gradient.

    Returns:
        Loss, mean over the rows.

    Raises:
        InputError: shapes differ.

    Example:
        >>> byol(torch.tensor([[0.0, 2.0]]), torch.tensor([[3.0, 0.0]]))
        tensor(2.)
    """
    _check_pair(prediction, target, least=1)
    p, z = single(prediction), single(target.detach())
    return 2 - 2 * F.cosine_similarity(p, z, dim=1).mean()


def relic(
    z_a: Tensor,
    z_b: Tensor,
    target_a: Tensor,
    target_b: Tensor,
    *,
    temperature: float = 0.5,
    alpha: float = 1.0,
) -> Tensor:
    """Returns ReLIC's loss: identify the source, with the same distribution from both views.

    q(j | x) = exp(cos(z, t_j) / T) / Σ_l exp(cos(z, t_l) / T) over the sources of all workers, with
    the projection z of one view and the target network's t of the other. The loss is the mean of
    -log q(i | x_i) over both views, plus α KL(q(. | x_a) || q(. | x_b)), without gradient through
    the former distribution.

    Args:
        z_a: projections of one view of each source [B, P].
        z_b: projections of the other view [B, P].
        target_a: target network's projections of the first view [B, P], without gradient.
        target_b: target network's projections of the other view [B, P], without gradient.
        temperature: temperature T.
        alpha: weight α of the divergence.

    Returns:
        Loss, mean over the rows.

    Raises:
        InputError: there are fewer than two sources, shapes differ, T is not positive, or α is
            negative.

    Example:
        >>> z = torch.eye(4)
        >>> relic(z, z, z, z)  # log(1 + 3 exp(-2))
        tensor(0.3408)
    """
    _check_pair(z_a, z_b, least=2)
    _check_pair(z_a, target_a, least=2)
    _check_pair(z_a, target_b, least=2)
    check_positive(temperature=temperature)
    if not alpha >= 0:
        raise InputError(f"alpha is {alpha}; expected 0 or more")
    own = torch.arange(len(z_a), device=z_a.device) + worker() * len(z_a)
    keys_a, keys_b = gathered(target_a.detach()), gathered(target_b.detach())
    log_a = similarity(z_a, keys_b, temperature).log_softmax(dim=1)
    log_b = similarity(z_b, keys_a, temperature).log_softmax(dim=1)
    wrong = (F.nll_loss(log_a, own) + F.nll_loss(log_b, own)) / 2
    return wrong + alpha * F.kl_div(log_b, log_a.detach(), reduction="batchmean", log_target=True)


def manipulation(
    logits: Sequence[Tensor], targets: Tensor, weights: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Returns the loss of the action: -log q_M(g | h, h'), a cross-entropy per factor.

    Args:
        logits: logits of each of K factors [R, its classes].
        targets: class of each factor, or -1 if there is none, int64 [R, K].
        weights: nonnegative weights of the factors [K]; equal if None.

    Returns:
        Weighted mean over the factors with a target, 0 if there are none; and each factor's mean
        over its targets [K], 0 without targets, without gradient.

    Raises:
        InputError: shapes differ; or, on the CPU, a target is not a class, or a weight is negative
            or not finite.

    Example:
        >>> logits = torch.zeros(2, 8), torch.zeros(2, 2)
        >>> manipulation(logits, torch.tensor([[7, -1], [0, -1]]))
        (tensor(2.0794), tensor([2.0794, 0.0000]))
    """
    _check_targets(logits, targets)
    _check_weights(weights, len(logits))
    sums = torch.stack(
        [
            F.cross_entropy(single(of), targets[:, k], ignore_index=-1, reduction="sum")
            for k, of in enumerate(logits)
        ]
    )
    counts = sum_over_workers((targets >= 0).sum(dim=0).to(sums)) / workers()
    each = sums / counts.clamp(min=1 / workers())
    shares = (counts > 0).to(sums) if weights is None else (counts > 0) * weights.to(sums)
    total = (each * shares).sum() / shares.sum().clamp(min=torch.finfo(sums.dtype).tiny)
    return total, each.detach()


def similarity(z: Tensor, keys: Tensor, temperature: float) -> Tensor:
    """Returns cos(z, z_j) / T of all rows and keys [R, keys], at least in single precision."""
    device = z.device.type if torch.amp.is_autocast_available(z.device.type) else "cpu"
    with torch.autocast(device, enabled=False):
        z, keys = F.normalize(single(z), dim=1), F.normalize(single(keys), dim=1)
        return z @ keys.T / temperature


def single(x: Tensor) -> Tensor:
    """Converts half precision to single precision."""
    return x.float() if x.dtype in (torch.float16, torch.bfloat16) else x


def _check_pair(one: Tensor, other: Tensor, least: int) -> None:
    if one.dim() != 2 or one.shape != other.shape or len(one) < least:
        raise InputError(
            f"embeddings have shapes {tuple(one.shape)} and {tuple(other.shape)}; expected the "
            f"same, [B, P], with B at least {least}"
        )


def _check_targets(logits: Sequence[Tensor], targets: Tensor) -> None:
    rows = len(logits[0]) if logits else 0
    if targets.shape != (rows, len(logits)) or targets.dtype != torch.int64 or rows == 0:
        raise InputError(
            f"targets have shape {tuple(targets.shape)} and type {targets.dtype}; expected "
            f"{(rows, len(logits))}, int64, and one row and factor or more"
        )
    if targets.device.type != "cpu":  # a check would wait for the device
        return
    sizes = torch.tensor([of.shape[1] for of in logits])
    if ((targets < -1) | (targets >= sizes)).any():
        raise InputError(
            f"targets are from {targets.amin(dim=0).tolist()} to {targets.amax(dim=0).tolist()}; "
            f"expected -1 to {(sizes - 1).tolist()}"
        )


def _check_weights(weights: Tensor | None, factors: int) -> None:
    if weights is None:
        return
    if weights.shape != (factors,) or any_on_cpu(~((weights >= 0) & weights.isfinite())):
        raise InputError(
            f"weights are {weights.tolist()}; expected {factors}, one for each factor, of 0 or more"
        )
