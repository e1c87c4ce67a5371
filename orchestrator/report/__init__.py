"""One page per experiment: what it asks, how its tasks stand, what they gave, and on what they ran."""
