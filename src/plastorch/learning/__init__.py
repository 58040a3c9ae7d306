"""One way to learn: plastic layers say what they would change, and a torch optimizer does it."""

from plastorch.learning.gradients import learn, set_gradients
from plastorch.learning.layer import PlasticLayer, Step

__all__ = ["PlasticLayer", "Step", "learn", "set_gradients"]
