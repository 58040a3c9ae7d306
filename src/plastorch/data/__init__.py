"""Data sets, used offline: from the data root, a folder of your own, or the package."""

from importlib import import_module
from typing import TYPE_CHECKING

from plastorch.data.catalog import CATALOG
from plastorch.data.root import cache_root, data_root
from plastorch.data.status import FileStatus, SetStatus, image_set_status

if TYPE_CHECKING:
    from plastorch.data.download import download_images
    from plastorch.data.images.augment import crop_and_flip, jittered, resized_crop_and_flip
    from plastorch.data.images.imageset import ImageSet
    from plastorch.data.images.load import load_images

__all__ = [
    "CATALOG",
    "FileStatus",
    "ImageSet",
    "SetStatus",
    "cache_root",
    "crop_and_flip",
    "data_root",
    "download_images",
    "image_set_status",
    "jittered",
    "load_images",
    "resized_crop_and_flip",
]
_LAZY = {
    "ImageSet": "images.imageset",
    "crop_and_flip": "images.augment",
    "download_images": "download",
    "jittered": "images.augment",
    "load_images": "images.load",
    "resized_crop_and_flip": "images.augment",
}

if not TYPE_CHECKING:  # type checkers would accept any name here

    def __getattr__(name: str) -> object:
        """Imports names that need torch only on access: ``plastorch list`` does without torch."""
        if name not in _LAZY:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        return getattr(import_module(f"{__name__}.{_LAZY[name]}"), name)


def __dir__() -> list[str]:
    """Returns the public names."""
    return __all__
