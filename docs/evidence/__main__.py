"""Figures of README and pages, all written from the committed results.

``python docs/evidence`` writes every block between markers in README.md and pages anew, the whole
pages results.md, choices.md and peers.md, and README's picture. A block's template stands in
templates/; it names experiment, setting and metric of each figure, and the command that makes it
again stands beside it.
"""

import re
from collections.abc import Callable, Iterable
from pathlib import Path
from statistics import fmean
from typing import Any

import choices
import committed
import figures
import picture
import spiking_peers
import statements
from jinja2 import Environment, FileSystemLoader, StrictUndefined

HERE = Path(__file__).parent
PAGES = "measured", "files", "series"
"""Pages with blocks between markers, beside README."""
BLOCK = re.compile(r"(<!-- measured: ([a-z-]+) -->\n).*?(<!-- end of \2 -->)", re.DOTALL)


def environment() -> Environment:
    """Returns the templates, and what they can use."""
    made = Environment(
        loader=FileSystemLoader(HERE / "templates"), undefined=StrictUndefined, trim_blocks=True
    )
    shown: Iterable[Callable[..., Any]] = (
        committed.runs, committed.command, committed.typed, choices.choices, choices.points,
        figures.values, figures.mean, figures.percent, figures.steps, figures.best, figures.gain,
        figures.seeds_to_show, figures.minutes, figures.target, figures.holds, figures.ratio,
        figures.bench, figures.ratio_of, figures.percent_of,
        statements.sums, statements.papers, statements.outcome, statements.measured,
        statements.grouped, spiking_peers.spiking_peers, spiking_peers.neurons_of,
        spiking_peers.dates, spiking_peers.version_of, spiking_peers.speed, spiking_peers.memory,
        spiking_peers.ready,
    )  # fmt: skip
    made.globals["typed_of"] = choices.typed
    made.globals |= {function.__name__: function for function in shown} | {"fmean": fmean}
    return made


def written(text: str) -> str:
    """Returns a text whose blocks between markers are written anew."""
    made = environment()

    def block(match: re.Match[str]) -> str:
        body = made.get_template(f"{match[2]}.md").render()
        return f"{match[1]}{body.strip()}\n{match[3]}"

    return BLOCK.sub(block, text)


def outputs() -> dict[Path, str]:
    """Returns what each file should hold."""
    made, docs = environment(), HERE.parent
    pages = {
        docs / name: made.get_template(name).render().strip() + "\n"
        for name in ("results.md", "choices.md", "peers.md", "memories.md")
    }
    drawn = made.get_template("overview.svg").render(fields=picture.embedded())
    pages[docs / "_static" / "overview.svg"] = drawn.strip() + "\n"
    blocks = (docs.parent / "README.md", *(docs / f"{name}.md" for name in PAGES))
    return {path: written(path.read_text()) for path in blocks} | pages


if __name__ == "__main__":
    for path, text in outputs().items():
        path.write_text(text)
