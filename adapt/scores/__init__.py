"""Scores as pure functions of numpy arrays: counts in, numbers out."""
