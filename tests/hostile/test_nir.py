"""NIR graphs of other programs: nodes, edges and numbers that can't be."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from plastorch.engine.errors import InputError
from plastorch.spiking.network import STDPLayer
from plastorch.spiking.nir import from_nir

nir = pytest.importorskip("nir")


def lif(neurons: int = 2, **changes: Any) -> Any:
    ones = np.ones(neurons)
    values = {"tau": 0.02 * ones, "r": 0.02 * ones, "v_leak": 0 * ones, "v_threshold": ones}
    node = nir.LIF(**values, v_reset=0 * ones)
    for name, value in changes.items():  # as a file may have them, whatever NIR thinks of it
        setattr(node, name, value)
    return node


def graph(weights: Any = None, neurons: Any = None, edges: Any = None) -> Any:
    nodes = {
        "input": nir.Input(np.array([3])),
        "w": nir.Linear(np.ones((2, 3), np.float32)),
        "<script>": lif() if neurons is None else neurons,
        "output": nir.Output(np.array([2])),
    }
    if weights is not None:
        nodes["w"].weight = weights
    whole = nir.NIRGraph(
        nodes, [("input", "w"), ("w", "<script>"), ("<script>", "output")], type_check=False
    )
    if edges is not None:
        whole.edges = edges
    return whole


def test_the_genuine_graph_is_read() -> None:
    (layer,) = from_nir(graph())
    assert isinstance(layer, STDPLayer)


NUMBERS = st.sampled_from([0.0, -1.0, 1e-300, 1e300, float("nan"), float("inf"), float("-inf")])
ODD = st.one_of(
    NUMBERS.map(lambda value: np.full(2, value)),
    NUMBERS.map(lambda value: np.full((2, 3), value)),
    NUMBERS,
    st.sampled_from(
        [
            np.zeros(0),
            np.zeros((2, 0), np.float32),
            np.zeros((0, 3), np.float32),
            np.ones(5),
            np.ones((2, 3, 4)),
            np.array(["<script>", "b"]),
            np.array([None, 1], object),
            np.ones(2, complex),
            np.ones(2, int),
            np.ones((2, 3), bool),
            np.ones((2, 3), np.float16),
            None,
            "text",
            [1, 2],
        ]
    ),
)


@given(field=st.sampled_from(["weight", "tau", "r", "v_leak", "v_threshold", "v_reset"]), value=ODD)
def test_numbers_of_every_kind(survives: Any, field: str, value: Any) -> None:
    whole = graph(weights=value) if field == "weight" else graph(neurons=lif(**{field: value}))
    survives(from_nir, whole)


NAMES = st.sampled_from(["input", "w", "<script>", "output", "nowhere", ""])


@given(edges=st.lists(st.tuples(NAMES, NAMES), max_size=8))
def test_edges_of_every_kind(survives: Any, edges: list[tuple[str, str]]) -> None:
    survives(from_nir, graph(edges=edges))


@pytest.mark.parametrize("edges", [[("a",)], [("w", "w", "w")], "ww", None, [(None, 1)], {1: 2}])
def test_edges_that_are_none(edges: Any) -> None:
    whole = graph()
    whole.edges = edges
    with pytest.raises(InputError):
        from_nir(whole)


@pytest.mark.parametrize("other", [None, 3, "graph", {"nodes": {}}, [], object()])
def test_what_is_no_graph(other: Any) -> None:
    with pytest.raises(InputError, match="graph"):
        from_nir(other)


@pytest.mark.parametrize("dt", [0.0, -1.0, float("nan"), float("inf")])
def test_steps_of_no_length(dt: float) -> None:
    with pytest.raises(InputError):
        from_nir(graph(), dt)
