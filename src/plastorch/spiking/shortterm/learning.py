"""Long-term learning of a circuit from still images, by spikes and without labels."""

import torch
from torch import Tensor

from plastorch.data.tasks.streams import Transforms, film
from plastorch.engine.device import generator
from plastorch.engine.errors import InputError, check_positive
from plastorch.engine.run import Record
from plastorch.spiking.shortterm.events import Timing, encode, learn
from plastorch.spiking.shortterm.longterm import LongTerm, LongTermState, initial_state
from plastorch.spiking.shortterm.rule import ShortTermWTA


class SpikeLearning:
    """Training phase: images are shown one after the other, and neurons that spike learn.

    Biases only keep all neurons in use during learning: then all neurons win equally often, and
    afterwards equal priors are biases of 0.

    Args:
        net: circuit on the CPU; its weights are learned, from random ones.
        images: images in [0, 1], float [N, H, H].
        constants: constants of learning.
        timing: rates and time constants of spikes; an image is shown for one frame.
        passes: number of passes over all images, each in its own order.
        path: numbers that seed weights, orders and spikes.
        noise: standard deviation of the pixel noise.
        together: number of images per step.

    Raises:
        InputError: if images don't fit the circuit.
    """

    name = "learning"

    def __init__(
        self,
        net: ShortTermWTA,
        images: Tensor,
        constants: LongTerm,
        timing: Timing,
        passes: int,
        path: tuple[int, ...],
        noise: float = 0.15,
        together: int = 200,
    ) -> None:
        check_positive(passes=passes, together=together)
        neurons, inputs = net.weight.shape
        if images.dim() != 3 or images[0].numel() != inputs:
            raise InputError(
                f"images have shape {tuple(images.shape)}; expected (N, H, H) of {inputs} pixels"
            )
        self.net, self.images, self.constants, self.timing = net, images, constants, timing
        self.path, self.together = path, together
        self.shown = Transforms(noise=noise, frames=1)
        self.steps_per_pass = -(-len(images) // together)
        self.position, self.total = 0, passes * self.steps_per_pass
        self.trace = torch.zeros(1, inputs)
        self.learned = initial_state(1, neurons, inputs, generator(*path, 0))

    def step(self) -> list[Record]:
        """Shows some images; returns a record at the end of each pass."""
        epoch, number = divmod(self.position, self.steps_per_pass)
        order = torch.randperm(len(self.images), generator=generator(*self.path, 1, epoch))
        rows = order[number * self.together : (number + 1) * self.together].unsqueeze(1)
        random = generator(*self.path, 2, self.position)
        x = torch.cat(list(film(self.images, rows, self.shown, random))).flatten(2)
        course = encode(x, self.timing, random)
        _, self.trace, self.learned = learn(
            course, self.trace, self.learned, self.constants, self.timing
        )
        self.position += 1
        self.net.weight.copy_(self.learned.weight[0])
        if number + 1 < self.steps_per_pass:
            return []
        use = self.learned.spikes[0] / self.learned.spikes.sum()
        return [
            {
                "phase": self.name,
                "epoch": epoch + 1,
                "frames": len(self.images),
                "spikes": float(self.learned.spikes.sum()),
                "neurons_in_use": float(torch.special.entr(use).sum().exp()),
                "norm": float(self.learned.weight.norm(dim=2).mean()),
            }
        ]

    def state_dict(self) -> dict[str, Tensor]:
        """Returns the traces of the inputs, and what was learned."""
        return {"trace": self.trace, **self.learned._asdict()}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Loads what :meth:`state_dict` returned.

        Raises:
            InputError: if the state is of another circuit, or holds numbers that are not finite.
        """
        from plastorch.engine.numba_options import check_arrays

        own = self.state_dict().items()
        check_arrays(**{name: (state[name], part.shape, part.dtype) for name, part in own})
        self.trace = state["trace"]
        self.learned = LongTermState(*(state[name] for name in LongTermState._fields))
