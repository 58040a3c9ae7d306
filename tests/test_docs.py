"""The documentation's page of code cells: they run, each figure is made, and the prose is true."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch
from matplotlib.figure import Figure

from plastorch.hebbian.bayes import compare
from plastorch.report.canvas import to_png

DOCS = Path(__file__).parent.parent / "docs"
CELL = re.compile(r"^```\{code-cell\}\n((?:---\n.*?^---\n)?)(.*?)^```$", re.MULTILINE | re.DOTALL)
NOT_PYTHON = re.compile(r"^[:%].*\n", re.MULTILINE)
"""Tags of a cell and commands of the notebook."""


class Page(NamedTuple):
    prose: str
    names: dict[str, Any]
    """What the cells leave behind."""
    shown: list[tuple[bool, object]]
    """Per cell, whether it describes a picture, and the value of its last line."""


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    """The page, its cells run in order as Sphinx runs them: in its folder, with no data at hand."""
    text = (DOCS / "softhebb.md").read_text()
    names: dict[str, Any] = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PLASTORCH_DATA", str(tmp_path_factory.mktemp("data")))
        patch.chdir(DOCS)
        shown = [("alt:" in head, run(code, names)) for head, code in CELL.findall(text)]
        yield Page(CELL.sub("", text), names, shown)


def run(code: str, names: dict[str, Any]) -> object:
    """Runs a cell; the value of its last line, as a notebook shows it."""
    tree = ast.parse(NOT_PYTHON.sub("", code))
    last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
    exec(compile(tree, "cell", "exec"), names)
    return eval(compile(ast.Expression(last.value), "cell", "eval"), names) if last else None


def test_each_cell_that_describes_a_picture_shows_one_and_no_other(page: Page) -> None:
    assert [described for described, _ in page.shown] == [
        isinstance(value, Figure) for _, value in page.shown
    ]
    figures = [value for _, value in page.shown if isinstance(value, Figure)]
    assert len(figures) == 10
    for figure in figures:
        assert len(to_png(figure, dpi=50)) > 2000  # a blank one takes less


def test_the_rule_written_out_is_the_librarys(page: Page) -> None:
    assert [value for _, value in page.shown if isinstance(value, bool)] == [True]


def test_theory_is_learned(page: Page) -> None:
    before, after = (
        compare(page.names[name], page.names["causes"]) for name in ("before", "after")
    )
    assert after.found and after.kl < 0.01 < before.kl
    assert after.cross_entropy < before.cross_entropy


def test_loss_falls_without_labels(page: Page) -> None:
    for course in page.names["courses"].values():
        assert course[-1]["cross_entropy"] < 0.5 * course[0]["cross_entropy"]
        assert course[-1]["test_accuracy"] > 0.7


def test_deep_features_are_useful_before_neurons_settle(page: Page) -> None:
    assert page.names["record"]["test_accuracy"] > 0.9
    radius = torch.cat([block.conv.radius() for block in page.names["net"].blocks])
    assert 0 < ((radius - 1).abs() < 0.01).double().mean() < 0.5


def test_prose_quotes_no_measured_figure(page: Page) -> None:
    """Numbers come from cells, so that they can't go stale."""
    assert not re.findall(r"\d[\d.]*\s*(?:%|per cent|nats|seconds)", page.prose)
