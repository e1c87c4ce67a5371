"""A small uneven grid that tests work by hand: noise has one severity, fog two."""

from __future__ import annotations

from adapt.scores.degradation import Reference

UNEVEN = [("fog", 1), ("fog", 5), ("noise", 1)]
ROW = {("fog", 1): 0.7, ("fog", 5): 0.5, ("noise", 1): 0.2}
BASE = Reference("base", 0.9, {("fog", 1): 0.8, ("fog", 5): 0.2, ("noise", 1): 0.4})
