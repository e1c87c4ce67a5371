"""The stream of `segshift adapt`, from the first frame to `run.json`, however it ends."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from adapt.errors import SegshiftError, TaskError
from adapt.inference import to_tensor
from adapt.settings import Settings
from adapt.tta.live.background import WriteBehind, read_ahead
from adapt.tta.live.folder import prepare_folder, write_run
from adapt.tta.live.frames import FolderFrames, VideoFrames
from adapt.tta.live.network import LiveNetwork
from adapt.tta.live.output import FrameResult, Output
from adapt.tta.live.run import LiveTotals, adapt_frames
from adapt.tta.method import Method
from adapt.tta.recovery import Guard, OnNonFinite
from adapt.tta.settings import name_method
from orchestrator.environment import reset_peak_memory
from orchestrator.live import describe_end, describe_live_network, describe_method


@dataclass(frozen=True)
class LiveStream:
    """What is run over what, and where its results go.

    Attributes:
        frames: the input.
        folder: of the results, from `adapt.tta.live.folder.check_folder`.
        network: what is adapted, on its device.
        settings: of the method.
        method: the method, at its start.
        predict_source: a picture to the train ids that the source model predicts; None leaves that out.
        resize: (width, height) that frames are scaled to fit inside; None: their own size.
        reset_every: see `adapt_frames`.
        on_non_finite: see `Guard`.
        fps: of the video; None takes the input's.
    """

    frames: FolderFrames | VideoFrames
    folder: Path
    network: LiveNetwork
    settings: Settings
    method: Method[Any]
    predict_source: Callable[[NDArray[np.uint8]], NDArray[np.uint8]] | None
    resize: tuple[int, int] | None
    reset_every: int | None
    on_non_finite: OnNonFinite
    fps: float | None


def run_stream(
    stream: LiveStream, asked: Mapping[str, Any], show: Callable[[LiveTotals], None]
) -> tuple[dict[str, Any], BaseException | None]:
    """Walk a method over frames while they are read ahead and written behind.

    Args:
        stream: what is run.
        asked: what the command line asked for, for `run.json`.
        show: called after each frame.

    Returns:
        The content of `run.json`; and what broke the stream off: Ctrl-C, or an error that the user can mend.

    Raises:
        PrerequisiteError: if the folder cannot be written, and nothing is begun.
        Exception: any other error, once `run.json` is written.
    """
    prepare_folder(stream.folder)
    start = {
        "started_at": datetime.now(UTC).isoformat(timespec="seconds"),
        **asked,
        "method": describe_method(stream.settings, stream.method),
        "network": describe_live_network(stream.network),
        "device": str(next(stream.network.model.parameters()).device),
    }
    totals = LiveTotals()
    failure: BaseException | None = None
    output = Output(
        stream.folder,
        stream.network.classes,
        stream.network.palette,
        stream.fps or stream.frames.fps,
        name_method(stream.settings),
        compare=stream.predict_source is not None,
    )
    reset_peak_memory()
    began = time.monotonic()
    try:
        _walk(stream, output, totals, show)
    except OSError as error:
        failure = _explain(error, stream.folder)
    except BaseException as error:  # whatever it is, what is done is described first
        failure = error
    seconds = time.monotonic() - began
    result = start | {"status": _name_status(failure)} | describe_end(totals, output, stream.frames.total, seconds)
    if failure is not None:
        result["failure"] = f"{type(failure).__name__}: {failure}"
    try:
        write_run(stream.folder, result)
    except OSError as error:
        failure = failure or _explain(error, stream.folder)
    if failure is not None and not isinstance(failure, KeyboardInterrupt | SegshiftError):
        raise failure
    return result, failure


def _walk(stream: LiveStream, output: Output, totals: LiveTotals, show: Callable[[LiveTotals], None]) -> None:
    with (
        contextlib.closing(output),
        read_ahead(stream.frames) as incoming,
        WriteBehind(output.write) as writer,
    ):

        def hand_on(result: FrameResult) -> None:
            writer.put(result)
            show(totals)

        adapt_frames(
            Guard(stream.method, stream.on_non_finite, len(stream.network.classes)),
            incoming,
            lambda image: to_tensor(stream.network.model, image, stream.resize),
            hand_on,
            totals,
            stream.reset_every,
            stream.predict_source,
        )


def _explain(error: OSError, folder: Path) -> TaskError:
    return TaskError(
        f"The frames could not be read, or {folder} not be written ({error}). What came before is complete. Make room, or "
        "give another folder with --out."
    )


def _name_status(failure: BaseException | None) -> str:
    if failure is None:
        return "done"
    return "stopped" if isinstance(failure, KeyboardInterrupt) else "failed"
