"""Face models: detection, quality gate, embedding, template protection, weights; the only imports of torch."""
