"""A record as MLflow shows it: the run's name, tags, parameters, metrics, curves and data sets. Pure: no MLflow here."""

from __future__ import annotations

import datetime
import hashlib
import json
import math
import posixpath
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from adapt.benchmark.unit import CLEAN
from experiments.task import describe
from orchestrator.record import Record
from orchestrator.scoring import score_cell, score_record

NAME_LENGTH = 250  # of metrics, parameters and tags in MLflow, and of a run's name in its database
PARAMETER_LENGTH = 500  # MLflow cuts at 6000; longer ones are in the record, which is an artifact
DIGEST_LENGTH = 36  # of a data set in MLflow
SEED_AXIS = "seed"
MAIN_SCORE = {"evaluate": "miou", "benchmark": "mpc", "stream": "mean_miou"}  # by kind: the score that ranks


@dataclass(frozen=True)
class DatasetText:
    """A data set that a task read.

    Attributes:
        name: such as `cityscapes val`.
        digest: the fingerprint of its files, as long as MLflow takes it.
        source: its settings, JSON.
        context: `train`, `target` of an adaptation, or `test`.
    """

    name: str
    digest: str
    source: str
    context: str


def name_run(record: Record, trained: Record | None, experiment: str) -> str:
    """Name the run of a record: `cgnet + tent · camvid_tta/tuned · seed 0`.

    Args:
        record: of the task.
        trained: of the task that trained the network that it scores, where one of the experiment did.
        experiment: that the run is listed under: a task may be shared with the one that ran it first.
    """
    method, adaptation = _name_method(record, trained), _name_adaptation(record)
    axes = []
    for axis, value in record.point.items():
        is_reference = str(value).startswith("${")
        is_method = isinstance(value, dict) and record.kind == "stream" and value == record.settings.get("method")
        is_adaptation = isinstance(value, dict) and adaptation is not None and value.get("name") == _read_name(record)
        if axis != SEED_AXIS and not is_reference and not is_method and not is_adaptation and describe(value) != method:
            axes.append(f"{axis} {_show_value(value)}")
    who = method if adaptation is None else f"{method} + {adaptation}"
    seed = [f"seed {record.point[SEED_AXIS]}"] if SEED_AXIS in record.point else []
    return " · ".join([who, f"{experiment}/{record.stage}", *axes, *seed])[:NAME_LENGTH]


def describe_tags(record: Record, trained: Record | None) -> dict[str, str]:
    """Return what runs are filtered and grouped by.

    Args:
        record: of the task.
        trained: of the task that trained the network that it scores, where one of the experiment did.
    """
    git = record.environment.get("git") or {}
    tags = {
        "stage": record.stage,
        "kind": record.kind,
        "label": record.label,
        "profile": record.profile,
        "status": record.status,
        "method": _name_method(record, trained),
        "adaptation": _name_adaptation(record),
        "architecture": record.network.architecture if record.network is not None else None,
        "dataset": " + ".join(dict.fromkeys(dataset.name for dataset in list_datasets(record))),
        "protocol": name_protocol(record),
        "seed": record.point.get(SEED_AXIS, record.settings.get(SEED_AXIS)),
        "commit": git["commit"] + ("+changes" if git.get("dirty") else "") if git.get("commit") else None,
    }
    return {f"segshift.{name}": str(value) for name, value in tags.items() if value not in (None, "")}


def name_protocol(record: Record) -> str | None:
    """Name the protocol of a scored record, with the digits by which a leaderboard tells protocols apart; None without one."""
    if record.protocol is None:
        return None
    digest = hashlib.sha256(json.dumps(record.protocol, sort_keys=True).encode()).hexdigest()[:6]
    stream = record.protocol.get("stream") or {}
    name = record.protocol.get("protocol") or stream.get("kind") or CLEAN
    return f"{name} {digest}"


def list_datasets(record: Record) -> list[DatasetText]:
    """Return the data sets that a task read, each once."""
    target = record.settings.get("target") if record.kind == "uda" else None
    validation = (record.settings.get("validation") or {}).get("dataset")
    found: dict[tuple[str, str], DatasetText] = {}
    for name, bound in record.datasets.items():
        settings = bound["settings"]
        digest = str(bound["fingerprint"])[:DIGEST_LENGTH]
        context = "test" if record.kind not in ("train", "uda") or name == validation else "train"
        text = DatasetText(
            _name_dataset(name, settings),
            digest,
            json.dumps(settings, sort_keys=True),
            "target" if name == target else context,
        )
        found.setdefault((text.name, digest), text)
    return list(found.values())


def describe_scores(record: Record) -> tuple[dict[str, float], dict[str, str]]:
    """Return the final scores of a record by names that MLflow takes, and as tags those that are missing."""
    scores = {**score_record(record), **record.metrics, "seconds": record.seconds}
    present = {allow_name(k): float(v) for k, v in scores.items() if v is not None and math.isfinite(v)}
    missing = {
        allow_name(f"segshift.missing/{k}"): str(v) for k, v in scores.items() if v is None or not math.isfinite(v)
    }
    return present, missing


def list_curves(record: Record) -> Iterator[tuple[str, int, float]]:
    """Yield (metric, step, mIoU) of curves: a corruption's over its severities from the clean images on, a domain's over rounds."""
    if record.status != "done":
        return
    scores = {cell.name: score_cell(cell) for cell in record.cells}
    clean, started = scores.get(CLEAN), set()
    rounds = {cell.axes["round"] for cell in record.cells if "round" in cell.axes}
    for cell in record.cells:
        score = scores[cell.name]
        if score is None:
            continue
        if "corruption" in cell.axes and "severity" in cell.axes and record.kind == "benchmark":
            name = allow_name(f"severity/{cell.axes['corruption']}")
            if name not in started and clean is not None:
                started.add(name)
                yield name, 0, clean
            yield name, int(cell.axes["severity"]), score
        elif "round" in cell.axes and len(rounds) > 1:
            yield allow_name(f"rounds/{cell.axes['domain']}"), int(cell.axes["round"]), score


def describe_parameters(record: Record) -> dict[str, str]:
    """Return the settings that a record ran with and the point that it stands at, flat."""
    flat = flatten(_describe_settings(record) | {"point": record.point})
    return {allow_name(name): value[:PARAMETER_LENGTH] for name, value in flat.items()}


def date_end(record: Record) -> int:
    """Return when a task ended, in milliseconds since the epoch."""
    return int(1000 * (datetime.datetime.fromisoformat(record.started_at).timestamp() + record.seconds))


def allow_name(text: str) -> str:
    """Return a name in characters, length and form that MLflow takes for metrics, parameters and tags; a good one as it is."""
    plain = re.sub(r"[^\w\-. /:]", "_", text)  # MLflow's own rule, on systems other than Windows
    parts = [part if part.strip(".") else part.replace(".", "_") for part in plain.split("/") if part]
    name = posixpath.join(*parts) if parts else "_"
    if len(name) <= NAME_LENGTH:
        return name
    digest = hashlib.sha256(name.encode()).hexdigest()[:8]  # long ones that begin alike stay apart
    return f"{name[: NAME_LENGTH - 9]}_{digest}"


def flatten(data: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """Return nested settings as dotted keys and printed values, the form that MLflow compares runs in."""
    flat: dict[str, str] = {}
    for key, value in data.items():
        name = f"{prefix}{key}"
        if isinstance(value, Mapping):
            flat |= flatten(value, f"{name}.")
        else:
            flat[name] = str(value)
    return flat


def _describe_settings(record: Record) -> dict[str, Any]:
    """Return a record's settings with those that it really ran with: a search may have chosen other values than the file's."""
    method = record.method or {}
    if "stage" in method:
        return {**record.settings, **method["stage"]}
    chosen = method.get("settings")
    return record.settings if chosen is None else record.settings | {"method": chosen}


def _name_method(record: Record, trained: Record | None) -> str:
    """Name how the network came about: the label of its training, or else the model that was taken."""
    if trained is not None:
        return trained.label
    if record.kind in ("train", "uda"):
        return record.label
    return str(record.settings.get("model") or record.label)


def _name_adaptation(record: Record) -> str | None:
    """Name the test-time method of a stream with the settings that its axis chose: `tent(lr=0.001)`."""
    if record.kind != "stream" or record.method is None:
        return None
    chosen = next((v for v in record.point.values() if isinstance(v, dict) and v.get("name") == _read_name(record)), {})
    settings = [f"{k}={_show_value(v)}" for k, v in chosen.items() if k not in ("name", "label", "base")]
    title = str(chosen.get("label") or record.method.get("title") or record.method.get("name"))
    return f"{title}({', '.join(settings)})" if settings else title


def _read_name(record: Record) -> str | None:
    return None if record.method is None else record.method.get("name")


def _show_value(value: Any) -> str:
    """Print an axis value with all that it sets: two that share a name do not share a run's name."""
    if not isinstance(value, dict):
        return describe(value)
    others = [f"{k}={_show_value(v)}" for k, v in value.items() if k not in ("name", "label")]
    known = value.get("label") or value.get("name")
    if known is None:
        return "(" + ", ".join(others) + ")"
    return str(known) if value.get("label") or not others else f"{known}({', '.join(others)})"


def _name_dataset(name: str, settings: Mapping[str, Any]) -> str:
    """Name a data set as leaderboards do: `acdc val (fog)`; one of the user's own by its name in the experiment."""
    if settings["type"] == "folder":
        return name
    split = settings["split"] if isinstance(settings["split"], str) else "+".join(settings["split"])
    subset = f" ({', '.join(settings['subset'])})" if settings.get("subset") else ""
    return f"{settings['type']} {split}{subset}"
