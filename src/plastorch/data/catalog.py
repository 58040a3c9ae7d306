"""Catalog of the named sets: their folders, files, checksums and official downloads."""

import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from plastorch.engine.errors import check_one_of


@dataclass(frozen=True, kw_only=True)
class Entry:
    """Description of one named set.

    Attributes:
        layout: format of the files: ``idx``, ``cifar``, ``stl10`` or ``tree`` for images, else
            ``precipitation``, ``records``, ``commands`` or ``digits``.
        folders: possible folders in the data root, the preferred one first.
        images: channels, side in pixels and number of classes of the images.
        reader: module that reads a set of anything else.
        files: official files, or folders of a tree; empty for a set of recordings.
        md5: official checksums by file name, where published.
        classes: class names by label, where the files don't hold them; by folder for Imagenette.
        site: address of the folder with the archives; empty if there is no free download.
        archives: files to download, with their official MD5.
        unpacked: folder in the archive; empty if it holds the set's files without a folder.
        origin: where to get a set that has no download, in words.
    """

    name: str
    title: str
    layout: str
    folders: tuple[str, ...]
    images: tuple[int, int, int] = (0, 0, 0)
    reader: str = ""
    files: tuple[str, ...] = ()
    md5: Mapping[str, str] = field(default_factory=dict)
    optional: tuple[str, ...] = ()
    classes: Mapping[int | str, str] = field(default_factory=dict)
    site: str = ""
    archives: Mapping[str, str] = field(default_factory=dict)
    unpacked: str = ""
    megabytes: int = 0
    origin: str = ""

    @property
    def size(self) -> str:
        """Size and source of the download."""
        return f"{self.megabytes:,} MB from {urlsplit(self.site).hostname}"

    def how_to_get(self, data: str | Path | None = None) -> str:
        """Returns the command that fetches the set or, without one, the official way to get it."""
        if not self.site:
            return self.origin
        root = "" if data is None else f" --data {shlex.quote(str(data))}"
        return f"plastorch data get {self.name}{root} ({self.size})"


_IDX = (
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
)
_TREE = ("train", "val")
_MNIST = {
    "train-images-idx3-ubyte.gz": "f68b3c2dcbeaaa9fbdd348bbdeb94873",
    "train-labels-idx1-ubyte.gz": "d53e105ee54ea40749a09fcbcd1e9432",
    "t10k-images-idx3-ubyte.gz": "9fb629c4189551a2d022fa330f9573f3",
    "t10k-labels-idx1-ubyte.gz": "ec29112dd5afa0611ce80d1b7f02629c",
}
_FASHION_MNIST = {
    "train-images-idx3-ubyte.gz": "8d4fb7e6c68d591d4c3dfef9ec88bf0d",
    "train-labels-idx1-ubyte.gz": "25c81989df183df01b3e8a0aad5dffbe",
    "t10k-images-idx3-ubyte.gz": "bef4ecab320f06d8554ea6380940ec79",
    "t10k-labels-idx1-ubyte.gz": "bb300cfdad3c16e7a12a480ee83cd310",
}
_CLOTHES = (
    *("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat"),
    *("Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"),
)
_ANIMALS_AND_VEHICLES = (
    *("airplane", "bird", "car", "cat", "deer"),
    *("dog", "horse", "monkey", "ship", "truck"),
)
_IMAGENETTE: Mapping[int | str, str] = {
    "n01440764": "tench",
    "n02102040": "English springer",
    "n02979186": "cassette player",
    "n03000684": "chain saw",
    "n03028079": "church",
    "n03394916": "French horn",
    "n03417042": "garbage truck",
    "n03425413": "gas pump",
    "n03445777": "golf ball",
    "n03888257": "parachute",
}

_ENTRIES = (
    Entry(
        name="mnist",
        title="MNIST",
        layout="idx",
        folders=("MNIST/raw",),
        images=(1, 28, 10),
        files=_IDX,
        md5={
            "train-images-idx3-ubyte": "6bbc9ace898e44ae57da46a324031adb",
            "train-labels-idx1-ubyte": "a25bea736e30d166cdddb491f175f624",
            "t10k-images-idx3-ubyte": "2646ac647ad5339dbf082846283269ea",
            "t10k-labels-idx1-ubyte": "27ae3e4e09519cfbb04c329615203637",
            **_MNIST,
        },
        classes={digit: str(digit) for digit in range(10)},
        site="https://ossci-datasets.s3.amazonaws.com/mnist",
        archives=_MNIST,
        megabytes=12,
    ),
    Entry(
        name="fashion-mnist",
        title="Fashion-MNIST",
        layout="idx",
        folders=("FashionMNIST/raw",),
        images=(1, 28, 10),
        files=_IDX,
        md5=_FASHION_MNIST,
        classes=dict(enumerate(_CLOTHES)),
        site="https://fashion-mnist.s3.eu-central-1.amazonaws.com",
        archives=_FASHION_MNIST,
        megabytes=31,
    ),
    Entry(
        name="cifar10",
        title="CIFAR-10",
        layout="cifar",
        folders=("cifar-10-batches-py",),
        images=(3, 32, 10),
        files=(*(f"data_batch_{i}" for i in range(1, 6)), "test_batch", "batches.meta"),
        md5={
            "data_batch_1": "c99cafc152244af753f735de768cd75f",
            "data_batch_2": "d4bba439e000b95fd0a9bffe97cbabec",
            "data_batch_3": "54ebc095f3ab1f0389bbae665268c751",
            "data_batch_4": "634d18415352ddfa80567beed471001a",
            "data_batch_5": "482c414d41f54cd18b22e5b47cb7c3cb",
            "test_batch": "40351d587109b95175f43aff81a1287e",
            "batches.meta": "5ff9c542aee3614f3951f8cda6e48888",
        },
        site="https://www.cs.toronto.edu/~kriz",
        archives={"cifar-10-python.tar.gz": "c58f30108f718f92721af3b95e74349a"},
        unpacked="cifar-10-batches-py",
        megabytes=170,
    ),
    Entry(
        name="cifar100",
        title="CIFAR-100",
        layout="cifar",
        folders=("cifar-100-python",),
        images=(3, 32, 100),
        files=("train", "test", "meta"),
        md5={
            "train": "16019d7e3df5f24257cddd939b257f8d",
            "test": "f0ef6b0ae62326f3e7ffdfab6717acfc",
            "meta": "7973b15100ade9c7d40fb424638fde48",
        },
        site="https://www.cs.toronto.edu/~kriz",
        archives={"cifar-100-python.tar.gz": "eb9058c3a382ffc7106e4002c42a8d85"},
        unpacked="cifar-100-python",
        megabytes=169,
    ),
    Entry(
        name="stl10",
        title="STL-10",
        layout="stl10",
        folders=("stl10_binary",),
        images=(3, 96, 10),
        files=("train_X.bin", "train_y.bin", "test_X.bin", "test_y.bin", "unlabeled_X.bin"),
        md5={
            "train_X.bin": "918c2871b30a85fa023e0c44e0bee87f",
            "train_y.bin": "5a34089d4802c674881badbb80307741",
            "test_X.bin": "7f263ba9f9e0b06b93213547f721ac82",
            "test_y.bin": "36f9794fa4beb8a2c72628de14fa638e",
            "unlabeled_X.bin": "5242ba1fed5e4be9e1e742405eb56ca4",
        },
        optional=("unlabeled_X.bin",),
        classes=dict(enumerate(_ANIMALS_AND_VEHICLES)),
        site="https://ai.stanford.edu/~acoates/stl10",
        archives={"stl10_binary.tar.gz": "91f7769df0f17e558f3565bffb0c7dfb"},
        unpacked="stl10_binary",
        megabytes=2640,
    ),
    Entry(
        name="imagenet",
        title="ImageNet",
        layout="tree",
        folders=("imagenet",),
        images=(3, 160, 1000),
        files=_TREE,
        origin="the ILSVRC2012 archives from image-net.org (an account is needed), unpacked as "
        "imagenet/train/WNID/*.JPEG and imagenet/val/WNID/*.JPEG",
    ),
    Entry(
        name="imagenette",
        title="Imagenette",
        layout="tree",
        folders=("imagenette2", "imagenette2-320", "imagenette2-160"),
        images=(3, 160, 10),
        files=_TREE,
        classes=_IMAGENETTE,
        site="https://s3.amazonaws.com/fast-ai-imageclas",
        archives={"imagenette2-320.tgz": "3df6f0d01a2c9592104656642f5e78a3"},
        unpacked="imagenette2-320",
        megabytes=342,
    ),
    Entry(
        name="us-precipitation",
        title="US precipitation",
        layout="precipitation",
        folders=("us-precipitation",),
        reader="plastorch.data.tables.weather",
        files=("noaa_hpd_hourly_2014_2018.npz",),
        origin="the stations' hours in NOAA's Hourly Precipitation Data (ncei.noaa.gov), as arrays "
        "in us-precipitation/noaa_hpd_hourly_2014_2018.npz that "
        "plastorch.data.tables.weather describes",
    ),
    Entry(
        name="metadata",
        title="Labeled metadata",
        layout="records",
        folders=("metadata",),
        reader="plastorch.data.tables.records",
        files=tuple(
            f"{table}.csv.gz"
            for table in (
                *("adult", "krkopt", "nursery", "mushroom"),
                *("debian_files", "debian_packages"),
            )
        ),
        origin="adult, krkopt (Chess King-Rook vs. King), nursery and mushroom from "
        "archive.ics.uci.edu, debian_files and debian_packages from a Debian 13 system and its "
        "index of packages, as tables metadata/NAME.csv.gz that "
        "plastorch.data.tables.records describes",
    ),
    Entry(
        name="speech-commands",
        title="Speech Commands",
        layout="commands",
        folders=(
            "speech_commands",
            "speech_commands_v0.02",
            "SpeechCommands/speech_commands_v0.02",
        ),
        reader="plastorch.data.audio.recordings",
        origin="Google's archive speech_commands_v0.02.tar.gz from download.tensorflow.org, "
        "unpacked as speech_commands/WORD/*.wav with its lists beside the words",
    ),
    Entry(
        name="fsdd",
        title="Free Spoken Digits",
        layout="digits",
        folders=("fsdd", "free-spoken-digit-dataset"),
        reader="plastorch.data.audio.recordings",
        origin="the repository github.com/Jakobovski/free-spoken-digit-dataset, "
        "as fsdd/recordings/*.wav",
    ),
)

CATALOG: Mapping[str, Entry] = {entry.name: entry for entry in _ENTRIES}


def entry_of(name: str) -> Entry:
    """Returns the description of a set; raises InputError if there is none of this name."""
    check_one_of(CATALOG, name=name)
    return CATALOG[name]
