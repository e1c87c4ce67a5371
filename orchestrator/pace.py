"""How fast running tasks go and since when, seen from outside by the steps that they report."""

from __future__ import annotations

import collections
from collections.abc import Mapping

WINDOW_S = 30.0  # ours: long enough to smooth frames of unequal cost, short enough to show that a task stalls


class Pace:
    """Steps a second of the tasks that run now, over the last `WINDOW_S`."""

    def __init__(self) -> None:
        self._began: dict[str, float] = {}
        self._seen: dict[str, collections.deque[tuple[float, float]]] = {}

    def observe(self, live: Mapping[str, Mapping[str, float]], now: float) -> None:
        """Take what running tasks report; those that are not among them any more are forgotten.

        Args:
            live: key of a running task -> its live scalars, with `step` once it reports.
            now: seconds of a clock that never goes back.
        """
        for key in self._began.keys() - live.keys():
            del self._began[key], self._seen[key]
        for key, values in live.items():
            self._began.setdefault(key, now)
            seen, step = self._seen.setdefault(key, collections.deque()), values.get("step")
            if step is None:  # it has begun, and still loads what it needs
                continue
            if seen and step < seen[-1][1]:  # its process died, and another goes on from the last resume point
                seen.clear()
            if not seen or step > seen[-1][1]:
                seen.append((now, step))
            while len(seen) > 2 and now - seen[1][0] > WINDOW_S:
                seen.popleft()

    def seconds(self, key: str, now: float) -> float | None:
        """Return how long a task has been seen to run, or None where it does not."""
        return now - self._began[key] if key in self._began else None

    def rate(self, key: str, now: float) -> float | None:
        """Return the steps a second of a task, or None where fewer than two reports are known.

        A task that stalls shows it: once it is silent for longer than both its window and two of its usual intervals,
        the silence counts.
        """
        seen = self._seen.get(key)
        if seen is None or len(seen) < 2:
            return None
        first, before = seen[0]
        last, after = seen[-1]
        interval = (last - first) / (len(seen) - 1)
        until = now if now - last > max(WINDOW_S, 2 * interval) else last
        return (after - before) / (until - first)
