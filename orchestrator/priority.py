"""Which ready task goes first: the one with the longest way to the end of the sweep."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence


def longest_remaining(seconds: Mapping[str, float], needs: Mapping[str, Sequence[str]]) -> dict[str, float]:
    """Return for each task how long it and the longest chain of tasks after it take.

    Args:
        seconds: task -> how long it takes; the tasks that are still to be done.
        needs: task -> tasks whose output it takes; those without an entry in `seconds` are done and do not count.

    Returns:
        Task -> seconds from its start to the end of that chain, in the order of `seconds`.

    Raises:
        ValueError: tasks need each other in a circle.
    """
    inputs = {key: [needed for needed in set(needs.get(key, ())) if needed in seconds] for key in seconds}
    waiting = dict.fromkeys(seconds, 0)  # dependants whose remaining path is not known yet
    for keys in inputs.values():
        for key in keys:
            waiting[key] += 1
    after = dict.fromkeys(seconds, 0.0)  # the longest chain that starts once a task is done
    remaining = dict.fromkeys(seconds, 0.0)
    known = deque(key for key, count in waiting.items() if count == 0)
    left = len(remaining)
    while known:
        key = known.popleft()
        left -= 1
        remaining[key] = seconds[key] + after[key]
        for needed in inputs[key]:
            after[needed] = max(after[needed], remaining[key])
            waiting[needed] -= 1
            if waiting[needed] == 0:
                known.append(needed)
    if left:
        raise ValueError(f"{left} tasks need each other in a circle")
    return remaining
