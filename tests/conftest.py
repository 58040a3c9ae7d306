"""Options and fixtures that all tests share; writers of the official data formats among them."""

import fcntl
import pickle
import resource
import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.error import URLError
from urllib.request import BaseHandler

import numpy as np
import pytest
import torch
from hypothesis import settings
from PIL import Image

from plastorch.data import download

# How long an example takes depends on what else the machine does.
settings.register_profile("plastorch", deadline=None)
settings.load_profile("plastorch")

MOST_BYTES = 8 << 30
"""Of memory that a process of tests may take, before it takes the machine's."""


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--golden",
        default=Path(__file__).parent / "golden",
        type=Path,
        help="folder of golden vectors",
    )


def pytest_configure() -> None:
    _, most = resource.getrlimit(resource.RLIMIT_DATA)
    resource.setrlimit(resource.RLIMIT_DATA, (MOST_BYTES, most))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """What tests tell by ``record_property("told", ...)``, from all processes."""
    for report in terminalreporter.getreports("passed"):
        for name, text in report.user_properties:
            if name == "told" and report.when == "call":
                terminalreporter.write_line(str(text))


@pytest.fixture(autouse=True, scope="session")
def one_thread() -> None:
    """Tests run side by side; more threads than cores would only make them wait for each other."""
    torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def denormals_count() -> Iterator[None]:
    """Tests of the command line flush denormal numbers in their process; others don't."""
    yield
    torch.set_flush_denormal(False)


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Each test has an empty user cache of its own."""
    cache = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("XDG_CACHE_HOME", str(cache))
    return cache


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every download fails, as on a machine without a network."""

    class Refusal(BaseHandler):
        def https_open(self, asked: object) -> None:
            raise URLError("no network in tests")

    monkeypatch.setattr(download, "HANDLERS", (Refusal,))


@pytest.fixture
def no_root(monkeypatch: pytest.MonkeyPatch) -> None:
    """No data root is named, and the default one is empty."""
    monkeypatch.delenv("PLASTORCH_DATA", raising=False)


@pytest.fixture
def one_ray(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> Iterator[None]:
    """Of tests that start Ray, one does at a time; its processes are not nice to others."""
    monkeypatch.setenv("RAY_worker_niceness", "0")
    with open(tmp_path_factory.getbasetemp().parent / "ray.lock", "w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


@pytest.fixture
def write_idx() -> Callable[[Path, np.ndarray], None]:
    def write(path: Path, array: np.ndarray) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        header = struct.pack(f">BBBB{array.ndim}I", 0, 0, 8, array.ndim, *array.shape)
        path.write_bytes(header + array.astype(np.uint8).tobytes())

    return write


@pytest.fixture
def mnist_root(tmp_path: Path, write_idx: Callable[[Path, np.ndarray], None]) -> Path:
    """A data root with 30 + 20 random digits in both IDX sets."""
    rng = np.random.default_rng(0)
    for folder in ("MNIST", "FashionMNIST"):
        for part, count in (("train", 30), ("t10k", 20)):
            raw = tmp_path / folder / "raw"
            write_idx(raw / f"{part}-images-idx3-ubyte", rng.integers(0, 256, (count, 28, 28)))
            write_idx(raw / f"{part}-labels-idx1-ubyte", np.arange(count) % 10)
    return tmp_path


@pytest.fixture
def cifar_root(tmp_path: Path) -> Path:
    """A data root with both CIFAR sets: bytes keys in CIFAR-10, text keys in CIFAR-100."""
    rng = np.random.default_rng(1)
    ten, hundred = tmp_path / "cifar-10-batches-py", tmp_path / "cifar-100-python"
    for folder in (ten, hundred):
        folder.mkdir()

    def batch(count: int) -> np.ndarray:
        return rng.integers(0, 256, (count, 3072), dtype=np.uint8)

    for name in (*(f"data_batch_{i}" for i in range(1, 6)), "test_batch"):
        content = {b"data": batch(10), b"labels": list(range(10)), b"batch_label": b"one of six"}
        (ten / name).write_bytes(pickle.dumps(content, protocol=2))
    names = [f"class{i}".encode() for i in range(10)]
    (ten / "batches.meta").write_bytes(pickle.dumps({b"label_names": names}, protocol=2))
    for name, count in (("train", 12), ("test", 7)):
        fine = [i % 100 for i in range(count)]
        content = {"data": batch(count), "fine_labels": fine, "coarse_labels": [0] * count}
        (hundred / name).write_bytes(pickle.dumps(content, protocol=2))
    fine_names = [f"fine{i}" for i in range(100)]
    (hundred / "meta").write_bytes(pickle.dumps({"fine_label_names": fine_names}, protocol=4))
    return tmp_path


@pytest.fixture
def stl10_root(tmp_path: Path) -> Path:
    """A data root with 4 + 3 labelled and 5 unlabelled STL-10 images, none symmetric."""
    folder = tmp_path / "stl10_binary"
    folder.mkdir()
    rng = np.random.default_rng(2)
    for name, count in (("train", 4), ("test", 3), ("unlabeled", 5)):
        images = rng.integers(0, 256, (count, 3, 96, 96), dtype=np.uint8)
        images[:, :, :10, :] = 255  # a bright band along the top: rows, not columns
        images.transpose(0, 1, 3, 2).tofile(folder / f"{name}_X.bin")
        if name != "unlabeled":
            (1 + np.arange(count, dtype=np.uint8)).tofile(folder / f"{name}_y.bin")
    names = ["airplane", "bird", "car", "cat", "deer", "dog", "horse", "monkey", "ship", "truck"]
    (folder / "class_names.txt").write_text("\n".join(names) + "\n")
    return tmp_path


@pytest.fixture
def write_tree() -> Callable[..., Path]:
    def write(
        root: Path,
        sizes: tuple[tuple[int, int], ...],
        parts: tuple[str, str] = ("train", "test"),
        mode: str = "L",
        ending: str = "png",
        classes: tuple[str, ...] = ("cat", "dog"),
    ) -> Path:
        """Writes one image per size (width, height) into each class of both parts."""
        rng = np.random.default_rng(3)
        for part in parts:
            for name in classes:
                folder = root / part / name
                folder.mkdir(parents=True)
                for i, (width, height) in enumerate(sizes):
                    shape = (height, width) if mode == "L" else (height, width, 3)
                    pixels = rng.integers(0, 256, shape, dtype=np.uint8)
                    Image.fromarray(pixels).save(folder / f"{i}.{ending}")
        return root

    return write
