"""Classes that settings name."""

from __future__ import annotations

import pytest

from adapt.errors import SpecError
from adapt.noise.class_names import find_background, find_pairs, list_named
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
