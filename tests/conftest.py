"""Options and fixtures that all tests share; writers of the official data formats among them."""

import fcntl
import json
import pickle
import resource
import shutil
import signal
import struct
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.request import BaseHandler

import numpy as np
import pytest
import torch
from hypothesis import settings
from PIL import Image
from safetensors.numpy import save_file

from plastorch.data import download
from plastorch.hebbian import BlockSpec, NetworkSpec, Pool, SoftHebbNet, pretrained
from plastorch.hebbian.prepared import handling

# How long an example takes depends on what else the machine does.
settings.register_profile("plastorch", deadline=None)
settings.load_profile("plastorch")

GOLDEN = Path(__file__).parent / "golden"
"""Folder of golden vectors that lacks none."""
MOST_BYTES = 8 << 30
"""Of memory that a process of tests may take, before it takes the machine's."""


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--golden",
        default=GOLDEN,
        type=Path,
        help="folder of golden vectors",
    )
    parser.addoption(
        "--from-nothing",
        action="store_true",
        help="let make set up a clone as a newcomer does, which fetches packages",
    )


def pytest_configure() -> None:
    _, most = resource.getrlimit(resource.RLIMIT_DATA)
    resource.setrlimit(resource.RLIMIT_DATA, (MOST_BYTES, most))


def golden_cases(config: pytest.Config, file: str) -> list[dict[str, Any]]:
    """Golden cases of a file, which another folder than the tests' may lack."""
    path = config.getoption("--golden") / f"{file}.json"
    return json.loads(path.read_text())["cases"] if path.exists() else []


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Runs a test with each case that its attribute `golden`, a file and a choice, names."""
    if not hasattr(metafunc.function, "golden"):
        return
    file, wanted = metafunc.function.golden
    found = [case for case in golden_cases(metafunc.config, file) if wanted(case)]
    assert found or metafunc.config.getoption("--golden") != GOLDEN, "no golden case of this kind"
    cases = [pytest.param(case, id=case["name"]) for case in found]
    skip = pytest.mark.skip(reason=f"the folder of golden vectors has no such case in {file}.json")
    metafunc.parametrize("case", cases or [pytest.param(None, marks=skip, id="none")])


@pytest.fixture
def golden_case(pytestconfig: pytest.Config) -> Callable[[str, str], dict[str, Any]]:
    """Finds a golden case by its file and name; the test is skipped if the folder lacks it."""

    def find(file: str, name: str) -> dict[str, Any]:
        for case in golden_cases(pytestconfig, file):
            if case["name"] == name:
                return case
        pytest.skip(f"the folder of golden vectors has no case {name} in {file}.json")

    return find


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


@pytest.fixture(autouse=True, scope="session")
def stops_are_heard() -> None:
    """A shell has what it runs in the background ignore Ctrl-C; some tests send it."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


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


@pytest.fixture(scope="session")
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
    """A data root with 4 + 3 labeled and 5 unlabeled STL-10 images, none symmetric."""
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


@pytest.fixture
def tiny_model(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of the package's networks, with one of 8 x 8 color images only, "tiny"."""
    folder = tmp_path_factory.mktemp("pretrained")
    monkeypatch.setattr(pretrained, "FOLDER", folder)
    block = BlockSpec(8, 3, padding=1, learning_rate=0.1, pool=Pool("avg", 2, 2))
    net = SoftHebbNet(
        NetworkSpec("tiny", (block,)), 3, 8, 2, generator=torch.Generator().manual_seed(0)
    )
    net.save(folder / "tiny.safetensors", torch.float16)
    card = pretrained.Card(
        name="tiny",
        experiment="softhebb-cifar10",
        paper="a paper",
        data="CIFAR-10",
        classes=["dark", "bright"],
        channels=3,
        image_size=8,
        images=handling(3, 8),
        accuracies={"test_accuracy": 0.8126, "ridge_accuracy": 0.83},
        stored_accuracy=0.8125,
        seed=2,
        command="plastorch run softhebb-cifar10 --seed 2",
        commit="0.1.0",
        license="Apache-2.0",
        data_license="none stated",
        sha256=pretrained.sha256_of(folder / "tiny.safetensors"),
    )
    (folder / "tiny.json").write_text(card.text())
    return folder


CLASSES = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]
MakeRun = Callable[..., Path]


def gabor_filters(count: int, channels: int, size: int) -> np.ndarray:
    """Oriented, colored gratings with a little noise, as a trained first layer has them."""
    random = np.random.default_rng(3)
    y, x = np.mgrid[:size, :size] - (size - 1) / 2
    angle, phase = random.uniform(0, np.pi, count), random.uniform(0, 2 * np.pi, count)
    waves = x * np.cos(angle)[:, None, None] + y * np.sin(angle)[:, None, None]
    grating = np.cos(random.uniform(0.4, 1.6, count)[:, None, None] * waves + phase[:, None, None])
    tint = random.normal(size=(count, channels, 1, 1))
    noise = random.normal(scale=0.1, size=(count, channels, size, size))
    return (grating[:, None] * tint + noise).astype(np.float32)


def unsupervised_rows(layers: int, steps: int = 50) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    for layer in range(layers):
        neurons = 96 * 4**layer
        for step in range(1, steps + 1):
            decay = float(np.exp(-step / (6 + 4 * layer)))
            rows.append(
                {
                    "phase": "unsupervised",
                    "layer": layer,
                    "step": 100 * step,
                    "examples": 1000 * step,
                    "radius_mean": 1 + 20 * decay,
                    "radius_std": 2 * decay,
                    "radius_distance": 20 * decay,
                    "r1_neurons": int(neurons * (1 - decay) ** 3),
                    "neurons": neurons,
                    "rate_mean": 0.1 * decay,
                    "winner_probability": 0.9 - 0.3 * (1 - decay) - 0.1 * layer,
                }
            )
    return rows


def readout_rows(epochs: int) -> list[dict[str, Any]]:
    return [
        {
            "phase": "readout",
            "epoch": epoch,
            "loss": 2.0 / epoch,
            "train_accuracy": 0.86 - 0.3 / epoch,
            "test_accuracy": 0.80 - 0.2 / epoch,
            "learning_rate": 0.001,
        }
        for epoch in range(1, epochs + 1)
    ]


def confusion_matrix(classes: int) -> np.ndarray:
    random = np.random.default_rng(5)
    matrix = random.integers(0, 2 + 380 // classes, (classes, classes))
    matrix[np.diag_indices(classes)] = 1000 - matrix.sum(axis=1) + matrix.diagonal()
    return matrix.astype(np.int64)


def claims(measured: float, quick: bool) -> list[dict[str, Any]]:
    rows = [
        ("accuracy", "Three SoftHebb layers reach the published test accuracy within one point",
         0.793, measured, measured >= 0.793, "paper"),
        ("beats-random", "Test accuracy is above that of the same network with random weights",
         0.6524, measured, True, "ours"),
        ("norms", "Mean distance of the first layer's radii from 1 at the end is at most 0.05",
         0.05, 0.1312, False, "ours"),
        ("depth", "Each further layer adds to the accuracy; asserted over four seeds only",
         0.0, 0.0213, None, "paper"),
    ]  # fmt: skip
    names = ("id", "statement", "target", "measured", "holds", "origin")
    found = [dict(zip(names, row, strict=True)) for row in rows]
    return [claim | {"holds": None} if quick else claim for claim in found]


def write_run(
    runs: Path,
    *,
    experiment: str = "softhebb-cifar10",
    stamp: str = "20260131-174502",
    seed: int = 0,
    accuracy: float = 0.8012,
    classes: list[str] | None = None,
    channels: int = 3,
    layers: int = 3,
    epochs: int = 50,
    quick: bool = False,
    complete: bool = True,
    notice: str = "",
    changes: dict[str, Any] | None = None,
) -> Path:
    """A run folder with realistic files; `changes` replace fields of its result.json."""
    run = runs / experiment.replace("/", "_") / f"{stamp}-seed{seed}"
    run.mkdir(parents=True)
    names = CLASSES if classes is None else classes
    config = {"seed": seed, "depth": layers, "batch_size": 10, "competition": "softkrotov",
              "inverse_temperature": 1.0, "power": 0.7, "augment": False}  # fmt: skip
    result: dict[str, Any] = {
        "experiment": experiment,
        "paper": "Journé et al. 2023, Hebbian Deep Learning Without Feedback, arXiv 2209.11883",
        "config": config,
        "data": {"name": "CIFAR-10", "n_train": 50000, "n_test": 10000,
                 "source": "cifar-10-batches-py", "sha256": "6d958be0" * 8, "classes": names},
        "seed": seed,
        "metrics": {},
        "claims": [],
        "wall_s": 0.0,
        "device": "NVIDIA H100 80GB",
        "versions": {"python": "3.11.7", "torch": "2.13.0", "plastorch": "0.1.0"},
        "quick": quick,
        "complete": complete,
    }  # fmt: skip
    if notice:
        result["data"]["notice"] = notice
    if complete:
        result["metrics"] = {"test_accuracy": accuracy, "train_accuracy": 0.86,
                             "peak_memory_gb": 3.214, "unsupervised_s": 61.2,
                             "features_s": 4.31, "readout_s": 119.5}  # fmt: skip
        result["claims"] = claims(accuracy, quick)
        result["wall_s"] = 187.4
        arrays = {"confusion": confusion_matrix(len(names)),
                  "filters": gabor_filters(96, channels, 5)}  # fmt: skip
        save_file(arrays, run / "arrays.safetensors")
    rows = unsupervised_rows(layers) + (readout_rows(epochs) if complete else [])
    (run / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (run / "config.json").write_text(json.dumps(config))
    (run / "result.json").write_text(json.dumps(result | (changes or {})))
    return run


@pytest.fixture(scope="session")
def make_run() -> MakeRun:
    return write_run


CHROMIUM_FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking",
                  "--disable-component-update", "--disable-sync", "--no-first-run"]  # fmt: skip


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Headless Chromium, driven by Playwright."""
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("no chromium on the path")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=chromium, args=CHROMIUM_FLAGS)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def opened(browser: Any) -> Callable[..., AbstractContextManager[Any]]:
    """Opens a page, which on leaving has neither complained nor asked for anything but files."""

    @contextmanager
    def opened(path: Path, width: int, scheme: str, pixels: int = 1) -> Iterator[Any]:
        context = browser.new_context(
            viewport={"width": width, "height": 900},
            device_scale_factor=pixels,
            color_scheme=scheme,
        )
        page = context.new_page()
        complaints: list[str] = []
        requests: list[str] = []
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("dialog", lambda dialog: (complaints.append(dialog.message), dialog.dismiss()))
        page.on("request", lambda request: requests.append(request.url))
        try:
            page.goto(path.as_uri(), wait_until="load")
            yield page
        finally:
            context.close()
        assert complaints == []
        assert [url for url in requests if not url.startswith(("file:", "data:", "blob:"))] == []

    return opened


SHOWN_WHOLE = """() => new Promise(done => requestAnimationFrame(() => {
    document.getAnimations().forEach(animation => animation.finish()); done()
}))"""
"""Lets what fades in be there: half faded, it lacks contrast."""


@pytest.fixture(scope="session")
def barriers() -> Callable[[Any], list[tuple[str, list[str]]]]:
    """Finds what axe calls a barrier in a page, with all that is folded in it open."""
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe is missing")

    def barriers(page: Any) -> list[tuple[str, list[str]]]:
        page.evaluate("document.querySelectorAll('details').forEach(d => d.open = true)")
        page.evaluate(SHOWN_WHOLE)
        # It would fetch style sheets anew, which a page may not do that is read from a file.
        found = axe.Axe().run(page, options={"preload": False}).response
        assert len(found["passes"]) > 10
        return [
            (violation["id"], [node["html"] for node in violation["nodes"]])
            for violation in found["violations"]
        ]

    return barriers
