"""Checks of arguments: what passes, and what the message says of the rest."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from plastorch.engine.errors import (
    InputError,
    check_counts,
    check_file,
    check_finite,
    check_names,
    check_one_of,
    check_positive,
    did_you_mean,
    require,
)


def test_good_arguments_pass() -> None:
    check_positive(epochs=3, rate=np.float32(0.1))
    check_counts(epochs=np.int64(1))
    check_counts(least=0, pairs=0)
    check_finite(features=torch.zeros(2))
    check_names("models", ["lstm"], ["stpn", "lstm"])
    check_one_of(("soft", "hard"), competition="soft")
    check_file(Path(__file__), "a module")
    require("torch", "files")


@pytest.mark.parametrize(
    ("check", "message"),
    [
        (lambda: check_positive(epochs=3, rate=0.0), "rate is 0.0; expected more than 0"),
        (lambda: check_positive(rate="0.1"), "rate is '0.1'; expected a number above 0"),
        (lambda: check_counts(a=1, b=0), "b is 0; expected a whole number, 1 or more"),
        (lambda: check_counts(a=True), "a is True; expected a whole number, 1 or more"),
        (lambda: check_counts(least=2, a=2.0), "a is 2.0; expected a whole number, 2 or more"),
        (
            lambda: check_finite(features=torch.tensor([0.0, torch.nan])),
            "NaN or infinite values in features; expected finite ones",
        ),
        (
            lambda: check_names("models", ["lstmm"], ["stpn", "lstm"]),
            "models are ['lstmm']; expected some of ['stpn', 'lstm']; did you mean lstm?",
        ),
        (
            lambda: check_one_of(("soft", "hard"), competition="sotf"),
            "competition is 'sotf'; expected one of soft, hard; did you mean soft?",
        ),
        (
            lambda: check_file(Path("nowhere"), "a WAV file"),
            "nowhere is missing; expected a WAV file",
        ),
        (
            lambda: require("no_such_package", "files"),
            'no_such_package is missing; expected: pip install "plastorch[files]"',
        ),
    ],
)
def test_bad_arguments_are_named(check: Callable[[], None], message: str) -> None:
    with pytest.raises(InputError) as caught:
        check()
    assert str(caught.value) == message


def test_the_nearest_name_is_suggested() -> None:
    assert did_you_mean("stpm", ["rank", "stpn"]) == "; did you mean stpn?"
    assert did_you_mean("stpm", ["hebbian"]) == ""
