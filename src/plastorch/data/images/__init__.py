"""Image sets: from the data root, a folder of the user, or the package."""
