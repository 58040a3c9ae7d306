"""Learning-rate schedules."""

from typing import Literal

ReadoutSchedule = Literal["halved", "linear"]
"""How the readout's learning rate falls: by half at set times, or linearly to zero."""


def linear_decay(learning_rate: float, step: int, steps: int) -> float:
    """Returns lr max(0, 1 - step / steps): linear decay to 0 over ``steps`` mini-batches."""
    return learning_rate * max(0.0, 1 - step / steps)


def readout_rate(
    learning_rate: float, epoch: int, epochs: int, schedule: ReadoutSchedule = "halved"
) -> float:
    """Returns the readout's learning rate in an epoch (from 0).

    Journé et al. 2023 halve it at fractions of training: at .2, .35, .5, .6, .7, .8, .9 of 50
    epochs or more; at .5 and .75 of 20 to 49; never in shorter trainings.
    """
    if schedule == "linear":
        return linear_decay(learning_rate, epoch, epochs)
    fractions: tuple[float, ...] = ()
    if epochs >= 50:
        fractions = (0.2, 0.35, 0.5, 0.6, 0.7, 0.8, 0.9)
    elif epochs >= 20:
        fractions = (0.5, 0.75)
    return learning_rate * 0.5 ** sum(epoch >= int(epochs * f) for f in fractions)
