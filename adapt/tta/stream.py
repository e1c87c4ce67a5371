"""The frames of a stream in order, written down before it runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from adapt.data.layout import Frame
from adapt.errors import SpecError
from adapt.tta.order import Visit, list_visits
from adapt.tta.stream_settings import DomainSettings, StreamSettings
from corruptions.seeding import derive_seed


@dataclass(frozen=True)
class Step:
    """One row of a manifest: which frame comes, and how it is corrupted.

    Attributes:
        round: from 0; always 0 where the order is drawn (`cdc`, `mixed`).
        domain: the label of the domain; (round, domain) is the cell that the frame is scored in. In a gradual stream the
            severity and the way belong to it: `cityscapes/fog/3/up`, `cityscapes/fog/3/down`.
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

    Frames are numbered by image path, whatever the order given. The same settings and frames give the same rows on any
    machine: what is drawn is drawn by `adapt.tta.order`.

    Args:
        settings: the stream.
        frames_by_dataset: the frames of each data set that a domain names.

    Returns:
        The rows.

    Raises:
        SpecError: if a domain names an unknown data set, or one without frames.
    """
    frames = {domain.label: _choose_frames(domain, settings.limit, frames_by_dataset) for domain in settings.domains}
    names = {label: [frame.name for frame in chosen] for label, chosen in frames.items()}
    return tuple(_write_step(settings.seed, visit) for visit in list_visits(settings, names))


def index_frames(frames_by_dataset: Mapping[str, Sequence[Frame]]) -> dict[str, dict[str, Frame]]:
    """Index frames by data set and name, for `adapt.tta.feed.open_feed` and `adapt.tta.clip.find_clip_starts`."""
    return {dataset: {frame.name: frame for frame in frames} for dataset, frames in frames_by_dataset.items()}


def _write_step(seed: int, visit: Visit) -> Step:
    name, severity = visit.domain.corruption, visit.severity
    return Step(
        round=visit.round,
        domain=visit.label,
        dataset=visit.domain.dataset,
        frame=visit.frame,
        corruption=name,
        severity=severity,
        seed=None if name is None or severity is None else derive_seed(seed, visit.frame, name, severity),
    )


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
