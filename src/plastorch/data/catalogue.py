"""What is known of each named set: its folders, files, checksums and official site."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from plastorch.engine.errors import InputError, meant


@dataclass(frozen=True)
class Entry:
    """One named set.

    Attributes:
        title: The name shown to people.
        layout: Which reader understands it: ``idx``, ``cifar``, ``stl10`` or ``tree``, which are
            images, ``precipitation``, ``records``, ``commands`` or ``digits``.
        folders: Where it may lie in the data root, the preferred place first.
        files: The official files; a tree or a set of recordings has none.
        md5: Official checksums, by file name, as far as they are published.
        optional: Files that may be missing.
        classes: Class names by label, where the files don't hold them; by folder for Imagenette.
        torchvision: The class of ``torchvision.datasets`` that downloads it; empty if none may.
        options: Arguments of that class.
        downloaded: The folder that the download makes.
        site: An address of the official site, to ask whether it answers.
        megabytes: Size of the download.
        origin: Where to get a set that has no download, in words.
    """

    title: str
    layout: str
    folders: tuple[str, ...]
    files: tuple[str, ...] = ()
    md5: Mapping[str, str] = field(default_factory=dict)
    optional: tuple[str, ...] = ()
    classes: Mapping[int | str, str] = field(default_factory=dict)
    torchvision: str = ""
    options: Mapping[str, str] = field(default_factory=dict)
    downloaded: str = ""
    site: str = ""
    megabytes: int = 0
    origin: str = ""

    @property
    def how_to_get(self) -> str:
        """One sentence on the official way to the set."""
        if self.torchvision:
            return f"a download of {self.megabytes:,} MB from {self.site.split('/')[2]}"
        if self.origin:
            return self.origin
        folder = self.folders[0]
        return (
            "the ILSVRC2012 archives from image-net.org (an account is needed), "
            f"unpacked as {folder}/train/WNID/*.JPEG and {folder}/val/WNID/*.JPEG"
        )


_IDX = (
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
)
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

CATALOGUE: Mapping[str, Entry] = {
    "mnist": Entry(
        "MNIST",
        "idx",
        ("MNIST/raw",),
        _IDX,
        {
            "train-images-idx3-ubyte": "6bbc9ace898e44ae57da46a324031adb",
            "train-labels-idx1-ubyte": "a25bea736e30d166cdddb491f175f624",
            "t10k-images-idx3-ubyte": "2646ac647ad5339dbf082846283269ea",
            "t10k-labels-idx1-ubyte": "27ae3e4e09519cfbb04c329615203637",
            "train-images-idx3-ubyte.gz": "f68b3c2dcbeaaa9fbdd348bbdeb94873",
            "train-labels-idx1-ubyte.gz": "d53e105ee54ea40749a09fcbcd1e9432",
            "t10k-images-idx3-ubyte.gz": "9fb629c4189551a2d022fa330f9573f3",
            "t10k-labels-idx1-ubyte.gz": "ec29112dd5afa0611ce80d1b7f02629c",
        },
        classes={digit: str(digit) for digit in range(10)},
        torchvision="MNIST",
        downloaded="MNIST/raw",
        site="https://ossci-datasets.s3.amazonaws.com/mnist/train-labels-idx1-ubyte.gz",
        megabytes=12,
    ),
    "fashion-mnist": Entry(
        "Fashion-MNIST",
        "idx",
        ("FashionMNIST/raw",),
        _IDX,
        {
            "train-images-idx3-ubyte.gz": "8d4fb7e6c68d591d4c3dfef9ec88bf0d",
            "train-labels-idx1-ubyte.gz": "25c81989df183df01b3e8a0aad5dffbe",
            "t10k-images-idx3-ubyte.gz": "bef4ecab320f06d8554ea6380940ec79",
            "t10k-labels-idx1-ubyte.gz": "bb300cfdad3c16e7a12a480ee83cd310",
        },
        classes=dict(enumerate(_CLOTHES)),
        torchvision="FashionMNIST",
        downloaded="FashionMNIST/raw",
        site="http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/"
        "train-labels-idx1-ubyte.gz",
        megabytes=31,
    ),
    "cifar10": Entry(
        "CIFAR-10",
        "cifar",
        ("cifar-10-batches-py",),
        (*(f"data_batch_{i}" for i in range(1, 6)), "test_batch", "batches.meta"),
        {
            "data_batch_1": "c99cafc152244af753f735de768cd75f",
            "data_batch_2": "d4bba439e000b95fd0a9bffe97cbabec",
            "data_batch_3": "54ebc095f3ab1f0389bbae665268c751",
            "data_batch_4": "634d18415352ddfa80567beed471001a",
            "data_batch_5": "482c414d41f54cd18b22e5b47cb7c3cb",
            "test_batch": "40351d587109b95175f43aff81a1287e",
            "batches.meta": "5ff9c542aee3614f3951f8cda6e48888",
        },
        torchvision="CIFAR10",
        downloaded="cifar-10-batches-py",
        site="https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz",
        megabytes=170,
    ),
    "cifar100": Entry(
        "CIFAR-100",
        "cifar",
        ("cifar-100-python",),
        ("train", "test", "meta"),
        {
            "train": "16019d7e3df5f24257cddd939b257f8d",
            "test": "f0ef6b0ae62326f3e7ffdfab6717acfc",
            "meta": "7973b15100ade9c7d40fb424638fde48",
        },
        torchvision="CIFAR100",
        downloaded="cifar-100-python",
        site="https://www.cs.toronto.edu/~kriz/cifar-100-python.tar.gz",
        megabytes=169,
    ),
    "stl10": Entry(
        "STL-10",
        "stl10",
        ("stl10_binary",),
        ("train_X.bin", "train_y.bin", "test_X.bin", "test_y.bin", "unlabeled_X.bin"),
        {
            "train_X.bin": "918c2871b30a85fa023e0c44e0bee87f",
            "train_y.bin": "5a34089d4802c674881badbb80307741",
            "test_X.bin": "7f263ba9f9e0b06b93213547f721ac82",
            "test_y.bin": "36f9794fa4beb8a2c72628de14fa638e",
            "unlabeled_X.bin": "5242ba1fed5e4be9e1e742405eb56ca4",
        },
        optional=("unlabeled_X.bin",),
        classes=dict(enumerate(_ANIMALS_AND_VEHICLES)),
        torchvision="STL10",
        downloaded="stl10_binary",
        site="http://ai.stanford.edu/~acoates/stl10/stl10_binary.tar.gz",
        megabytes=2640,
    ),
    "imagenet": Entry("ImageNet", "tree", ("imagenet",)),
    "imagenette": Entry(
        "Imagenette",
        "tree",
        ("imagenette2", "imagenette2-320", "imagenette2-160"),
        classes=_IMAGENETTE,
        torchvision="Imagenette",
        options={"size": "320px"},
        downloaded="imagenette2-320",
        site="https://s3.amazonaws.com/fast-ai-imageclas/imagenette2-320.tgz",
        megabytes=342,
    ),
    "us-precipitation": Entry(
        "US precipitation",
        "precipitation",
        ("us-precipitation",),
        ("noaa_hpd_hourly_2014_2018.npz",),
        origin="the stations' hours in NOAA's Hourly Precipitation Data (ncei.noaa.gov), as arrays "
        "in us-precipitation/noaa_hpd_hourly_2014_2018.npz that plastorch.data.weather describes",
    ),
    "metadata": Entry(
        "Labelled metadata",
        "records",
        ("metadata",),
        tuple(
            f"{table}.csv.gz"
            for table in (
                *("adult", "krkopt", "nursery", "mushroom"),
                *("debian_files", "debian_packages"),
            )
        ),
        origin="adult, krkopt (Chess King-Rook vs. King), nursery and mushroom from "
        "archive.ics.uci.edu, debian_files and debian_packages from a Debian 13 system and its "
        "index of packages, as tables metadata/NAME.csv.gz that plastorch.data.tables describes",
    ),
    "speech-commands": Entry(
        "Speech Commands",
        "commands",
        ("speech_commands", "speech_commands_v0.02", "SpeechCommands/speech_commands_v0.02"),
        origin="Google's archive speech_commands_v0.02.tar.gz from download.tensorflow.org, "
        "unpacked as speech_commands/WORD/*.wav with its lists beside the words",
    ),
    "fsdd": Entry(
        "Free Spoken Digits",
        "digits",
        ("fsdd", "free-spoken-digit-dataset"),
        origin="the repository github.com/Jakobovski/free-spoken-digit-dataset, "
        "as fsdd/recordings/*.wav",
    ),
}


def entry_of(name: str) -> Entry:
    """Returns what is known of a set.

    Args:
        name: Such as ``"cifar10"``.

    Returns:
        Its entry.

    Raises:
        InputError: There is no such set.

    Example:
        >>> entry_of("cifar10").folders
        ('cifar-10-batches-py',)
    """
    if name not in CATALOGUE:
        expected = f"expected one of {', '.join(CATALOGUE)}{meant(name, CATALOGUE)}"
        raise InputError(f"name: {name!r} found; {expected}")
    return CATALOGUE[name]
