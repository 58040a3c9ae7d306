"""Generated tasks: sequences, streams and scenes."""
