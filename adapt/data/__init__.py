"""The real data sets: their classes, their folders on disk, their labels and what is counted of them."""
