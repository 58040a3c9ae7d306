"""The page that compares runs."""

from urllib.parse import unquote

import pytest

from plastorch.cli import main
from plastorch.engine.errors import InputError
from plastorch.report import write_comparison
from plastorch.report.comparison import comparison_panels, names_of
from plastorch.report.load import load_run
from plastorch.report.theme import LIGHT

SMALL = {"layers": 1, "epochs": 3}


@pytest.fixture
def two(make_run, tmp_path):
    return [make_run(tmp_path, seed=seed, **SMALL) for seed in (0, 1)]


def test_runs_are_named_by_what_differs():
    results = [
        {"experiment": "e", "config": {"depth": depth, "seed": seed, "width": "4x"}}
        for depth, seed in ((2, 0), (3, 0), (3, 1))
    ]
    assert names_of(results) == ["depth 2, seed 0", "depth 3, seed 0", "depth 3, seed 1"]
    assert names_of([*results[:1], {"experiment": "f", "config": {}}])[1].startswith(
        "f, depth null"
    )


def test_the_page_has_both_runs_and_common_figures(two, parse, tmp_path, capsys):
    assert main(["report", *map(str, two), "--out", str(tmp_path / "page.html")]) == 0
    assert str(tmp_path / "page.html") in capsys.readouterr().out
    page = parse(tmp_path / "page.html")
    links = {(tmp_path / unquote(attrs["href"])).resolve() for attrs in page.all("a")}
    assert links == {(run / "report.html").resolve() for run in two}
    assert "seed 0" in page.text and "seed 1" in page.text and "80.12\u00a0%" in page.text
    assert page.all("img") and not list(tmp_path.glob("figures"))


def test_each_run_is_a_line_of_what_it_logged(two):
    runs = {run.name: load_run(run) for run in two}
    panel = next(panel for panel in comparison_panels(runs) if "readout" in panel.title)
    figure = panel.draw(LIGHT)
    legends = [*figure.legends, *(axes.get_legend() for axes in figure.axes if axes.get_legend())]
    names = {text.get_text() for legend in legends for text in legend.get_texts()}
    assert set(runs) <= names and min(len(axes.lines) for axes in figure.axes) >= 2


def test_a_folder_of_runs_stands_for_its_runs(two, tmp_path):
    folder = two[0].parent
    assert main(["report", str(folder), str(two[0])]) == 0
    page = (folder / "comparison.html").read_text()
    everything = sorted(map(str, folder.iterdir()))
    assert main(["report", *everything]) == 0  # the page of before is no run
    assert (folder / "comparison.html").read_text() == page


def test_what_can_not_be_compared_is_refused(two, tmp_path, capsys):
    with pytest.raises(InputError, match="runs are 7; expected 2 to 6"):
        write_comparison([tmp_path / str(number) for number in range(7)])
    with pytest.raises(InputError, match="runs are 1; expected 2 to 6"):
        write_comparison(two[:1] * 2)
    assert main(["report", str(two[0]), str(tmp_path / "none")]) == 2
    assert "none: expected a run folder" in capsys.readouterr().err
    assert main(["report", str(two[0]), "--out", "page.html"]) == 2
    assert "out is 'page.html'" in capsys.readouterr().err


def test_one_run_has_its_page_written(two, capsys):
    assert main(["report", str(two[0])]) == 0
    assert (two[0] / "report.html").is_file()
