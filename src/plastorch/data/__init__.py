"""Data sets, from the data root or the package; only ``download_images`` uses the network."""

from plastorch.data.catalogue import CATALOGUE
from plastorch.data.download import download_images
from plastorch.data.images.augment import crop_and_flip, jittered, resized_crop_and_flip
from plastorch.data.images.imageset import ImageSet
from plastorch.data.images.load import load_images
from plastorch.data.root import cache_root, data_root
from plastorch.data.status import FileStatus, SetStatus, image_set_status

__all__ = [
    "CATALOGUE",
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
