"""The reference lists what the site and the examples import."""

import ast
import re
from collections.abc import Iterator
from importlib import import_module
from inspect import isclass
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
    r"^\.\. (?:auto)?(\w+)::(?: ([\w.]+))?\n((?:   .*\n|\n(?=   ))*)", re.MULTILINE
)


def listed() -> set[int]:
    """Identities of the objects that the reference describes."""
    found = set()
    for page in (ROOT / "docs" / "api").glob("*.md"):
        room = ""
        for kind, name, content in DIRECTIVE.findall(page.read_text()):
            if kind in ("module", "currentmodule"):
                room, module = name, import_module(name)
                members = re.search(r":members:((?:[ \w,]|\n      )*)", content)
                names = [] if members is None else re.findall(r"\w+", members[1])
                if members is not None and not names:
                    names = getattr(module, "__all__", list(vars(module)))
                # Classes have pages of their own, which a summary names.
                names = [each for each in names if not isclass(getattr(module, each))]
            elif kind == "summary":
                names = re.findall(r"^   ([\w.]+)$", content, re.MULTILINE)
            else:
                names, room = [name], ""
            for each in names:
                module_name, _, own = f"{room}.{each}".strip(".").rpartition(".")
                found.add(id(getattr(import_module(module_name), own)))
    return found


def test_each_public_name_of_a_room_is_in_the_reference() -> None:
    known = listed()
    for page in (ROOT / "docs" / "api").glob("*.md"):
        room = import_module(f"plastorch.{page.stem}")
        for name in getattr(room, "__all__", []):
            assert id(getattr(room, name)) in known, f"{page.stem}.{name}"


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
