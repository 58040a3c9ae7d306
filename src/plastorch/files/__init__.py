"""Classification of files by their metadata: similar files become correlated spike patterns."""
