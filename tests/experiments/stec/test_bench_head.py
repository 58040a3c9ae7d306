"""The row about what efference copies cost."""

import pytest

from plastorch.bench.timing import line
from plastorch.experiments.stec.bench import head_overhead


def test_the_row_compares_steps_with_and_without_the_inverse_model() -> None:
    row = head_overhead(batch=8, width=2, rounds=2, bfloat16=False)
    assert row["name"] == "head" and row["ours_s"] > 0 and row["peer_s"] > 0
    assert row["overhead"] == pytest.approx(row["ours_s"] / row["peer_s"] - 1, abs=1e-3)
    assert "without the inverse model; 8 images" in row["peer"] and "ratio" in line(row)
