"""Supplies: what a stage takes from others beside its settings, and whether that can be what its method needs."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, get_args

from adapt.tta.settings import EataSettings, Supply, list_chain, list_needs, name_method
from experiments.conflict import Conflict
from experiments.schema import INPUT_OUTPUTS, AdaptingStage, FisherStage, SearchStage, StreamStage, StylesStage
from experiments.search import apply_point, list_tried
from experiments.task import BoundModel, Task

REFERENCE = re.compile(r"\$\{([A-Za-z][A-Za-z0-9_]*)\.([A-Za-z][A-Za-z0-9_]*)\}")

# How to make each of them, for the message that says it is missing.
_MAKERS: dict[Supply, str] = {
    "auxiliary": "a stage that trains the small network: `STAGE: {kind: train, model: SMALL, dataset: SOURCE, training: {...}}`",
    "styles": "the stage that measures them on the source: `STAGE: {kind: styles, checkpoint: ..., dataset: SOURCE}`",
    "fisher": "the stage that measures it on the source: `STAGE: {kind: fisher, checkpoint: ..., dataset: SOURCE}`",
}


def find_bad_input(kind: str, raw: Mapping[str, Any]) -> Conflict | None:
    """Find an output where none can be used, or what is no output, or another one, where one is wanted.

    Args:
        kind: Of the stage.
        raw: The stage as its file has it, axes filled in.
    """
    takers = tuple(INPUT_OUTPUTS) if kind == "stream" else ("checkpoint",)
    for role, value in raw.items():
        if role not in takers and isinstance(value, str) and REFERENCE.fullmatch(value):
            *others, last = (f"`{taker}`" for taker in takers)
            named = f"{', '.join(others)} and {last} take" if others else f"{last} takes"
            return Conflict((role,), f"only {named} the output of a stage, got {value}.")
    for role in takers:
        value, output = raw.get(role), INPUT_OUTPUTS[role]
        found = REFERENCE.fullmatch(value) if isinstance(value, str) else None
        if value is not None and (found is None or found[2] != output):
            return Conflict((role,), f"write ${{STAGE.{output}}} and no more, got {value!r}.")
    return None


def find_missing_supply(stage: AdaptingStage) -> Conflict | None:
    """Find what the method of a stage needs and is not given."""
    for role in list_needs(stage.method):
        if getattr(stage, role) is None:
            text = (
                f"the method {name_method(stage.method)} needs it. Write `{role}: ${{STAGE.{INPUT_OUTPUTS[role]}}}`, and "
                f"add {_MAKERS[role]}."
            )
            return Conflict((role,), text)
    return None


def list_unused(stage: AdaptingStage) -> tuple[str, ...]:
    """List what a stage is given and its method does not need: a stage over several methods gives to all what some need."""
    needs = list_needs(stage.method)
    return tuple(role for role in get_args(Supply) if getattr(stage, role) is not None and role not in needs)


def find_foreign_statistics(inputs: Mapping[str, Task], model: BoundModel | None) -> Conflict | None:
    """Find statistics that were measured on another network than the one that is adapted.

    Args:
        inputs: Role -> the task whose output an adapting stage takes.
        model: The model that it starts from where its network is not an input.
    """
    for role in ("styles", "fisher"):
        if role not in inputs:
            continue
        made = inputs[role]
        if isinstance(made.settings, StylesStage) and made.settings.extractor.name != "early":
            continue  # another network than the segmentor reads the styles
        own = inputs["checkpoint"].key if "checkpoint" in inputs else None
        if (made.inputs.get("checkpoint"), made.model) != (own, model):
            text = (
                f"{made.name} was measured on another network than the one that is adapted here. Give stage "
                f"'{made.stage}' the same `checkpoint` or `model` as this stage."
            )
            return Conflict((role,), text)
    return None


def find_other_batch_norm(stage: AdaptingStage, made: Task) -> Conflict | None:
    """Find a Fisher information that was measured with other statistics of BatchNorm than the method adapts with.

    Args:
        stage: The adapting stage; of one with a search, every point that is tried counts.
        made: The task whose Fisher information it takes.
    """
    if not isinstance(made.settings, FisherStage):
        return None
    search = stage.search if isinstance(stage, StreamStage | SearchStage) else None
    points = [{}] if search is None else list_tried(search)
    for method in (apply_point(stage.method, point) for point in points):
        for part in list_chain(method):
            if isinstance(part, EataSettings) and part.batch_norm != made.settings.batch_norm:
                text = (
                    f"{made.name} was measured with `batch_norm: {made.settings.batch_norm}`, but the method "
                    f"{name_method(method)} adapts with `batch_norm: {part.batch_norm}`. Give "
                    f"`stages.{made.stage}.batch_norm` and `batch_norm` of this stage's `method` the same value."
                )
                return Conflict(("fisher",), text)
    return None
