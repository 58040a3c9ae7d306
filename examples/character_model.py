"""A character-level language model with ``nn.LSTM`` or ``plastorch.STPN``: one line differs.

    python examples/character_model.py stpn

It learns from Python's language reference, which comes with every Python (``help()`` shows it).
"""

import sys
from math import log
from pydoc_data.topics import topics

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from plastorch import STPN

TEXT = "".join(topics[name] for name in sorted(topics))


class CharacterModel(nn.Module):
    def __init__(self, core: str) -> None:
        super().__init__()
        self.embedding = nn.Embedding(128, 32)
        self.core = STPN(32, 100) if core == "stpn" else nn.LSTM(32, 100)
        self.readout = nn.Linear(100, 128)

    def bits(self, text: Tensor, optimizer: torch.optim.Optimizer | None = None) -> float:
        """Per character of texts [T, B]; learns by truncated backpropagation, keeping the state."""
        state, total, pieces = None, 0.0, text[:-1].split(50)
        for piece, following in zip(pieces, text[1:].split(50), strict=True):
            output, state = self.core(self.embedding(piece), state)
            state = tuple(part.detach() for part in state)
            loss = F.cross_entropy(self.readout(output).flatten(0, 1), following.flatten())
            if optimizer is not None:
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
            total += loss.item() / log(2)
        return total / len(pieces)


def main(core: str, text: str = TEXT, epochs: int = 2) -> float:
    """Trains on nine tenths of a text; returns bits per character on the rest."""
    torch.manual_seed(0)
    codes, share = torch.tensor(list(text.encode("ascii", "replace"))), len(text) * 9 // 10
    model = CharacterModel(core)
    optimizer = torch.optim.Adam(model.parameters(), 5e-3)
    for epoch in range(epochs):
        trained = model.bits(codes[: share // 16 * 16].view(16, -1).mT, optimizer)
        with torch.no_grad():
            found = model.bits(codes[share:, None])
        print(f"epoch {epoch + 1}: {trained:.2f} bits per character, held-out {found:.2f}")
    return found


if __name__ == "__main__":
    main(sys.argv[1])
