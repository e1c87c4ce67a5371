"""The protocol of an entry: complete, as a record has it, or the short form that a row from outside may give.

What the short form does not tell (the state of the files, the version of the corruptions, how the network was run) is said
to be unknown. Such a row is therefore of another protocol than the rows that were made here, and never ranked with them.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import ConfigDict, Field, StrictInt

from adapt.data.catalog import DATASET_TYPES
from adapt.errors import SpecError
from adapt.settings import Settings
from corruptions.catalog import CORRUPTIONS, SEVERITIES, WEATHER
from corruptions.protocol import PROTOCOLS
from experiments.document import Document
from experiments.explain import closest, unknown, validate
from experiments.grid import list_canonical_cells
from orchestrator.leaderboard.aggregates import list_domains

KINDS = ("evaluate", "benchmark", "stream")
UNTOLD = "not told"
MOST_ROUNDS = 10_000  # ours: each is a column, and published streams have 10

_SHORT = {
    "evaluate": ("kind", "dataset", "split"),
    "benchmark": ("kind", "dataset", "split", "protocol"),
    "stream": ("kind", "dataset", "split", "domains", "rounds"),
}

_Name = Annotated[str, Field(min_length=1)]


class _Part(Settings):
    """A part of a complete protocol: what is read of it has its type, and whatever else it says tells protocols apart."""

    model_config = ConfigDict(extra="allow")


class _Dataset(_Part):
    type: _Name
    split: str | tuple[str, ...] = ""
    subset: tuple[str, ...] = ()


class _Domain(_Part):
    dataset: _Name
    corruption: str | None = None
    severity: StrictInt | None = None


class _Stream(_Part):
    kind: _Name
    domains: Annotated[tuple[_Domain, ...], Field(min_length=1)]
    rounds: Annotated[StrictInt, Field(ge=1, le=MOST_ROUNDS)] = 1


class _Reset(_Part):
    policy: str = "never"


class _EvaluateProtocol(_Part):
    dataset: _Dataset


class _BenchmarkProtocol(_Part):
    dataset: _Dataset
    protocol: _Name
    cells: Annotated[tuple[tuple[str, StrictInt], ...], Field(min_length=1)]
    shifts: dict[str, _Dataset] = {}


class _StreamProtocol(_Part):
    stream: _Stream
    datasets: Annotated[dict[str, _Dataset], Field(min_length=1)]
    reset: _Reset = _Reset()


_COMPLETE: dict[str, type[_Part]] = {
    "evaluate": _EvaluateProtocol,
    "benchmark": _BenchmarkProtocol,
    "stream": _StreamProtocol,
}


def resolve_protocol(given: Mapping[str, Any], origin: str) -> dict[str, Any]:
    """Return the protocol that an entry means.

    Args:
        given: complete, or one of `{kind: evaluate, dataset, split}`, `{kind: benchmark, dataset, split, protocol}` and
            `{kind: stream, dataset, split, domains, rounds}`, where a domain is a name.
        origin: what an error calls the file.

    Raises:
        SpecError: a kind, data set, split, protocol or corruption is unknown, or a key is missing.
    """
    where = f"{origin}: protocol"
    kind = given.get("kind")
    if not isinstance(kind, str) or kind not in KINDS:
        raise unknown("kind of protocol", str(kind), KINDS, f"{where}.kind")
    if isinstance(given.get("dataset"), str):
        return _resolve_short(given, where)
    validate(_COMPLETE[kind], given, Document({"protocol": given}, {(): origin}), at=("protocol",))
    if kind == "benchmark":
        _check_cells(given, where)
    return json.loads(json.dumps(given))


def name_protocol(protocol: Mapping[str, Any]) -> str:
    """Return the title of a protocol's table, as tables of records have it."""
    if protocol["kind"] == "evaluate":
        return f"Clean: {_name_dataset(protocol['dataset'])}"
    if protocol["kind"] == "benchmark":
        return f"Corruptions ({protocol['protocol']}): {_name_dataset(protocol['dataset'])}"
    stream = protocol["stream"]
    rounds = f", {stream['rounds']} rounds" if stream.get("rounds", 1) > 1 else ""
    policy = protocol.get("reset", {}).get("policy", "never")
    reset = "" if policy in ("never", UNTOLD) else f", reset {policy}"
    return f"Test-time stream ({stream['kind']}{rounds}{reset}): {', '.join(list_domains(protocol))}"


def hash_protocol(protocol: Mapping[str, Any]) -> str:
    """Return the digest of a protocol, 64 hexadecimal digits."""
    return hashlib.sha256(json.dumps(protocol, sort_keys=True).encode()).hexdigest()


def _name_dataset(dataset: Mapping[str, Any]) -> str:
    split = dataset.get("split", "")
    subset = f" ({', '.join(dataset['subset'])})" if dataset.get("subset") else ""
    return f"{dataset.get('type')} {split if isinstance(split, str) else '+'.join(split)}{subset}".strip()


def _resolve_short(given: Mapping[str, Any], where: str) -> dict[str, Any]:
    kind = str(given["kind"])
    for key in given:
        if key not in _SHORT[kind]:
            hint = closest(str(key), _SHORT[kind])
            raise SpecError(f"{where}: unknown key '{key}'.{hint} The short form of {kind}: {', '.join(_SHORT[kind])}.")
    for key in _SHORT[kind]:
        if key not in given:
            raise SpecError(f"{where}.{key}: this key is required and missing: {', '.join(_SHORT[kind])}.")
    name, split = str(given["dataset"]), str(given["split"])
    if name not in DATASET_TYPES:
        error = unknown("data set", name, DATASET_TYPES, f"{where}.dataset")
        raise SpecError(f"{error} For another data set write the complete protocol (docs/leaderboard.md).")
    splits = dict.fromkeys((*DATASET_TYPES[name].splits, "test"))  # hidden labels score other people's networks too
    if split not in splits:
        raise unknown(f"split of {name}", split, splits, f"{where}.split")
    dataset = {"type": name, "split": split, "fingerprint": UNTOLD}
    if kind == "evaluate":
        return {"kind": kind, "inference": UNTOLD, "dataset": dataset, "limit": None}
    if kind == "benchmark":
        return {"kind": kind, "inference": UNTOLD, "dataset": dataset, "limit": None, **_find_cells(given, where)}
    domains, rounds = given["domains"], given["rounds"]
    if not isinstance(domains, list) or not domains or not all(isinstance(each, str) for each in domains):
        raise SpecError(f"{where}.domains: a list of names is wanted here, as in [fog, night].")
    if isinstance(rounds, bool) or not isinstance(rounds, int) or not 1 <= rounds <= MOST_ROUNDS:
        raise SpecError(f"{where}.rounds: a whole number from 1 to {MOST_ROUNDS} is wanted here, got {rounds!r}.")
    stream = {"kind": "continual", "domains": [{"dataset": each} for each in domains], "rounds": rounds}
    return {
        "kind": kind,
        "inference": UNTOLD,
        "stream": stream,
        "datasets": dict.fromkeys(domains, dataset),
        "reset": {"policy": UNTOLD},
    }


def _find_cells(given: Mapping[str, Any], where: str) -> dict[str, Any]:
    name = str(given["protocol"])
    if name not in PROTOCOLS:
        raise unknown("corruption protocol", name, PROTOCOLS, f"{where}.protocol")
    cells = list_canonical_cells(PROTOCOLS[name])
    return {"protocol": name, "cells": cells, "backend": UNTOLD, "channel_order": UNTOLD}


def _check_cells(given: Mapping[str, Any], where: str) -> None:
    """Refuse unknown corruptions and severities, a cell that stands there twice, and a known name that is bent."""
    cells = given["cells"]
    for cell in cells:
        if cell[0] not in CORRUPTIONS and cell[0] not in WEATHER:
            raise unknown("corruption", str(cell[0]), (*CORRUPTIONS, *WEATHER), f"{where}.cells")
        if cell[1] not in SEVERITIES:
            raise SpecError(f"{where}.cells: {cell[0]} has no severity {cell[1]!r}: severities are 1 to 5.")
    told = sorted((str(name), int(severity)) for name, severity in cells)
    if len(set(told)) < len(told):
        raise SpecError(f"{where}.cells: a cell stands there twice: each would weigh more than the protocol says.")
    name = str(given["protocol"])
    if name in PROTOCOLS and told != sorted(PROTOCOLS[name].cells):
        raise SpecError(
            f"{where}.protocol: '{name}' is a known protocol of {len(PROTOCOLS[name].cells)} cells, not of these "
            f"{len(told)}: give yours another name."
        )
