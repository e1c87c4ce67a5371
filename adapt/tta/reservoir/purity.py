"""How well clusters found without labels agree with the true domains."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence


def compute_purity(clusters: Sequence[int], domains: Sequence[str]) -> float | None:
    """Compute the share of frames whose domain is the most frequent one of their cluster.

    A cluster for each frame is pure too: read the number of models beside it.

    Args:
        clusters: the cluster of each frame.
        domains: the true domain of each frame, in the same order.

    Returns:
        A number in (0, 1], or None without frames.

    Raises:
        ValueError: if the two are of different lengths.

    >>> compute_purity([0, 0, 0, 1], ["fog", "fog", "snow", "snow"])
    0.75
    """
    counts: defaultdict[int, Counter[str]] = defaultdict(Counter)
    for cluster, domain in zip(clusters, domains, strict=True):
        counts[cluster][domain] += 1
    if not counts:
        return None
    return sum(max(counter.values()) for counter in counts.values()) / len(clusters)
