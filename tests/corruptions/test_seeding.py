"""The seed of a corrupted image against the digests that GNU coreutils' b2sum gives for the same bytes."""

from __future__ import annotations

import doctest
import itertools

import pytest

import corruptions.seeding
from corruptions import CORRUPTIONS, derive_seed


@pytest.mark.parametrize(
    ("parts", "digest"),
    [
        # printf '0\0frankfurt_000000_000294\0gaussian_noise\0003' | b2sum -l 32
        ((0, "frankfurt_000000_000294", "gaussian_noise", 3), "1b9038b5"),
        ((7, "Seq05VD_f00030", "frost", 2), "2d2d8835"),
        ((0, "straße", "fog", 5), "328fc344"),
    ],
)
def test_seed_is_the_little_endian_digest(parts: tuple[int, str, str, int], digest: str) -> None:
    reversed_bytes = "".join(digest[i : i + 2] for i in (6, 4, 2, 0))
    assert derive_seed(*parts) == int(reversed_bytes, 16)


def test_every_part_matters_and_seeds_spread() -> None:
    parts = itertools.product(range(3), ("a", "b", "a/b"), CORRUPTIONS, range(1, 6))
    seeds = [derive_seed(*part) for part in parts]
    assert len(set(seeds)) == len(seeds) == 3 * 3 * 19 * 5
    assert min(seeds) < 2**28
    assert 2**32 - 2**28 < max(seeds) < 2**32


def test_parts_do_not_run_into_each_other() -> None:
    assert derive_seed(1, "1a", "fog", 1) != derive_seed(11, "a", "fog", 1)


def test_doctests() -> None:
    results = doctest.testmod(corruptions.seeding)
    assert results.attempted
    assert not results.failed
