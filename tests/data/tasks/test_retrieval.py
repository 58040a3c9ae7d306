"""Associative retrieval: the published data, and what any data must satisfy."""

from collections import Counter
from collections.abc import Callable
from string import ascii_lowercase, digits
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from plastorch.data.tasks.retrieval import (
    KEYS,
    SEPARATOR,
    SYMBOLS,
    one_hot,
    retrieval_sets,
)
from plastorch.engine.errors import InputError

TEXT = ascii_lowercase + digits + "?"


def test_golden_data_are_the_published_ones(
    golden_case: Callable[[str, str], dict[str, Any]],
) -> None:
    case = golden_case("stpn", "art_data_seed0")
    sets = dict(zip(("train", "valid", "test"), retrieval_sets(0), strict=True))
    for name, expected in case["outputs"].items():
        split, part, count = name.rsplit("_", 2)
        rows = slice(None, int(count)) if part == "first" else slice(-int(count), None)
        found = sets[split]
        assert found.sequences[rows].tolist() == expected["x"]
        assert found.answers[rows].tolist() == expected["y"]
        for sequence, answer, words in zip(
            found.sequences[rows], found.answers[rows], expected["text"], strict=True
        ):
            assert "".join(TEXT[s] for s in sequence) + " -> " + TEXT[answer] == words


@settings(max_examples=20)
@given(st.integers(0, 2**63 - 1), st.integers(1, KEYS))
def test_every_sequence_has_its_answer(seed: int, pairs: int) -> None:
    first, second = retrieval_sets(seed, (5, 3), pairs)
    assert first.sequences.shape == (5, 2 * pairs + 3) and len(second.answers) == 3
    for sequence, answer in zip(first.sequences.tolist(), first.answers.tolist(), strict=True):
        keys, values = sequence[0 : 2 * pairs : 2], sequence[1 : 2 * pairs : 2]
        assert len(set(keys)) == pairs and max(keys) < KEYS <= min(values) <= max(values) < 36
        assert sequence[-3:-1] == [SEPARATOR, SEPARATOR]
        assert dict(zip(keys, values, strict=True))[sequence[-1]] == answer


def test_questions_and_answers_are_uniform() -> None:
    """Chi-squared statistics below their 99.9 % quantiles for 2 and 9 degrees of freedom."""
    (data,) = retrieval_sets(1, (6000,))
    places = (data.sequences[:, :6:2] == data.sequences[:, -1:]).long().argmax(1)
    for values, cells, quantile in ((places, 3, 13.8), (data.answers, 10, 27.9)):
        counts = Counter(values.tolist())
        expected = 6000 / cells
        assert len(counts) == cells
        assert sum((n - expected) ** 2 / expected for n in counts.values()) < quantile


def test_one_hot_marks_each_symbol() -> None:
    (data,) = retrieval_sets(2, (4,))
    marked = one_hot(data.sequences)
    assert marked.shape == (9, 4, SYMBOLS) and bool((marked.sum(-1) == 1).all())
    assert torch.equal(marked.argmax(-1).mT, data.sequences.long())


@pytest.mark.parametrize(
    ("sizes", "pairs", "words"),
    [((1,), 0, "pairs is 0"), ((1,), 27, "pairs is 27"), ((0,), 3, "sizes"), ((), 3, "sizes")],
)
def test_bad_input(sizes: tuple[int, ...], pairs: int, words: str) -> None:
    with pytest.raises(InputError, match=words):
        retrieval_sets(0, sizes, pairs)
