"""Short-term STDP: a spiking winner-take-all that follows objects as they change.

Paper: Moraitis, Sebastian, Eleftheriou, *Optimality of short-term synaptic plasticity in modeling
certain dynamic environments*, arXiv 2009.06808.
"""
