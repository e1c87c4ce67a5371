"""All models: rate, seed, order, process, ignored pixels, tiny labels."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from collections.abc import Callable
from typing import Any, get_args

import numpy as np
import pytest

from adapt.errors import SpecError
from adapt.noise.catalog import _MODELS, add_noise
from adapt.noise.settings import BoundarySettings, DropSettings, FlipSettings, MorphologySettings, NoiseSettings

MakeStreet = Callable[[int], np.ndarray]
EveryModel = Callable[..., list[Any]]


def name(settings: Any) -> str:
    return "-".join([settings.name, *(str(getattr(settings, key, "")) for key in ("unit", "target", "style"))])


def test_every_model_is_in_the_catalogue() -> None:
    union, _ = get_args(NoiseSettings)
    assert set(_MODELS) == set(get_args(union))


@pytest.mark.parametrize("rate", [0.1, 0.3, 0.75])
def test_the_realised_rate_is_within_one_percent(
    rate: float, every_model: EveryModel, make_street: MakeStreet, classes: tuple[str, ...]
) -> None:
    streets = [make_street(number) for number in range(120)]
    for settings in every_model(rate=rate, seed=3):
        noisy = [add_noise(label, settings, str(number), classes) for number, label in enumerate(streets)]
        units, hit = sum(label.units for label in noisy), sum(label.hit for label in noisy)
        # By chance an image is off by less than a unit: so is the share of few units, but not that of many.
        assert units > 400, name(settings)
        assert abs(hit / units - rate) <= 0.01, name(settings)
        for label in noisy:
            assert abs(label.hit - rate * label.units) < 1 + 1e-9


def test_ignored_pixels_stay_and_no_others_are(
    every_model: EveryModel, make_street: MakeStreet, classes: tuple[str, ...]
) -> None:
    for background in (None, "road"):
        for settings in every_model(rate=1.0, background=background):
            changed = 0
            for number in range(8):
                label = make_street(number)
                noisy = add_noise(label, settings, str(number), classes).label
                assert noisy.dtype == np.uint8
                np.testing.assert_array_equal(noisy == 255, label == 255)
                assert noisy[label != 255].max() < len(classes)
                changed += int((noisy != label).sum())
            assert changed > 100, name(settings)


def test_rate_0_changes_nothing(every_model: EveryModel, make_street: MakeStreet, classes: tuple[str, ...]) -> None:
    for settings in every_model(rate=0.0):
        label = make_street(5)
        label.flags.writeable = False
        noisy = add_noise(label, settings, "5", classes)
        np.testing.assert_array_equal(noisy.label, label)
        assert noisy.hit == 0
        assert noisy.units > 0


def test_seed_and_name_matter_and_the_label_is_left_alone(
    every_model: EveryModel, make_street: MakeStreet, classes: tuple[str, ...]
) -> None:
    label = make_street(5)
    before = label.copy()
    for settings in every_model(rate=0.5):
        if settings.name == "flip" and settings.target == "pair":
            continue  # few units: other draws may well hit the same
        results = [
            add_noise(label, settings.model_copy(update={"seed": seed}), image, classes).label.tobytes()
            for seed, image in ((0, "a"), (0, "b"), (1, "a"), (2, "b"))
        ]
        assert len(set(results)) >= 3, name(settings)
    np.testing.assert_array_equal(label, before)


SCRIPT = """
import hashlib, json, sys
import cv2, numpy as np
from pydantic import TypeAdapter
from adapt.noise.catalog import add_noise
from adapt.noise.settings import NoiseSettings
cv2.setNumThreads(4)
labels = np.load(sys.argv[1])
settings = TypeAdapter(list[NoiseSettings]).validate_json(sys.argv[2])
digests = {}
for number in reversed(range(len(labels))):
    for index, model in enumerate(settings):
        noisy = add_noise(labels[number], model, f"frame {number}", json.loads(sys.argv[3]))
        digests[f"{index} {number}"] = hashlib.sha256(noisy.label.tobytes()).hexdigest()
print(json.dumps(digests))
"""


def test_same_pixels_in_any_order_and_process(
    every_model: EveryModel, make_street: MakeStreet, classes: tuple[str, ...], tmp_path: Any
) -> None:
    labels = np.stack([make_street(number) for number in range(4)])
    np.save(tmp_path / "labels.npy", labels)
    settings = every_model(rate=0.5, seed=11)
    dumped = json.dumps([model.model_dump(mode="json") for model in settings])
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(tmp_path / "labels.npy"), dumped, json.dumps(classes)],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
        env={"PYTHONHASHSEED": "77", "PYTHONPATH": ":".join(sys.path)},
    )
    here = {
        f"{index} {number}": hashlib.sha256(
            add_noise(label, model, f"frame {number}", classes).label.tobytes()
        ).hexdigest()
        for index, model in enumerate(settings)
        for number, label in enumerate(labels)
    }
    assert json.loads(done.stdout) == here


@pytest.mark.parametrize("background", [None, "road", "sky"])
@pytest.mark.parametrize(
    "label",
    [
        np.zeros((1, 1)),
        np.full((1, 1), 255),
        np.full((1, 7), 2),
        np.full((5, 1), 255),
        np.full((6, 6), 3),
        np.eye(3) * 4,
    ],
    ids=["one pixel", "one ignored", "a row", "an ignored column", "one class", "a diagonal"],
)
def test_tiny_and_plain_labels(
    label: np.ndarray, background: str | None, every_model: EveryModel, classes: tuple[str, ...]
) -> None:
    label = label.astype(np.uint8)
    for settings in every_model(rate=1.0, background=background):
        noisy = add_noise(label, settings, "tiny", classes)
        assert noisy.label.shape == label.shape
        assert noisy.hit == noisy.units
        np.testing.assert_array_equal(noisy.label == 255, label == 255)


def test_a_plain_label_of_one_class_holds_nothing_to_redraw(classes: tuple[str, ...]) -> None:
    label = np.full((9, 9), 3, np.uint8)
    for settings in (MorphologySettings(rate=1.0), BoundarySettings(rate=1.0), DropSettings(rate=1.0, max_share=1.0)):
        assert add_noise(label, settings, "x", classes).units == 0


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (DropSettings(rate=0.1, background="cra"), "closest is 'car'"),
        (FlipSettings(rate=0.1, target="pair", pairs={"cra": "sky"}), "closest is 'car'"),
        (FlipSettings(rate=0.1, background="cra"), "closest is 'car'"),
    ],
)
def test_unknown_classes(settings: Any, message: str, classes: tuple[str, ...]) -> None:
    with pytest.raises(SpecError, match=message):
        add_noise(np.zeros((2, 2), np.uint8), settings, "x", classes)


def test_labels_of_other_classes_or_types(classes: tuple[str, ...]) -> None:
    settings = DropSettings(rate=0.1)
    with pytest.raises(SpecError, match=r"'x' holds the id 5, but 5 classes have the train ids 0 to 4"):
        add_noise(np.array([[0, 5, 255]], np.uint8), settings, "x", classes)
    with pytest.raises(SpecError, match="int64, but"):
        add_noise(np.zeros((2, 2), np.int64), settings, "x", classes)  # type: ignore[arg-type]
    with pytest.raises(SpecError, match=r"shape \(2, 2, 3\)"):
        add_noise(np.zeros((2, 2, 3), np.uint8), settings, "x", classes)
