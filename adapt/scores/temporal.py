"""How steady the predictions of a video are: TC, VC_n and perceptual consistency, from counts that add up.

TC: Liu et al., ECCV 2020 (arXiv:2002.11433). VC_n: Miao et al., CVPR 2021 (VSPW). Perceptual consistency: Zhang et al.,
WACV 2022 (`adapt.scores.perceptual`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from adapt.scores.confusion import IGNORE, count_confusion


class Ratio(NamedTuple):
    """A sum of scores and how many were added: their mean, to be had later.

    Attributes:
        total: the sum.
        number: of windows or pairs of frames.
    """

    total: float = 0.0
    number: int = 0

    def add(self, score: float | None) -> Ratio:
        """Add one score; None, a score that could not be had, changes nothing."""
        return self if score is None else Ratio(self.total + score, self.number + 1)


class TemporalScore(NamedTuple):
    """A score of a video, or why there is none.

    Attributes:
        value: in [0, 1], or None.
        reason: why it is None; None where there is a value.
    """

    value: float | None
    reason: str | None = None


@dataclass(frozen=True)
class ClipScore:
    """The counts of one clip: consecutive frames of one video.

    Attributes:
        name: the names of its first and last frame, as `first..last`.
        frames: how many there are.
        intersection: int64 (K,), the pixels of each class in a frame's prediction and in the next one's warped onto it,
            over all pairs of consecutive frames.
        union: int64 (K,), the pixels in either.
        vc: length of a window in frames -> the sum of the windows' scores and their number.
        perceptual: the same over the pairs of consecutive frames; None where it was not measured.
    """

    name: str
    frames: int
    intersection: NDArray[np.int64]
    union: NDArray[np.int64]
    vc: Mapping[int, Ratio] = field(default_factory=dict)
    perceptual: Ratio | None = None


def warp_prediction(
    prediction: NDArray[np.uint8], flow: NDArray[np.float32]
) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """Move the next frame's prediction onto the current frame: pixel p takes the id at p + flow(p), the nearest one's.

    Args:
        prediction: (H, W) uint8, the ids of the next frame.
        flow: (H, W, 2) floats, how far each pixel of the current frame moves right and down until the next, in pixels.

    Returns:
        (H, W) uint8 ids, and (H, W) booleans: where p + flow(p) lies in the frame. Elsewhere the ids mean nothing.

    Raises:
        ValueError: If the flow has another size than the prediction, or is not finite.

    Example:
        >>> flow = np.full((1, 4, 2), (1.0, 0.0), dtype=np.float32)  # everything moves one pixel to the right
        >>> warp_prediction(np.array([[9, 5, 6, 7]], dtype=np.uint8), flow)
        (array([[5, 6, 7, 7]], dtype=uint8), array([[ True,  True,  True, False]]))
    """
    height, width = prediction.shape
    if flow.shape != (height, width, 2):
        raise ValueError(
            f"a flow between frames of shape {(height, width)} has shape {(height, width, 2)}: {flow.shape}"
        )
    if not np.isfinite(flow).all():
        raise ValueError("the flow holds values that are not finite")
    # Halves go up: `np.rint` would send them to the even neighbour, so that half a pixel moved every other column.
    x = np.floor(np.arange(width) + flow[..., 0] + 0.5)
    y = np.floor(np.arange(height)[:, None] + flow[..., 1] + 0.5)
    is_inside = (x >= 0) & (x < width) & (y >= 0) & (y < height)
    columns = np.clip(x, 0, width - 1).astype(np.intp)
    rows = np.clip(y, 0, height - 1).astype(np.intp)
    return prediction[rows, columns], is_inside


def count_overlap(
    current: NDArray[np.uint8], warped: NDArray[np.uint8], is_inside: NDArray[np.bool_], num_classes: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Count, for each class, the pixels that both predictions give it, and those that either does.

    Args:
        current: (H, W) uint8, the prediction of a frame; ids in 0..K-1.
        warped: (H, W) uint8, the next frame's, moved onto it.
        is_inside: (H, W) booleans, the pixels that count: a pixel that leaves the frame has no next prediction (ours; the
            published code takes class 0 there).
        num_classes: K.

    Returns:
        (K,) int64 intersection and union.

    Example:
        >>> a, b = np.array([[0, 0, 1]], dtype=np.uint8), np.array([[0, 1, 1]], dtype=np.uint8)
        >>> count_overlap(a, b, np.ones((1, 3), dtype=bool), 2)
        (array([1, 1]), array([2, 2]))
    """
    confusion = count_confusion(np.where(is_inside, current, np.uint8(IGNORE)), warped, num_classes)
    intersection = np.diagonal(confusion).copy()
    return intersection, confusion.sum(axis=0) + confusion.sum(axis=1) - intersection


def extend_runs(
    runs: NDArray[np.int32] | None, previous: NDArray[np.uint8] | None, current: NDArray[np.uint8]
) -> NDArray[np.int32]:
    """Count for how many frames, the current one included, each pixel has kept its id.

    Args:
        runs: (H, W) int32 of the frame before; None at a clip's first frame.
        previous: (H, W) uint8 ids of the frame before; None at a clip's first frame.
        current: (H, W) uint8 ids.

    Returns:
        (H, W) int32, 1 or more.

    Example:
        >>> one = extend_runs(None, None, np.array([[3, 3]], dtype=np.uint8))
        >>> extend_runs(one, np.array([[3, 3]], dtype=np.uint8), np.array([[3, 4]], dtype=np.uint8))
        array([[2, 1]], dtype=int32)
    """
    if runs is None or previous is None:
        return np.ones(current.shape, np.int32)
    return np.where(current == previous, runs + 1, 1).astype(np.int32)


def score_window(
    label: NDArray[np.uint8], label_runs: NDArray[np.int32], prediction_runs: NDArray[np.int32], frames: int
) -> float | None:
    """Score the window of the last n frames by VC_n: where the label stood still, how much of the prediction did.

    Args:
        label: (H, W) uint8, the label of the window's last frame. Its ignored pixels (255) do not count (ours: the published
            code takes 255 for a class).
        label_runs: (H, W) int32 from `extend_runs` over the labels, up to this frame.
        prediction_runs: The same over the predictions. Whether they are right plays no part.
        frames: n.

    Returns:
        |label and prediction constant| / |label constant| in [0, 1]; None where no pixel's label is constant.

    Example:
        >>> runs = np.array([[2, 2, 1]], dtype=np.int32), np.array([[2, 1, 2]], dtype=np.int32)
        >>> score_window(np.zeros((1, 3), dtype=np.uint8), *runs, frames=2)
        0.5
    """
    is_constant = (label_runs >= frames) & (label != IGNORE)
    total = int(np.count_nonzero(is_constant))
    return int(np.count_nonzero(is_constant & (prediction_runs >= frames))) / total if total else None


def score_temporal(clips: Iterable[ClipScore]) -> dict[str, TemporalScore]:
    """Derive the scores of one or more clips.

    Args:
        clips: The counts, all measured with the same windows.

    Returns:
        `tc`: the mean over the clips of two or more frames of the IoU's mean over the classes that occur in the clip;
        `vc_8` and the like, for each length measured: the mean over all windows; `perceptual`: the mean over all pairs of
        frames, if it was measured.

    Example:
        >>> counts = {"intersection": np.array([1, 3]), "union": np.array([2, 3])}
        >>> scores = score_temporal([ClipScore("a..b", 2, **counts, vc={2: Ratio(0.5, 1), 8: Ratio()})])
        >>> scores["tc"].value, scores["vc_2"].value, scores["vc_8"].reason
        (0.75, 0.5, 'no clip has 8 frames with a pixel whose label stays the same')
    """
    clips = tuple(clips)
    tc = [value for clip in clips if (value := _mean_overlap(clip)) is not None]
    scores = {"tc": _average(Ratio(sum(tc), len(tc)), "no clip has two frames")}
    for frames in dict.fromkeys(frames for clip in clips for frames in clip.vc):
        windows = _add([clip.vc.get(frames, Ratio()) for clip in clips])
        missing = f"no clip has {frames} frames with a pixel whose label stays the same"
        scores[f"vc_{frames}"] = _average(windows, missing)
    if pairs := [clip.perceptual for clip in clips if clip.perceptual is not None]:
        scores["perceptual"] = _average(_add(pairs), "no clip has two frames")
    return scores


def _mean_overlap(clip: ClipScore) -> float | None:
    """Average a clip's IoU over the classes that occur; None for a clip without a pair of frames."""
    occurs = clip.union > 0
    return float((clip.intersection[occurs] / clip.union[occurs]).mean()) if occurs.any() else None


def _add(ratios: Iterable[Ratio]) -> Ratio:
    parts = tuple(ratios)
    return Ratio(sum(part.total for part in parts), sum(part.number for part in parts))


def _average(ratio: Ratio, missing: str) -> TemporalScore:
    return TemporalScore(ratio.total / ratio.number) if ratio.number else TemporalScore(None, missing)
