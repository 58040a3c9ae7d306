"""Spiking networks: neurons, encoders, and plasticity rules driven by the timing of spikes."""

from plastorch.spiking.events import Events, from_raster, to_raster

__all__ = ["Events", "from_raster", "to_raster"]
