"""Films of digits for several models: made once, as pixels and as features."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

from torch import Tensor

from plastorch.experiments.ststdp.contest import Seen
from plastorch.experiments.ststdp.measuring import CONDITIONS
from plastorch.spiking.shortterm.recognition import Digits, shown
from plastorch.spiking.shortterm.streams import Stream

INPUTS = ("pixels", "features")
"""Kinds of frames."""


@dataclass(frozen=True, kw_only=True)
class Screen:
    """Films of digits that transform, as pixels and as features of the same frames.

    The last films asked for are kept. ``encoder`` makes features of frames [T, S, H²].
    """

    encoder: Callable[[Tensor], Tensor]
    digits: Mapping[Stream, Digits]
    streams: int
    seed: int
    _kept: dict[tuple[str, Stream], list[Seen]] = field(default_factory=dict)

    def films(self, transform: str, use: Stream, *place: int) -> Iterator[Seen]:
        """Yields new films of a transform; ``use`` is that of the digits and random numbers."""
        path, digits = (self.seed, use, *place), self.digits[use]
        for x, labels in shown(digits, CONDITIONS[transform], streams=self.streams, path=path):
            yield {"pixels": x, "features": self.encoder(x)}, labels

    def kept(self, transform: str, use: Stream) -> list[Seen]:
        """Returns the films of a use, the same each time."""
        if (transform, use) not in self._kept:
            self._kept.clear()
            self._kept[transform, use] = list(self.films(transform, use))
        return self._kept[transform, use]

    def frames(self, transform: str, use: Stream, kind: str) -> list[tuple[Tensor, Tensor]]:
        """Returns frames and labels of these films, as one kind of input."""
        return [(seen[kind], labels) for seen, labels in self.kept(transform, use)]
