"""Multi-query associative recall: sequences are as defined, and questions come by the power law."""

from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from plastorch.data.tasks.recall import POWER, recall_set
from plastorch.engine.errors import InputError
from plastorch.engine.streams import stream


@given(st.integers(1, 6), st.integers(0, 9), st.integers(0, 5), st.integers(0, 99))
def test_each_key_is_asked_for_once_after_the_pairs(
    pairs: int, more_steps: int, more_symbols: int, seed: int
) -> None:
    """A plain reading of the sequence finds the answers."""
    steps, half = 4 * pairs + more_steps, pairs + more_symbols
    found = recall_set(5, stream(seed), steps=steps, pairs=pairs, vocabulary=2 * half)
    for symbols, answers in zip(found.sequences.tolist(), found.answers.tolist(), strict=True):
        assert len(symbols) == steps and all(0 <= symbol < 2 * half for symbol in symbols)
        keys, values = symbols[0 : 2 * pairs : 2], symbols[1 : 2 * pairs : 2]
        assert len(set(keys)) == len(set(values)) == pairs
        assert max(keys) < half <= min(values)
        stored = dict(zip(keys, values, strict=True))
        asked = [step for step, answer in enumerate(answers) if answer != -1]
        assert all(step >= 2 * pairs and step % 2 == 0 for step in asked)
        assert sorted(symbols[step] for step in asked) == sorted(keys)
        assert all(symbols.count(key) == 2 for key in keys)
        assert all(answers[step] == stored[symbols[step]] for step in asked)


def test_questions_come_by_the_power_law() -> None:
    """Of one pair, the place of the question has the law's distribution."""
    found = recall_set(20_000, stream(0), steps=22, pairs=1, vocabulary=8)
    place = (found.answers != -1).int().argmax(1) // 2 - 1
    shares = torch.bincount(place, minlength=10) / len(place)
    law = torch.arange(1.0, 11.0) ** (POWER - 1)
    assert torch.allclose(shares, law / law.sum(), atol=0.012)


def test_other_symbols_are_uniform() -> None:
    """Without the one key, there are another one and two values."""
    found = recall_set(4000, stream(0), steps=12, pairs=1, vocabulary=4)
    others = found.sequences[:, 2:][found.answers[:, 2:] == -1]
    values = torch.bincount(others, minlength=4)[2:] / len(others)
    assert torch.allclose(values, torch.full((2,), 1 / 3), atol=0.01)


@pytest.mark.parametrize(
    ("sizes", "words"),
    [
        ({"pairs": 0}, "pairs is 0; expected 1 or more"),
        ({"steps": 15}, "steps is 15; expected at least 16"),
        ({"vocabulary": 9}, "vocabulary is 9; expected an even number of at least 8"),
        ({"vocabulary": 6}, "vocabulary is 6"),
    ],
)
def test_bad_sizes(sizes: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError, match=words):
        recall_set(1, stream(0), **({"steps": 16, "pairs": 4, "vocabulary": 8} | sizes))
