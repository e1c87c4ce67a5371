"""The reference of experiment files, made from the models that validate them."""

from __future__ import annotations

from docs_settings import list_parts, write_section

from experiments.schema import STAGE_OUTPUTS, STAGE_VERSIONS, STAGES, Experiment
from experiments.workspace import Workspace

HEAD = """\
# Experiment files

Every key that an experiment file may hold, made from the models that validate it. How the parts work together is in
[Write an experiment](../experiments.md); the settings of methods, noise and corrections are in [Methods](methods.md) too, with
their papers. A key that is not here is refused, with file, line and the closest one.
"""
WRITTEN = {kind: stage for kind, stage in STAGES.items() if kind != "search"}  # no file writes a search stage
PARTS_TITLE = "Parts of stages"


def write_page() -> str:
    """Return the page: the file, then each kind of stage, then what these are made of."""
    sections = [HEAD, "## The file\n", write_section(Experiment, 3)]
    top = [part for part in list_parts(Experiment) if part is not Experiment]
    sections += [write_section(part, 3) for part in top]
    sections.append("## Stages\n")
    for kind, stage in WRITTEN.items():
        outputs = (
            ", ".join(f"`${{STAGE.{output}}}`" for output in STAGE_OUTPUTS.get(kind, ())) or "nothing to other stages"
        )
        note = f"Offers {outputs}. Code version {STAGE_VERSIONS[kind]}: part of every key, raised when results may change.\n"
        sections += [write_section(stage, 3, f"kind: {kind}", ("kind",)), note]
    shown = {*top, Experiment, *WRITTEN.values()}
    parts = dict.fromkeys(part for stage in WRITTEN.values() for part in list_parts(stage) if part not in shown)
    sections += [f"## {PARTS_TITLE}\n", *(write_section(part, 3) for part in parts)]
    sections += [
        "## The workspace file\n",
        "`segshift.yaml` in the folder that one works in: where things are on this machine.\n",
    ]
    sections += [write_section(part, 3) for part in list_parts(Workspace) if part not in {*shown, *parts}]
    return "\n".join(sections)
