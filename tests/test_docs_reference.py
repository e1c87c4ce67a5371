"""The reference is whole: every key, method, corruption, protocol and command of the code is on its page."""

from __future__ import annotations

import importlib
import json
import re
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Annotated, Any, Literal

import pytest
from pydantic import Field

from adapt.settings import Settings
from corruptions.catalog import CORRUPTIONS, WEATHER
from corruptions.protocol import PROTOCOLS
from experiments.schema import STAGES, Experiment
from orchestrator.cli.main import COMMANDS
from orchestrator.record import Record

TOOLS = Path(__file__).parents[1] / "tools"
MODULES = ("settings", "experiment", "methods", "commands", "corruptions", "records", "python", "docstrings", "formula")


class Wheel(Settings):
    """A wheel."""

    spokes: Annotated[int, Field(ge=3)] = 32


class Bicycle(Settings):
    """What is ridden.

    Attributes:
        kind: of bicycle.
        front, rear: wheels; they
            may differ.
    """

    kind: Literal["road", "city"] = "city"
    front: Wheel = Wheel()
    rear: Wheel | None = None
    gears: tuple[int, ...] = (1, 2)
    weight: float = Field(gt=0, le=30)


@pytest.fixture(scope="module")
def tools() -> Iterator[Any]:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(TOOLS))
        yield SimpleNamespace(**{name: importlib.import_module(f"docs_{name}") for name in MODULES})


def test_a_table_has_type_default_and_the_sentence_of_each_key(tools: Any) -> None:
    assert tools.settings.write_table(Bicycle).splitlines()[2:] == [
        "| `kind` | `road` or `city` | `city` | of bicycle. |",
        "| `front` | [Wheel](#Wheel) | its own | wheels; they may differ. |",
        "| `rear` | [Wheel](#Wheel) or null | `null` | wheels; they may differ. |",
        "| `gears` | list of whole number | `[1, 2]` |  |",
        "| `weight` | number > 0, ≤ 30 | **required** |  |",
    ]
    assert tools.settings.read_summary(Bicycle) == ["What is ridden."]
    assert list(tools.settings.list_parts(Bicycle)) == [Bicycle, Wheel]
    assert "whole number ≥ 3" in tools.settings.write_table(Wheel)


def test_every_key_that_a_file_may_hold_is_on_the_page(tools: Any) -> None:
    page = tools.experiment.write_page()
    for kind, stage in STAGES.items():
        assert (f"### kind: {kind} " in page) == (kind != "search")  # which no file writes
        if kind != "search":
            assert all(
                f"| `{name}` |" in _cut(page, stage.__name__) for name in stage.model_fields if name != "kind"
            ), kind
    assert all(f"| `{name}` |" in _cut(page, "Experiment") for name in Experiment.model_fields)
    assert re.findall(r"^\| `\w+` .* \|  \|$", page, re.MULTILINE) == []  # each has a sentence
    links, anchors = set(re.findall(r"\(#(\w+)\)", page)), re.findall(r"\{#(\w+)\}", page)
    assert links <= set(anchors)
    assert len(anchors) == len(set(anchors))


def test_every_method_is_on_the_page_with_its_paper(tools: Any) -> None:
    from adapt.tta.catalog import METHODS

    page = tools.methods.write_page()
    for name in (
        *METHODS,
        "minent",
        "dacs",
        "daformer",
        "hrda",
        "mic",
        "morphology",
        "adele",
        "co_teaching",
        "symmetric",
    ):
        section = re.split(rf"^### {name} ", page, flags=re.MULTILINE)[1].partition("\n### ")[0]
        assert "- **Paper**: " in section, name
        assert "- **Deviations**: " in section, name
    for name, method in METHODS.items():
        module = (
            re.split(rf"^### {name} ", page, flags=re.MULTILINE)[1].partition("- **Where**: `")[2].partition("`")[0]
        )
        assert module == method.__module__


def test_every_corruption_protocol_and_constant_is_on_the_page(tools: Any) -> None:
    page = tools.corruptions.write_page()
    for row in (*CORRUPTIONS.values(), *WEATHER.values()):
        assert f"### {row.name}\n" in page
    assert "| sigma of the added noise, image in [0, 1] | 0.08 | 0.12 | 0.18 | 0.26 | 0.38 |" in page
    for protocol in PROTOCOLS.values():
        assert f"| `{protocol.name}` | {len(protocol.cells)} |" in page
    quick = page.partition("| `quick` | 6 | ")[2].partition(" |")[0]
    stated = [
        (name, int(level))
        for part in quick.split("; ")
        for name in re.findall(r"`(\w+)`", part)
        for level in part.rpartition(": ")[2].split(", ")
    ]
    assert sorted(stated) == sorted(PROTOCOLS["quick"].cells)


def test_every_command_is_on_the_page_whatever_the_terminal(tools: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    page = tools.commands.write_page()
    for command in COMMANDS:
        name = command.__name__.rpartition(".")[2].replace("_", "-")
        assert f"## segshift {name}\n" in page
    assert "## segshift data prepare\n" in page
    monkeypatch.setenv("COLUMNS", "40")
    assert tools.commands.write_page() == page


def test_the_schema_of_records_is_that_of_the_code(tools: Any) -> None:
    files = tools.records.write_files()
    assert json.loads(files["record.schema.json"])["properties"].keys() == Record.model_fields.keys()
    assert "| `confusion` |" in files["records.md"]
    assert re.findall(r"^\| `\w+` .* \|  \|$", files["records.md"], re.MULTILINE) == []  # each key has a sentence


def test_every_module_of_the_python_pages_exists(tools: Any) -> None:
    pages = tools.python.write_pages()
    modules = re.findall(r"^::: ([\w.]+)$", "\n".join(pages.values()), re.MULTILINE)
    assert "adapt.scores.confusion" in modules
    assert [name for name in modules if not (TOOLS.parent / f"{name.replace('.', '/')}.py").is_file()] == []


def test_examples_and_facts_of_docstrings_are_what_the_reference_expects(tools: Any) -> None:
    text = "Doubles.\n\nExample:\n    >>> 2 * 2\n    4"
    assert tools.docstrings.rewrite(text) == "Doubles.\n\nExamples:\n    >>> 2 * 2\n    4"
    assert tools.docstrings.rewrite("Doubles.\n\n>>> 2 * 2\n4") == "Doubles.\n\nExamples:\n    >>> 2 * 2\n    4"
    assert (
        tools.docstrings.rewrite("A way.\n\nPaper: none.\nProtocol: any.")
        == "A way.\n\n- **Paper**: none.\n- **Protocol**: any."
    )


def test_a_formula_is_a_picture_that_says_what_it_shows(tools: Any) -> None:
    drawn = tools.formula.draw_formula(r"a < \frac{1}{n}")
    assert 'role="img" aria-label="a &lt; \\frac{1}{n}"' in drawn
    assert 'fill="currentColor"' in drawn
    width = [
        float(re.findall(r'viewBox="[-\d]+ [-\d]+ (\d+)', tools.formula.draw_formula(tex))[0]) for tex in ("x", "xxx")
    ]
    assert width[1] > 2 * width[0]
    assert tools.formula.draw_inline(r'of <span class="arithmatex">\(n\)</span> pixels').startswith(
        'of <svg class="formula"'
    )
    with pytest.raises(ValueError, match="nosuch"):
        tools.formula.draw_formula(r"\nosuch{1}")


def _cut(page: str, anchor: str) -> str:
    return page.partition(f"{{#{anchor}}}")[2].partition("\n### ")[0]
