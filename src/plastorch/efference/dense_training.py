"""Training of a segmenter or a detector on scenes."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor, nn

from plastorch.data.tasks.scenes import Scenes
from plastorch.efference.dense import DenseNet
from plastorch.efference.probes import Apply, as_floats
from plastorch.engine.checkpoint import load_moments, moments
from plastorch.engine.device import generator
from plastorch.engine.errors import InputError, check_positive
from plastorch.engine.run import Record


@dataclass(frozen=True)
class DenseSettings:
    """Settings of training by AdamW.

    Args:
        epochs: number of epochs.
        batch_size: number of scenes per update.
        learning_rate: initial learning rate; it decays to 0 along half a cosine.
        weight_decay: weight decay of AdamW.
        max_norm: maximum gradient norm over all parameters.

    Raises:
        InputError: a value is out of range.
    """

    epochs: int = 10
    batch_size: int = 16
    learning_rate: float = 3e-3
    weight_decay: float = 1e-4
    max_norm: float = 1.0

    def __post_init__(self) -> None:
        check_positive(
            epochs=self.epochs,
            batch_size=self.batch_size,
            learning_rate=self.learning_rate,
            max_norm=self.max_norm,
        )
        if not self.weight_decay >= 0:
            raise InputError(f"weight_decay is {self.weight_decay}; expected 0 or more")


class DenseTraining:
    """Phase of a run in which a step is an epoch.

    The maps of a frozen encoder are computed once and kept. A step logs ``loss``, wall-clock
    ``seconds`` of the updates, and the results of ``validate``.

    Args:
        name: name of the phase.
        network: network to train, on its device.
        scenes: training scenes, on any device.
        settings: training settings.
        apply: function from uint8 images to the encoder's input.
        path: numbers that seed the order, dropout and sampled regions.
        validate: function that evaluates the network; its results are logged.

    Raises:
        InputError: the scenes have another number of classes.
    """

    def __init__(
        self,
        name: str,
        network: DenseNet,
        scenes: Scenes,
        settings: DenseSettings | None = None,
        apply: Apply = as_floats,
        path: tuple[int, ...] = (0,),
        validate: Callable[[DenseNet], Record] | None = None,
    ) -> None:
        if len(scenes.classes) != network.classes:
            raise InputError(
                f"scenes have {len(scenes.classes)} classes; expected {network.classes}, as the "
                "network"
            )
        self.name, self.network, self.scenes, self.apply = name, network, scenes, apply
        self.settings = DenseSettings() if settings is None else settings
        self.path, self.validate = path, validate
        self.position, self.total = 0, self.settings.epochs
        self.learners = network.learners()
        self.optimizer = torch.optim.AdamW(
            self.learners, self.settings.learning_rate, weight_decay=self.settings.weight_decay
        )

    def step(self) -> list[Record]:
        """Trains for one epoch, then validates."""
        start = time.perf_counter()
        random = generator(*self.path, self.position)
        order = torch.randperm(len(self.scenes), generator=random)
        batches = torch.split(order, self.settings.batch_size)
        total = torch.zeros((), dtype=torch.float64, device=self._device)
        self.network.train()
        with torch.random.fork_rng([self._device] if self._device.type == "cuda" else []):
            torch.manual_seed(random.initial_seed())
            for place, rows in enumerate(batches):
                done = (self.position + place / len(batches)) / self.total
                total += self._update(rows, (1 + math.cos(math.pi * done)) / 2) * len(rows)
        self.position += 1
        record: Record = {
            "phase": self.name,
            "epoch": self.position,
            "loss": float(total) / len(order),
            "seconds": round(time.perf_counter() - start, 4),
        }
        if self.validate is not None:
            record |= self.validate(self.network)
        return [record]

    def state_dict(self) -> dict[str, Tensor]:
        """Returns AdamW's moments; the weights belong to the model."""
        return moments(self.optimizer)

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Restores a state from :meth:`state_dict`."""
        load_moments(self.optimizer, state)

    def _update(self, rows: Tensor, share: float) -> Tensor:
        """Trains on one batch at a share of the learning rate and returns its loss."""
        scenes = self.scenes.take(rows.to(self.scenes.owners.device)).to(self._device)
        loss = self.network.loss(self._maps_of(rows, scenes), scenes)
        self.optimizer.param_groups[0]["lr"] = share * self.settings.learning_rate
        self.optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self.learners, self.settings.max_norm)
        self.optimizer.step()
        return loss.detach()

    def _maps_of(self, rows: Tensor, scenes: Scenes) -> Tensor:
        if self.network.finetune:
            return self.network.feature_map(self.apply(scenes.images))
        return self._maps[rows.to(self._device)]

    @cached_property
    def _maps(self) -> Tensor:
        """Maps of all scenes, computed on first use: a finished phase needs none."""
        parts = torch.split(self.scenes.images, self.settings.batch_size)
        return torch.cat(
            [self.network.feature_map(self.apply(part.to(self._device))) for part in parts]
        )

    @property
    def _device(self) -> torch.device:
        return self.learners[0].device
