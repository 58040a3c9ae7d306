"""Reader of CIFAR's pickles, with an interpreter of its own for their few opcodes and forms.

It makes dictionaries, lists, tuples, text, bytes and whole numbers, and builds arrays itself from
bytes whose number it has checked. No class or function that a file names is ever looked up.
"""

import math
import pickletools
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from plastorch.data.images.formats import read_bytes
from plastorch.engine.errors import InputError

_PUSH = {
    *("BININT", "BININT1", "BININT2", "BINSTRING", "SHORT_BINSTRING"),
    *("BINUNICODE", "SHORT_BINUNICODE", "BINBYTES", "SHORT_BINBYTES"),
}
_PUT, _GET = {"BINPUT", "LONG_BINPUT", "MEMOIZE"}, {"BINGET", "LONG_BINGET"}
_RECONSTRUCT = "numpy.core.multiarray _reconstruct"
_TAKE_TO_MARK = {"TUPLE", "APPENDS", "SETITEMS"}
_TAKE_TWO = {"TUPLE2", "SETITEM", "STACK_GLOBAL", "REDUCE", "BUILD"}
_TAKE = {"TUPLE1": 1, "APPEND": 1, "TUPLE3": 3} | dict.fromkeys(_TAKE_TWO, 2)
"""Number of values that an opcode takes off the stack."""


def read_cifar(path: Path, label_key: str) -> tuple[Tensor, Tensor]:
    """Reads images, uint8 [N, 3, 32, 32], and labels, int64 [N], of a CIFAR batch file.

    The key is ``"labels"`` in CIFAR-10, ``"fine_labels"`` in CIFAR-100. Raises InputError if the
    file is damaged, unsafe, or holds something else.
    """
    batch = read_pickle(path)
    if missing := {"data", label_key} - batch.keys():
        raise InputError(
            f"{path}: no {sorted(missing)} in {str(sorted(batch))[:200]}; expected a CIFAR batch"
        )
    data, labels = batch["data"], batch[label_key]
    if not (isinstance(data, np.ndarray) and data.dtype == np.uint8 and data.shape[1:] == (3072,)):
        found = getattr(data, "shape", type(data).__name__)
        raise InputError(f"{path}: 'data' is {found}; expected bytes of shape [N, 3072]")
    if isinstance(labels, np.ndarray):
        labels = labels.tolist()
    if not (isinstance(labels, list) and all(type(y) is int and 0 <= y < 100 for y in labels)):
        raise InputError(
            f"{path}: {label_key!r} is not a list of class numbers; expected one per image"
        )
    if len(labels) != len(data):
        raise InputError(f"{path}: {len(data):,} images but {len(labels):,} labels")
    images = torch.from_numpy(data.copy()).view(-1, 3, 32, 32)
    return images, torch.tensor(labels, dtype=torch.int64)


def read_pickle(path: Path) -> dict[str, Any]:
    """Reads a CIFAR pickle: a dictionary of arrays, lists and strings; its keys become text.

    Raises InputError if the pickle has an opcode, or names a class or function, that the official
    files don't have; or it is cut short, too large, or not a dictionary.
    """
    content = read_bytes(path)
    try:
        with warnings.catch_warnings(action="ignore", category=DeprecationWarning):
            value = _loaded(content)  # its text may have an invalid escape, which is refused
    except InputError as error:
        raise InputError(f"{path}: {error}") from None
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise InputError(
            f"{path}: {len(content):,} bytes found that end or break before the pickle is complete "
            f"({type(error).__name__}: {error}); expected the official file"
        ) from error
    if not isinstance(value, dict):
        raise InputError(f"{path}: a {type(value).__name__} found; expected a pickled dictionary")
    return value


def _loaded(content: bytes) -> Any:
    """Returns the value of a pickle."""
    stack: list[Any] = []
    marks: list[int] = []
    memo: dict[Any, Any] = {}
    for opcode, argument, _ in pickletools.genops(content):
        name = opcode.name
        if name in _PUSH:
            stack.append(argument)
        elif name in _PUT:
            memo[len(memo) if name == "MEMOIZE" else argument] = stack[-1]
        elif name in _GET:
            stack.append(memo[argument])
        elif name == "MARK":
            marks.append(len(stack))
        elif name not in ("PROTO", "FRAME", "STOP"):
            begin = marks.pop() if name in _TAKE_TO_MARK else len(stack) - _TAKE.get(name, 0)
            taken = [argument] if name == "GLOBAL" else stack[begin:]
            del stack[begin:]
            _do(name, taken, stack)
    return stack.pop()


def _do(name: str, taken: list[Any], stack: list[Any]) -> None:
    """Executes an opcode on the values that it takes and the stack below them."""
    match name:
        case "NONE":
            stack.append(None)
        case "NEWTRUE" | "NEWFALSE":
            stack.append(name == "NEWTRUE")
        case "EMPTY_LIST":
            stack.append([])
        case "EMPTY_DICT":
            stack.append({})
        case "APPEND" | "APPENDS":
            stack[-1].extend(taken)
        case "SETITEM" | "SETITEMS":
            stack[-1].update(zip(map(_key, taken[::2]), taken[1::2], strict=True))
        case "TUPLE" | "TUPLE1" | "TUPLE2" | "TUPLE3":
            stack.append(tuple(taken))
        case "GLOBAL" | "STACK_GLOBAL":
            stack.append(_known(" ".join(taken)))
        case "REDUCE":
            stack.append(_called(*taken))
        case "BUILD":
            stack.append(_built(*taken))
        case _:
            raise InputError(f"the pickle has the opcode {name}, which is refused")


def _key(value: Any) -> str:
    """Returns a dictionary key as text."""
    if isinstance(value, bytes):
        return value.decode("latin1")
    if isinstance(value, str):
        return value
    raise InputError(f"a key of the pickle is of type {type(value).__name__}; expected text")


def _known(name: str) -> str:
    """Checks a name used by the official files, in old numpy's spelling; it is never looked up."""
    known = name.replace("numpy._core.", "numpy.core.")
    if known not in ("_codecs encode", _RECONSTRUCT, "numpy ndarray", "numpy dtype"):
        raise InputError(f"the pickle asks for {name[:100].replace(' ', '.')}, which is refused")
    return known


def _called(name: Any, arguments: Any) -> Any:
    """Returns the result of a call: bytes, a dtype, or an array that is still to be built."""
    match name, arguments:
        case "_codecs encode", (str(text), "latin1"):
            return text.encode("latin1")
        case "_codecs encode", (_, str(encoding)):
            raise InputError(f"the pickle has the encoding {encoding[:20]!r}, which is refused")
        case "numpy dtype", ("u1" | "i8" as kind, 0 | False, 1 | True):
            return kind
        case "numpy dtype", (str(kind), *_):
            raise InputError(f"the pickle has an array of {kind[:20]!r}; expected u1 or i8")
        case "numpy.core.multiarray _reconstruct", ("numpy ndarray", (0,), "b" | b"b"):
            return _RECONSTRUCT
    raise InputError("the pickle has a call that the official files don't have; it is refused")


def _built(blank: Any, state: Any) -> Any:
    """Builds an array from its state; a dtype is returned unchanged."""
    match blank, state:
        case "u1" | "i8", (3, "|" | "<", None, None, None, -1, -1, 0):
            return blank
        case (
            "numpy.core.multiarray _reconstruct",
            (1, (_,) | (_, _) as shape, "u1" | "i8" as kind, False, str() | bytes() as content),
        ):
            return _array(shape, np.dtype(kind).newbyteorder("<"), content)
    raise InputError("the pickle has a state that the official files don't have; it is refused")


def _array(
    shape: Sequence[Any], dtype: "np.dtype[Any]", content: str | bytes
) -> "np.ndarray[Any, Any]":
    """Returns an array, if there are as many numbers as the shape requires."""
    data = content.encode("latin1") if isinstance(content, str) else content
    if not all(type(size) is int and size > 0 for size in shape):
        raise InputError("the pickle has an array of no numbers, which is refused")
    if len(data) != (needed := math.prod(shape) * dtype.itemsize):
        raise InputError(f"the pickle has {len(data):,} bytes of an array that takes {needed:,}")
    return np.frombuffer(data, dtype).reshape(shape)
