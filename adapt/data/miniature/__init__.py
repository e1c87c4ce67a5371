"""The miniature: procedural street scenes in the folder layouts of the real data sets, for a laptop with no data."""
