"""Networks that learn to tell patterns of spikes apart, one spike per input."""
