"""What two views of the same sources teach: who it is, and what was done to it.

Scherr, Guo, Moraitis, *Self-Supervised Learning Through Efference Copies*, NeurIPS 2022, arXiv
2210.09224. An action is a choice of a source m and a manipulation g; an inverse model
q(m, g | x, x') = q_D(m | x, x') q_M(g | x, x') infers both. SimCLR, BYOL and ReLIC are forms of
-log q_D.

Losses are means over a worker's rows, so that their mean over workers is that of the joined batch;
those of half-precision inputs are computed in single precision.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from plastorch.engine.distributed import gathered, sum_over_workers, worker, workers
from plastorch.engine.errors import InputError, check_positive


def nt_xent(z_a: Tensor, z_b: Tensor, temperature: float = 0.5) -> Tensor:
    """SimCLR's loss: -log q_D(j | x), q_D = exp(cos(z, z_j) / T) / Σ_l exp(cos(z, z_l) / T).

    Each of the 2 B views is an anchor; j is the other view of its source, l are all other views, of
    all workers.

    Args:
        z_a: projections of one view of each source [B, P].
        z_b: of the other [B, P].
        temperature: T.

    Returns:
        Mean over the anchors.

    Raises:
        InputError: if there are fewer than two sources, shapes differ or T is not positive.

    Example:
        >>> z = torch.eye(4)
        >>> nt_xent(z, z, temperature=0.1) < nt_xent(z, z.roll(1, 0), temperature=0.1)
        tensor(True)
    """
    _check_pair(z_a, z_b, least=2)
    check_positive(temperature=temperature)
    z, count = torch.cat([z_a, z_b]), len(z_a)
    own = torch.arange(len(z), device=z.device) + worker() * len(z)
    logits = _similarity(z, gathered(z), temperature)
    itself = own[:, None] == torch.arange(logits.shape[1], device=z.device)
    logits = logits.masked_fill(itself, torch.finfo(logits.dtype).min)
    return F.cross_entropy(logits, own.view(2, count).flip(0).flatten())


def byol(prediction: Tensor, target: Tensor) -> Tensor:
    """BYOL's loss, 2 - 2 cos(p, z'): -log q(z' | x) of a von Mises-Fisher law, but for constants.

    It is the forward model's as well, of predicted and true features.

    Args:
        prediction: p, the direction that is expected [B, P].
        target: z', the direction found [B, P]; no gradient flows to it.

    Returns:
        Mean over the rows.

    Raises:
        InputError: if shapes differ.

    Example:
        >>> byol(torch.tensor([[0.0, 2.0]]), torch.tensor([[3.0, 0.0]]))
        tensor(2.)
    """
    _check_pair(prediction, target, least=1)
    p, z = _single(prediction), _single(target.detach())
    return 2 - 2 * F.cosine_similarity(p, z, dim=1).mean()


def relic(
    z_a: Tensor,
    z_b: Tensor,
    target_a: Tensor,
    target_b: Tensor,
    temperature: float = 0.5,
    alpha: float = 1.0,
) -> Tensor:
    """ReLIC's loss: which source it is must be told, and alike from both views.

    q(j | x) = exp(cos(z, t_j) / T) / Σ_l exp(cos(z, t_l) / T) over the sources of all workers, from
    the projection z of one view to the target network's t of the other. The loss is the mean of
    -log q(i | x_i) over both views, plus α KL(q(. | x_a) || q(. | x_b)), no gradient flowing
    through the former distribution.

    Args:
        z_a: projections of one view of each source [B, P].
        z_b: of the other [B, P].
        target_a: the target network's, of one view [B, P]; no gradient flows to it.
        target_b: of the other [B, P].
        temperature: T.
        alpha: α.

    Returns:
        Mean over the rows.

    Raises:
        InputError: if there are fewer than two sources, shapes differ, T is not positive or α is
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
    log_a = _similarity(z_a, keys_b, temperature).log_softmax(dim=1)
    log_b = _similarity(z_b, keys_a, temperature).log_softmax(dim=1)
    wrong = (F.nll_loss(log_a, own) + F.nll_loss(log_b, own)) / 2
    return wrong + alpha * F.kl_div(log_b, log_a.detach(), reduction="batchmean", log_target=True)


def manipulation(
    logits: Sequence[Tensor], targets: Tensor, weights: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """What was done: -log q_M(g | h, h'), the cross-entropy of each factor of the action.

    Args:
        logits: of each of K factors [R, its classes].
        targets: class of each factor, or -1 where there is none, int64 [R, K].
        weights: of the factors [K], 0 or more; all the same if None.

    Returns:
        The weighted mean over the factors that have a target, 0 if none has; and each factor's mean
        over its targets [K], 0 if it has none, without gradient.

    Raises:
        InputError: if shapes differ, a target is no class, or a weight is negative or not finite.

    Example:
        >>> logits = torch.zeros(2, 8), torch.zeros(2, 2)
        >>> manipulation(logits, torch.tensor([[7, -1], [0, -1]]))
        (tensor(2.0794), tensor([2.0794, 0.0000]))
    """
    _check_targets(logits, targets)
    _check_weights(weights, len(logits))
    sums = torch.stack(
        [
            F.cross_entropy(_single(of), targets[:, k], ignore_index=-1, reduction="sum")
            for k, of in enumerate(logits)
        ]
    )
    counts = sum_over_workers((targets >= 0).sum(dim=0).to(sums)) / workers()
    each = sums / counts.clamp(min=1 / workers())
    shares = (counts > 0).to(sums) if weights is None else (counts > 0) * weights.to(sums)
    total = (each * shares).sum() / shares.sum().clamp(min=torch.finfo(sums.dtype).tiny)
    return total, each.detach()


def _similarity(z: Tensor, keys: Tensor, temperature: float) -> Tensor:
    """cos(z, z_j) / T of each row with each key, in single precision or better, [R, keys]."""
    with torch.autocast(z.device.type, enabled=False):
        z, keys = F.normalize(_single(z), dim=1), F.normalize(_single(keys), dim=1)
        return z @ keys.T / temperature


def _single(x: Tensor) -> Tensor:
    """Half precision made single."""
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
    sizes = torch.tensor([of.shape[1] for of in logits], device=targets.device)
    if bool(((targets < -1) | (targets >= sizes)).any()):
        raise InputError(
            f"targets are from {targets.amin(dim=0).tolist()} to {targets.amax(dim=0).tolist()}; "
            f"expected -1 to {(sizes - 1).tolist()}"
        )


def _check_weights(weights: Tensor | None, factors: int) -> None:
    if weights is None:
        return
    if weights.shape != (factors,) or not bool(((weights >= 0) & weights.isfinite()).all()):
        raise InputError(
            f"weights are {weights.tolist()}; expected {factors}, one for each factor, of 0 or more"
        )
