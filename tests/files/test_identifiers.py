"""Columns that identify records are found, and what only looks like them is not."""

from pathlib import Path

import polars as pl
import pytest

from plastorch.cli import main
from plastorch.files.classifier import FileClassifier
from plastorch.files.identifiers import identifiers

N = range(60)


@pytest.mark.parametrize(
    ("name", "values", "found"),
    [
        ("order_id", [7919 * n % 9973 for n in N], True),
        ("orderId", [7919 * n % 9973 for n in N], True),
        ("ID", [7919 * n % 9973 for n in N], True),
        ("bytes", [7919 * n % 9973 for n in N], False),
        ("paid", [7919 * n % 9973 for n in N], False),
        ("n", [1000 - n for n in N], True),
        ("n", [f"A{n}" for n in N], True),
        ("n", [None, *(f"A{n}" for n in N)][:60], False),
        ("n", [f"A{n // 2}" for n in N], False),
        ("n", [f"/a/{n}" for n in N], False),
        ("n", [f"x|{n}" for n in N], False),
        ("order_id", [n + 0.5 for n in N], False),
        ("order_id", [n // 2 for n in N], False),
    ],
)
def test_identifiers(name: str, values: list[object], found: bool) -> None:
    frame = pl.DataFrame({name: values})
    assert identifiers(frame) == [name] * found
    assert identifiers(frame[:49]) == []


def test_fit_does_not_learn_from_them(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    columns = {"order_id": [f"A{n}" for n in N], "size": [n % 7 + 9 * (n % 2) for n in N]}
    pl.DataFrame(columns | {"kind": ["ab"[n % 2] for n in N]}).write_csv(tmp_path / "t.csv")
    fit = ["files", "fit", str(tmp_path / "t.csv"), "--label", "kind", "--out", f"{tmp_path}/m"]
    assert main([*fit, "--epochs", "2", "--hidden", "8", "--neurons", "20"]) == 0
    assert "identifiers, and not learned from: order_id" in capsys.readouterr().err
    assert [key.name for key in FileClassifier.load(tmp_path / "m").keys_] == ["size"]
