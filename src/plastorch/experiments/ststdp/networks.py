"""Networks that classify frames of streams, for comparison: trained by gradients, or by none.

All take frames [T, S, D] of S streams and return class scores [T, S, C] and a state, which is None
for networks that see one frame at a time.
"""

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from plastorch.experiments.models import networks
from plastorch.spiking.shortterm.recognition import Classify, Digits
from plastorch.stp import STPN


class FrameNet(nn.Sequential):
    """Layers that see one frame at a time."""

    def forward(self, x: Tensor, state: None = None) -> tuple[Tensor, None]:
        """Returns scores [T, S, C], and no state."""
        scores: Tensor = super().forward(x.flatten(0, 1))  # type: ignore[no-untyped-call]
        return scores.view(*x.shape[:2], -1), None


class RecurrentNet(nn.Module):
    """Recurrent layer, ``nn.RNN`` or a module called like it, with a readout at each step."""

    def __init__(self, core: nn.Module, hidden_size: int, classes: int) -> None:
        super().__init__()
        self.core = core
        self.readout = nn.Linear(hidden_size, classes)

    def forward(self, x: Tensor, state: Any = None) -> tuple[Tensor, Any]:
        """Returns scores [T, S, C], and the core's state, detached from the graph."""
        output, state = self.core(x, state)
        return self.readout(output), _detached(state)


def mlp(hidden_size: int, side: int, classes: int) -> FrameNet:
    """Builds a network with one hidden layer of rectified linear units."""
    return FrameNet(nn.Linear(side * side, hidden_size), nn.ReLU(), nn.Linear(hidden_size, classes))


def cnn(hidden_size: int, side: int, classes: int) -> FrameNet:
    """Builds a network with two layers of 5 x 5 filters at stride 2, and a hidden layer."""
    features = 32 * ((side + 3) // 4) ** 2
    convolutions: list[nn.Module] = [
        nn.Unflatten(1, (1, side, side)),
        nn.Conv2d(1, 16, 5, stride=2, padding=2),
        nn.ReLU(),
        nn.Conv2d(16, 32, 5, stride=2, padding=2),
        nn.ReLU(),
        nn.Flatten(),
    ]
    layers = nn.Linear(features, hidden_size), nn.ReLU(), nn.Linear(hidden_size, classes)
    return FrameNet(*convolutions, *layers)


def maps_cnn(maps: tuple[int, int, int], classes: int) -> FrameNet:
    """Builds a network with a layer of 2 x 2 filters on maps [C, H, W], and a hidden layer."""
    channels, height, width = maps
    convolution = nn.Unflatten(1, maps), nn.Conv2d(channels, 160, 2), nn.ReLU(), nn.Flatten()
    hidden = nn.Linear(160 * (height - 1) * (width - 1), 280)
    return FrameNet(*convolution, hidden, nn.ReLU(), nn.Linear(280, classes))


def recurrent(core: type[nn.Module], hidden_size: int, side: int, classes: int) -> RecurrentNet:
    """Builds a network with a recurrent layer."""
    return RecurrentNet(core(side * side, hidden_size), hidden_size, classes)


class Model(NamedTuple):
    """A network of the comparison, about as large as the circuit with 28 x 28 pixels, to 10 %."""

    make: Callable[[int, int], nn.Module]
    """Function that makes a network from the side of images, pixels, and the number of classes."""
    learning_rate: float
    window: int
    """Presentations per update."""


MODELS = {
    "mlp": Model(partial(mlp, 395), 1e-3, 1),
    "cnn": Model(partial(cnn, 190), 1e-3, 1),
    "rnn": Model(partial(recurrent, nn.RNN, 289), 1e-3, 2),
    "gru": Model(partial(recurrent, nn.GRU, 116), 3e-3, 2),
    "lstm": Model(partial(recurrent, nn.LSTM, 90), 3e-3, 2),
    "stpn": Model(partial(recurrent, STPN, 116), 3e-3, 2),
}


def made(models: Sequence[str], side: int, classes: int, path: tuple[int, ...]) -> nn.ModuleDict:
    """Returns some models for images of side x side pixels, with weights drawn at ``path``."""
    return networks(models, MODELS, path, lambda name: MODELS[name].make(side, classes))


WINDOWS = {
    f"{kind}-{model}": MODELS[model].window
    for kind in ("pixels", "features")
    for model in ("cnn", "lstm")
}
"""Presentations per update of the networks of :func:`rivals`."""


def rivals(
    models: Sequence[str],
    side: int,
    maps: tuple[int, int, int],
    classes: int,
    path: tuple[int, ...],
) -> nn.ModuleDict:
    """Returns some models, of a convolutional network and an LSTM, on images of side x side pixels
    and on maps [C, H, W], with weights drawn at ``path``; each is about as large as a circuit of
    400 neurons on these inputs."""
    features = math.prod(maps)
    make: dict[str, Callable[[], nn.Module]] = {
        "pixels-cnn": lambda: MODELS["cnn"].make(side, classes),
        "pixels-lstm": lambda: MODELS["lstm"].make(side, classes),
        "features-cnn": lambda: maps_cnn(maps, classes),
        "features-lstm": lambda: RecurrentNet(nn.LSTM(features, 84), 84, classes),
    }
    wanted = [name for name in make if name.split("-")[1] in models]
    return networks(wanted, make, path, lambda name: make[name]())


def multiply_accumulates(net: nn.Module, x: Tensor) -> float:
    """Counts the products of weights and activations per frame of ``x`` [T, S, D]."""
    found: list[int] = []

    def count(layer: nn.Module, _: Any, output: Any) -> None:
        weights = sum(p.numel() for name, p in layer.named_parameters() if "weight" in name)
        places = output[0, 0].numel() if isinstance(layer, nn.Conv2d) else 1
        found.append(weights * places)

    layers = [part for part in net.modules() if isinstance(part, nn.Conv2d | nn.Linear | nn.LSTM)]
    hooks = [layer.register_forward_hook(count) for layer in layers]
    with torch.no_grad():
        net(x, None)
    for hook in hooks:
        hook.remove()
    return float(sum(found))


def nearest(digits: Digits, classes: int, neighbors: int = 5) -> Classify:
    """Returns a classifier by votes of the labeled images that are nearest to a frame, by angle."""
    known = F.normalize(digits.images.flatten(1), dim=1).mT.contiguous()
    votes = F.one_hot(digits.labels, classes).float()

    def classify(x: Tensor, state: None) -> tuple[Tensor, None]:
        near = (x.flatten(0, 1) @ known).topk(neighbors, dim=1).indices
        return votes[near].sum(1).view(*x.shape[:2], classes), None

    return classify


def _detached(state: Any) -> Any:
    """Detaches a state, or a tuple of them, from the graph."""
    if isinstance(state, torch.Tensor):
        return state.detach()
    parts = (part.detach() for part in state)
    return state._make(parts) if hasattr(state, "_make") else tuple(parts)
