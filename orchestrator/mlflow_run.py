"""A record as MLflow shows it: the run's name, tags, parameters, metrics, curves and data sets. Pure: no MLflow here."""

from __future__ import annotations

import datetime
import hashlib
import json
import math
import posixpath
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from adapt.benchmark.unit import CLEAN
from corruptions.catalog import corruption
from experiments.task import describe
from orchestrator.record import Record
from orchestrator.scoring import list_wanted, score_cell, score_record

NAME_LENGTH = 250  # of metrics, parameters and tags in MLflow, and of a run's name in its database
PARAMETER_LENGTH = 500  # MLflow cuts at 6000; longer ones are in the record, which is an artifact
DIGEST_LENGTH = 36  # of a data set in MLflow
SEED_AXIS = "seed"
GAPS = 5  # cells without a score that a reason names; ours
# Settings that say how a task is run and shown, or hold the key of another task.
_HOUSEKEEPING = ("label", "expected_seconds", "time_limit_s", "resources", "checkpoint", "auxiliary", "kind")
_COMPARED = ("adaptation", "architecture", "method")  # tags that are parameters too: MLflow compares parameters
MAIN_SCORE = {"evaluate": "miou", "benchmark": "mpc", "stream": "mean_miou"}  # by kind: the score that ranks


@dataclass(frozen=True)
class DatasetText:
    """A data set that a task read.

    Attributes:
        name: such as `cityscapes val`.
        digest: the fingerprint of its files, as long as MLflow takes it.
        source: its settings, JSON.
        context: `train`, `target` of an adaptation, `validation` of a training, or `test`.
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
        "dataset": _name_all(record),
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
        roles = {validation: "validation", target: "target"}
        context = roles.get(name, "train") if record.kind in ("train", "uda") else "test"
        text = DatasetText(_name_dataset(name, settings), digest, json.dumps(settings, sort_keys=True), context)
        found.setdefault((text.name, digest), text)
    return list(found.values())


@dataclass(frozen=True)
class Point:
    """A value of a metric; `step` is a severity or a round where the metric is a curve, else 0."""

    metric: str
    step: int
    value: float


def list_points(record: Record) -> list[Point]:
    """Return the final scores of a record such that MLflow draws what belongs together as one curve.

    It groups metrics by what stands before the last slash of their names, and draws those of several steps as lines: a cell
    `miou/fog/3` of a benchmark is step 3 of `severity/fog` (step 0: the clean images), a cell `miou/0/night` of a stream is
    step 1 of `rounds/night`; step 0, a bar, where there is one round only.
    """
    has_rounds = len({cell.axes["round"] for cell in record.cells if "round" in cell.axes}) > 1
    points = []
    for name, value in _list_scores(record).items():
        if value is not None and math.isfinite(value):
            metric, step = _place(name, record.kind, has_rounds)
            points.append(Point(allow_name(metric), step, float(value)))
    clean = score_record(record).get("clean_miou")
    curves = dict.fromkeys(point.metric for point in points if point.metric.startswith("severity/"))
    return points + [Point(metric, 0, clean) for metric in curves if clean is not None]


def explain_missing(record: Record) -> dict[str, str]:
    """Return the scores that a record should have and has not, and why; those that do not apply to it are left out."""
    cells = {cell.name: score_cell(cell) for cell in record.cells}
    wanted = [*cells, *(f"{name}/{severity}" for name, severity in list_wanted(record))]
    gaps = [name for name in dict.fromkeys(wanted) if cells.get(name) is None]
    without = _list_inapplicable(record)
    return {
        name: _explain_gap(name, record, gaps)
        for name, value in _list_scores(record).items()
        if (value is None or not math.isfinite(value)) and name not in without
    }


def _list_inapplicable(record: Record) -> set[str]:
    """Return the scores that a record's protocol says nothing about."""
    if record.kind == "stream" and len({cell.axes["round"] for cell in record.cells}) == 1:
        return {"drift", "forgetting"}
    if record.kind == "benchmark" and not list_wanted(record):
        return {"mpc", "rpc", "gam", "mpc_fixed_pixels", "worst_class", "ece_corrupted"}
    if record.kind == "benchmark" and all(corruption(name).moves_pixels for name, _ in list_wanted(record)):
        return {"mpc_fixed_pixels"}
    return set()


def _explain_gap(name: str, record: Record, gaps: Sequence[str]) -> str:
    if name in record.metrics:
        return "not measured in this run"
    if name.startswith("iou/"):
        return "the class occurs neither in the labels nor in the predictions"
    if name.startswith(("miou/", "miou_shift/")):
        return "nothing was scored there"
    if gaps:
        more = f" and {len(gaps) - GAPS} more" if len(gaps) > GAPS else ""
        return f"nothing was scored in {', '.join(gaps[:GAPS])}{more}"
    if name == "forgetting":
        return "the domains differ between the rounds"
    return "cannot be had from what was counted" if record.cells else "no cell was scored"


def _list_scores(record: Record) -> dict[str, float | None]:
    return {**score_record(record), **record.metrics, "seconds": record.seconds}


def _place(name: str, kind: str, has_rounds: bool) -> tuple[str, int]:
    """Return the metric and the step at which MLflow keeps a score."""
    group, *rest = name.split("/", 2)
    if kind == "benchmark" and len(rest) == 2 and rest[1].isdigit():
        return f"{'severity' if group == 'miou' else group}/{rest[0]}", int(rest[1])
    if kind == "stream" and rest and rest[0].isdigit():  # a leaderboard counts rounds from 1
        title = "rounds" if group == "miou" else group
        domain = [part.replace("/", " ") for part in rest[1:]]  # `fog/3` would be a group of its own
        return "/".join([title, *domain]), int(rest[0]) + 1 if has_rounds else 0
    return name, 0


def describe_parameters(record: Record, trained: Record | None) -> dict[str, str]:
    """Return what runs are compared by: settings that a record ran with, and the point that it stands at, flat.

    How it was run (resources, time limits) and keys of other tasks say nothing about results, and are left out.

    Args:
        record: of the task.
        trained: of the task that trained the network that it scores, where one of the experiment did.
    """
    settings = {name: value for name, value in _describe_settings(record).items() if name not in _HOUSEKEEPING}
    tags = describe_tags(record, trained)
    named = {name: tags[f"segshift.{name}"] for name in _COMPARED if f"segshift.{name}" in tags}
    flat = {**flatten({**settings, "point": record.point}), **named}
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
    """Name the test-time method of a stream with the settings that its axis chose, as leaderboards do.

    `tent(lr=0.001)`; `eta(lr=tuned, margin=0.2)` where a search chose the learning rate.
    """
    if record.kind != "stream" or record.method is None:
        return None
    mappings = [value for value in record.point.values() if isinstance(value, dict)]
    methods = [value["method"] if _is_search_point(value) else value for value in mappings]
    chosen = next((method for method in methods if method.get("name") == _read_name(record)), {})
    tuned = (record.settings.get("search") or {}).get("space") or {}
    given = {name: _show_value(value) for name, value in chosen.items() if name not in ("name", "label", "base")}
    if isinstance(chosen.get("base"), Mapping):  # its name is in the title
        inner = {name: value for name, value in chosen["base"].items() if name != "name"}
        given |= {f"base.{name}": _show_value(value) for name, value in inner.items()}
    settings = [f"{name}={value}" for name, value in (dict.fromkeys(tuned, "tuned") | _leave_out(given, tuned)).items()]
    title = str(chosen.get("label") or record.method.get("title") or record.method.get("name"))
    return f"{title}({', '.join(settings)})" if settings else title


def _leave_out(settings: Mapping[str, str], names: Collection[str]) -> dict[str, str]:
    return {name: value for name, value in settings.items() if name not in names}


def _is_search_point(value: Mapping[str, Any]) -> bool:
    """Say whether an axis value is a method under a name, with the space that a search goes through."""
    return "name" in value and isinstance(value.get("method"), Mapping)


def _read_name(record: Record) -> str | None:
    return None if record.method is None else record.method.get("name")


def _show_value(value: Any) -> str:
    """Print an axis value with all that it sets: two that share a name do not share a run's name."""
    if not isinstance(value, dict) or _is_search_point(value):  # the name of a search's point stands for its space
        return describe(value)
    others = [f"{k}={_show_value(v)}" for k, v in value.items() if k not in ("name", "label")]
    known = value.get("label") or value.get("name")
    if known is None:
        return "(" + ", ".join(others) + ")"
    return str(known) if value.get("label") or not others else f"{known}({', '.join(others)})"


def _name_all(record: Record) -> str:
    """Name the data sets of a record in one line: `acdc val (fog, night) + camvid test`."""
    subsets: dict[str, list[str]] = {}
    for name, bound in record.datasets.items():
        known = bound["settings"]
        whole = known["type"] == "folder" or not known.get("subset")
        title = _name_dataset(name, known if whole else {**known, "subset": []})
        subsets.setdefault(title, []).extend([] if whole else known["subset"])
    return " + ".join(f"{title} ({', '.join(dict.fromkeys(of))})" if of else title for title, of in subsets.items())


def _name_dataset(name: str, settings: Mapping[str, Any]) -> str:
    """Name a data set as leaderboards do: `acdc val (fog)`; one of the user's own by its name in the experiment."""
    if settings["type"] == "folder":
        return name
    split = settings["split"] if isinstance(settings["split"], str) else "+".join(settings["split"])
    subset = f" ({', '.join(settings['subset'])})" if settings.get("subset") else ""
    return f"{settings['type']} {split}{subset}"
