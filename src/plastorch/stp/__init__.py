"""Short-term plasticity neurons: recurrent units whose synapses have a decaying state.

Paper: Garcia Rodriguez, Guo, Moraitis, *Short-Term Plasticity Neurons Learning to Learn and
Forget*, ICML 2022, arXiv 2206.14048.
"""

from plastorch.stp.cell import STPNCell
from plastorch.stp.layers import STPN
from plastorch.stp.rule import Dynamics, Parameters, STPNState, step, unroll

__all__ = ["STPN", "Dynamics", "Parameters", "STPNCell", "STPNState", "step", "unroll"]
