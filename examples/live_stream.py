"""A live stream of sensor samples is classified as soon as the answer is certain enough.

    python examples/live_stream.py

Two axes of a machine vibrate. A worn bearing adds a second tone, of varying loudness.
"""

import numpy as np

from plastorch import RankClassifier

LENGTH, PACKET = 80, 4


def vibrations(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns series [count, 2, 80] from good and worn machines, and their classes."""
    random = np.random.default_rng(seed)
    worn, time = random.random(count) < 0.5, np.arange(LENGTH)
    loud = (worn * random.uniform(0.3, 1.5, count))[:, None, None]
    phase = random.uniform(0, 2 * np.pi, (count, 2, 1))
    clean = np.sin(time / 4 + phase) + loud * np.sin(time / 1.3 + 2 * phase)
    return clean + random.normal(0, 0.4, clean.shape), np.where(worn, "worn", "good")


def main(epochs: int = 60) -> float:
    """Returns the accuracy on live streams."""
    model = RankClassifier(alpha=0.9, folds=1, epochs=epochs).fit(*vibrations(200, seed=0))
    right = []
    for number, (series, label) in enumerate(zip(*vibrations(20, seed=1), strict=True)):
        packets = np.split(series, range(PACKET, LENGTH, PACKET), axis=1)
        any(model.update(packet, stream=number) for packet in packets)  # until there is an answer
        answer = model.end(number)
        print(f"machine {number}: {answer.label} after {answer.step + 1} samples, is {label}")
        right.append(answer.label == label)
    return float(np.mean(right))


if __name__ == "__main__":
    main()
