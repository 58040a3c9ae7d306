"""The page of a sweep: its figures against the runs' own, and what is drawn."""

import csv
import io
import json
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

import numpy as np
import pytest

from plastorch.engine.errors import InputError
from plastorch.engine.sweep_plan import PLAN, Sweep
from plastorch.report import write_gallery, write_sweep
from plastorch.report.sweep_figure import draw_grid
from plastorch.report.sweep_table import SweepRow, lines_of, runs_csv, settings_csv, table
from plastorch.report.theme import LIGHT, to_png


def figure_of(seed: int, setting: int) -> float:
    return 0.5 + 0.1 * setting + 0.01 * seed**2


def planned(runs: Path, fields: dict[str, list[Any]], points: list[dict[str, Any]]) -> Sweep:
    settings = [{"quick": False, "device": "auto", **point} for point in points]
    return Sweep.create(runs, "e", fields=fields, settings=settings, seeds=[0, 1, 2], cpus=1)


def finish(sweep: Sweep, number: int, make_run: Any, metric: str = "test_accuracy") -> None:
    """A run's folder as its experiment leaves it."""
    trial = sweep.trials[number]
    made = make_run(sweep.path / "made" / str(number), layers=1, epochs=2)
    result = json.loads((made / "result.json").read_text())
    figures = {metric: figure_of(trial.seed, trial.setting), "peak_memory_gb": 1.5}
    result |= {"metrics": figures, "wall_s": 10.0 + trial.seed, "complete": True, "quick": False}
    result["data"]["notice"] = None
    (sweep.begin(trial).path / "result.json").write_text(json.dumps(result))


@pytest.fixture
def swept(tmp_path: Path, make_run: Any) -> Sweep:
    """Five of six runs are done, one has failed."""
    points = [{"depth": 1, "rule": "soft"}, {"depth": 2, "rule": "soft"}]
    sweep = planned(tmp_path, {"depth": [1, 2], "rule": ["soft"]}, points)
    for number in range(5):
        finish(sweep, number, make_run)
    sweep.failed[sweep.trials[5].run] = "<b>no data</b>"
    sweep.write()
    return sweep


def test_tables_say_what_the_runs_say(swept: Sweep) -> None:
    lines = lines_of(swept)
    rows = list(csv.DictReader(io.StringIO(settings_csv(lines))))
    for setting, seeds in ((0, [0, 1, 2]), (1, [0, 1])):
        figures = [figure_of(seed, setting) for seed in seeds]
        assert float(rows[setting]["mean"]) == pytest.approx(fmean(figures))
        assert float(rows[setting]["sd"]) == pytest.approx(stdev(figures))
        assert rows[setting]["seeds"] == str(len(seeds)) and rows[setting]["planned"] == "3"
        assert float(rows[setting]["wall_s"]) == fmean(10.0 + seed for seed in seeds)
    heading, first, second = table(lines)
    assert heading == ["depth", "rule", "test accuracy", "seeds", "wall time"]
    figures = [100 * figure_of(seed, 0) for seed in range(3)]
    assert first[2].replace("\xa0", " ") == f"{fmean(figures):.2f} ± {stdev(figures):.2f} %"
    assert second[3] == "2 of 3, 1 failed"
    runs = list(csv.DictReader(io.StringIO(runs_csv(swept))))
    assert [run["state"] for run in runs] == ["done"] * 5 + ["failed"]
    assert runs[5]["why"] == "<b>no data</b>" and runs[5]["test_accuracy"] == ""
    assert runs[3]["peak_memory_gb"] == "1.5" and runs[3]["run"] == swept.trials[3].run


def test_the_page_shows_it_and_hides_nothing(swept: Sweep, parse: Any) -> None:
    page = parse(write_sweep(swept.path))
    assert "5 of 6 runs are done" in page.text.replace("5of", "5 of")
    assert "This sweep has not finished." in page.text and "not finished" in page.text
    assert f"plastorch sweep e --resume {swept.path}" in page.text
    assert "<b>no data</b>" in page.text  # as text, not as HTML
    links = {attributes["href"] for attributes in page.all("a")}
    assert links == {f"../../{trial.run}/report.html" for trial in swept.trials[:5]}
    assert (swept.path / "figures" / "sweep.png").stat().st_size > 2000
    for trial in swept.trials[:5]:  # as after a kill between the result and the page
        assert (swept.folder(trial).path / "report.html").is_file()
    assert (swept.path / "table.csv").is_file() and (swept.path / "runs.csv").is_file()


def test_the_gallery_lists_sweeps(swept: Sweep, parse: Any, tmp_path: Path) -> None:
    page = parse(write_gallery(tmp_path))
    assert f"./sweeps/{swept.path.name}/report.html" in {a["href"] for a in page.all("a")}
    assert "depth, 3 seeds; 5 of 6 runs done" in page.text
    (swept.path / PLAN).write_text("{")
    page = parse(write_gallery(tmp_path))
    assert "Cannot be read" in page.text and "is damaged" in page.text


def test_a_damaged_result_is_named(swept: Sweep) -> None:
    file = swept.folder(swept.trials[0]).path / "result.json"
    file.write_text(json.dumps({"complete": True}))
    with pytest.raises(InputError, match=r"result\.json: field 'experiment'"):
        write_sweep(swept.path)


def test_a_sweep_that_has_just_begun_has_a_page(tmp_path: Path, parse: Any) -> None:
    folder = planned(tmp_path / "my runs", {}, [{}]).path
    page = parse(write_sweep(folder))
    assert "A sweep over 3 seeds." in page.text and not page.all("img")
    assert f"plastorch sweep e --resume '{folder}'" in page.text


def line(values: dict[str, Any], *figures: float, metric: str = "reward") -> SweepRow:
    return SweepRow(values, metric, figures, range(len(figures)), len(figures), 0, [1.0], [])


def test_numbers_lie_on_an_axis_with_a_line_per_other_setting() -> None:
    lines = [
        line({"rate": rate, "rule": rule}, rate + lift, rate + lift + 2)
        for rule, lift in (("soft", 1.0), ("hard", 5.0))
        for rate in (0.1, 0.001, 1.0)
    ]
    (axes,) = draw_grid(lines).axes
    assert axes.get_xscale() == "log" and axes.get_xlabel() == "rate"
    drawn = {drawn.get_label(): drawn for drawn in axes.lines}
    assert set(drawn) == {"rule soft", "rule hard"}
    assert list(drawn["rule hard"].get_xdata()) == [0.001, 0.1, 1.0]
    np.testing.assert_allclose(drawn["rule hard"].get_ydata(), [6.001, 6.1, 7.0])


def test_accuracies_are_per_cent_and_one_seed_has_no_spread() -> None:
    (axes,) = draw_grid([line({"depth": d}, 0.2 * d, metric="test_accuracy") for d in (1, 2)]).axes
    np.testing.assert_allclose(axes.lines[0].get_ydata(), [20, 40])
    assert axes.get_title(loc="left") == "test accuracy" and axes.get_xscale() == "linear"


def test_other_values_are_rows() -> None:
    lines = [line({"models": [name]}, 1.0, 3.0) for name in ("stpn", "x" * 99)]
    (axes,) = draw_grid(lines).axes
    names = [label.get_text() for label in axes.get_yticklabels()]
    assert names[0] == "models stpn" and len(names[1]) == 32 and axes.yaxis_inverted()
    (one,) = draw_grid([line({}, 1.0, 2.0, 4.0)]).axes
    assert [label.get_text() for label in one.get_yticklabels()] == ["all runs"]


def test_all_figures_can_be_drawn_and_none_is_an_error() -> None:
    many = [line({"a": a, "b": b}, 1.0, metric=f"m{b}") for a in (1, 2) for b in range(9)]
    assert len(to_png(draw_grid(many, LIGHT), dpi=50)) > 2000
    with pytest.raises(InputError, match="found none"):
        draw_grid([SweepRow({}, None, [], [], 1, 1, [], [])])
    words = table([line({"b": 0}, 1.0, metric="m0"), line({"b": 1}, 1.0, metric="m1")])
    assert words[0][1] == "measured" and words[2][1] == "1 m1"
