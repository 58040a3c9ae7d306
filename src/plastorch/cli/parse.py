"""Parsing of command arguments; every mistake becomes one clear line."""

import contextlib
import io
import math
import re
from collections.abc import Callable
from dataclasses import replace
from types import NoneType, UnionType
from typing import Annotated, Any, TypeVar, Union, get_args

import tyro

from plastorch.engine.errors import InputError, did_you_mean

T = TypeVar("T")

REGISTRY = tyro.constructors.ConstructorRegistry()


def titled(options: type[Any], title: str) -> Any:
    """Returns the type of a group of options that help calls "TITLE options"."""
    return Annotated[options, tyro.conf.arg(name=title)]


def parse(target: Callable[..., T], prog: str, arguments: list[str]) -> T:
    """Parses with tyro; its boxed errors become one line."""
    words = io.StringIO()
    try:
        with contextlib.redirect_stderr(words):
            return tyro.cli(
                target,
                prog=prog,
                args=arguments,
                config=(tyro.conf.OmitArgPrefixes, tyro.conf.PositionalMetavarFromFieldName),
                registry=REGISTRY,
            )
    except SystemExit as stop:
        if not stop.code:
            raise
        message = _unboxed(words.getvalue(), arguments)
        raise InputError(f"{message}; see {prog} --help") from None


@REGISTRY.primitive_rule
def _number(
    kind: tyro.constructors.PrimitiveTypeInfo,
) -> tyro.constructors.PrimitiveConstructorSpec[Any] | None:
    """Accepts only 64-bit whole numbers and finite fractions."""
    if kind.type not in (int, float):
        return None

    whole = kind.type is int
    expected = "a whole number between -2**63 and 2**63" if whole else "a finite number"

    def read(texts: list[str]) -> int | float:
        with contextlib.suppress(ValueError):
            value: int | float = kind.type(texts[0])
            if -(2**63) <= value < 2**63 if whole else math.isfinite(value):
                return value
        raise ValueError(f"{texts[0]!r}; expected {expected}")

    return tyro.constructors.PrimitiveConstructorSpec(
        nargs=1,
        metavar="INT" if whole else "FLOAT",
        instance_from_str=read,
        is_instance=lambda value: type(value) is kind.type,
        str_from_instance=lambda value: [str(value)],
    )


@REGISTRY.primitive_rule
def _optional(
    kind: tyro.constructors.PrimitiveTypeInfo,
) -> tyro.constructors.PrimitiveConstructorSpec[Any] | None:
    """Shows what may be left out as what it is when given; sweeps also take None as a value."""
    kinds = [of for of in get_args(kind.type) if of is not NoneType]
    if kind.type_origin not in (Union, UnionType) or len(kinds) != 1:
        return None
    given = tyro.constructors.PrimitiveTypeInfo.make(kinds[0], kind.markers)
    spec = tyro.constructors.ConstructorRegistry.get_primitive_spec(given)
    if isinstance(spec, tyro.constructors.UnsupportedTypeAnnotationError):
        return None
    read, written = spec.instance_from_str, spec.str_from_instance
    return replace(
        spec,
        instance_from_str=lambda texts: None if texts == ["None"] else read(texts),
        is_instance=lambda value: value is None or spec.is_instance(value),
        str_from_instance=lambda value: ["None"] if value is None else written(value),
    )


def _unboxed(text: str, arguments: list[str]) -> str:
    """Returns tyro's error box as one line: the mistake, and the option perhaps meant."""
    inside = [re.sub(r"[│╭╮╰╯]", " ", line).strip() for line in text.splitlines()[1:]]
    whole = "\n".join(line if line.strip("─-") or not line else "\0" for line in inside)
    parts = [part.strip().splitlines() for part in whole.split("\0") if part.strip()] or [[]]
    lines = (line for part in parts for line in part if line.startswith("-"))
    known = [line.split()[0].rstrip(",") for line in lines]
    for part in parts:
        words = " ".join(part).replace(",", " ").split()
        if words[:2] == ["Unrecognized", "options:"]:
            wrong = words[2:] or [""]
            options = [option for option in known if option not in wrong]
            hints = [did_you_mean(word, options) for word in wrong if word.startswith("-")]
            return f"Unrecognized options: {_placed(wrong, arguments)}{''.join(hints)}"
    message = re.sub(r" \.(?=\s|$)", ".", " ".join(parts[0])).rstrip(".")
    message = re.sub(r"^Error parsing (?!-)[\w.-]+: ", "", message)
    lacks = r"Missing value for argument '(\S+)'\. Expected 1 values"
    message = re.sub(lacks, r"\1 has no value; expected one", message)
    none = r"no type matching (\S+) could be instantiated from \[('.*?')\]\..*"
    message = re.sub(none, r"\2; expected \1", message)
    choice = re.match(r"invalid choice '(.*)' for argument '.*'\. Expected one of (.*)", message)
    return message + (
        did_you_mean(choice[1], re.findall(r"'([^']*)'", choice[2])) if choice else ""
    )


def _placed(wrong: list[str], arguments: list[str]) -> str:
    """Lists words that no option takes; the value of a switch with the switch before it."""
    before = dict(zip(arguments[1:], arguments, strict=False))
    after = {
        word: f" after {before[word]}"
        for word in wrong
        if before.get(word, "").startswith("--") and before[word] not in wrong
    }
    return ", ".join((word or "''") + after.get(word, "") for word in wrong)
