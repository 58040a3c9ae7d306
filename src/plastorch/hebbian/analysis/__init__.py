"""Analysis of trained networks: receptive fields, patches, embeddings, sensitivity."""
