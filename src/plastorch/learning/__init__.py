"""One interface for learning: plastic layers propose updates; a torch optimizer applies them."""

from plastorch.learning.gradients import learn, set_gradients
from plastorch.learning.layer import OnlineLayer, PlasticLayer, Step

__all__ = ["OnlineLayer", "PlasticLayer", "Step", "learn", "set_gradients"]
