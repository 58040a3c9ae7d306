"""Learning-rate schedules of the papers."""


def linear_decay(learning_rate: float, step: int, steps: int) -> float:
    """Returns lr max(0, 1 - step / steps): linear decay to 0 over ``steps`` mini-batches."""
    return learning_rate * max(0.0, 1 - step / steps)


def readout_rate(learning_rate: float, epoch: int, epochs: int) -> float:
    """Returns the readout's learning rate in an epoch (from 0): halved at fractions of training.

    Journé et al. 2023: at .2, .35, .5, .6, .7, .8, .9 of 50 epochs or more; at .5 and .75 of 20 to
    49; never in shorter trainings.
    """
    fractions: tuple[float, ...] = ()
    if epochs >= 50:
        fractions = (0.2, 0.35, 0.5, 0.6, 0.7, 0.8, 0.9)
    elif epochs >= 20:
        fractions = (0.5, 0.75)
    return learning_rate * 0.5 ** sum(epoch >= int(epochs * f) for f in fractions)
