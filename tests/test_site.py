"""README and the site in a browser: nothing on them is a barrier. Figures are not drawn here."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parent.parent
PAGES = (
    "index",
    "softhebb",
    "measured",
    "api/learning",
    "api/classes/plastorch.stp.STPN",
    "search",
)
"""A page of each kind."""
NOT_EXECUTED = "-D", "nb_execution_mode=off", "-D", "suppress_warnings=myst-nb.lexer"
"""``test_docs.py`` executes the cells; only then is a cell's language known."""


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site, without a warning, its cells not executed; and README as a page."""
    pytest.importorskip("furo", reason="furo is not installed")
    from markdown_it import MarkdownIt

    folder = tmp_path_factory.mktemp("site")
    build = [sys.executable, "-m", "sphinx", "-q", "-W", "--keep-going", *NOT_EXECUTED]
    subprocess.run([*build, ROOT / "docs", folder], check=True)
    text = MarkdownIt().enable("table").render((ROOT / "README.md").read_text())
    text = text.replace('src="docs/', f'src="{(ROOT / "docs").as_uri()}/')
    head = '<!doctype html><html lang="en"><meta charset="utf-8"><title>README</title>'
    (folder / "readme.html").write_text(f"{head}<main>{text}</main></html>")
    return folder


@pytest.mark.parametrize("name", ["readme", *PAGES])
def test_axe_finds_no_barrier(built: Path, opened: Any, barriers: Any, name: str) -> None:
    for width, scheme in ((1280, "light"), (390, "dark")):
        with opened(built / f"{name}.html", width, scheme) as page:
            assert barriers(page) == []
            if name != "readme":  # whose style is that of where it is read
                assert page.evaluate("document.documentElement.scrollWidth") <= width
