"""Exchange of feed-forward spiking networks with other simulators and chips, as NIR graphs.

Pedersen et al., *Neuromorphic intermediate representation: a unified instruction set for
interoperable brain-inspired computing*, 2024. In NIR's neuron, tau dv/dt = v_leak - v + r I. A
spike over a weight w is a current w δ(t), thus a jump of v by w r / tau: our w if r = tau.
"""

from collections.abc import Iterable, Sequence
from math import inf
from typing import Any

import numpy as np
import torch

from plastorch.engine.errors import InputError, check_positive, require
from plastorch.spiking.network import STDPLayer
from plastorch.spiking.neurons import LIF, single
from plastorch.spiking.stdp import PairSTDP


def to_nir(layers: STDPLayer | Sequence[STDPLayer]) -> Any:
    """Returns the graph of one layer or of a chain: input, weights, neurons, ..., output.

    Args:
        layers: layers in eval mode.

    Returns:
        A ``nir.NIRGraph``.

    Raises:
        InputError: if NIR is missing, a layer is not an STDPLayer, sizes don't fit, or a layer has
            what NIR can't express: plasticity, refractoriness, inhibition between neurons, or no
            leak.

    Example:
        >>> list(to_nir(STDPLayer(9, 4).eval()).nodes)
        ['input', 'linear', 'lif', 'output']
    """
    require("nir", extra="nir")
    import nir

    row = list(layers) if isinstance(layers, Iterable) else [layers]
    if not row:
        raise InputError("layers are none; expected at least one")
    nodes = []
    for number, layer in enumerate(row):
        _check_sayable(layer, f"layer {number}")
        _check_chained(f"layer {number}", layer, row[:number])
        neuron, theta = layer.circuit.neuron, layer.theta.detach().cpu().double().numpy()
        every = np.ones_like(theta)
        nodes += [
            nir.Linear(single(layer._weights()).cpu().numpy()),
            nir.LIF(
                tau=neuron.tau * every,
                r=neuron.tau * every,
                v_leak=neuron.rest * every,
                v_threshold=neuron.threshold + theta,
                v_reset=neuron.reset * every,
            ),
        ]
    return nir.NIRGraph.from_list(*nodes)


def from_nir(graph: Any, dt: float = 1e-3) -> list[STDPLayer]:
    """Returns the layers of a graph like those of :func:`to_nir`, in eval mode.

    Their plasticity has bounds 0 and 1, extended where the weights go beyond.

    Args:
        graph: ``nir.NIRGraph`` to convert.
        dt: duration of a step of the layers, seconds.

    Raises:
        InputError: if NIR is missing, or the graph is not a chain of weights and LIF neurons that
            differ only in their thresholds.

    Example:
        >>> (layer,) = from_nir(to_nir(STDPLayer(9, 4, neuron=LIF(threshold=0.5)).eval()))
        >>> layer.circuit.neuron.threshold
        0.5
    """
    require("nir", extra="nir")
    import nir

    layers: list[STDPLayer] = []
    if not isinstance(graph, nir.NIRGraph):
        raise InputError(f"graph is {type(graph).__name__}; expected a nir.NIRGraph")
    check_positive(dt=dt)
    chain = _chain(graph)
    if not chain or len(chain) % 2:
        raise InputError(f"graph has {len(chain)} nodes; expected weights and LIF in turn")
    for (name, weights), (neuron_name, neurons) in zip(chain[::2], chain[1::2], strict=True):
        _expect(name, weights, (nir.Linear, nir.Affine))
        _expect(neuron_name, neurons, (nir.LIF,))
        if isinstance(weights, nir.Affine) and np.any(weights.bias):
            raise InputError(
                f"node {name!r} has a bias; expected none: LIF neurons have no constant current"
            )
        layer = _layer(weights.weight, neuron_name, neurons, dt)
        _check_chained(f"node {name!r}", layer, layers)
        layers.append(layer)
    return layers


def _check_chained(name: str, layer: STDPLayer, before: Sequence[STDPLayer]) -> None:
    """Raises InputError unless a layer has as many inputs as the one before it has neurons."""
    if before and layer.in_features != before[-1].out_features:
        raise InputError(
            f"{name} has {layer.in_features} inputs; expected {before[-1].out_features}, one per "
            "neuron of the layer before"
        )


def _check_sayable(layer: object, name: str) -> None:
    if not isinstance(layer, STDPLayer):
        raise InputError(f"{name} is a {type(layer).__name__}; expected an STDPLayer")
    circuit = layer.circuit
    for wrong, found, expected in (
        (layer.training, "learns", "eval mode, as NIR has no plasticity"),
        (
            circuit.neuron.refractory > 0,
            f"is refractory for {circuit.neuron.refractory} s",
            "0, as NIR's neurons aren't",
        ),
        (
            circuit.inhibition > 0,
            f"has an inhibition of {circuit.inhibition}",
            "0, as the graph is feed-forward",
        ),
        (
            circuit.neuron.tau == inf,
            f"has a tau of {circuit.neuron.tau} s",
            "a finite one, as NIR's neurons leak",
        ),
    ):
        if wrong:
            raise InputError(f"{name} {found}; expected {expected}")


def _chain(graph: Any) -> list[tuple[str, Any]]:
    """Returns the nodes from input to output; raises InputError if the graph branches or loops."""
    import nir

    after: dict[str, list[str]] = {name: [] for name in graph.nodes}
    names = set(graph.nodes)
    for edge in graph.edges if isinstance(graph.edges, list | tuple | set) else [()]:
        if not isinstance(edge, list | tuple) or len(edge) != 2 or not names.issuperset(edge):
            raise InputError(f"graph has the edge {edge!r}; expected names of two of its nodes")
        after[edge[0]].append(edge[1])
    starts = [name for name, node in graph.nodes.items() if isinstance(node, nir.Input)]
    chain: list[tuple[str, Any]] = []
    name = starts[0] if len(starts) == 1 else ""
    while name and len(after[name]) == 1 and len(chain) < len(graph.nodes):
        (name,) = after[name]
        chain.append((name, graph.nodes[name]))
    if len(chain) != len(graph.nodes) - 1 or not isinstance(chain[-1][1], nir.Output):
        raise InputError("graph has branches or loops; expected one chain from input to output")
    return chain[:-1]


def _expect(name: str, node: Any, kinds: tuple[type, ...]) -> None:
    if not isinstance(node, kinds):
        words = " or ".join(kind.__name__ for kind in kinds)
        raise InputError(f"node {name!r} is a {type(node).__name__}; expected {words}")


def _layer(weight: Any, name: str, node: Any, dt: float) -> STDPLayer:
    weight = _numbers(weight, f"weight before node {name!r}", None)
    neurons, inputs = weight.shape
    tau, r, rest, reset, limit = (
        _numbers(getattr(node, field), f"{field} of node {name!r}", neurons)
        for field in ("tau", "r", "v_leak", "v_reset", "v_threshold")
    )
    threshold = torch.from_numpy(limit.astype(np.float64))
    lowest = float(threshold.min())
    neuron = LIF(
        _one(tau, f"tau of node {name!r}"),
        threshold=lowest,
        reset=_one(reset, f"v_reset of node {name!r}"),
        rest=_one(rest, f"v_leak of node {name!r}"),
    )
    with np.errstate(over="ignore", invalid="ignore"):
        jumps = torch.from_numpy(weight * (r / tau).astype(weight.dtype)[:, None])
    if not jumps.isfinite().all():
        raise InputError(f"r of node {name!r} is too large for its tau")
    bounds = PairSTDP(low=min(float(jumps.min()), 0.0), high=max(float(jumps.max()), 1.0))
    layer = STDPLayer(
        inputs,
        neurons,
        neuron=neuron,
        rule=bounds,
        dt=dt,
        generator=torch.Generator(),  # the weights drawn are replaced: no use of the global one
        dtype=jumps.dtype,
    )
    layer.weight.copy_(jumps)
    layer.theta.copy_(threshold - lowest)
    return layer.eval()


def _numbers(values: Any, name: str, neurons: int | None) -> np.ndarray[Any, Any]:
    """Returns finite numbers, one per neuron, or a matrix of weights if ``neurons`` is None."""
    found = np.asarray(values)
    if found.dtype.kind not in "fiu" or not found.size or not np.isfinite(found).all():
        raise InputError(f"{name} is {found.dtype} {found.shape}; expected finite numbers")
    if neurons is None:
        if found.ndim != 2:
            raise InputError(f"{name} has the shape {found.shape}; expected neurons and inputs")
        return found if found.dtype == np.float64 else found.astype(np.float32)
    try:
        return np.array(np.broadcast_to(found, neurons), np.float64)
    except ValueError:
        raise InputError(f"{name} has the shape {found.shape}; expected {neurons}") from None


def _one(values: Any, name: str) -> float:
    """Returns the value that all neurons share."""
    if not np.all(values == values.flat[0]):
        raise InputError(
            f"{name} goes from {values.min()} to {values.max()}; expected one value for all neurons"
        )
    return float(values.flat[0])
