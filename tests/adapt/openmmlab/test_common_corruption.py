"""The corruption transform in a real mmsegmentation pipeline."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from mmengine.dataset import Compose
from mmengine.registry import DefaultScope

import adapt.openmmlab.registration  # noqa: F401
from adapt.errors import SpecError
from corruptions import CorruptionError, corrupt, derive_seed

IMAGE = np.random.default_rng(0).integers(0, 256, (40, 64, 3), dtype=np.uint8)  # RGB


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Any]:
    path = tmp_path / "city_1_leftImg8bit.png"
    cv2.imwrite(str(path), np.ascontiguousarray(IMAGE[..., ::-1]))
    cv2.imwrite(str(tmp_path / "label.png"), np.zeros(IMAGE.shape[:2], np.uint8))
    return {
        "img_path": str(path),
        "seg_map_path": str(tmp_path / "label.png"),
        "label_map": None,
        "reduce_zero_label": False,
    }


def run(files: dict[str, Any], *steps: dict[str, Any]) -> Any:
    with DefaultScope.overwrite_default_scope("mmseg"):
        return Compose(list(steps))(dict(files, seg_fields=[]))


LOAD = {"type": "LoadImageFromFile"}
FROST = {"type": "CommonCorruption", "name": "frost", "severity": 2}


@pytest.mark.parametrize("name", ["frost", "gaussian_noise", "weather_sun_flare"])
@pytest.mark.parametrize(
    ("suffix", "frame"), [(None, "city_1_leftImg8bit"), ("_leftImg8bit.png", "city_1")], ids=["stem", "suffix"]
)
@pytest.mark.parametrize("backend", ["fast", "reference"])
def test_packed_image_is_the_benchmark_s(
    files: dict[str, Any], name: str, suffix: str | None, frame: str, backend: Any
) -> None:
    expected = corrupt(IMAGE, name, 2, derive_seed(3, frame, name, 2), backend=backend)
    step = {"type": "CommonCorruption", "name": name, "severity": 2, "seed": 3, "backend": backend}
    for _ in range(2):  # the same each time that the image comes
        packed = run(
            files, LOAD, step | {"image_suffix": suffix}, {"type": "LoadAnnotations"}, {"type": "PackSegInputs"}
        )
        np.testing.assert_array_equal(packed["inputs"].numpy(), expected[..., ::-1].transpose(2, 0, 1))  # BGR


def test_order_of_channels_is_said_not_guessed(files: dict[str, Any]) -> None:
    expected = corrupt(IMAGE, "frost", 2, derive_seed(0, "city_1_leftImg8bit", "frost", 2))
    rgb = run(files | {"img": IMAGE.copy()}, FROST | {"image_order": "RGB"})["img"]
    np.testing.assert_array_equal(rgb, expected)
    taken_for_bgr = run(files | {"img": IMAGE.copy()}, FROST)["img"]
    assert not np.array_equal(taken_for_bgr, expected)
    with pytest.raises(SpecError, match="image_order 'GBR' is neither"):
        run(files, FROST | {"image_order": "GBR"})


@pytest.mark.parametrize("image_order", ["BGR", "RGB"])
def test_the_operation_sees_the_order_that_the_protocol_says(
    files: dict[str, Any], tmp_path: Path, image_order: str
) -> None:
    (tmp_path / "mine.yaml").write_text("name: mine\ncells: {frost: 2}\nbackend: reference\nchannel_order: BGR\n")
    image = IMAGE if image_order == "RGB" else np.ascontiguousarray(IMAGE[..., ::-1])
    seed = derive_seed(0, "city_1_leftImg8bit", "frost", 2)
    expected = corrupt(IMAGE, "frost", 2, seed, backend="reference", channel_order="BGR")
    for options in (
        {"channel_order": "BGR", "backend": "reference"},
        {"protocol": str(tmp_path / "mine.yaml")},
        {"protocol": {"name": "mine", "cells": {"frost": [1, 2]}, "backend": "reference", "channel_order": "BGR"}},
    ):
        found = run(files | {"img": image.copy()}, FROST | options | {"image_order": image_order})["img"]
        np.testing.assert_array_equal(found if image_order == "RGB" else found[..., ::-1], expected)


def test_pixels_do_not_depend_on_the_folder_and_differ_between_images(files: dict[str, Any], tmp_path: Path) -> None:
    found = {}
    for name in ("a/x.png", "b/x.png", "b/y.png"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(Path(files["img_path"]).read_bytes())
        found[name] = run({"img_path": str(path)}, LOAD, FROST | {"name": "gaussian_noise"})["img"]
    np.testing.assert_array_equal(found["a/x.png"], found["b/x.png"])
    assert not np.array_equal(found["b/x.png"], found["b/y.png"])


def test_later_steps_see_the_corrupted_image(files: dict[str, Any]) -> None:
    resize = {"type": "Resize", "scale": (32, 20)}
    resized = run(files, LOAD, FROST, resize)["img"]
    assert resized.shape == (20, 32, 3)
    assert not np.array_equal(resized, run(files, LOAD, resize)["img"])


def test_what_is_refused(files: dict[str, Any]) -> None:
    with pytest.raises(CorruptionError, match="did you mean 'frost'"):
        run(files, LOAD, FROST | {"name": "forst"})
    with pytest.raises(CorruptionError, match="protocol 'quick' has no severity 3 of frost"):
        run(files, LOAD, FROST | {"severity": 3, "protocol": "quick"})
    mine = {"name": "mine", "cells": {"frost": 2}, "channel_order": "BGR"}
    with pytest.raises(CorruptionError, match="has the channel_order 'BGR', not 'RGB'"):
        run(files, LOAD, FROST | {"channel_order": "RGB", "protocol": mine})
    with pytest.raises(CorruptionError, match="'mine' corrupts images at the size that a network sees"):
        run(files, LOAD, FROST | {"protocol": mine | {"insertion_point": "after_resize"}})
    with pytest.raises(SpecError, match="directly behind `LoadImageFromFile`"):
        run(files, FROST)
    for step in ({"type": "Resize", "scale": (64, 40)}, {"type": "RandomFlip", "prob": 1.0}):
        with pytest.raises(SpecError, match="resized or flipped already"):
            run(files, LOAD, step, FROST)
    with pytest.raises(CorruptionError, match=r"city_1_leftImg8bit\.png has dtype float32"):
        run(files, LOAD | {"to_float32": True}, FROST)


def test_settings_are_logged() -> None:
    with DefaultScope.overwrite_default_scope("mmseg"):
        pipeline = Compose([FROST | {"protocol": "quick", "seed": 4}])
    expected = (
        "CommonCorruption(name='frost', severity=2, seed=4, backend='fast', protocol='quick', channel_order='RGB', "
        "image_order='BGR'"
    )
    assert expected in repr(pipeline)
