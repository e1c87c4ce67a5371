"""The named protocols against what the papers say of them."""

from __future__ import annotations

import dataclasses
import doctest
import importlib.metadata
from collections import Counter
from importlib.metadata import version as installed

import pytest

import corruptions.protocol
from corruptions import CORRUPTIONS, PROTOCOLS, WEATHER, CorruptionError
from corruptions.apply import BACKENDS
from corruptions.fast import VERSION
from corruptions.protocol import DISTRIBUTIONS, Protocol, protocol
from corruptions.weather import VERSION as WEATHER_VERSION

EXTRA = {"speckle_noise", "gaussian_blur", "spatter", "saturate"}


def severities(name: str) -> dict[str, set[int]]:
    found: dict[str, set[int]] = {}
    for corruption, severity in protocol(name).cells:
        found.setdefault(corruption, set()).add(severity)
    return found


def test_michaelis_is_the_common_fifteen_at_all_severities() -> None:
    assert severities("michaelis") == {name: {1, 2, 3, 4, 5} for name in CORRUPTIONS if name not in EXTRA}
    assert len(protocol("michaelis").cells) == 75


def test_segformer_is_four_of_each_family_with_noise_up_to_three() -> None:
    found = severities("segformer")
    assert list(found) == [
        *("motion_blur", "defocus_blur", "glass_blur", "gaussian_blur"),
        *("gaussian_noise", "impulse_noise", "shot_noise", "speckle_noise"),
        *("brightness", "contrast", "saturate", "jpeg_compression"),
        *("snow", "spatter", "fog", "frost"),
    ]
    assert Counter(CORRUPTIONS[name].family for name in found) == {"blur": 4, "noise": 4, "digital": 4, "weather": 4}
    for name, levels in found.items():
        assert levels == ({1, 2, 3} if CORRUPTIONS[name].family == "noise" else {1, 2, 3, 4, 5})


def test_fan_is_all_nineteen_up_to_three() -> None:
    assert severities("fan") == {name: {1, 2, 3} for name in CORRUPTIONS}


def test_semsegbench_is_the_common_fifteen_at_three() -> None:
    assert severities("semsegbench") == {name: {3} for name in CORRUPTIONS if name not in EXTRA}


def test_quick_is_six_cells() -> None:
    assert protocol("quick").cells == (
        ("gaussian_noise", 1),
        ("brightness", 3),
        ("contrast", 3),
        ("frost", 2),
        ("jpeg_compression", 3),
        ("defocus_blur", 3),
    )


@pytest.mark.parametrize("name", list(PROTOCOLS))
def test_cells_are_distinct_and_known_and_the_rest_is_said(name: str) -> None:
    row = protocol(name)
    assert row.name == name
    assert len(set(row.cells)) == len(row.cells)
    known = WEATHER if name == "weather" else CORRUPTIONS
    assert {corruption for corruption, _ in row.cells} <= set(known)
    assert (row.backend, row.channel_order, row.insertion_point) == ("fast", "RGB", "before_resize")
    if name != "weather":
        assert row.backends == ("fast",)


def test_another_backend_is_the_same_protocol_otherwise() -> None:
    row = protocol("quick").with_backend("reference")
    assert row == dataclasses.replace(protocol("quick"), backend="reference")
    assert row.backends == ("reference",)
    assert row.with_backend("fast") == protocol("quick")
    assert protocol("weather").with_backend("reference").backends == ("albumentations",)
    with pytest.raises(CorruptionError, match=r"unknown corruption backend 'fsat': did you mean 'fast'"):
        row.with_backend("fsat")


def test_weather_is_the_six_at_all_severities() -> None:
    assert severities("weather") == {name: {1, 2, 3, 4, 5} for name in WEATHER}
    assert protocol("weather").backends == ("albumentations",)


def test_version_names_every_backend_that_a_cell_needs() -> None:
    mixed = Protocol("mine", (("weather_fog", 1), ("fog", 1)), backend="fast")
    assert mixed.backends == ("fast", "albumentations")
    fast, weather = Protocol("mine", (("fog", 1),), backend="fast").version, protocol("weather").version
    assert weather.startswith(f"segshift-weather {WEATHER_VERSION} (albumentations {installed('albumentations')}, albu")
    assert mixed.version == f"{fast}; {weather}"


def test_every_backend_has_a_distribution() -> None:
    assert set(DISTRIBUTIONS) == set(BACKENDS)


def test_fast_backend_names_its_version_and_what_else_decides_pixels() -> None:
    row = Protocol("mine", protocol("quick").cells, backend="fast")
    opencv, photographs = (
        f"{name} {importlib.metadata.version(name)}" for name in ("opencv-python-headless", "imagecorruptions-imaug")
    )
    assert row.version == f"segshift-corruptions {VERSION} ({photographs}, {opencv})"


def test_the_reference_names_all_that_decides_its_pixels() -> None:
    """Every distribution that its module imports but numpy, whose draws are frozen, and numba, which runs plain loops."""
    names = ("imagecorruptions-imaug", "opencv-python-headless", "pillow", "scikit-image", "scipy")
    version = protocol("quick").with_backend("reference").version
    assert version == ", ".join(f"{name} {installed(name)}" for name in names)


def test_missing_distribution_names_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(distribution: str) -> str:
        raise importlib.metadata.PackageNotFoundError(distribution)

    monkeypatch.setattr(importlib.metadata, "version", absent)
    with pytest.raises(CorruptionError, match=r"protocol 'quick' needs .* `pip install imagecorruptions-imaug`"):
        _ = protocol("quick").version


def test_protocols_cannot_be_changed() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        protocol("quick").name = "other"  # type: ignore[misc]
    with pytest.raises(TypeError):
        PROTOCOLS["mine"] = protocol("quick")  # type: ignore[index]


def test_unknown_name_suggests_the_closest() -> None:
    with pytest.raises(CorruptionError, match=r"unknown protocol 'segforner': did you mean 'segformer'\?"):
        protocol("segforner")


def test_doctests() -> None:
    results = doctest.testmod(corruptions.protocol)
    assert results.attempted
    assert not results.failed
