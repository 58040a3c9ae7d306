"""Base class of plastic layers: ``learn`` beside ``forward``, and how a rule scales updates."""

import warnings
from abc import ABC, abstractmethod
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from plastorch.engine.distributed import workers

UNHEARD_ANSWERS = 5
"""Number of calls in training mode after which a layer that has never learned warns."""


class Step(NamedTuple):
    """Output of a plastic layer for one mini-batch, and the update that follows from it."""

    output: Any
    """Output, as ``forward`` returns it."""
    state: Any
    """State to pass to the next step of a sequence; None for layers without a state."""
    updates: dict[str, Tensor]
    """Parameter name -> update in the parameter's shape, summed over the mini-batch."""


class PlasticLayer(nn.Module, ABC):
    """Layer that learns by a local rule: base class of what :func:`plastorch.learn` trains.

    A subclass defines :meth:`learn`, which takes whatever ``forward`` takes, and :meth:`gradients`
    if its rule scales the summed updates. A layer in eval mode is frozen: it only computes its
    output. A layer that is called repeatedly in training mode but never learns warns once.

    Example:
        >>> class Oja(PlasticLayer):
        ...     def __init__(self, in_features):
        ...         super().__init__()
        ...         self.weight = nn.Parameter(torch.ones(1, in_features), requires_grad=False)
        ...     def forward(self, x):
        ...         return x @ self.weight.mT
        ...     def learn(self, x, state=None):
        ...         y = self(x)
        ...         return Step(y, None, {"weight": y.mT @ x - y.square().sum() * self.weight})
        >>> Oja(2).learn(torch.tensor([[1.0, 0.0]])).updates
        {'weight': tensor([[ 0., -1.]])}
    """

    def __init__(self) -> None:
        super().__init__()
        self._unheard: int | None = 0  # calls without learning; None: not counted
        self._finite: Tensor | None = None  # whether all updates since the last check were
        self._unseen = 0  # number of these updates
        self.register_forward_pre_hook(_count_answers)

    @abstractmethod
    def learn(self, x: Tensor, state: Any = None) -> Step:
        """Returns output, next state and updates; leaves weights unchanged.

        Args:
            x: inputs, as ``forward`` takes them.
            state: state of the sequence so far, for layers with a state.

        Returns:
            Output, next state and updates.
        """

    def gradients(self, updates: dict[str, Tensor]) -> dict[str, Tensor]:
        """Returns the gradients for an optimizer, from updates summed over all workers.

        Args:
            updates: parameter name -> summed update; may be changed in place, which saves memory.

        Returns:
            Parameter name -> negated change at a learning rate of 1; by default -update.
        """
        return {name: -update for name, update in updates.items()}


class OnlineLayer(PlasticLayer):
    """Plastic layer whose rule changes weights during a presentation, for instance at each spike.

    The update of a mini-batch is the mean of its samples' changes, each computed from the same
    initial weights: with ``SGD(lr=1)`` and mini-batches of one, learning is the rule itself. With
    several workers, the mean is over the samples of all of them.
    """

    def gradients(self, updates: dict[str, Tensor]) -> dict[str, Tensor]:
        """Returns the mean changes over all workers, negated."""
        return {name: update / -workers() for name, update in updates.items()}


def _count_answers(layer: PlasticLayer, inputs: object) -> None:
    """Warns if a layer only ever sees ``forward`` (and perhaps ``backward``) in training."""
    if not layer.training or layer._unheard is None or torch.compiler.is_compiling():
        return
    if not torch.is_grad_enabled() or any(p.requires_grad for p in layer.parameters(recurse=False)):
        return
    layer._unheard += 1
    if layer._unheard == UNHEARD_ANSWERS:
        layer._unheard = None
        name = type(layer).__name__
        warnings.warn(
            f"{name} was called {UNHEARD_ANSWERS} times in training mode but has learned nothing: "
            "backward() doesn't run a local rule. Call plastorch.learn(module, x) before "
            "optimizer.step(), or freeze the layer with eval()",
            stacklevel=2,
        )
