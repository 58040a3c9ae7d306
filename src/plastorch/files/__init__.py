"""Classification of files by their metadata: similar files become correlated spike patterns."""

from typing import TYPE_CHECKING

from plastorch.engine.errors import InputError

if TYPE_CHECKING:
    from plastorch.files.classifier import FileClassifier

__all__ = ["FileClassifier"]


def __getattr__(name: str) -> object:
    """Imports the estimator only on access: scikit-learn and polars take a second."""
    if name == "FileClassifier":
        try:
            from plastorch.files.classifier import FileClassifier
        except ModuleNotFoundError as error:
            if error.name != "polars":
                raise
            raise InputError(
                'polars is missing; expected: pip install "plastorch[files]"'
            ) from None
        return FileClassifier
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
