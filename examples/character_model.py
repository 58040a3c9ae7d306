"""A character model in which ``nn.LSTM`` is swapped for ``plastorch.STPN``: one line differs.

    python examples/character_model.py --core stpn

It reads Python's language reference, which every Python has at hand (``help()`` shows it).
"""

import argparse
from collections.abc import Iterator
from math import log
from pydoc_data.topics import topics

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from plastorch import STPN

TEXT = "".join(topics[name] for name in sorted(topics))


class CharacterModel(nn.Module):
    def __init__(self, core: str, symbols: int, hidden_size: int = 100) -> None:
        super().__init__()
        self.embedding = nn.Embedding(symbols, 32)
        self.core = STPN(32, hidden_size) if core == "stpn" else nn.LSTM(32, hidden_size)
        self.readout = nn.Linear(hidden_size, symbols)

    def losses(self, text: Tensor, steps: int = 50) -> Iterator[Tensor]:
        """Truncated backpropagation: a loss per piece of a text [T, B]; only the state goes on."""
        state = None
        for first in range(0, len(text) - 1, steps):
            piece, following = text[first : first + steps], text[first + 1 : first + steps + 1]
            output, state = self.core(self.embedding(piece[: len(following)]), state)
            state = tuple(part.detach() for part in state)
            yield F.cross_entropy(self.readout(output).flatten(0, 1), following.flatten())


def main(core: str, characters: int, epochs: int) -> tuple[float, float]:
    """Trains on nine tenths of the text; returns bits per character, there and on the rest."""
    torch.manual_seed(0)
    text, symbols = TEXT[:characters], sorted(set(TEXT))
    codes = torch.tensor([symbols.index(character) for character in text])
    train, held_out = codes[: len(codes) * 9 // 10], codes[len(codes) * 9 // 10 :]
    model = CharacterModel(core, len(symbols))
    optimizer = torch.optim.Adam(model.parameters(), 5e-3)
    for epoch in range(epochs):
        losses = []
        for loss in model.losses(train[: len(train) // 16 * 16].view(16, -1).mT):
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.item() / log(2))
        with torch.no_grad():
            tested = [loss.item() / log(2) for loss in model.losses(held_out.unsqueeze(1))]
        bits = sum(losses) / len(losses), sum(tested) / len(tested)
        print(f"epoch {epoch + 1}: {bits[0]:.2f} bits per character, held-out {bits[1]:.2f}")
    return bits


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--core", choices=["lstm", "stpn"], default="stpn")
    parser.add_argument("--characters", type=int, default=len(TEXT), help="of the text")
    parser.add_argument("--epochs", type=int, default=2)
    main(**vars(parser.parse_args()))
