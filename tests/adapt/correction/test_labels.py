"""Which label a position of the stream sees."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from adapt.correction.label_store import LabelStore
from adapt.correction.labels import Progress, TrainingLabels
from adapt.data.cache import ImageCache
from adapt.data.reading import read_frame
from adapt.data.settings import DatasetSettings, FolderSettings
from adapt.noise.catalog import add_noise
from adapt.noise.settings import VERSION, FlipSettings

NOISE = FlipSettings(rate=0.5, unit="pixel")


def test_an_iteration_sees_the_epochs_that_were_over_when_it_began():
    progress = Progress(frames=5, per_iteration=4)
    assert [progress.count_epochs(position) for position in (0, 3, 4, 7, 8, 11, 12, 15, 16, 20)] == [
        0, 0, 0, 0, 1, 1, 2, 2, 3, 4,
    ]  # fmt: skip
    assert [progress.is_epoch_over(iteration) for iteration in range(6)] == [False, True, True, True, True, False]
    assert progress.iterations_per_epoch == 1.25


def test_the_noise_is_that_of_the_catalogue_and_the_clean_label_is_kept(frames, camvid):
    labels = TrainingLabels(camvid, NOISE, Progress(6, 3))
    image, stack = labels(frames[2], 0)
    plain, clean = read_frame(frames[2], camvid)
    noisy = add_noise(clean, NOISE, frames[2].name, [str(index) for index in range(11)]).label
    assert np.array_equal(image, plain)
    assert np.array_equal(stack, np.dstack([noisy, noisy, clean]))
    assert not np.array_equal(noisy, clean)


def test_without_noise_nothing_is_known_to_be_clean(frames, camvid):
    _, stack = TrainingLabels(camvid, None, Progress(6, 3))(frames[0], 0)
    clean = read_frame(frames[0], camvid)[1]
    assert np.array_equal(stack, np.dstack([clean, clean]))


@pytest.mark.parametrize("resize", [None, (32, 16)])
def test_a_cache_changes_nothing_and_keeps_noises_apart(frames, camvid, tmp_path: Path, resize):
    dataset = camvid.model_copy(update={"resize": resize})
    cache = ImageCache(tmp_path, 2**28)
    for noise in (NOISE, NOISE.model_copy(update={"seed": 1}), None, NOISE):
        plain = TrainingLabels(dataset, noise, Progress(6, 3)).read(frames[1])
        cached = TrainingLabels(dataset, noise, Progress(6, 3), cache=cache).read(frames[1])
        assert all(np.array_equal(one, other) for one, other in zip(plain[:2], cached[:2], strict=True))
        assert plain[1].shape == ((16, 32) if resize else (32, 64))
        assert (plain[2] is None) == (noise is None) == (cached[2] is None)
        if noise is not None:
            assert np.array_equal(plain[2], cached[2])


def test_a_cache_keeps_class_orders_and_versions_of_the_noise_apart(
    frames, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    cache, names = ImageCache(tmp_path, 2**28), [str(index) for index in range(12)]
    pair = FlipSettings(rate=1.0, unit="pixel", target="pair", pairs={"0": "11"})
    seen = []
    # Train ids 0 -> 11, 11 -> 0; symmetric flips among 12 classes, and among 13.
    for noise, classes in ((pair, names), (pair, names[::-1]), (NOISE, names), (NOISE, [*names, "12"])):
        dataset = FolderSettings(classes=tuple(classes))
        plain = TrainingLabels(dataset, noise, Progress(6, 3)).read(frames[1])[1]
        cached = TrainingLabels(dataset, noise, Progress(6, 3), cache=cache).read(frames[1])[1]
        assert np.array_equal(plain, cached)
        seen.append(plain)
    assert not np.array_equal(seen[0], seen[1])
    assert not np.array_equal(seen[2], seen[3])
    made = []
    monkeypatch.setattr("adapt.correction.labels.add_noise", lambda *given: (made.append(given), add_noise(*given))[1])
    labels = TrainingLabels(dataset, NOISE, Progress(6, 3), cache=cache)
    labels.read(frames[1])
    assert made == []
    monkeypatch.setattr("adapt.noise.catalog.VERSION", VERSION + 1)
    labels.read(frames[1])
    assert len(made) == 1


def test_corrected_labels_are_seen_from_the_first_iteration_after_their_epoch(
    frames, camvid: DatasetSettings, tmp_path: Path
):
    store = LabelStore(tmp_path, "run", [frame.name for frame in frames])
    store.open()
    labels = TrainingLabels(camvid, NOISE, Progress(6, 4), store)
    given = labels.read(frames[0])[1]
    for epoch in (1, 2):
        store.commit(epoch, [store.write(epoch, frames[0].name, np.full_like(given, epoch), given.size)])
    seen = {position: int(labels(frames[0], position)[1][0, 0, 0]) for position in (7, 8, 11, 12)}
    assert seen == {7: given[0, 0], 8: 1, 11: 1, 12: 2}  # 6 and 12 frames end epochs: in iterations 1 and 2
    assert np.array_equal(labels(frames[0], 12)[1][..., 1], given)
    assert np.array_equal(labels(frames[1], 12)[1][..., 0], labels.read(frames[1])[1])
    assert labels.read_newest(frames[0], given)[0, 0] == 2
    before = cv2.imread(str(frames[0].label), cv2.IMREAD_UNCHANGED)
    assert np.array_equal(before[before < 11], labels.read(frames[0])[2][before < 11])
