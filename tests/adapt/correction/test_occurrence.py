"""Classes that noise and correction name have to occur in the labels; few labels are read to see it."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from adapt.correction import occurrence
from adapt.correction.occurrence import check_occurrence
from adapt.correction.settings import AdeleSettings, RuleSettings
from adapt.data.layout import Frame
from adapt.data.settings import DatasetSettings
from adapt.errors import SpecError
from adapt.noise.settings import DropSettings, FlipSettings, NoiseSettings

DATASET = DatasetSettings(type="camvid", split="train")


@pytest.fixture
def ordered(tmp_path: Path) -> tuple[Frame, ...]:
    """Four labels: Sky in all of them, Building in the second one, Pole in the last."""
    frames = []
    for index, second in enumerate((0, 1, 0, 2)):
        file = tmp_path / f"{index}.png"
        cv2.imwrite(str(file), np.array([[0, second, 255]], np.uint8))
        frames.append(Frame(str(index), file, file))
    return tuple(frames)


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the frames whose labels are read."""
    names: list[str] = []
    real = occurrence.read_label

    def reading(frame: Frame, settings: DatasetSettings) -> np.ndarray:
        names.append(frame.name)
        return real(frame, settings)

    monkeypatch.setattr(occurrence, "read_label", reading)
    return names


def flip(**pairs: str) -> FlipSettings:
    return FlipSettings(rate=0.1, target="pair", pairs=pairs)


def correct(background: str | None) -> AdeleSettings:
    return AdeleSettings(rule=RuleSettings(background=background))


@pytest.mark.parametrize(
    ("noise", "correction", "count"),
    [
        (None, correct(None), 0),
        (DropSettings(rate=0.1), None, 0),
        (DropSettings(rate=0.1, background="Sky"), None, 1),
        (flip(Building="Car"), correct("Sky"), 2),
        (flip(Sky="Car"), correct("Pole"), 4),
    ],
)
def test_no_more_labels_are_read_than_it_takes(
    ordered: tuple[Frame, ...],
    read: list[str],
    noise: NoiseSettings | None,
    correction: AdeleSettings | None,
    count: int,
) -> None:
    check_occurrence(noise, correction, ordered, DATASET)
    assert len(read) == count


@pytest.mark.parametrize(
    ("noise", "correction", "named"),
    [
        (DropSettings(rate=0.1, background="Car"), None, "`background` names 'Car'"),
        (flip(Sky="Pole", Car="Sky"), correct("Sky"), "`pairs` names 'Car'"),
        (None, correct("Car"), "`correction.rule.background` names 'Car'"),
    ],
)
def test_a_class_that_never_occurs_is_refused(
    ordered: tuple[Frame, ...], noise: NoiseSettings | None, correction: AdeleSettings | None, named: str
) -> None:
    with pytest.raises(SpecError) as caught:
        check_occurrence(noise, correction, ordered, DATASET)
    assert named in str(caught.value)
    assert "no label of the 4 training frames holds" in str(caught.value)
