"""One seed for each corrupted image: the same pixels whatever the order, the worker or the number of processes."""

from __future__ import annotations

import hashlib


def derive_seed(seed: int, image: str, corruption: str, severity: int) -> int:
    """Hash what identifies a corrupted image into the seed of its randomness.

    The four parts, as UTF-8 text joined by NUL, go through BLAKE2b with a digest of 4 bytes, read little-endian:
    nothing of it depends on the machine, the process (as Python's `hash` does) or the versions installed.

    Args:
        seed: The experiment's seed.
        image: The image's id, stable across machines: a name inside the dataset, never an absolute path.
        corruption: Name of the corruption.
        severity: 1 to 5.

    Returns:
        An integer in [0, 2**32), the range that `numpy.random.seed` accepts.

    Example:
        >>> derive_seed(0, "frankfurt_000000_000294", "gaussian_noise", 3)
        3040383003
    """
    text = "\0".join((str(seed), image, corruption, str(severity)))
    digest = hashlib.blake2b(text.encode("utf-8"), digest_size=4).digest()
    return int.from_bytes(digest, "little")
