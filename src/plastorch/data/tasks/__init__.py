"""Tasks that are generated: sequences, streams and scenes."""
