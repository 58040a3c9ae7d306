"""Recordings and their spectrograms."""
