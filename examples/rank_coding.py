"""A recurrent network learns when to answer: at the first step at which it is sure enough.

    python examples/rank_coding.py

A signal is positive or negative, and hidden in noise. The longer a network listens, the surer it
can be; how long that takes differs between signals.
"""

import torch
from torch import nn

from plastorch.data.tasks.evidence import SIGNAL_STEPS, noisy_signals, signal_log_odds
from plastorch.rank import Batch, RankCoder, evaluate
from plastorch.rank.evaluate import read


def learn(threshold: float, updates: int) -> RankCoder:
    """The loss is taken at the first crossing of the threshold; with 1, at the last step."""
    torch.manual_seed(0)
    coder = RankCoder(nn.GRU(1, 16), nn.Linear(16, 1), threshold=threshold)
    optimizer = torch.optim.Adam(coder.parameters(), lr=5e-3)
    random = torch.Generator().manual_seed(0)
    for _ in range(updates):
        x, labels, _ = noisy_signals(128, random)
        loss, _ = coder.loss(x, labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return coder


def main(updates: int = 500) -> dict[str, float]:
    """Returns the accuracy of each network when it answers as soon as it is 90 % sure."""
    batch = Batch(*noisy_signals(4000, torch.Generator().manual_seed(1))[:2])
    readings = {
        "rank coding": evaluate(learn(0.9, updates), [batch], (0.9,)),
        "trained at the last step": evaluate(learn(1.0, updates), [batch], (0.9,)),
        "ideal observer": read([(signal_log_odds(batch.x), batch)], (0.9,)),
    }
    print(f"answers at the first step that is 90 % sure, of {SIGNAL_STEPS} steps:")
    timings = {name: reading.timing(0.9) for name, reading in readings.items()}
    for name, timing in timings.items():
        print(f"{name:25} {timing.accuracy:.1%} right, after {timing.mean_step + 1:4.1f} steps")
    return {name: timing.accuracy for name, timing in timings.items()}


if __name__ == "__main__":
    main()
