"""Short-term STDP, measured."""
