"""From a Hebbian update to a torch optimiser, and the learning-rate schedules of the papers.

This is the one place where an update becomes a gradient. Optimisers descend, so ``-delta`` goes
into ``.grad`` and every torch optimiser works with a *positive* learning rate.
"""

import torch

from plastorch.engine.distributed import sum_over_workers
from plastorch.engine.errors import InputError
from plastorch.hebbian.layers import HebbianStep, SoftHebbLayer
from plastorch.hebbian.rule import largest, norm_dependent_rate


def set_gradients(layer: SoftHebbLayer, step: HebbianStep, rate_power: float = 0.0) -> None:
    """Writes a layer's Hebbian update into the ``.grad`` of its parameters.

    ``weight.grad = -(|r - 1| + 1e-10)^rate_power * raw / max |raw|``: paper B's update with its
    norm-dependent rate, summed over all workers before the maximum is taken.

    Args:
        layer: the layer that made the step.
        step: what ``layer.learn`` returned. Its update tensors are consumed.
        rate_power: q of the norm-dependent rate; 0 for a constant rate.

    Raises:
        InputError: if the update is not finite, as that of NaN or infinite input; gradients and
            weights are left as they were.

    Example:
        >>> from plastorch.hebbian.layers import SoftHebbLinear
        >>> layer = SoftHebbLinear(4, 2)
        >>> optimizer = torch.optim.SGD(layer.parameters(), lr=0.01)
        >>> set_gradients(layer, layer.learn(torch.randn(8, 4)), rate_power=0.5)
        >>> optimizer.step()
    """
    raw = sum_over_workers(step.weight_update)
    maximum = largest(raw, layer.groups)
    finite = torch.isfinite(maximum).all()
    if step.bias_update is not None and layer.bias is not None:
        raw_bias = sum_over_workers(step.bias_update)
        scale = -layer.inverse_temperature * largest(raw_bias, layer.groups)
        finite &= torch.isfinite(scale).all()
    if not finite:
        raise InputError(_why_not_finite(layer))
    rate = norm_dependent_rate(layer.radius(), rate_power).view(-1, *(1,) * (raw.dim() - 1))
    layer.weight.grad = raw.mul_(-rate / maximum).to(layer.weight.dtype)
    if step.bias_update is not None and layer.bias is not None:
        layer.bias.grad = (raw_bias / scale).to(layer.bias.dtype)


def _why_not_finite(layer: SoftHebbLayer) -> str:
    for name, parameter in layer.named_parameters():
        if not torch.isfinite(parameter).all():
            return f"NaN or infinite values in the layer's {name}; expected finite ones"
    return "NaN or infinite values in the step's input, or an overflow; expected finite values"


def linear_decay(learning_rate: float, step: int, steps: int) -> float:
    """Linear decay to 0 over ``steps`` mini-batches: lr max(0, 1 - step / steps).

    Example:
        >>> linear_decay(0.04, 5, 10)
        0.02
    """
    return learning_rate * max(0.0, 1 - step / steps)


def readout_rate(learning_rate: float, epoch: int, epochs: int) -> float:
    """The readout's learning rate in an epoch: halved at fixed fractions of the training.

    Paper B: at .2, .35, .5, .6, .7, .8, .9 of 50 epochs or more; at .5 and .75 of 20 to 49;
    never in shorter trainings.

    Args:
        learning_rate: the rate of the first epoch.
        epoch: counted from 0.
        epochs: of the whole training.

    Returns:
        The learning rate.

    Example:
        >>> readout_rate(0.001, 25, 50)
        0.000125
    """
    fractions: tuple[float, ...] = ()
    if epochs >= 50:
        fractions = (0.2, 0.35, 0.5, 0.6, 0.7, 0.8, 0.9)
    elif epochs >= 20:
        fractions = (0.5, 0.75)
    return learning_rate * 0.5 ** sum(epoch >= int(epochs * f) for f in fractions)
