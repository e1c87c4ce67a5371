"""Which cells are meant."""

from __future__ import annotations

import doctest
from pathlib import Path
from typing import Any

import pytest

import corruptions.selection
from corruptions import CorruptionError
from corruptions.protocol import Protocol, protocol
from corruptions.selection import select_cell, select_cells


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


OWN = {"name": "own", "cells": {"frost": [1, 2]}, "backend": "reference", "channel_order": "BGR"}


@pytest.mark.parametrize(
    ("arguments", "backend", "channel_order"),
    [
        (("fog", 3), "fast", "RGB"),
        (("fog", 3, None, "reference"), "reference", "RGB"),
        (("fog", 3, None, None, "BGR"), "fast", "BGR"),
        (("frost", 2, "quick"), "fast", "RGB"),
        (("frost", 2, "quick", "fast", "RGB"), "fast", "RGB"),
        (("weather_fog", 2, "weather"), "fast", "RGB"),
        (("frost", 2, OWN), "reference", "BGR"),
        (("frost", 1, OWN, "reference", "BGR"), "reference", "BGR"),
    ],
)
def test_one_cell_is_made_as_its_protocol_or_its_user_has_it(
    arguments: tuple[Any, ...], backend: str, channel_order: str
) -> None:
    found = select_cell(*arguments)
    assert (found.cells, found.backend, found.channel_order) == (
        ((arguments[0], arguments[1]),),
        backend,
        channel_order,
    )


def test_one_cell_of_a_file(tmp_path: Path) -> None:
    path = tmp_path / "own.yaml"
    path.write_text("name: own\ncells: {frost: [1, 2]}\nbackend: reference\nchannel_order: BGR\n")
    assert select_cell("frost", 2, str(path)) == Protocol("own", (("frost", 2),), "reference", "BGR")
    path.write_text("name: own\ncells: {frots: 1}\n")
    with pytest.raises(CorruptionError, match=r"own\.yaml:2: cells\.frots: unknown corruption 'frots'"):
        select_cell("frost", 2, str(path))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("fog", 3, "quick"), "protocol 'quick' has no severity 3 of fog: leave the protocol out"),
        (("frost", 3, OWN), "protocol 'own' has no severity 3 of frost"),
        (("frost", 2, "quick", "reference"), "has the backend 'fast', not 'reference': leave one of them out"),
        (("frost", 2, OWN, "fast"), "has the backend 'reference', not 'fast'"),
        (("frost", 2, OWN, None, "RGB"), "has the channel_order 'BGR', not 'RGB': leave one of them out"),
        (
            ("frost", 2, OWN | {"insertion_point": "after_resize"}),
            "'own' corrupts images at the size that a network sees",
        ),
        (("frost", 2, {"name": "own"}), "the key 'cells' is missing"),
        (("frost", 2, "quik"), r"unknown protocol 'quik': did you mean 'quick'\?"),
        (("frost", 6), "severity 6 of frost"),
        (("frost", True), "severity True of frost"),
        (("forst", 2), "did you mean 'frost'"),
        (("frost", 2, None, "albumentations"), "unknown corruption backend 'albumentations'"),
        (("frost", 2, None, None, "bgr"), "unknown channel order 'bgr'"),
    ],
)
def test_one_cell_that_cannot_be_made_is_refused(arguments: tuple[Any, ...], message: str) -> None:
    with pytest.raises(CorruptionError, match=message):
        select_cell(*arguments)


def test_doctests() -> None:
    results = doctest.testmod(corruptions.selection)
    assert results.attempted
    assert not results.failed
