"""ReservoirTTA: several adapted models of one method, and a style by which each batch finds its own."""
