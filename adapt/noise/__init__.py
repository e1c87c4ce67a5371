"""Label noise: what sloppy annotation does to labels, made on purpose and written down pixel by pixel."""
