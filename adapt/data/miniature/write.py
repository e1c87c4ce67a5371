"""Writes a miniature to disk in the layouts of GTA, SYNTHIA, Cityscapes and ACDC, raw labels included."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from adapt.atomic import write_atomically
from adapt.data.catalog import ACDC_CONDITIONS, DATASET_TYPES
from adapt.data.miniature.encoding import encode_image, encode_label
from adapt.data.miniature.frame import render_clip_frame, render_frame
from adapt.data.miniature.settings import VERSION, MiniatureSettings
from adapt.data.parallel import OnProgress, map_files
from adapt.errors import SpecError

MARKER: Final = "miniature.json"
"""Name of the file that says what a folder holds; written last, so that its presence means a whole miniature."""

STARTED: Final = ".miniature-started.json"
"""Name of the file that says what is being written; written first, so that a broken run can be gone on with."""


@dataclass(frozen=True, slots=True)
class _Job:
    """One frame to write: what to render and where its two files go."""

    settings: MiniatureSettings
    dataset: str
    domain: str
    split: str
    index: int
    image: Path
    label: Path


def write_miniature(
    root: Path, settings: MiniatureSettings, workers: int = 1, on_progress: OnProgress | None = None
) -> None:
    """Write the miniature, or what is missing of it; a folder that already holds it is left as it is.

    Makes root/gta, root/synthia, root/cityscapes, root/acdc and root/clip (Cityscapes' layout, split val), each as its
    publishers lay it out, before `segshift data prepare`. Several processes may write the same folder at once.

    Args:
        root: The folder; made if missing.
        settings: What to write.
        workers: Processes that render.
        on_progress: Called with (frames done, frames to do) after each frame.

    Raises:
        SpecError: The folder holds a miniature of other settings or another version, or something else.
    """
    if root.exists() and not root.is_dir():
        raise SpecError(f"'{root}' is a file; a miniature is written into a folder. Choose another path.")
    marker = _describe(settings)
    found = _read_marker(root / MARKER)
    if found is not None:
        _check_marker(root, found, marker)
        return
    _check_start(root, marker)
    root.mkdir(parents=True, exist_ok=True)
    data = (json.dumps(marker, indent=2, sort_keys=True) + "\n").encode()
    write_atomically(root / STARTED, data)
    jobs = [job for job in _list_jobs(root, settings) if not (job.image.is_file() and job.label.is_file())]
    for folder in {path.parent for job in jobs for path in (job.image, job.label)}:
        folder.mkdir(parents=True, exist_ok=True)
    for _ in map_files(_write_frame, jobs, workers, on_progress):
        pass
    write_atomically(root / MARKER, data)


def _describe(settings: MiniatureSettings) -> dict[str, Any]:
    return {"version": VERSION, "settings": settings.model_dump(mode="json")}


def _read_marker(path: Path) -> Any:
    """Return what a marker file says, None where there is none."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    try:
        return json.loads(text)
    except ValueError:
        return {"unreadable": text[:80]}


def _check_marker(root: Path, found: Any, wanted: dict[str, Any]) -> None:
    if found != wanted:
        raise SpecError(
            f"The folder '{root}' holds another miniature: its marker says {json.dumps(found, sort_keys=True)}, but "
            f"wanted is {json.dumps(wanted, sort_keys=True)}. Choose another folder, or remove this one."
        )


def _check_start(root: Path, wanted: dict[str, Any]) -> None:
    """Refuse a folder that another miniature was begun in, or that holds anything else."""
    started = _read_marker(root / STARTED)
    if started is not None:
        _check_marker(root, started, wanted)
    elif root.is_dir():
        strangers = sorted(entry.name for entry in root.iterdir() if not entry.name.startswith("."))
        if strangers:
            raise SpecError(
                f"The folder '{root}' is no miniature but is not empty: it holds '{strangers[0]}'. A miniature "
                "is never mixed with other files. Choose a new or an empty folder."
            )


def _list_jobs(root: Path, settings: MiniatureSettings) -> list[_Job]:
    jobs = [_job(root, settings, "gta", "gta", "train", i, f"{i + 1:05d}") for i in range(settings.source_train)]
    jobs += [_job(root, settings, "synthia", "synthia", "train", i, f"{i:07d}") for i in range(settings.source_train)]
    for split, cities, count in (
        ("train", ("north", "south"), settings.target_train),
        ("val", ("east",), settings.target_val),
    ):
        for i in range(count):
            city = cities[i % len(cities)]
            jobs.append(_job(root, settings, "cityscapes", "cityscapes", split, i, f"{city}/{city}_{i:06d}_000019"))
    for number, condition in enumerate(ACDC_CONDITIONS, start=1):
        for split in ("train", "val"):
            sequence = f"MINI{number:04d}"
            for i in range(settings.acdc_per_condition):
                stem = f"{sequence}/{sequence}_frame_{i + 1:06d}"
                jobs.append(_job(root, settings, "acdc", condition, split, i, stem))
    for i in range(settings.clip_frames):
        jobs.append(_job(root, settings, "cityscapes", "clip", "val", i, f"clip/clip_000000_{i:06d}"))
    return jobs


def _job(root: Path, settings: MiniatureSettings, dataset: str, domain: str, split: str, index: int, stem: str) -> _Job:
    layout = DATASET_TYPES[dataset]
    base = root / ("clip" if domain == "clip" else dataset)
    names = {"split": split, "subset": domain}
    return _Job(
        settings=settings,
        dataset=dataset,
        domain=domain,
        split=split,
        index=index,
        image=base / layout.images.format(**names) / f"{stem}{layout.image_suffix}",
        label=base / layout.labels.format(**names) / f"{stem}{layout.raw_label_suffix}",
    )


def _write_frame(job: _Job) -> None:
    if job.domain == "clip":
        image, label = render_clip_frame(job.settings, job.index)
    else:
        image, label = render_frame(job.settings, job.domain, job.split, job.index)
    write_atomically(job.image, encode_image(image))
    write_atomically(job.label, encode_label(label, job.dataset))
