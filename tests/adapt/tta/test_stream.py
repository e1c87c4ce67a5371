"""The manifest's rows and order, and the pixels of a row."""

from __future__ import annotations

import json
import random
from pathlib import Path

import cv2
import numpy as np
import pytest

from adapt.data.layout import Frame
from adapt.data.settings import DatasetSettings
from adapt.errors import SpecError
from adapt.tta.stream import build_manifest, index_frames, load_step
from adapt.tta.stream_settings import DomainSettings, StreamSettings
from corruptions.apply import corrupt
from corruptions.seeding import derive_seed

CONTINUAL = StreamSettings(
    kind="continual",
    domains=(
        DomainSettings(dataset="night"),
        DomainSettings(dataset="day", corruption="gaussian_noise", severity=3),
        DomainSettings(dataset="day"),
    ),
    rounds=2,
    limit=2,
    seed=7,
)


def frames(folder: str, *names: str) -> list[Frame]:
    return [Frame(name, Path(folder) / f"{name}.png", None) for name in names]


FRAMES = {"night": frames("/n", "n2", "n1", "n3"), "day": frames("/d", "d3", "d1", "d2"), "unused": frames("/u", "u")}


def test_every_row_in_order():
    rows = build_manifest(CONTINUAL, FRAMES)
    noise = "day/gaussian_noise/3"
    one_round = [
        ("night", "night", "n1", None, None, None),
        ("night", "night", "n2", None, None, None),
        (noise, "day", "d1", "gaussian_noise", 3, derive_seed(7, "d1", "gaussian_noise", 3)),
        (noise, "day", "d2", "gaussian_noise", 3, derive_seed(7, "d2", "gaussian_noise", 3)),
        ("day", "day", "d1", None, None, None),
        ("day", "day", "d2", None, None, None),
    ]
    assert [(s.round, s.domain, s.dataset, s.frame, s.corruption, s.severity, s.seed) for s in rows] == [
        (round_, *row) for round_ in (0, 1) for row in one_round
    ]


def test_the_order_given_does_not_matter_and_the_seed_does():
    shuffled = {name: random.Random(1).sample(each, len(each)) for name, each in reversed(FRAMES.items())}
    assert build_manifest(CONTINUAL, shuffled) == build_manifest(CONTINUAL, FRAMES)
    other = build_manifest(CONTINUAL.model_copy(update={"seed": 8}), FRAMES)
    pairs = list(zip(build_manifest(CONTINUAL, FRAMES), other, strict=True))
    assert all((one.seed != two.seed) == (one.corruption is not None) for one, two in pairs)
    assert [one.frame for one, _ in pairs] == [two.frame for _, two in pairs]


def test_no_limit_takes_every_frame():
    settings = StreamSettings(kind="single", domains=(DomainSettings(dataset="night"),))
    assert [step.frame for step in build_manifest(settings, FRAMES)] == ["n1", "n2", "n3"]


def test_rows_are_plain_data_without_paths():
    rows = [step.to_json() for step in build_manifest(CONTINUAL, FRAMES)]
    assert json.loads(json.dumps(rows)) == rows
    assert "/n" not in json.dumps(rows)
    assert list(rows[0]) == ["round", "domain", "dataset", "frame", "corruption", "severity", "seed"]


@pytest.mark.parametrize("known", [{}, {"night": [], "day": FRAMES["day"]}])
def test_refuses_a_data_set_without_frames(known):
    with pytest.raises(SpecError, match=r"domain 'night'.*no frames"):
        build_manifest(CONTINUAL, known)


def test_loads_and_corrupts_at_the_images_own_size(tmp_path):
    image = np.random.default_rng(0).integers(0, 256, (40, 48, 3), dtype=np.uint8)
    label = np.full((40, 48), 255, dtype=np.uint8)
    label[:20] = 3
    cv2.imwrite(str(tmp_path / "a_leftImg8bit.png"), image[..., ::-1])
    cv2.imwrite(str(tmp_path / "a_gtFine_labelTrainIds.png"), label)
    frame = Frame("a", tmp_path / "a_leftImg8bit.png", tmp_path / "a_gtFine_labelTrainIds.png")
    settings = StreamSettings(
        kind="continual",
        domains=(
            DomainSettings(dataset="day"),
            DomainSettings(dataset="day", corruption="gaussian_noise", severity=3),
        ),
    )
    plain, noisy = build_manifest(settings, {"day": [frame]})
    datasets = {"day": DatasetSettings(type="cityscapes", split="val", resize=(24, 20))}
    known = index_frames({"day": [frame]})
    got_image, got_label = load_step(plain, known, datasets)
    assert np.array_equal(got_image, image)
    assert np.array_equal(got_label, label)
    got_image, got_label = load_step(noisy, known, datasets)
    seed = derive_seed(0, "a", "gaussian_noise", 3)
    assert np.array_equal(got_image, corrupt(image, "gaussian_noise", 3, seed))
    assert not np.array_equal(got_image, image)
    assert np.array_equal(got_label, label)
