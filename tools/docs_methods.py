"""The reference of methods: what each catalogue holds, the five lines that its module opens with, and its settings."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import get_args

from docs_docstrings import FACTS
from docs_settings import list_parts, read_summary, write_section, write_table
from pydantic import BaseModel

from adapt.correction.settings import CorrectionSettings, LossSettings
from adapt.noise.settings import NoiseSettings
from adapt.tta.settings import MethodSettings, list_needs
from adapt.uda.settings import UdaSettings

ROOT = Path(__file__).parents[1]
HEAD = """\
# Methods

What `method:`, `noise:`, `correction:` and `loss:` of an experiment file may name, with paper and defaults; made from the
settings and the opening lines of the modules: what each implements, what it was checked against, and where it deviates.
How to use them: [adapting to a target](../uda.md), [adapting while the stream runs](../tta.md), [noisy labels](../noise.md).
"""
# title -> the union that `name` chooses from, the kinds of stages, and the module of each name; `*` stands for the others
FAMILIES = {
    "Adapting to an unlabelled target": (
        UdaSettings, "uda", {"minent": "adapt.uda.entropy_minimisation", "*": "adapt.uda.self_training"},
    ),
    "Adapting at test time": (
        MethodSettings, "stream", {"reservoir": "adapt.tta.reservoir.reservoir", "*": "adapt.tta.{name}"},
    ),
    "Noise in labels": (NoiseSettings, "train, uda", {"*": "adapt.noise.{name}"}),
    "Corrections of labels": (
        CorrectionSettings, "train, uda", {"co_teaching": "adapt.correction.co_teaching", "*": "adapt.correction.detection"},
    ),
    "Losses for noisy labels": (LossSettings, "train", {"*": "adapt.correction.loss"}),
}  # fmt: skip


def write_page() -> str:
    """Return the page."""
    sections, shown = [HEAD], []
    for title, (union, stages, modules) in FAMILIES.items():
        sections.append(f"## {title}\n")
        for settings in list_choices(union):
            name = read_name(settings)
            sections.append(write_method(settings, modules.get(name, modules["*"]).format(name=name), stages))
            shown.append(settings)
    parts = dict.fromkeys(part for settings in shown for part in list_parts(settings))
    sections += ["## Parts of methods\n", *(write_section(part, 3) for part in parts if part not in shown)]
    return "\n".join(sections)


def write_method(settings: type[BaseModel], module: str, stages: str) -> str:
    """Write a method's claim, what its module says of it, and its settings."""
    lines = [f"### {read_name(settings)} {{#{settings.__name__}}}\n", *read_summary(settings), ""]
    lines += [f"- **{fact}**: {text}" for fact, text in read_facts(module).items()]
    if stages == "stream" and (needs := list_needs(settings())):
        lines.append(f"- **Needs**: {', '.join(f'`{need}`' for need in needs)}, outputs of other stages")
    lines.append(f"- **Where**: `{module}`, in stages of kind {stages}\n")
    if len(settings.model_fields) > 1:
        lines.append(write_table(settings, left_out=("name",)))
    return "\n".join(lines) + "\n"


def read_facts(module: str) -> dict[str, str]:
    """Return the lines `Paper:`, `Implements:` ... of a module's docstring, each joined into one."""
    facts: dict[str, str] = {}
    current = ""
    source = (ROOT / f"{module.replace('.', '/')}.py").read_text(encoding="utf-8")  # to import it would bring torch
    for line in (ast.get_docstring(ast.parse(source)) or "").splitlines():
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
    return "`".join(
        part if index % 2 else re.sub(r"([*_<])", r"\\\1", part) for index, part in enumerate(text.split("`"))
    )


def read_name(settings: type[BaseModel]) -> str:
    """Return the name by which an experiment file chooses a method."""
    return str(get_args(settings.model_fields["name"].annotation)[0])


def list_choices(union: object) -> tuple[type[BaseModel], ...]:
    """List the settings classes of a union that `name` chooses from."""
    return get_args(get_args(union)[0])
