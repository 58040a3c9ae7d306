"""Classification of files by their metadata: similar files become correlated spike patterns."""

from importlib import import_module
from typing import TYPE_CHECKING

from plastorch.engine.errors import require

if TYPE_CHECKING:
    from plastorch.files.classifier import FileClassifier
    from plastorch.files.tagger import FileTagger

__all__ = ["FileClassifier", "FileTagger"]
_LAZY = {"FileClassifier": "classifier", "FileTagger": "tagger"}

if not TYPE_CHECKING:  # type checkers would accept any name here

    def __getattr__(name: str) -> object:
        """Imports estimators only on access: scikit-learn and polars take a second."""
        if name not in _LAZY:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        require("polars", "files")
        return getattr(import_module(f"{__name__}.{_LAZY[name]}"), name)


def __dir__() -> list[str]:
    """Returns the public names."""
    return __all__
