"""Fatiguing STDP, measured."""
