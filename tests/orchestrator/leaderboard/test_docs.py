"""What docs/leaderboard.md shows is taken by the commands, and the action runs commands that exist."""

from __future__ import annotations

import re
from pathlib import Path

from ruamel.yaml import YAML

from orchestrator.cli.main import parse
from orchestrator.leaderboard.entries import add_entries

DOCS = Path(__file__).parents[3] / "docs"


def test_the_entry_that_the_docs_show_can_be_added(tmp_path: Path) -> None:
    (text,) = re.findall(r"```json\n(.*?)```", (DOCS / "leaderboard.md").read_text(), re.DOTALL)
    (tmp_path / "mine.json").write_text(text)
    (file,) = add_entries([tmp_path / "mine.json"], tmp_path / "entries")
    assert file.name.startswith("segformer-b5-")


def test_the_action_verifies_pull_requests_and_publishes_only_what_was_pushed() -> None:
    action = YAML(typ="safe").load(DOCS / "examples" / "leaderboard-action.yml")
    runs = {name: [step["run"] for step in job["steps"] if "run" in step] for name, job in action["jobs"].items()}
    commands = [run.split() for steps in runs.values() for run in steps if run.startswith("segshift ")]
    assert [" ".join(words[1:3]) for words in commands] == ["leaderboard verify", "leaderboard build"]
    assert [parse([word.strip('"') for word in words[1:5]] + words[5:6]).command for words in commands[:1]] == [
        "leaderboard verify"
    ]
    assert action["jobs"]["publish"]["if"] == "github.event_name == 'push'"
    assert action["permissions"] == {"contents": "read"}
