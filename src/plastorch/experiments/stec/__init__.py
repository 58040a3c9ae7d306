"""Efference copies (S-TEC), measured."""
