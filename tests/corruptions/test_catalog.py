"""The table of corruptions against the constants written in the reference's own source."""

from __future__ import annotations

import ast
import doctest
import inspect
import subprocess
import sys

import imagecorruptions
import numpy as np
import pytest

import corruptions.catalog
from corruptions import CORRUPTIONS, SEVERITIES, WEATHER, CorruptionError
from corruptions.catalog import corruption
from corruptions.weather.operations import OPERATIONS


def constants_in_source(name: str) -> list[object]:
    """Evaluate the five-entry list with which the reference's function opens, whatever it calls it."""
    tree = ast.parse(inspect.getsource(imagecorruptions.corruption_dict[name]))
    lists = [node for node in ast.walk(tree) if isinstance(node, ast.List) and len(node.elts) == 5]
    assert len(lists) == 1
    return list(eval(compile(ast.Expression(lists[0]), name, "eval"), {"np": np}))


def test_names_and_order_are_the_reference_s() -> None:
    assert list(CORRUPTIONS) == imagecorruptions.get_corruption_names("all")
    assert [row.name for row in CORRUPTIONS.values()] == list(CORRUPTIONS)


@pytest.mark.parametrize("name", [name for name in CORRUPTIONS if name != "zoom_blur"])
def test_constants_are_those_of_the_reference(name: str) -> None:
    expected = [value if isinstance(value, tuple) else (value,) for value in constants_in_source(name)]
    assert list(CORRUPTIONS[name].constants) == expected


def test_zoom_factors_are_those_of_the_reference() -> None:
    expected = constants_in_source("zoom_blur")
    for (stop, step), factors in zip(CORRUPTIONS["zoom_blur"].constants, expected, strict=True):
        np.testing.assert_array_equal(np.arange(1, stop, step), factors)


def test_families_and_moving_pixels() -> None:
    families = {
        "noise": {"gaussian_noise", "shot_noise", "impulse_noise", "speckle_noise"},
        "blur": {"defocus_blur", "glass_blur", "motion_blur", "zoom_blur", "gaussian_blur"},
        "weather": {"snow", "frost", "fog", "spatter"},
        "digital": {"brightness", "contrast", "elastic_transform", "pixelate", "jpeg_compression", "saturate"},
    }
    for family, names in families.items():
        assert {row.name for row in CORRUPTIONS.values() if row.family == family} == names
    assert {row.name for row in CORRUPTIONS.values() if row.moves_pixels} == {
        "elastic_transform",
        "zoom_blur",
        "glass_blur",
    }
    assert sum("4 extra" in row.source for row in CORRUPTIONS.values()) == 4


def test_every_severity_has_constants_and_each_has_a_name() -> None:
    rows = [*CORRUPTIONS.values(), *WEATHER.values()]
    assert all(len(row.constants) == len(SEVERITIES) == 5 for row in rows)
    assert all({len(values) for values in row.constants} == {len(set(row.parameters))} for row in rows)


def test_weather_is_ours_and_has_names_and_a_backend_of_its_own() -> None:
    assert not set(WEATHER) & set(CORRUPTIONS)
    assert all(name == row.name == corruption(name).name for name, row in WEATHER.items())
    assert {(row.family, row.moves_pixels, row.backend) for row in WEATHER.values()} == {
        ("weather", False, "albumentations")
    }
    assert all(row.source.startswith("ours") for row in WEATHER.values())
    assert {row.backend for row in CORRUPTIONS.values()} == {None}
    assert list(OPERATIONS) == list(WEATHER)


def test_unknown_name_suggests_the_closest() -> None:
    with pytest.raises(CorruptionError, match=r"unknown corruption 'gausian_noise': did you mean 'gaussian_noise'\?"):
        corruption("gausian_noise")
    with pytest.raises(CorruptionError, match=r"unknown corruption 'qqq': known are brightness, contrast"):
        corruption("qqq")


def test_table_and_protocols_import_without_third_parties() -> None:
    code = (
        "import sys, corruptions.catalog, corruptions.protocol\n"
        "heavy = {'numpy', 'cv2', 'PIL', 'scipy', 'skimage', 'numba', 'imagecorruptions', 'torch', 'albumentations'}\n"
        "heavy &= set(sys.modules)\n"
        "assert not heavy, heavy\n"
        "from corruptions import corrupt\n"
        "assert not {'imagecorruptions', 'numba', 'cv2', 'albumentations'} & set(sys.modules) and 'numpy' in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_package_has_no_other_attributes() -> None:
    with pytest.raises(AttributeError, match="corupt"):
        corruptions.corupt  # noqa: B018


def test_doctests() -> None:
    results = doctest.testmod(corruptions.catalog)
    assert results.attempted
    assert not results.failed
