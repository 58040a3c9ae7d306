"""The reference lists what the site and the examples import."""

import ast
import re
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parent.parent
PAGES = sorted((ROOT / "docs").glob("*.md"))
CODE = re.compile(
    r"^```(?:python|\{code-cell\})\n(?:---\n.*?^---\n)?(.*?)^```$", re.MULTILINE | re.DOTALL
)
NO_CODE = re.compile(r"^(?:[:%].*|>>> |\.\.\. )", re.MULTILINE)
DIRECTIVE = re.compile(
    r"^\.\. auto(module|class|function):: ([\w.]+)\n((?:   .*\n)*)", re.MULTILINE
)


def listed() -> set[int]:
    """Identities of the objects that pages of the reference describe."""
    found = set()
    for page in (ROOT / "docs" / "api").glob("*.md"):
        for kind, name, options in DIRECTIVE.findall(page.read_text()):
            room, _, own = name.rpartition(".")
            if kind != "module":
                found.add(id(getattr(import_module(room), own)))
                continue
            module = import_module(name)
            members = re.search(r":members:((?:[ \w,]|\n      )*)", options)
            assert members is not None, name
            names = re.findall(r"\w+", members[1]) or getattr(module, "__all__", list(vars(module)))
            found |= {id(getattr(module, each)) for each in names}
    return found


def imported(text: str) -> Iterator[tuple[str, object]]:
    """What some code imports from plastorch."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("plastorch"):
            module = import_module(str(node.module))
            for each in node.names:
                yield f"{node.module}.{each.name}", getattr(module, each.name)


@pytest.mark.parametrize(
    "path",
    [*PAGES, ROOT / "README.md", *sorted((ROOT / "examples").glob("*.py"))],
    ids=lambda path: path.name,
)
def test_each_imported_name_is_in_the_reference(path: Path) -> None:
    text = path.read_text()
    blocks = [text] if path.suffix == ".py" else CODE.findall(text)
    known = listed()
    for block in blocks:
        for name, thing in imported(NO_CODE.sub("", block) if path.suffix == ".md" else block):
            assert isinstance(thing, ModuleType) or id(thing) in known, name
