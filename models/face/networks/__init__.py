"""The neural networks: detector, embedders, alignment, and the catalogue of their weights."""
