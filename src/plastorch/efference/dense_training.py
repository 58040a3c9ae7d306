"""Training of a segmenter or a detector on scenes."""

import math

import torch
from torch import nn

from plastorch.data.tasks.scenes import Scenes
from plastorch.efference.dense import DenseNet
from plastorch.engine.errors import InputError, check_positive
from plastorch.engine.streams import seeded, stream

WEIGHT_DECAY, MOST_NORM = 1e-4, 1.0
"""Weight decay of AdamW, and maximum gradient norm over all parameters."""


def train_dense(
    network: DenseNet,
    scenes: Scenes,
    epochs: int = 10,
    *,
    batch_size: int = 16,
    learning_rate: float = 3e-3,
    path: tuple[int, ...] = (0,),
) -> list[float]:
    """Trains the head of a network by AdamW; the encoder's maps are computed once.

    Args:
        network: network to train, on its device.
        scenes: training scenes, on any device.
        epochs: number of epochs.
        batch_size: number of scenes per update.
        learning_rate: initial learning rate; it decays to 0 along half a cosine.
        path: random seed of order, dropout and sampled regions, then numbers that identify the
            training among others with that seed.

    Returns:
        Mean loss in each epoch.

    Raises:
        InputError: the scenes have another number of classes, or a number is not positive.
    """
    check_positive(epochs=epochs, batch_size=batch_size, learning_rate=learning_rate)
    if len(scenes.classes) != network.classes:
        raise InputError(
            f"scenes have {len(scenes.classes)} classes; expected {network.classes}, as the network"
        )
    learners = network.learners()
    device = learners[0].device
    optimizer = torch.optim.AdamW(learners, learning_rate, weight_decay=WEIGHT_DECAY)
    network.train()
    parts = torch.split(scenes.images, batch_size)
    maps = torch.cat([network.feature_map(part.to(device)) for part in parts])
    losses = []
    for epoch in range(epochs):
        random = stream(*path, epoch)
        batches = torch.split(torch.randperm(len(scenes), generator=random), batch_size)
        total = torch.zeros((), dtype=torch.float64, device=device)
        with seeded(random.initial_seed(), device):
            for place, rows in enumerate(batches):
                done = (epoch + place / len(batches)) / epochs
                optimizer.param_groups[0]["lr"] = learning_rate * (1 + math.cos(math.pi * done)) / 2
                batch = scenes.take(rows.to(scenes.owners.device)).to(device)
                loss = network.loss(maps[rows.to(device)], batch)
                optimizer.zero_grad()
                loss.backward()  # type: ignore[no-untyped-call]
                nn.utils.clip_grad_norm_(learners, MOST_NORM)
                optimizer.step()
                total += loss.detach() * len(rows)
        losses.append(float(total) / len(scenes))
    return losses
