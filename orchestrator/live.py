"""What `segshift adapt` says at its end: the content of `run.json`, and the same in a few lines for the terminal."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any

from adapt.hashing import hash_file
from adapt.openmmlab.checkpoint import WEIGHTS_FILE
from adapt.settings import Settings
from adapt.tta.live.network import LiveNetwork
from adapt.tta.live.output import FRAMES, LABELS, OVERLAYS, Output
from adapt.tta.live.run import LiveTotals
from adapt.tta.method import Method
from adapt.tta.settings import name_method
from orchestrator.environment import describe_environment, read_peak_gpu_memory_bytes, read_peak_memory_bytes
from orchestrator.stages.network import describe_network

GIB = 2**30
_RECORDED = ("reset_every", "on_non_finite", "seed", "every", "limit", "resize", "allow_gray")


def describe_method(settings: Settings, method: Method[Any]) -> dict[str, Any]:
    """Return name, settings and what the method says of itself."""
    return {
        "name": name_method(settings),
        "settings": settings.model_dump(mode="json"),
        "updates": method.updates,
        "batch_norm": method.batch_norm,
        "unit": method.unit,
    }


def describe_live_network(network: LiveNetwork) -> dict[str, Any]:
    """Return architecture, weights, classes and colours."""
    return {
        **describe_network(network.model, network.weights).model_dump(mode="json"),
        "file": str(network.weights),
        "classes": list(network.classes),
        "classes_from": network.classes_from,
        "palette": [list(color) for color in network.palette],
    }


def describe_options(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the command line asked for and results depend on.

    Args:
        options: of the command line, by name.

    Returns:
        JSON-able data: the command line itself, as a shell reads it; the options one by one; and the weights of AuxNet,
        which a folder's name says nothing of.
    """
    source, auxiliary = options["source"], options["auxiliary"]
    weights = None if auxiliary is None else auxiliary / WEIGHTS_FILE
    return {
        "command_line": options["command_line"],
        "input": str(options["input"]),
        **{name: options[name] for name in _RECORDED},
        "source": None if source is None else str(source),
        "source_samples": None if source is None else options["source_samples"],
        "auxiliary": None if weights is None else {"file": str(weights), "sha256": hash_file(weights)},
    }


def describe_end(totals: LiveTotals, output: Output, expected: int | None, seconds: float) -> dict[str, Any]:
    """Return what the frames gave.

    Args:
        totals: sums over them.
        output: what was written.
        expected: so many frames the input was to have; None where it did not say.
        seconds: of the stream, with reading and writing.
    """
    video = output.video
    return {
        "frames": totals.frames,
        "frames_unusable": totals.unusable,
        "frames_expected": expected,
        "frames_per_s": totals.frames_per_s,
        "frames_per_s_overall": totals.frames / seconds if seconds > 0 else None,
        "updates": totals.updates,
        "skipped": totals.skipped,
        "resets": totals.resets,
        "recovered": totals.recovered,
        "seconds": seconds,
        "peak_memory_bytes": read_peak_memory_bytes(),
        "peak_gpu_memory_bytes": read_peak_gpu_memory_bytes(),
        "video": None
        if video is None
        else {"file": video.path.name, "codec": video.codec, "frames": video.frames, "fps": video.fps},
        "problems": [dataclasses.asdict(problem) for problem in output.problems],
        "environment": describe_environment(),
    }


def summarise(run: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Say the main things of `run.json`, as pairs of a word and a text."""
    expected = run["frames_expected"]
    speed = (
        ""
        if run["frames_per_s"] is None
        else (f"; {run['frames_per_s']:.2f} a second, {run['frames_per_s_overall']:.2f} all in all")
    )
    came = run["frames"] + run["frames_unusable"]
    if run["status"] == "done" and expected is not None and came < expected:
        speed += f". The input announced {expected} and {came} came: it may be cut short"
    yield "frames", f"{run['frames']}" + ("" if expected is None else f" of {expected}") + speed
    method = run["method"]
    yield "method", f"{method['name']}  {_flatten(method['settings'])}".rstrip()
    yield (
        "updates",
        f"{run['updates']} done, {run['skipped']} skipped; {run['resets']} resets, {run['recovered']} recoveries",
    )
    yield "BatchNorm", f"statistics of: {method['batch_norm']}"
    memory = [
        f"{run[key] / GIB:.2f} GiB{of}"
        for key, of in (("peak_memory_bytes", ""), ("peak_gpu_memory_bytes", " on the GPU"))
        if run[key] is not None
    ]
    yield "memory", ", ".join(memory) or "not told by this system"
    yield "classes", f"{len(run['network']['classes'])} ({run['network']['classes_from']})"
    video = run["video"]
    shown = (
        "no video"
        if video is None
        else f"{video['file']} ({video['codec']}, {video['frames']} frames, {video['fps']:g} fps)"
    )
    yield "written", f"{LABELS}/, {OVERLAYS}/, {FRAMES}, {shown}"


def _flatten(settings: Mapping[str, Any], prefix: str = "") -> str:
    """Write settings as on the command line: `n=50 base.name=eta base.lr=0.0001`."""
    parts = []
    for key, value in settings.items():
        if isinstance(value, Mapping):
            parts.append(_flatten(value, f"{prefix}{key}."))
        elif prefix or key != "name":
            parts.append(f"{prefix}{key}={value}")
    return " ".join(parts)
