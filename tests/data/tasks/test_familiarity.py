"""Streams of new and repeated items, against a loop over their steps."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from plastorch.data.tasks.familiarity import FamiliarityStream, familiarity_stream
from plastorch.engine.errors import InputError


def stream(steps: int, repeat: int, seed: int = 0, features: int = 64) -> FamiliarityStream:
    return familiarity_stream(steps, repeat, features, torch.Generator().manual_seed(seed))


@settings(max_examples=50)
@given(st.integers(1, 120), st.integers(1, 25), st.integers(0, 2**31))
def test_labels_mark_exactly_the_repeats_and_no_repeat_is_repeated(
    steps: int, repeat: int, seed: int
) -> None:
    items, repeats = stream(steps, repeat, seed)
    assert items.shape == (steps, 64) and repeats.shape == (steps,)
    assert set(items.unique().tolist()) <= {-1.0, 1.0}
    for t in range(steps):
        same = t >= repeat and torch.equal(items[t], items[t - repeat])
        assert bool(repeats[t]) == same
        assert not (same and repeats[t - repeat])


def test_new_items_are_new() -> None:
    items, repeats = stream(400, 5)
    new = items[~repeats]
    assert len(new.unique(dim=0)) == len(new)


@pytest.mark.parametrize("repeat", [1, 3, 19])
def test_two_items_of_three_are_new(repeat: int) -> None:
    """Within five standard errors of independent draws, which vary more."""
    repeats = stream(30_000, repeat, features=1).repeats
    share = 1 - float(repeats[repeat:].double().mean())
    assert abs(share - 2 / 3) < 5 * (2 / 9 / 30_000) ** 0.5


def test_draws_are_fair() -> None:
    """Of items whose forerunner is new, half are repeats; signs are as often -1 as 1."""
    items, repeats = stream(20_000, 4, seed=1, features=8)
    free = repeats[4:][~repeats[:-4]]
    assert abs(float(free.double().mean()) - 0.5) < 5 * 0.5 / len(free) ** 0.5
    assert float(items[~repeats].mean(0).abs().max()) < 5 / 13_000**0.5


def test_a_seed_gives_its_stream() -> None:
    first, again, other = stream(50, 3, 7), stream(50, 3, 7), stream(50, 3, 8)
    assert all(torch.equal(one, two) for one, two in zip(first, again, strict=True))
    assert not torch.equal(first.items, other.items)


@pytest.mark.parametrize("name", ["steps", "repeat", "features"])
def test_bad_input(name: str) -> None:
    good = {"steps": 5, "repeat": 2, "features": 3}
    with pytest.raises(InputError, match=f"{name} is 0; expected 1 or more"):
        familiarity_stream(**(good | {name: 0}), random=torch.Generator())
