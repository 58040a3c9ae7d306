"""Experiments that test the papers' claims: one folder per system, found through entry points."""
