"""A graph of tasks replayed on a described cluster: how long it would take, what it would cost, what would limit it."""
