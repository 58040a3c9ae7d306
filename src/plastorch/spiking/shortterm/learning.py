"""Long-term learning of a circuit from still images, by spikes and without labels."""

from collections.abc import Callable

import torch
from torch import Tensor

from plastorch.data.tasks.streams import Transforms, film
from plastorch.engine.errors import InputError, check_positive
from plastorch.engine.run import Record
from plastorch.engine.streams import stream
from plastorch.learning import set_gradients
from plastorch.learning.phases import EpochOrder, Phase
from plastorch.spiking.shortterm.layer import ShortTermWTA
from plastorch.spiking.shortterm.rule import ShortTermState, initial_state
from plastorch.spiking.shortterm.streams import Learning


class SpikeLearning(Phase):
    """Training phase: images are shown one after the other, and neurons that spike learn.

    Images are in [0, 1], float [N, H, H]. Each of the ``passes`` has its own order and shows
    ``together`` images per step, with pixel noise of standard deviation ``noise``; ``path`` is the
    random seed, and identifies the random stream. ``encoder`` converts frames [T, S, H²] to the
    circuit's inputs in [0, 1], [T, S, D]; without one, pixels are the inputs.
    """

    def __init__(
        self,
        net: ShortTermWTA,
        images: Tensor,
        *,
        passes: int,
        path: tuple[int, ...],
        noise: float = 0.15,
        together: int = 200,
        encoder: Callable[[Tensor], Tensor] | None = None,
        name: str = "learning",
    ) -> None:
        check_positive(passes=passes, together=together)
        if images.dim() != 3 or (encoder is None and images[0].numel() != net.in_features):
            raise InputError(
                f"images have shape {tuple(images.shape)}; expected (N, H, H) of "
                f"{net.in_features} pixels"
            )
        self.net, self.images, self.path, self.encoder = net, images, path, encoder
        self.shown = Transforms(noise=noise, frames=1)
        self.order = EpochOrder(len(images), together, *path, Learning.IMAGE_ORDER)
        super().__init__(name, passes * self.order.per_epoch)
        self.optimizer = torch.optim.SGD(net.parameters(), lr=1.0)
        self.state = initial_state(1, net.weight, net.short_term.site)

    def step(self) -> list[Record]:
        """Shows some images; returns a record at the end of each pass."""
        rows = self.order(self.position).unsqueeze(1)
        random = stream(*self.path, Learning.SPIKES, self.position)
        x = torch.cat(list(film(self.images, rows, self.shown, random))).flatten(2)
        x = x if self.encoder is None else self.encoder(x)
        step = self.net.learn(x, self.state, generator=random)
        set_gradients(self.net, step)
        self.optimizer.step()
        self.state = step.state
        self.position += 1
        if self.position % self.order.per_epoch:
            return []
        spikes = self.net.spikes
        return [
            {
                "phase": self.name,
                "epoch": self.position // self.order.per_epoch,
                "frames": len(self.images),
                "spikes": float(spikes.sum()),
                "neurons_in_use": float(torch.special.entr(spikes / spikes.sum()).sum().exp()),
                "norm": float(self.net.weight.norm(dim=1).mean()),
            }
        ]

    def state_dict(self) -> dict[str, Tensor]:
        """Returns short-term memory, and the traces of the inputs."""
        return self.state._asdict()

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Loads what :meth:`state_dict` returned; raises InputError if it is of another circuit, or
        holds numbers that are not finite."""
        from plastorch.engine.numba_options import check_arrays

        own = self.state_dict().items()
        check_arrays(**{name: (state[name], part.shape, part.dtype) for name, part in own})
        self.state = ShortTermState(**state)
