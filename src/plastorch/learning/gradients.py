"""From updates to torch optimizers: the only place where an update becomes a gradient.

Optimizers descend, so ``-change`` goes into ``.grad`` and every torch optimizer works with a
*positive* learning rate.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import reduce
from typing import Any

import torch
from torch import Tensor, nn

from plastorch.engine.distributed import sum_tensors
from plastorch.engine.errors import InputError
from plastorch.learning.layer import PlasticLayer, Step

Steps = dict[PlasticLayer, Step]
LOOK_EVERY = 100
"""Number of steps on a GPU between checks that updates were finite, which wait for the GPU."""


def set_gradients(module: PlasticLayer, step: Step) -> None:
    """Writes a layer's update into the ``.grad`` of its parameters.

    The update is summed over all workers, then normalized as the layer's rule says, then negated.

    Args:
        module: plastic layer that made the step.
        step: result of ``module.learn``; its updates are used up.

    Raises:
        InputError: change that is not finite, for instance because of NaN or infinite input;
            gradients and weights stay as they were. On a GPU, such a change counts as 0, and the
            error is raised up to 100 steps later, so that not every step waits for the GPU.

    Example:
        >>> from plastorch import SoftHebbLinear
        >>> layer = SoftHebbLinear(4, 2)
        >>> optimizer = torch.optim.SGD(layer.parameters(), lr=0.01)
        >>> set_gradients(layer, layer.learn(torch.randn(8, 4)))
        >>> optimizer.step()
    """
    _write({module: step})


def learn(module: nn.Module, x: Tensor, state: Any = None) -> Any:
    """Lets all plastic layers inside a module learn from one forward pass, each from its own input.

    Gradients are written for any torch optimizer; weights change when it steps. Layers in eval mode
    only compute outputs, and their gradients are cleared. ``DistributedDataParallel`` is not
    needed: updates are summed over all workers.

    Args:
        module: plastic layer, or any module that contains one.
        x: inputs, as ``module`` takes them.
        state: second argument of ``module``, if it has a state.

    Returns:
        Result of ``module(x)`` or ``module(x, state)``.

    Raises:
        InputError: no plastic layer, or a change that is not finite; gradients and weights then
            stay as they were (on a GPU, see :func:`set_gradients`).

    Example:
        >>> from plastorch import SoftHebbConv2d, Triangle
        >>> net = nn.Sequential(SoftHebbConv2d(3, 8, 5, padding=2), Triangle(), nn.MaxPool2d(2))
        >>> optimizer = torch.optim.SGD(net.parameters(), lr=0.05)
        >>> learn(net, torch.randn(4, 3, 32, 32)).shape
        torch.Size([4, 8, 16, 16])
        >>> optimizer.step()
    """
    layers = [part for part in module.modules() if isinstance(part, PlasticLayer)]
    if not layers:
        raise InputError(f"module is a {type(module).__name__} without a plastic layer")
    with _learning(layers) as steps:
        output = module(x) if state is None else module(x, state)
    _write(steps)
    for layer in layers:
        if layer not in steps:
            _clear(layer)
    return output


@contextmanager
def _learning(layers: Iterable[PlasticLayer]) -> Iterator[Steps]:
    """Makes ``forward`` of layers in training mode their ``learn``, and gathers their steps."""
    steps: Steps = {}
    learning = [layer for layer in layers if layer.training]
    # As instance attributes: hooks run as usual, and calls outside this context are no slower.
    for layer in learning:
        layer.forward = _learner(layer, steps)
    try:
        yield steps
    finally:
        for layer in learning:
            del layer.forward


def _learner(layer: PlasticLayer, steps: Steps) -> Callable[..., Any]:
    def forward(x: Tensor, state: Any = None, *more: Any, **named: Any) -> Any:
        # If learn itself calls the layer, that is a plain forward pass. The function is taken from
        # the layer: if it referred to itself, it would keep tensors until garbage is collected.
        learner = layer.__dict__.pop("forward")
        try:
            step = layer.learn(x, state, *more, **named)
        finally:
            layer.forward = learner
        steps[layer] = _joined(steps[layer], step) if layer in steps else step
        return step.output if step.state is None else (step.output, step.state)

    return forward


def _joined(first: Step, second: Step) -> Step:
    """Joins the steps of a layer that is called several times in one pass."""
    updates = {name: first.updates[name] + update for name, update in second.updates.items()}
    return Step(second.output, second.state, updates)


@torch.no_grad()
def _write(steps: Steps) -> None:
    """Writes gradients of all layers, or of none: one sum over workers, one finiteness check."""
    names = [(layer, name) for layer, step in steps.items() for name in step.updates]
    sums = sum_tensors([steps[layer].updates[name] for layer, name in names])
    totals: dict[PlasticLayer, dict[str, Tensor]] = {layer: {} for layer in steps}
    for (layer, name), total in zip(names, sums, strict=True):
        totals[layer][name] = total
    gradients = {layer: layer.gradients(updates) for layer, updates in totals.items()}
    finite = _finite([gradient for given in gradients.values() for gradient in given.values()])
    if not finite if finite.is_cpu else _lately_not_finite(steps, finite):
        raise InputError(_why_not_finite(steps))
    for layer, given in gradients.items():
        layer._unheard = None
        for name, gradient in given.items():
            if not finite.is_cpu:
                gradient = gradient.where(finite.to(gradient.device), 0.0)
            parameter = layer.get_parameter(name)
            parameter.grad = gradient.to(parameter.dtype)


def _finite(gradients: list[Tensor]) -> Tensor:
    """Returns whether all sums, and so all values, are finite; a tensor, so that nothing waits."""
    sums = [gradient.sum() for gradient in gradients] or [torch.zeros(())]
    return reduce(torch.add, [total.to(sums[0].device) for total in sums]).isfinite()


def _lately_not_finite(layers: Iterable[PlasticLayer], finite: Tensor) -> bool:
    """Returns whether an update since the last check was not finite; checks every so often."""
    first = next(iter(layers))
    first._finite = finite if first._finite is None else first._finite.to(finite.device) & finite
    first._unseen += 1
    if first._unseen < LOOK_EVERY or finite.is_meta:
        return False
    found, first._finite, first._unseen = not first._finite, None, 0
    return found


def _clear(layer: PlasticLayer) -> None:
    """Drops gradients of an earlier step, which an optimizer would apply again."""
    for parameter in layer.parameters(recurse=False):
        if not parameter.requires_grad:
            parameter.grad = None


def _why_not_finite(layers: Iterable[PlasticLayer]) -> str:
    for layer in layers:
        for name, parameter in layer.named_parameters():
            if not torch.isfinite(parameter).all():
                return f"NaN or infinite values in the layer's {name}; expected finite ones"
    return "NaN or infinite values in the step's input, or an overflow; expected finite values"
