"""The label store: versions by epoch, whole epochs or none, one run a folder, and readers in other processes."""

from __future__ import annotations

import json
import pickle
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

import adapt.correction.label_store
from adapt.correction.label_store import LabelRecord, LabelStore
from adapt.errors import PrerequisiteError, SpecError
from adapt.hashing import hash_file

IMAGES = ("0001TP_006690", "town/left 01", "town/left_01", "Town/left_01", "äöü", "..", "x" * 240)


@pytest.fixture
def store(tmp_path: Path) -> LabelStore:
    store = LabelStore(tmp_path / "labels", "run-1", IMAGES)
    store.open()
    return store


def make_label(seed: int) -> NDArray[np.uint8]:
    label = np.random.default_rng(seed).integers(0, 11, size=(9, 13), dtype=np.uint8)
    label[0, 0] = 255
    return label


def add_epoch(store: LabelStore, epoch: int, *images: str) -> None:
    store.commit(epoch, [store.write(epoch, image, make_label(epoch), epoch) for image in images])


def read(store: LabelStore, image: str, epoch: int) -> int | None:
    """The epoch whose label is read."""
    label = store.read(image, epoch)
    if label is None:
        return None
    (found,) = [seed for seed in range(20) if np.array_equal(label, make_label(seed))]
    return found


def test_every_name_keeps_its_own_label_bit_for_bit(store: LabelStore) -> None:
    labels = {image: make_label(index) for index, image in enumerate(IMAGES)}
    store.commit(3, [store.write(3, image, label, 1) for image, label in labels.items()])
    for image, label in labels.items():
        found = store.read(image, 3)
        assert found is not None
        assert found.dtype == np.uint8
        np.testing.assert_array_equal(found, label)
    files = list((store.folder / "epoch-0003").iterdir())
    assert len({file.name.lower() for file in files}) == len(IMAGES) + 1
    assert {path.name for path in store.folder.iterdir()} == {"store.json", "epoch-0003"}


def test_newest_version_up_to_an_epoch_is_read(store: LabelStore) -> None:
    first, second = IMAGES[:2]
    add_epoch(store, 2, first, second)
    add_epoch(store, 5, first)
    add_epoch(store, 11, second)
    assert [read(store, first, epoch) for epoch in (0, 1, 2, 4, 5, 99)] == [None, None, 2, 2, 5, 5]
    assert [read(store, second, epoch) for epoch in (1, 5, 10, 11)] == [None, 2, 2, 11]
    assert store.read(IMAGES[2], 99) is None
    assert store.list_epochs() == (2, 5, 11)


def test_epochs_are_ordered_as_numbers(store: LabelStore) -> None:
    add_epoch(store, 9, IMAGES[0])
    for epoch in (9999, 10000):
        store.commit(epoch, [store.write(epoch, IMAGES[0], make_label(epoch % 7), 0)])
    assert store.list_epochs() == (9, 9999, 10000)
    assert read(store, IMAGES[0], 10000) == 10000 % 7


def test_uncommitted_epoch_does_not_exist(store: LabelStore) -> None:
    add_epoch(store, 2, IMAGES[0])
    store.write(4, IMAGES[0], make_label(4), 1)
    assert read(store, IMAGES[0], 4) == 2
    assert store.list_epochs() == (2,)
    store.verify()
    with pytest.raises(PrerequisiteError, match=r"epoch-0004/manifest\.json"):
        store.read_manifest(4)


def test_resumed_run_overwrites_what_was_interrupted(store: LabelStore) -> None:
    store.write(4, IMAGES[0], make_label(7), 1)
    store.write(4, IMAGES[1], make_label(7), 1)  # written no more after the resume
    (store.folder / "epoch-0004" / ".draft.partial").touch()
    add_epoch(store, 4, IMAGES[0])
    assert read(store, IMAGES[0], 4) == 4
    assert store.read(IMAGES[1], 4) is None
    assert len(list((store.folder / "epoch-0004").iterdir())) == 2
    store.verify()


def test_rewriting_a_committed_epoch_hides_it_until_it_is_whole_again(store: LabelStore) -> None:
    add_epoch(store, 2, *IMAGES[:2])
    add_epoch(store, 4, *IMAGES[:2])
    record = store.write(4, IMAGES[0], make_label(9), 1)
    assert [read(store, image, 4) for image in IMAGES[:2]] == [2, 2]
    store.commit(4, [record])
    assert [read(store, image, 4) for image in IMAGES[:2]] == [9, 2]


def test_epochs_of_a_lost_part_of_the_run_go(store: LabelStore) -> None:
    for epoch in (2, 4, 6):
        add_epoch(store, epoch, IMAGES[0])
    add_epoch(store, 3, IMAGES[0])  # resumed before epoch 3
    assert store.list_epochs() == (2, 3)
    assert read(store, IMAGES[0], 9) == 3


def test_epoch_without_corrections_is_committed(store: LabelStore) -> None:
    add_epoch(store, 2, IMAGES[0])
    store.commit(3, [])
    assert store.list_epochs() == (2, 3)
    assert store.read_manifest(3) == ()
    assert read(store, IMAGES[0], 3) == 2


def test_failure_to_write_the_manifest_leaves_the_epoch_uncommitted(
    store: LabelStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = store.write(4, IMAGES[0], make_label(4), 1)
    with monkeypatch.context() as patch:
        patch.setattr(adapt.correction.label_store, "write_atomically", _fail)
        with pytest.raises(OSError, match="disk"):
            store.commit(4, [record])
    assert store.read(IMAGES[0], 4) is None


def _fail(*_: object, **__: object) -> None:
    raise OSError("disk")


def test_manifest_says_what_was_written(store: LabelStore) -> None:
    records = [store.write(7, image, make_label(1), 5) for image in (IMAGES[1], IMAGES[0])]
    store.commit(7, records)
    assert store.read_manifest(7) == (records[1], records[0])
    text = json.loads((store.folder / "epoch-0007" / "manifest.json").read_text())
    file = store.folder / "epoch-0007" / records[1].file
    assert text["epoch"] == 7
    assert text["labels"][0] == {
        "image": IMAGES[0],
        "file": file.name,
        "epoch": 7,
        "changed_pixels": 5,
        "sha256": hash_file(file),
    }
    np.testing.assert_array_equal(cv2.imread(str(file), cv2.IMREAD_UNCHANGED), make_label(1))


def test_same_run_opens_its_folder_again(store: LabelStore) -> None:
    add_epoch(store, 2, IMAGES[0])
    again = LabelStore(store.folder, "run-1", IMAGES)
    again.open()
    assert read(again, IMAGES[0], 2) == 2


def test_folder_of_another_run_is_refused(store: LabelStore) -> None:
    before = (store.folder / "store.json").read_bytes()
    with pytest.raises(SpecError, match=r"labels' belongs to another run \(run-1, this is run-2\)\. Choose another"):
        LabelStore(store.folder, "run-2", IMAGES).open()
    assert (store.folder / "store.json").read_bytes() == before


@pytest.mark.parametrize("text", ["", "{", "[]", "{}"])
def test_folder_whose_owner_cannot_be_read_is_refused(store: LabelStore, text: str) -> None:
    (store.folder / "store.json").write_text(text)
    with pytest.raises(SpecError, match="cannot be read"):
        LabelStore(store.folder, "run-1", IMAGES).open()


def test_folder_with_other_files_is_refused(tmp_path: Path) -> None:
    (tmp_path / "photo.jpg").touch()
    with pytest.raises(SpecError, match=rf"'{tmp_path}' holds files .* Choose an empty"):
        LabelStore(tmp_path, "run-1", IMAGES).open()
    assert not (tmp_path / "store.json").exists()


def test_folder_of_an_interrupted_opening_is_taken(tmp_path: Path) -> None:
    (tmp_path / ".store.json.abc.partial").touch()
    LabelStore(tmp_path, "run-1", IMAGES).open()
    LabelStore(tmp_path, "run-1", IMAGES).open()


def test_unknown_images_are_refused(store: LabelStore) -> None:
    with pytest.raises(SpecError, match="no image 'other'"):
        store.write(1, "other", make_label(1), 1)
    with pytest.raises(SpecError, match="no image 'other'"):
        store.read("other", 1)
    assert store.list_epochs() == ()


def test_manifest_with_an_image_that_the_run_does_not_have_is_refused(store: LabelStore) -> None:
    add_epoch(store, 2, *IMAGES[:2])
    with pytest.raises(SpecError, match=IMAGES[1]):
        LabelStore(store.folder, "run-1", IMAGES[:1]).verify()


@pytest.mark.parametrize(
    "label", [np.zeros((3, 4, 1), np.uint8), np.zeros((3, 4), np.int64), np.zeros((0, 4), np.uint8)]
)
def test_arrays_that_are_no_label_are_refused(store: LabelStore, label: NDArray[np.uint8]) -> None:
    with pytest.raises(ValueError, match="uint8"):
        store.write(1, IMAGES[0], label, 0)


def test_epochs_below_zero_are_refused(store: LabelStore) -> None:
    with pytest.raises(ValueError, match="-1"):
        store.write(-1, IMAGES[0], make_label(0), 0)


def test_records_that_do_not_belong_are_refused(store: LabelStore) -> None:
    record = store.write(2, IMAGES[0], make_label(2), 1)
    for epoch, records in ((2, [record, record]), (3, [record])):
        with pytest.raises(ValueError, match="one of each image"):
            store.commit(epoch, records)
    assert store.list_epochs() == ()


def test_label_that_another_node_wrote_elsewhere_is_missed(store: LabelStore) -> None:
    record = LabelRecord(IMAGES[0], "elsewhere.png", 2, 1, "0" * 64)
    with pytest.raises(PrerequisiteError, match=r"1 of 1 .*'elsewhere.png'.* all nodes"):
        store.commit(2, [record])
    assert store.list_epochs() == ()


def test_verify_finds_every_damage(store: LabelStore) -> None:
    add_epoch(store, 2, *IMAGES[:3])
    store.verify()
    file = store.folder / "epoch-0002" / store.read_manifest(2)[1].file
    good = file.read_bytes()
    for bad in (cv2.imencode(".png", make_label(8))[1].tobytes(), good[:-20], b""):
        file.write_bytes(bad)
        with pytest.raises(PrerequisiteError, match=f"{file.name}': its content is not"):
            store.verify()
    file.unlink()
    with pytest.raises(PrerequisiteError, match=f"{file.name}': it is missing. Remove"):
        store.verify()
    file.write_bytes(good)
    store.verify()
    (store.folder / "epoch-0002" / "manifest.json").write_text('{"labels": [{"image": "x"}]}')
    with pytest.raises(PrerequisiteError, match=r"manifest\.json"):
        store.verify()


@pytest.mark.parametrize("damage", ["cut", "empty", "text", "colour"])
def test_damaged_label_is_not_read(store: LabelStore, damage: str) -> None:
    add_epoch(store, 2, IMAGES[0])
    file = store.folder / "epoch-0002" / store.read_manifest(2)[0].file
    content = {
        "cut": file.read_bytes()[:-20],
        "empty": b"",
        "text": b"no picture",
        "colour": cv2.imencode(".png", np.zeros((3, 4, 3), np.uint8))[1].tobytes(),
    }[damage]
    file.write_bytes(content)
    with pytest.raises(PrerequisiteError, match=f"{file.name}': it is no complete label"):
        store.read(IMAGES[0], 2)


def test_another_process_reads_what_was_committed_after_it_got_the_store(store: LabelStore, tmp_path: Path) -> None:
    copy = tmp_path / "store.pickle"
    copy.write_bytes(pickle.dumps(store))
    add_epoch(store, 2, IMAGES[0])
    add_epoch(store, 6, IMAGES[0])
    code = (
        "import pathlib, pickle, sys\n"
        f"store = pickle.loads(pathlib.Path({str(copy)!r}).read_bytes())\n"
        f"sys.stdout.buffer.write(store.read({IMAGES[0]!r}, 5).tobytes())\n"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
    assert result.stdout == make_label(2).tobytes()
