"""Corrected labels on disk: files of their own, a version an epoch; the labels that they correct are never touched.

    FOLDER/store.json                     whose labels these are
    FOLDER/epoch-0007/IMAGE-DIGEST.png    (H, W) uint8 train ids
    FOLDER/epoch-0007/manifest.json       written last: without it the epoch does not exist

Several processes may write an epoch's labels; one of them commits the records of all. Readers keep nothing open and
nothing in memory, so that the workers of a loader each take a copy of the store.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from adapt.atomic import write_atomically
from adapt.data.reading import is_complete_png
from adapt.errors import PrerequisiteError, SpecError
from adapt.hashing import hash_file

_IDENTITY = "store.json"
_MANIFEST = "manifest.json"
_EPOCH = re.compile(r"epoch-(\d{4,})")
_UNSAFE = re.compile(r"[^A-Za-z0-9_-]")
_NAME_LENGTH = 100  # of the readable part of a file's name; file systems allow 255 bytes
_DIGEST_LENGTH = 16  # tells names apart that the readable part does not


@dataclass(frozen=True)
class LabelRecord:
    """One corrected label.

    Attributes:
        image: The name of the image that it belongs to.
        file: The file's name in its epoch's folder.
        epoch: At whose end it was corrected.
        changed_pixels: How many pixels differ from the label as it came.
        sha256: Of the file, in hexadecimal.
    """

    image: str
    file: str
    epoch: int
    changed_pixels: int
    sha256: str


class LabelStore:
    """The corrected labels of one training run."""

    def __init__(self, folder: Path, run: str, images: Iterable[str]) -> None:
        """Name the folder; nothing is touched before `open`.

        Args:
            folder: Where the labels lie, for this run alone.
            run: The identity of the run: two runs with the same one make the same labels.
            images: The names of all images that may have a corrected label (`adapt.data.layout.Frame.name`).
        """
        self.folder = folder
        self.run = run
        self.images = frozenset(images)

    def open(self) -> None:
        """Make the folder, or make sure that it is this run's.

        Raises:
            SpecError: The folder belongs to another run, or holds something else.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        # What begins with a dot is what an interrupted `open` may have left.
        found = {path.name for path in self.folder.iterdir() if not path.name.startswith(".")}
        if found and _IDENTITY not in found:
            raise SpecError(
                f"The folder for corrected labels '{self.folder}' holds files that are no corrected labels. Choose an "
                "empty or a new folder."
            )
        identity = self.folder / _IDENTITY
        if not found:
            write_atomically(identity, json.dumps({"run": self.run}), durable=True)
        owner = _read_owner(identity)
        if owner != self.run:
            raise SpecError(
                f"The folder for corrected labels '{self.folder}' belongs to another run ({owner}, this is {self.run}). "
                "Choose another folder, or remove this one if its labels are not needed."
            )

    def write(self, epoch: int, image: str, label: NDArray[np.uint8], changed_pixels: int) -> LabelRecord:
        """Write one label of an epoch; it cannot be read before the epoch's `commit`.

        Whoever writes decides which labels an epoch has: one that is not written is read as it was before. So a label
        that went back to the original must be written as well. Writing to a committed epoch, as a resumed run does,
        makes it uncommitted.

        Args:
            epoch: At whose end the label was corrected, 0 or more.
            image: The image's name.
            label: (H, W) uint8 train ids, 255 = ignore, at the size that is trained on.
            changed_pixels: How many of them differ from the label as it came.

        Returns:
            What `commit` wants.

        Raises:
            SpecError: The run has no such image.
            ValueError: The label is not (H, W) uint8.
        """
        self._require_image(image)
        if label.ndim != 2 or label.dtype != np.uint8 or not label.size:
            raise ValueError(f"a label must be (H, W) uint8, got {label.dtype} of shape {label.shape}")
        folder = self.locate(epoch)
        folder.mkdir(exist_ok=True)
        (folder / _MANIFEST).unlink(missing_ok=True)
        data = cv2.imencode(".png", label)[1].tobytes()
        file = _name_file(image)
        write_atomically(folder / file, data)
        return LabelRecord(image, file, epoch, int(changed_pixels), hashlib.sha256(data).hexdigest())

    def commit(self, epoch: int, records: Iterable[LabelRecord]) -> None:
        """Make an epoch's labels readable, all at once.

        Later epochs go: they are what a run left behind that was resumed from before them.

        Args:
            epoch: The epoch.
            records: What `write` returned for each of its labels, in all processes; there may be none.

        Raises:
            PrerequisiteError: A label is not in the folder: its writer has another folder of that name.
            ValueError: A record is of another epoch, or an image has two.
        """
        ordered = sorted(records, key=lambda record: record.image)
        files = {record.file for record in ordered}
        if len(files) < len(ordered) or any(record.epoch != epoch for record in ordered):
            raise ValueError(f"the records of epoch {epoch} must be of that epoch, and one of each image")
        self.rewind(epoch)
        folder = self.locate(epoch)
        folder.mkdir(exist_ok=True)
        found = {path.name for path in folder.iterdir()}
        if missing := sorted(files - found):
            raise PrerequisiteError(
                f"{len(missing)} of {len(files)} corrected labels that workers wrote are not in '{folder}' "
                f"(such as '{missing[0]}'). Put the folder where all nodes reach it."
            )
        for left_over in found - files - {_MANIFEST}:
            (folder / left_over).unlink(missing_ok=True)
        manifest = {"epoch": epoch, "labels": [asdict(record) for record in ordered]}
        write_atomically(folder / _MANIFEST, json.dumps(manifest, indent=1), durable=True)

    def rewind(self, epoch: int) -> None:
        """Forget what was corrected after an epoch: a run goes on from before that.

        Args:
            epoch: The last one that stays.
        """
        for later in self.list_epochs():
            if later > epoch:
                (self.locate(later) / _MANIFEST).unlink(missing_ok=True)

    def read(self, image: str, epoch: int) -> NDArray[np.uint8] | None:
        """Read an image's label as it was corrected last.

        Args:
            image: The image's name.
            epoch: Corrections of later epochs do not count.

        Returns:
            (H, W) uint8 train ids, 255 = ignore; None where no committed epoch up to this one holds the image: the
            label stands as it came.

        Raises:
            SpecError: The run has no such image.
            PrerequisiteError: The label's file is damaged.
        """
        self._require_image(image)
        file = _name_file(image)
        for version in reversed(self.list_epochs()):
            path = self.locate(version) / file
            if version <= epoch and path.is_file():
                return self._decode(path)
        return None

    def list_epochs(self) -> tuple[int, ...]:
        """List the committed epochs, ascending."""
        matches = (_EPOCH.fullmatch(path.name) for path in self.folder.iterdir())
        epochs = sorted(int(match[1]) for match in matches if match)
        return tuple(epoch for epoch in epochs if (self.locate(epoch) / _MANIFEST).is_file())

    def read_manifest(self, epoch: int) -> tuple[LabelRecord, ...]:
        """Read what a committed epoch holds.

        Args:
            epoch: One of `list_epochs`.

        Returns:
            A record for each label, sorted by image.

        Raises:
            PrerequisiteError: The manifest is missing or damaged.
        """
        path = self.locate(epoch) / _MANIFEST
        try:
            return tuple(LabelRecord(**record) for record in json.loads(path.read_text())["labels"])
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise self._damaged(path, str(error)) from error

    def verify(self) -> None:
        """Compare the newest label of every image with its manifest: those that a resumed run goes on with.

        Raises:
            PrerequisiteError: A file is missing or not what was written; the text names it.
            SpecError: A manifest names an image that the run does not have.
        """
        seen: set[str] = set()
        for epoch in reversed(self.list_epochs()):
            for record in self.read_manifest(epoch):
                self._require_image(record.image)
                if record.image in seen:
                    continue
                seen.add(record.image)
                path = self.locate(epoch) / record.file
                if not path.is_file():
                    raise self._damaged(path, "it is missing")
                if hash_file(path) != record.sha256:
                    raise self._damaged(path, "its content is not what was written")

    def locate(self, epoch: int) -> Path:
        """Return the folder of an epoch, whether there is one or not."""
        if epoch < 0:
            raise ValueError(f"epochs are counted from 0, got {epoch}")
        return self.folder / f"epoch-{epoch:04d}"

    def _require_image(self, image: str) -> None:
        if image not in self.images:
            raise SpecError(
                f"The run whose corrected labels lie in '{self.folder}' has no image '{image}'. Give the data set that "
                "it trains on, with the same split and subset."
            )

    def _decode(self, path: Path) -> NDArray[np.uint8]:
        # Some versions of OpenCV give what they could decode of a file that is cut short.
        label = cv2.imdecode(np.fromfile(path, np.uint8), cv2.IMREAD_UNCHANGED) if is_complete_png(path) else None
        if label is None or label.ndim != 2 or label.dtype != np.uint8:
            raise self._damaged(path, "it is no complete label")
        return np.asarray(label, np.uint8)

    def _damaged(self, path: Path, reason: str) -> PrerequisiteError:
        return PrerequisiteError(
            f"Cannot use the corrected label or manifest '{path}': {reason}. Remove '{self.folder}' and start the run anew, "
            "or restore the file."
        )


def _read_owner(identity: Path) -> object:
    try:
        return json.loads(identity.read_text())["run"]
    except (ValueError, KeyError, TypeError):
        return "its name cannot be read"


def _name_file(image: str) -> str:
    """Name an image's file: readable, without folders, and different for names that differ in case or signs alone."""
    digest = hashlib.sha256(image.encode()).hexdigest()[:_DIGEST_LENGTH]
    return f"{_UNSAFE.sub('_', image)[:_NAME_LENGTH]}-{digest}.png"
