"""Peers that plastorch is measured against: files of its repository, not part of the package."""

from functools import cache
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

from plastorch.engine.errors import InputError


@cache
def peer(system: str) -> Any:
    """Returns the module ``benchmarks/peers/SYSTEM.py`` of a checkout.

    Raises InputError unless the current folder or plastorch's own folder is in a checkout.
    """
    file = Path("benchmarks", "peers", f"{system}.py")
    for root in (Path.cwd(), Path(__file__).parents[3]):
        if (root / file).is_file():
            spec = spec_from_file_location(f"peer_{system}", root / file)
            assert spec is not None and spec.loader is not None
            module = module_from_spec(spec)
            spec.loader.exec_module(module)
            return module
    raise InputError(
        f"{file} is missing; expected a checkout of plastorch's repository as the current folder"
    )


def has_peer(system: str) -> bool:
    """Returns whether :func:`peer` finds a module."""
    try:
        peer(system)
    except InputError:
        return False
    return True
