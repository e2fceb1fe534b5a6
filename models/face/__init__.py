"""What is seen: detection, quality, embedding, template protection, weights; the only import of torch."""
