"""Fatiguing STDP: spike-timing codes are learned in the presence of rate codes.

Paper: Moraitis et al., *Fatiguing STDP: Learning from Spike-Timing Codes in the Presence of Rate
Codes*, IJCNN 2017.
"""
