"""The manifest's rows."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest

from adapt.data.layout import Frame
from adapt.errors import SpecError
from adapt.tta.stream import build_manifest, index_frames
from adapt.tta.stream_settings import DomainSettings, StreamSettings
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


def test_the_way_and_the_severity_of_a_gradual_stream_make_cells_of_their_own():
    settings = StreamSettings(
        kind="gradual", domains=(DomainSettings(dataset="day", corruption="fog"),), limit=1, seed=4
    )
    rows = build_manifest(settings, FRAMES)
    assert [(step.domain, step.severity) for step in rows] == [
        *((f"day/fog/{severity}/up", severity) for severity in (1, 2, 3, 4, 5)),
        *((f"day/fog/{severity}/down", severity) for severity in (4, 3, 2, 1)),
    ]
    assert [step.seed for step in rows] == [derive_seed(4, "d1", "fog", step.severity) for step in rows]


def test_frames_are_indexed_by_data_set_and_name():
    assert index_frames(FRAMES)["day"]["d2"] is FRAMES["day"][2]
