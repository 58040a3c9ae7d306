"""Patterns that are put together from parts are answered as patterns are."""

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from plastorch.engine.errors import InputError
from plastorch.spiking.patterns import part_answers, part_kernels
from plastorch.spiking.patterns.network import PatternNetwork
from plastorch.spiking.patterns.part_answers import answer_parts, nearest
from plastorch.spiking.patterns.parts import Parts, different, grouped
from plastorch.spiking.patterns.rule import Answer, PatternNeuron, by_class, decide, respond


def some_parts(count: int, sizes: list[int], rows: int, seed: int) -> Parts:
    """Random ones; of a fifth of the rows no input fires."""
    random = np.random.default_rng(seed)
    tables = []
    for size in sizes:
        table = random.integers(0, 20, (rows, size), dtype=np.uint8)
        table[random.random(rows) < 0.2] = 255
        tables.append(table)
    return Parts(tables, random.integers(0, rows, (count, len(sizes)), dtype=np.uint32))


def network(inputs: int, hidden: int = 12, classes: int = 3, seed: int = 0) -> PatternNetwork:
    net = PatternNetwork(inputs, hidden, classes, generator=torch.Generator().manual_seed(seed))
    with torch.no_grad():
        net.hidden_bias.fill_(0.01)
    return net


def same(net: PatternNetwork, parts: Parts) -> None:
    """The answers are those spike by spike, of compiled kernels and of torch; in double precision,
    so that no potential is within rounding of the threshold."""
    net, found = net.double(), different(parts)
    ours, bins = answer_parts(net, parts, found), torch.from_numpy(parts.assemble())
    with torch.no_grad():
        by_torch = by_class(respond(bins, net.weights(), net.neuron), net.population)
        for expected in (net(bins), by_torch):
            for name in ("distance", "potential"):
                one = getattr(ours, name)[torch.from_numpy(found.which)]
                torch.testing.assert_close(one, getattr(expected, name))


@given(
    count=st.integers(1, 60),
    sizes=st.lists(st.integers(1, 9), min_size=1, max_size=8),
    rows=st.integers(1, 5),
    seed=st.integers(0, 99),
)
def test_answers_are_those_to_the_whole_patterns(
    count: int, sizes: list[int], rows: int, seed: int
) -> None:
    same(network(sum(sizes), seed=seed), some_parts(count, sizes, rows, seed))


def test_many_parts() -> None:
    parts = some_parts(200, [2] * 80, rows=2, seed=0)
    codes = parts.codes.copy()
    codes[:, :60] = codes[0, :60]
    codes[:100, :75] = codes[0, :75]
    same(network(160), Parts(parts.tables, codes))


def test_threads_agree(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(part_answers, "USEFUL", 1)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 3)
    same(network(30), some_parts(300, [10, 10, 10], rows=6, seed=1))


def test_tables_with_many_rows() -> None:
    random = np.random.default_rng(0)
    table = random.integers(0, 20, (70_000, 2), dtype=np.uint8)
    codes = random.integers(0, 70_000, (500, 1), dtype=np.uint32)
    same(network(2), Parts([table], codes))


@pytest.mark.parametrize(("hidden", "classes"), [(8, 8), (16, 16), (9, 17), (130, 2)])
def test_sizes_around_whole_tiles(hidden: int, classes: int) -> None:
    same(network(30, hidden, classes), some_parts(300, [10, 4, 16], rows=9, seed=1))


@pytest.mark.parametrize("most", [1, 70_000])
def test_tables_of_bounded_size(monkeypatch: pytest.MonkeyPatch, most: int) -> None:
    """Parts whose rows don't fit are computed as they occur."""
    monkeypatch.setattr(part_answers, "MOST_BYTES", most)
    same(network(40), some_parts(300, [10, 20, 10], rows=30, seed=2))


@pytest.mark.parametrize("ensemble", [False, True])
def test_classes_with_several_neurons(ensemble: bool) -> None:
    random = torch.Generator().manual_seed(0)
    net = PatternNetwork(30, 12, 5, population=7, ensemble=ensemble, generator=random)
    same(net, some_parts(100, [10, 4, 16], rows=9, seed=1))


def test_other_constants() -> None:
    neuron = PatternNeuron(dt=2e-3, input_steps=30, tail_steps=0, target_times=(1e-2, 5e-2))
    same(PatternNetwork(12, 20, 3, neuron=neuron), some_parts(50, [3, 9], rows=9, seed=0))


@pytest.mark.parametrize("input_steps", [3, 33, 100])
def test_more_and_fewer_steps(input_steps: int) -> None:
    neuron = PatternNeuron(input_steps=input_steps, tail_steps=1, target_times=(1e-3, 3e-3))
    net = PatternNetwork(12, 20, 3, neuron=neuron, generator=torch.Generator().manual_seed(0))
    parts, random = some_parts(50, [3, 4, 5], rows=9, seed=0), np.random.default_rng(0)
    tables = [random.integers(0, input_steps, table.shape, np.uint8) for table in parts.tables]
    same(net, parts._replace(tables=tables))


@pytest.mark.parametrize("shared", [0, 1, 2, 4])
@given(scale=st.floats(0.01, 30), seed=st.integers(0, 999))
def test_no_neuron_that_may_fire_is_missed(shared: int, scale: float, seed: int) -> None:
    """However many parts patterns share, and whether neurons fire seldom or often."""
    parts, net = some_parts(60, [5, 7, 3, 6], rows=3, seed=seed), network(21, 40, seed=seed)
    with torch.no_grad():
        net.hidden_weight *= scale
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(part_answers, "_shared", lambda departure, parts: shared)
        same(net, parts)


def test_several_batches() -> None:
    parts = some_parts(2 * part_kernels.BATCH + 100, [5, 7, 3], rows=40, seed=0)
    assert len(different(parts).rows) > 2 * part_kernels.BATCH - 4000
    same(network(15, 20), parts)


def test_single_precision_answers_nearly_all_alike() -> None:
    parts, net = some_parts(3000, [40, 40, 40], rows=40, seed=0), network(120, 64, 5)
    found = different(parts)
    with torch.no_grad():
        expected = net(torch.from_numpy(parts.assemble(found.rows)))
    ours = answer_parts(net, parts, found)
    assert (decide(ours) != decide(expected)).float().mean() < 1e-3
    assert ((ours.distance - expected.distance).abs().amax(1) > 1e-3).float().mean() < 1e-2


@given(count=st.integers(0, 50), classes=st.integers(1, 20), seed=st.integers(0, 99))
def test_nearest_is_as_decided_in_ties_too(count: int, classes: int, seed: int) -> None:
    random = torch.Generator().manual_seed(seed)
    found = Answer(*torch.randint(3, (2, count, classes), generator=random).double())
    assert (nearest(found) == decide(found).numpy()).all()


@given(
    count=st.integers(0, 50),
    parts=st.integers(1, 5),
    rows=st.integers(1, 4),
    seed=st.integers(0, 99),
)
def test_different_ones_are_found(count: int, parts: int, rows: int, seed: int) -> None:
    given = some_parts(count, [1] * parts, rows, seed)
    found = different(given)
    codes = given.codes
    assert (codes[found.rows][found.which] == codes).all()
    assert len(found.rows) == len(np.unique(codes, axis=0))
    ordered = codes[found.rows].tolist()
    assert ordered == sorted(ordered)


@given(count=st.integers(0, 50), rows=st.integers(1, 400), seed=st.integers(0, 99))
def test_groups_begin_alike(count: int, rows: int, seed: int) -> None:
    """Neighbors agree in the first parts that have no more than 65,536 combinations."""
    parts = some_parts(count, [1, 1, 1], rows, seed)
    found = grouped(parts)
    assert (found.rows[found.which] == np.arange(count)).all()
    few = max(n for n in range(4) if rows**n <= 1 << 16)
    ordered = parts.codes[found.rows][:, :few].tolist()
    assert ordered == sorted(ordered)


BAD: list[tuple[Any, str]] = [
    (lambda p: p._replace(tables=p.tables[:1]), "codes are of 2 parts; expected 1"),
    (lambda p: Parts([p.tables[0]] * 3, p.codes[:, [0, 0, 0]]), "parts have 6 inputs; expected 4"),
    (lambda p: p._replace(codes=p.codes + 3), "codes of part 0 are not all below 3"),
    (lambda p: p._replace(tables=[p.tables[0], p.tables[1] * 0 + 20]), "bins hold 20"),
]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda p, rows: (p, rows + 5), r"rows goes from \d+ to \d+; expected 0 to 4"),
        (lambda p, rows: (p, -1 - rows), "rows goes from -"),
        (
            lambda p, rows: (p._replace(codes=p.codes + 3), rows),
            "codes of part 0 are not all below 3",
        ),
        (lambda p, rows: (p._replace(codes=p.codes.astype(int)), rows), "codes is int64; expected"),
        (
            lambda p, rows: (p._replace(tables=[t.astype(int) for t in p.tables]), rows),
            "table 0 is",
        ),
        (lambda p, rows: (Parts([], p.codes[:, :0]), rows), "codes are of 0 parts"),
    ],
)
def test_rows_of_other_parts(change: Any, words: str) -> None:
    parts = some_parts(5, [2, 2], rows=3, seed=0)
    found = different(parts)
    parts, rows = change(parts, found.rows)
    with pytest.raises(InputError, match=words):
        answer_parts(network(4), parts, found._replace(rows=rows))


@pytest.mark.parametrize(("change", "words"), BAD)
def test_bad_parts(change: Any, words: str) -> None:
    parts = change(some_parts(5, [2, 2], rows=3, seed=0))
    with pytest.raises(InputError, match=words):
        answer_parts(network(4), parts, different(parts))
