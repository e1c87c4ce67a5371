"""The catalogue and the settings know the same methods."""

from __future__ import annotations

from typing import get_args

from adapt.tta.catalog import METHODS
from adapt.tta.settings import MethodSettings


def test_every_method_has_settings_of_its_name():
    union, _ = get_args(MethodSettings)
    assert [settings().name for settings in get_args(union)] == list(METHODS)


def test_every_method_states_what_it_updates():
    for method in METHODS.values():
        assert method.updates
