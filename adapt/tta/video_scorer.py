"""Measures the clips of a stream in a thread of its own, so that the adaptation does not wait for the optical flow."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from adapt.errors import SpecError, TaskError
from adapt.scores.flow import Flow, build_flow
from adapt.scores.perceptual import perceptual_consistency
from adapt.scores.temporal import ClipScore, Ratio, count_overlap, extend_runs, score_window, warp_prediction
from adapt.tta.stream import Step
from adapt.tta.stream_scores import CellKey
from adapt.tta.stream_settings import TemporalSettings

ExtractFeatures = Callable[[Tensor], Tensor]
"""A batch of one image, (1, 3, h, w) as the adapted model takes it, to general perceptual features, (C, h', w') floats, of
a network that does not adapt. All pairs of pixels are compared: a stride of 8 or more keeps that affordable."""

_PENDING = 8  # frames that may wait for the thread before the stream waits for it; ours, chosen to bound the memory


class VideoScorer:
    """Measures a stream's clips: `run_stream(..., temporal=scorer)` enters it, adds each frame and finishes it.

    Args:
        settings: what is measured.
        num_classes: K.
        starts: whether each step begins a clip, from `adapt.tta.clip.find_clip_starts`.
        features: for perceptual consistency; no other measure needs it. It is called in the thread of the stream.

    Raises:
        SpecError: if the flow has no such name, or `features` is missing.
    """

    def __init__(
        self,
        settings: TemporalSettings,
        num_classes: int,
        starts: Sequence[bool],
        features: ExtractFeatures | None = None,
    ) -> None:
        if settings.perceptual and features is None:
            raise SpecError(
                "Perceptual consistency compares the features of a network, and this stream has none to take them from. Set "
                "`perceptual: false`, or give a model that has features."
            )
        self.settings = settings
        self.num_classes = num_classes
        self.starts = tuple(starts)
        self.features = features if settings.perceptual else None
        self.flow = build_flow(settings.flow)

    def __enter__(self) -> Self:
        self._clip: _Clip | None = None  # the one that goes on: a stream shows one after the other
        self._done: dict[CellKey, list[ClipScore]] = {}
        self._pending: deque[Future[None]] = deque()
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="video")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._thread.shutdown(wait=True, cancel_futures=True)

    def add(
        self,
        index: int,
        step: Step,
        image: NDArray[np.uint8],
        label: NDArray[np.uint8],
        prediction: Tensor,
        images: Tensor,
    ) -> None:
        """Hand over the next frame; it waits only while several frames are left to be measured.

        Args:
            index: the frame's place in the stream.
            step: its row.
            image: (H, W, 3) uint8 RGB, as the network saw it before resizing: the flow is that of the corrupted frames.
            label: (H, W) uint8, 255 where ignored.
            prediction: (H, W) uint8, on any device.
            images: (1, 3, h, w), what the network was given.

        Raises:
            TaskError: if the frames of a clip differ in size, or the flow gives something else than a flow; it is raised
                here or in `finish`.
        """
        features = None
        if self.features is not None:
            with torch.no_grad():
                features = self.features(images).float().cpu().numpy()
        frame = _VideoFrame(step.frame, image, label, prediction.cpu().numpy(), features)
        self._pending.append(self._thread.submit(self._measure, (step.round, step.domain), frame, self.starts[index]))
        while len(self._pending) > _PENDING:
            self._pending.popleft().result()

    def finish(self) -> dict[CellKey, tuple[ClipScore, ...]]:
        """Wait for the frames that are left, and give the clips of each (round, domain) in order.

        Raises:
            TaskError: see `add`.
        """
        while self._pending:
            self._pending.popleft().result()
        self._close()
        return {cell: tuple(clips) for cell, clips in self._done.items()}

    def _measure(self, cell: CellKey, frame: _VideoFrame, starts: bool) -> None:
        if starts or self._clip is None:
            self._close()
            self._clip = _Clip(cell, self.settings, self.num_classes, self.flow)
        self._clip.add(frame)

    def _close(self) -> None:
        """Score the clip that has ended, and let its frames go."""
        if self._clip is not None:
            self._done.setdefault(self._clip.cell, []).append(self._clip.score())
            self._clip = None


@dataclass(frozen=True)
class _VideoFrame:
    name: str
    image: NDArray[np.uint8]
    label: NDArray[np.uint8]
    prediction: NDArray[np.uint8]
    features: NDArray[np.float32] | None


@dataclass
class _Clip:
    """The counts of one clip so far, and what the next frame is compared with."""

    cell: CellKey
    settings: TemporalSettings
    num_classes: int
    flow: Flow
    names: list[str] = field(default_factory=list)
    last: _VideoFrame | None = None
    label_runs: NDArray[np.int32] | None = None
    prediction_runs: NDArray[np.int32] | None = None

    def __post_init__(self) -> None:
        self.intersection = np.zeros(self.num_classes, np.int64)
        self.union = np.zeros(self.num_classes, np.int64)
        self.perceptual = Ratio()
        self.windows = dict.fromkeys(self.settings.windows, Ratio())
        self.last_window: dict[int, float | None] = {}

    def add(self, frame: _VideoFrame) -> None:
        if self.last is not None:
            self._compare(self.last, frame)
        before = self.last
        self.label_runs = extend_runs(self.label_runs, None if before is None else before.label, frame.label)
        self.prediction_runs = extend_runs(
            self.prediction_runs, None if before is None else before.prediction, frame.prediction
        )
        self.names.append(frame.name)
        for frames in self.windows:
            if len(self.names) >= frames:
                self._add_window(frames, score_window(frame.label, self.label_runs, self.prediction_runs, frames))
        self.last = frame

    def score(self) -> ClipScore:
        return ClipScore(
            name=f"{self.names[0]}..{self.names[-1]}",
            frames=len(self.names),
            intersection=self.intersection,
            union=self.union,
            vc=self.windows,
            perceptual=self.perceptual if self.settings.perceptual else None,
        )

    def _compare(self, current: _VideoFrame, following: _VideoFrame) -> None:
        if current.image.shape != following.image.shape:
            (height, width), (other_height, other_width) = current.image.shape[:2], following.image.shape[:2]
            raise TaskError(
                f"Two frames of one video differ in size: '{current.name}' is {width}x{height} pixels and '{following.name}' "
                f"{other_width}x{other_height}. Bring the frames of a video to one size, or remove `temporal`."
            )
        warped, is_inside = warp_prediction(following.prediction, self.flow(current.image, following.image))
        intersection, union = count_overlap(current.prediction, warped, is_inside, self.num_classes)
        self.intersection += intersection
        self.union += union
        if current.features is not None and following.features is not None:
            self.perceptual = self.perceptual.add(
                perceptual_consistency(current.features, following.features, current.prediction, following.prediction)
            )

    def _add_window(self, frames: int, score: float | None) -> None:
        """Add a window's score; with `drop_last`, once it is known that another one follows."""
        if self.settings.drop_last:
            score, self.last_window[frames] = self.last_window.get(frames), score
        self.windows[frames] = self.windows[frames].add(score)
