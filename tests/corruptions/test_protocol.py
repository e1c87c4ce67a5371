"""The named protocols against what the papers say of them."""

from __future__ import annotations

import dataclasses
import doctest
import importlib.metadata
from collections import Counter

import pytest

import corruptions.protocol
from corruptions import CORRUPTIONS, PROTOCOLS, CorruptionError
from corruptions.apply import BACKENDS
from corruptions.protocol import DISTRIBUTIONS, protocol

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
    assert {corruption for corruption, _ in row.cells} <= set(CORRUPTIONS)
    assert (row.backend, row.channel_order, row.insertion_point) == ("reference", "RGB", "before_resize")
    assert row.version == f"imagecorruptions-imaug {importlib.metadata.version('imagecorruptions-imaug')}"


def test_every_backend_has_a_distribution() -> None:
    assert set(DISTRIBUTIONS) == set(BACKENDS)


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
