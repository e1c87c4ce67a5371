"""Where the video clips of a stream begin."""

from __future__ import annotations

import re
from collections.abc import Iterable
from itertools import pairwise

from adapt.data.layout import Frame
from adapt.tta.stream import FramesByName, Manifest

_NUMBERED = re.compile(r"(.*?)(\d+)(\D*)")  # what stands before the last group of digits, the group, the rest


def find_clip_starts(manifest: Manifest, frames: FramesByName) -> tuple[bool, ...]:
    """Find the steps that begin a clip: a run of consecutive frames of one video, in one round and domain.

    A video is all frames of an image folder whose names differ in their last group of digits only. Two of them are
    consecutive if their numbers follow each other in the data set and lie as close as the closest two of the video: where
    some are missing a new clip begins. A frame without a number is a clip of its own.

    Args:
        manifest: the stream.
        frames: from `adapt.tta.stream.index_frames`.

    Returns:
        One entry for each step.
    """
    successors = {dataset: _find_successors(by_name.values()) for dataset, by_name in frames.items()}
    goes_on = (
        (before.round, before.domain) == (step.round, step.domain)
        and successors[step.dataset].get(before.frame) == step.frame
        for before, step in pairwise(manifest)
    )
    return tuple(not follows for follows in (False, *goes_on))[: len(manifest)]


def _find_successors(frames: Iterable[Frame]) -> dict[str, str]:
    """Map the name of each frame that is followed at once by another of its video to that one's name."""
    videos: dict[tuple[object, ...], list[tuple[int, str]]] = {}
    for frame in frames:
        if match := _NUMBERED.fullmatch(frame.name):
            video = (frame.image.parent, match[1], match[3])
            videos.setdefault(video, []).append((int(match[2]), frame.name))
    successors: dict[str, str] = {}
    for numbered in videos.values():
        pairs = list(pairwise(sorted(numbered)))
        closest = min((after - before for (before, _), (after, _) in pairs), default=0)
        successors.update(
            {name: following for (before, name), (after, following) in pairs if after - before == closest}
        )
    return successors
