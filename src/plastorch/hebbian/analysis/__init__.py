"""What a trained network has learned: receptive fields, patches, embeddings, sensitivity."""
