"""Networks that learn to classify patterns of spikes, with one spike per input."""
