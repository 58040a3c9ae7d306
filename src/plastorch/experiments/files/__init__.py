"""Classification of files by metadata, measured."""
