"""Which cells are meant."""

from __future__ import annotations

import doctest

import pytest

import corruptions.selection
from corruptions import CorruptionError
from corruptions.protocol import protocol
from corruptions.selection import select_cells


def test_nothing_said_is_everything() -> None:
    assert select_cells(protocol("quick")) == protocol("quick").cells


def test_corruptions_and_severities_narrow_in_the_order_of_the_protocol() -> None:
    chosen = select_cells(protocol("michaelis"), only=["snow", "shot_noise"], severities=[5, 2])
    assert chosen == (("shot_noise", 2), ("shot_noise", 5), ("snow", 2), ("snow", 5))


@pytest.mark.parametrize(
    ("only", "severities", "message"),
    [
        ([], [0], "severity 0 does not exist: severities are 1, 2, 3, 4, 5"),
        ([], [3, 6], "severity 6 does not exist"),
        (["fogg"], [], r"unknown corruption 'fogg': did you mean 'fog'\?"),
        (["saturate"], [], "'saturate' is not in protocol 'quick', which has gaussian_noise, brightness"),
        (["frost"], [3], "protocol 'quick' has frost at severity 2 only, not at 3"),
        ([], [5], "protocol 'quick' has its corruptions at severity 1, 2, 3 only, not at 5"),
    ],
)
def test_what_is_not_there_is_named(only: list[str], severities: list[int], message: str) -> None:
    with pytest.raises(CorruptionError, match=message):
        select_cells(protocol("quick"), only, severities)


def test_doctests() -> None:
    results = doctest.testmod(corruptions.selection)
    assert results.attempted
    assert not results.failed
