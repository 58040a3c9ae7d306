"""Analyses of a deep SoftHebb run's network: fields, patches and features of some neurons."""

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from plastorch.data import ImageSet
from plastorch.engine.run import Record
from plastorch.engine.streams import stream
from plastorch.hebbian.analysis.embedding import embedding
from plastorch.hebbian.analysis.fields import smooth_receptive_fields
from plastorch.hebbian.analysis.filters import first_layer_filters, select_neurons
from plastorch.hebbian.analysis.patches import top_patches
from plastorch.hebbian.analysis.sensitivity import LabeledImages
from plastorch.hebbian.features import FeatureExtraction
from plastorch.hebbian.networks import SoftHebbNet, blocks_of
from plastorch.hebbian.streams import Stream
from plastorch.learning.phases import Phase, run_phase

MAX_NEURONS = 24
"""Maximum number of receptive fields per layer."""
MAX_IMAGES = 2000
"""Maximum number of test images that are searched for top patches, and embedded."""
SWEPT_IMAGES = 10_000


class Analyses(Phase):
    """The analyses as a phase, one per :meth:`step`; their results are in ``arrays``.

    They cost little compared with training: a layer has at most a 60th as many receptive fields as
    there are training images, because each takes about as long as 20 images. For random weights,
    whose receptive fields are noise, ``fields`` is False.
    """

    def __init__(self, net: SoftHebbNet, images: ImageSet, seed: int, fields: bool = True) -> None:
        self.net, self.seed = net, seed
        rows = torch.randperm(
            len(images.test_labels), generator=stream(seed, Stream.ANALYZED_IMAGES)
        )[:MAX_IMAGES]
        self.images, self.labels = images.test_images[rows], images.test_labels[rows]
        self.extraction = FeatureExtraction(net, self.images, batch_size=100)
        neurons = min(MAX_NEURONS, len(images.train_labels) // 60)
        layers = range(1, len(net.blocks) + 1)
        self.arrays: dict[str, Tensor] = {}
        self.jobs: list[Callable[[], dict[str, Tensor]]] = [self._filters]
        if fields and neurons:
            self.jobs += [partial(self._fields, layer, neurons) for layer in layers]
        self.jobs += [partial(self._patches, layer) for layer in layers]
        if len(rows) > 2:
            self.jobs += [self._features] * self.extraction.total + [self._embedding]
        super().__init__("analyses", len(self.jobs))

    def step(self) -> list[Record]:
        """Runs one analysis."""
        found = self.jobs[self.position]()
        self.arrays |= {name: value.cpu().contiguous() for name, value in found.items()}
        self.position += 1
        return []

    def _filters(self) -> dict[str, Tensor]:
        count = blocks_of(self.net)[0].spec.out_channels
        return {"filters": first_layer_filters(self.net, count)}

    def _fields(self, layer: int, count: int) -> dict[str, Tensor]:
        neurons = select_neurons(self.net, layer, count)
        return {f"receptive_fields_layer{layer}": smooth_receptive_fields(self.net, layer, neurons)}

    def _patches(self, layer: int) -> dict[str, Tensor]:
        neurons = select_neurons(self.net, layer, MAX_NEURONS)[:: MAX_NEURONS // 4]
        found = top_patches(self.net, self.images, layer, neurons)
        return {f"top_patches_layer{layer}": found.patches}

    def _features(self) -> dict[str, Tensor]:
        self.extraction.step()
        return {}

    def _embedding(self) -> dict[str, Tensor]:
        run_phase(self.extraction)  # if it is not at its end, after a restart
        points = embedding(self.extraction.features, self.seed)
        return {"embedding": points, "embedding_labels": self.labels}


def some_images(images: ImageSet, seed: int) -> LabeledImages:
    """Returns a part of an image set, small enough to train many networks on."""
    random = stream(seed, Stream.SWEPT_IMAGES)
    train = torch.randperm(len(images.train_labels), generator=random)[:SWEPT_IMAGES]
    test = torch.randperm(len(images.test_labels), generator=random)[: SWEPT_IMAGES // 5]
    return LabeledImages(
        images.train_images[train],
        images.train_labels[train],
        images.test_images[test],
        images.test_labels[test],
        len(images.classes),
    )
