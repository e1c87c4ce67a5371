"""The frames of a stream in order, written down before it runs, and the pixels of each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from adapt.data.layout import Frame
from adapt.data.reading import read_frame
from adapt.data.settings import DatasetSettings
from adapt.errors import SpecError
from adapt.tta.stream_settings import DomainSettings, StreamSettings
from corruptions.apply import corrupt
from corruptions.seeding import derive_seed


@dataclass(frozen=True)
class Step:
    """One row of a manifest: which frame comes, and how it is corrupted.

    Attributes:
        round: from 0.
        domain: the label of the domain; (round, domain) is the cell that the frame is scored in.
        dataset: the name of the data set that holds the frame.
        frame: the frame's name, unique within the data set.
        corruption: a name of the corruption catalogue, or None.
        severity: 1 to 5, or None without a corruption.
        seed: of the corruption, derived from the stream's seed, the frame's name, the corruption and the severity, so
            that a frame looks the same in every round and order; None without a corruption.
    """

    round: int
    domain: str
    dataset: str
    frame: str
    corruption: str | None
    severity: int | None
    seed: int | None

    def to_json(self) -> dict[str, Any]:
        """Return the row as plain data."""
        return asdict(self)

    def __str__(self) -> str:
        """Name the step for a reader of an error message."""
        return f"round {self.round}, domain '{self.domain}', frame '{self.frame}'"


Manifest = tuple[Step, ...]
FramesByName = Mapping[str, Mapping[str, Frame]]


def build_manifest(settings: StreamSettings, frames_by_dataset: Mapping[str, Sequence[Frame]]) -> Manifest:
    """Write down every frame of a stream in the order in which it comes.

    Within a domain frames are sorted by image path, whatever the order given; rounds repeat the same rows.

    Args:
        settings: the stream.
        frames_by_dataset: the frames of each data set that a domain names.

    Returns:
        The rows, `rounds` times the (limited) frames of every domain in order.

    Raises:
        SpecError: if a domain names an unknown data set, or one without frames.
    """
    frames_by_domain = [
        (domain, _choose_frames(domain, settings.limit, frames_by_dataset)) for domain in settings.domains
    ]
    return tuple(
        Step(
            round=round_,
            domain=domain.label,
            dataset=domain.dataset,
            frame=frame.name,
            corruption=domain.corruption,
            severity=domain.severity,
            seed=_derive_seed(settings.seed, frame, domain),
        )
        for round_ in range(settings.rounds)
        for domain, frames in frames_by_domain
        for frame in frames
    )


def index_frames(frames_by_dataset: Mapping[str, Sequence[Frame]]) -> dict[str, dict[str, Frame]]:
    """Index frames by data set and name, for `load_step`."""
    return {dataset: {frame.name: frame for frame in frames} for dataset, frames in frames_by_dataset.items()}


def load_step(
    step: Step, frames: FramesByName, datasets: Mapping[str, DatasetSettings]
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Read a step's image and label, and corrupt the image at its own size.

    Args:
        step: a row of the manifest.
        frames: from `index_frames`.
        datasets: the settings of each data set, by the same names.

    Returns:
        The image, RGB uint8 (H, W, 3), and the train ids, uint8 (H, W), 255 where ignored.

    Raises:
        PrerequisiteError: if a file is missing or broken, or the frame has no label.
        CorruptionError: if the image is too small for the corruption.
    """
    frame = frames[step.dataset][step.frame]
    image, label = read_frame(frame, datasets[step.dataset])
    if step.corruption is not None and step.severity is not None and step.seed is not None:
        image = corrupt(image, step.corruption, step.severity, step.seed, origin=str(frame.image))
    return image, label


def _derive_seed(seed: int, frame: Frame, domain: DomainSettings) -> int | None:
    if domain.corruption is None or domain.severity is None:
        return None
    return derive_seed(seed, frame.name, domain.corruption, domain.severity)


def _choose_frames(
    domain: DomainSettings, limit: int | None, frames_by_dataset: Mapping[str, Sequence[Frame]]
) -> Sequence[Frame]:
    frames = frames_by_dataset.get(domain.dataset)
    if not frames:
        raise SpecError(
            f"The stream's domain '{domain.label}' names the data set '{domain.dataset}', which has no frames here; "
            f"known are: {', '.join(sorted(frames_by_dataset)) or 'none'}. Name one of them, or add the data set to "
            "the experiment."
        )
    return sorted(frames, key=lambda frame: frame.image)[:limit]
