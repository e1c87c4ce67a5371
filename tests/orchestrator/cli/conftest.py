"""The command line in this process."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from orchestrator.cli.main import main


@dataclass(frozen=True)
class Outcome:
    """What a command said and how it ended."""

    code: int
    out: str
    err: str


@pytest.fixture
def segshift(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Callable[..., Outcome]:
    """Run the command line in this process; the store is `./store`, which lies in the test's own folder."""
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setenv("SEGSHIFT_STORE", "store")

    def run(*arguments: str | Path) -> Outcome:
        capsys.readouterr()
        try:
            code = main([*map(str, arguments)])
        except SystemExit as error:  # argparse
            code = int(error.code or 0)
        captured = capsys.readouterr()
        return Outcome(code, captured.out, captured.err)

    return run
