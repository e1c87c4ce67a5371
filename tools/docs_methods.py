"""The reference of methods: what each catalogue holds, the five lines that its module opens with, and its settings."""

from __future__ import annotations

import importlib
import inspect
import re
import sys
from types import ModuleType
from typing import get_args

from docs_docstrings import FACTS
from docs_settings import list_parts, read_summary, write_section, write_table
from pydantic import BaseModel

from adapt.correction import co_teaching, detection
from adapt.correction import loss as losses
from adapt.correction.settings import CorrectionSettings, LossSettings
from adapt.noise.settings import NoiseSettings
from adapt.tta.catalog import METHODS
from adapt.tta.settings import MethodSettings, list_needs
from adapt.uda import entropy_minimisation, self_training
from adapt.uda.settings import MinEntSettings, UdaSettings

HEAD = """\
# Methods

What `method:`, `noise:`, `correction:` and `loss:` of an experiment file may name, with paper and defaults; made from the catalogues. Each module's opening lines say what it implements, what it was checked
against, and where it deviates. How to use them: [adapting to a target](../uda.md), [adapting while the stream runs](../tta.md), [noisy labels](../noise.md).
"""


def write_page() -> str:
    """Return the page."""
    families = {
        "Adapting to an unlabelled target": (UdaSettings, "uda", _find_uda),
        "Adapting at test time": (MethodSettings, "stream", lambda name: sys.modules[METHODS[name].__module__]),
        "Noise in labels": (NoiseSettings, "train, uda", lambda name: importlib.import_module(f"adapt.noise.{name}")),
        "Corrections of labels": (CorrectionSettings, "train, uda", lambda name: co_teaching if name == "co_teaching" else detection),
        "Losses for noisy labels": (LossSettings, "train", lambda name: losses),
    }
    sections, shown = [HEAD], []
    for title, (union, stages, find_module) in families.items():
        sections.append(f"## {title}\n")
        for settings in list_choices(union):
            sections.append(write_method(settings, find_module(read_name(settings)), stages))
            shown.append(settings)
    parts = dict.fromkeys(part for settings in shown for part in list_parts(settings))
    sections += ["## Parts of methods\n", *(write_section(part, 3) for part in parts if part not in shown)]
    return "\n".join(sections)


def write_method(settings: type[BaseModel], module: ModuleType, stages: str) -> str:
    """Write a method's claim, what its module says of it, and its settings."""
    lines = [f"### {read_name(settings)} {{#{settings.__name__}}}\n", *read_summary(settings), ""]
    lines += [f"- **{fact}**: {text}" for fact, text in read_facts(module).items()]
    if stages == "stream" and (needs := list_needs(settings())):
        lines.append(f"- **Needs**: {', '.join(f'`{need}`' for need in needs)}, outputs of other stages")
    lines.append(f"- **Where**: `{module.__name__}`, in stages of kind {stages}\n")
    if len(settings.model_fields) > 1:
        lines.append(write_table(settings, left_out=("name",)))
    return "\n".join(lines) + "\n"


def read_facts(module: ModuleType) -> dict[str, str]:
    """Return the lines `Paper:`, `Implements:` ... of a module's docstring, each joined into one."""
    facts: dict[str, str] = {}
    current = ""
    for line in inspect.getdoc(module).splitlines():  # type: ignore[union-attr]
        entry = re.match(rf"({'|'.join(FACTS)}): (.*)", line)
        if entry:
            current = entry[1]
            facts[current] = entry[2]
        elif current and line.startswith("    "):
            facts[current] += f" {line.strip()}"
        else:
            current = ""
    return {name: escape(text) for name, text in facts.items()}


def escape(text: str) -> str:
    """Keep what looks like Markdown, but stands outside code, as it is written: `p_y`, `F * w`."""
    return "`".join(part if index % 2 else re.sub(r"([*_<])", r"\\\1", part) for index, part in enumerate(text.split("`")))


def read_name(settings: type[BaseModel]) -> str:
    """Return the name by which an experiment file chooses a method."""
    return str(get_args(settings.model_fields["name"].annotation)[0])


def list_choices(union: object) -> tuple[type[BaseModel], ...]:
    """List the settings classes of a union that `name` chooses from."""
    return get_args(get_args(union)[0])


def _find_uda(name: str) -> ModuleType:
    return entropy_minimisation if name == read_name(MinEntSettings) else self_training
