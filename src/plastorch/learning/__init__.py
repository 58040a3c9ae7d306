"""One way to learn: plastic layers say what they would change, and a torch optimizer does it."""

from plastorch.learning.gradients import learn, set_gradients
from plastorch.learning.layer import OnlineLayer, PlasticLayer, Step

__all__ = ["OnlineLayer", "PlasticLayer", "Step", "learn", "set_gradients"]
