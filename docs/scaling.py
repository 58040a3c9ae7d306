"""What more workers give to SoftHebb: a model whose constants were measured, or are told."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from math import ceil, log2

from matplotlib.figure import Figure
from results import RESULTS

from plastorch.hebbian import preset
from plastorch.report import charts

ROWS = {
    row["name"]: row for row in json.loads((RESULTS / "bench-workers.json").read_text())["rows"]
}
IMAGES = 1_281_167
"""Of ImageNet's training set."""
SIDE = 160


@dataclass(frozen=True)
class Links:
    """How fast workers add up what each of them has.

    Args:
        wait: seconds that a sum takes even of nothing, between two.
        bytes_per_s: of a large sum.
    """

    wait: float
    bytes_per_s: float

    def seconds(self, workers: int, sums: float, size: float) -> float:
        """Of some sums of so many bytes in all; large ones go round in a ring."""
        if workers == 1:
            return 0.0
        around = 2 * (workers - 1) / workers
        return sums * self.wait * ceil(log2(workers)) + around * size / self.bytes_per_s


def measured_links() -> Links:
    """Of two processes on one machine; their ring is one way to and fro: 2 (2 - 1) / 2 = 1."""
    small, large = ROWS["sum-4B"], ROWS["sum-64MB"]
    return Links(small["ours_s"], large["bytes"] / (large["ours_s"] - small["ours_s"]))


def own_seconds(size: float) -> float:
    """Of what every worker does by itself, whatever its part of a batch.

    It grows with the bytes of the weights: it is what is left of CIFAR-10's step when there are no
    images, from its two sizes of batch.
    """
    few, many = ROWS["cifar10-10"], ROWS["cifar10-100"]
    per_image = (many["peer_s"] - few["peer_s"]) / (many["batch"] - few["batch"])
    left: float = few["peer_s"] - per_image * few["batch"]
    return left * size / few["bytes"]


def predicted(name: str) -> tuple[float, float]:
    """Seconds of a step with two workers, as the model has it and as it was measured."""
    row = ROWS[name]
    own = own_seconds(row["bytes"])
    together = measured_links().seconds(2, row["sums"], row["bytes"])
    return own + (row["peer_s"] - own) / 2 + together, row["ours_s"]


@dataclass(frozen=True)
class Block:
    """What a block of ImageNet's costs: operations per image, and bytes of its weights."""

    forward: float
    bytes: float


def blocks() -> Iterator[Block]:
    """Those of the published network, from the first."""
    channels, side = 3, SIDE
    for spec in preset("imagenet").blocks:
        weights = spec.out_channels * channels * spec.kernel_size**2
        yield Block(2.0 * weights * side * side, 4.0 * weights)
        channels, side = spec.out_channels, side // 2


SUMS = ROWS["imagenet-8"]["sums"] / 4
"""Of a block that learns: its update and its batch statistics."""


@dataclass(frozen=True)
class Processor:
    """One worker's.

    Args:
        operations_per_s: that convolutions reach.
        bytes_per_s: that it reads from memory and writes.
    """

    operations_per_s: float
    bytes_per_s: float


GPU = Processor(60e12, 1.5e12)
"""Assumed, of data sheets: a GPU of 156 TFLOP/s in TF32, of which 40 % are reached; 1.5 TB/s."""
IN_NODE, BETWEEN_NODES = Links(20e-6, 200e9), Links(50e-6, 20e9)
"""Assumed: eight GPUs on NVLink; machines with 200 Gbit/s for each of their eight GPUs."""


def measured_processor() -> Processor:
    """The CPU core of the measurement; its memory as fast as a copy, which reads and writes."""
    row, copy = ROWS["imagenet-8"], ROWS["sum-64MB"]
    work = 2 * sum(block.forward for block in list(blocks())[:4]) * row["batch"]
    return Processor(work / row["peer_s"], 2 * copy["bytes"] / copy["peer_s"])


def passes() -> float:
    """How often a worker goes by itself through the memory that its weights take, in a step."""
    return own_seconds(1) * measured_processor().bytes_per_s


def hours(processor: Processor, links: Links, workers: int, images: int) -> float:
    """Of all blocks, one after the other, one pass over ImageNet each.

    Args:
        processor: of each worker.
        links: between them.
        workers: how many.
        images: of a batch, per worker.
    """
    steps, total, before = IMAGES / (images * workers), 0.0, 0.0
    for block in blocks():
        work = (before + 2 * block.forward) * images / processor.operations_per_s
        own = passes() * block.bytes / processor.bytes_per_s
        total += steps * (work + own + links.seconds(workers, SUMS, block.bytes))
        before += block.forward
    return total / 3600


def settings() -> dict[str, tuple[Processor, Links, int]]:
    """What is compared: processor, links and workers, by name."""
    return {
        "1 core, measured": (measured_processor(), measured_links(), 1),
        "1 GPU": (GPU, IN_NODE, 1),
        "8 GPUs": (GPU, IN_NODE, 8),
        "100 nodes, 800 GPUs": (GPU, BETWEEN_NODES, 800),
    }


def draw_hours() -> Figure:
    """Hours of training against images per worker and step."""
    sizes = [1, 2, 5, 10, 20, 50, 100, 200]
    _, *compared = settings().items()
    curves = {name: [sizes, [hours(*of, size) for size in sizes]] for name, of in compared}
    return charts.lines({"": curves}, x="images per GPU and step", log="xy", y_unit="h")
