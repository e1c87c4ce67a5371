"""Classes that settings name."""

from __future__ import annotations

import pytest

from adapt.errors import SpecError
from adapt.noise.class_names import find_absent, find_background, find_pairs, list_named, require_present
from adapt.noise.settings import DropSettings, FlipSettings


def test_names_become_train_ids(classes: tuple[str, ...]) -> None:
    assert find_background(DropSettings(rate=0.1), classes) is None
    assert find_background(DropSettings(rate=0.1, background="sky"), classes) == 4
    flip = FlipSettings(rate=0.1, target="pair", pairs={"car": "person", "sky": "road"}, background="road")
    assert find_pairs(flip, classes) == {2: 3, 4: 0}
    assert list_named(flip, classes) == [0, 2, 4]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (DropSettings(rate=0.1, background="raod"), r"`background` .* names 'raod'.*closest is 'road'"),
        (FlipSettings(rate=0.1, target="pair", pairs={"cars": "sky"}), r"`pairs` .* names 'cars'.*closest is 'car'"),
        (FlipSettings(rate=0.1, target="pair", pairs={"car": "Sky"}), r"`pairs` .* names 'Sky'.*closest is 'sky'"),
    ],
)
def test_unknown_names_are_refused(settings: DropSettings, message: str, classes: tuple[str, ...]) -> None:
    with pytest.raises(SpecError, match=message):
        list_named(settings, classes)


def test_absent_are_those_named_without_a_pixel(classes: tuple[str, ...]) -> None:
    flip = FlipSettings(rate=0.1, target="pair", pairs={"car": "person", "sky": "road"}, background="road")
    assert find_absent(flip, classes, [5, 0, 0, 0, 1]) == ["car"]  # nothing is asked of the building and the person
    assert find_absent(flip, classes, [0, 1, 1, 1, 0]) == ["road", "sky"]
    assert find_absent(flip, classes, [1, 0, 1, 0, 1]) == []
    assert find_absent(DropSettings(rate=0.1), classes, [0] * 5) == []


def test_absent_classes_are_refused_by_where_they_are_named(classes: tuple[str, ...]) -> None:
    flip = FlipSettings(rate=0.1, target="pair", pairs={"car": "person"}, background="road")
    require_present(flip, classes, [1, 0, 1, 0, 0], "mine")
    message = (
        "`background` names 'road' and `pairs` names 'car', which no label of mine holds. Name a class that occurs"
    )
    with pytest.raises(SpecError, match=message):
        require_present(flip, classes, [0, 1, 0, 1, 1], "mine")
