from pathlib import Path

from plastorch.report.load import RunData
from plastorch.report.panels import plain_curves


def bare(rows=()) -> RunData:
    return RunData(Path("run"), {"data": {}}, list(rows), {})


def test_other_rooms_get_plain_curves():
    rows = [
        {"phase": "a2c", "step": s, "reward": float(s), "lr": 0.1, "note": "x"} for s in range(3)
    ]
    layered = [{"phase": "stdp", "layer": i, "step": 0, "rate": 0.1} for i in range(2)]
    timeless = [{"phase": "eval", "score": 1.0}]
    (panel,) = plain_curves(bare([*rows, *layered, *timeless]))
    assert panel.name == "curves-1" and "a2c" in panel.title
    assert panel.caption == "As logged: reward, each against step."


def test_phases_with_figures_of_their_own_get_none():
    rows = [{"phase": phase, "step": s, "loss": s} for phase in ("a", "b") for s in range(2)]
    (panel,) = plain_curves(bare(rows), "a|c")
    assert panel.name == "curves-1" and "“b”" in panel.title
