"""A trial that takes too long ends its process, with an outcome and a stack of what hung."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from orchestrator.stages.trial import Trial
from orchestrator.trial_limit import ENDED, keep_overdue, limit_time

SCRIPT = """\
import sys, time
from pathlib import Path
from orchestrator.stages.trial import Trial
from orchestrator.trial_limit import limit_time

def hang_in_here():
    time.sleep(600)

with limit_time(Trial(3, {"lr": 0.1}, None, Path(sys.argv[1]) / "trial"), 0.2, Path(sys.argv[1]) / "log.txt"):
    hang_in_here()
"""


def test_a_hung_trial_is_ended_and_not_made_again(tmp_path: Path) -> None:
    ended = subprocess.run([sys.executable, "-c", SCRIPT, str(tmp_path)], timeout=250, cwd=Path(__file__).parents[2])
    assert ended.returncode == ENDED
    outcome = Trial(3, {"lr": 0.1}, None, tmp_path / "trial").read()
    assert outcome is not None
    assert (outcome.status, outcome.score) == ("failed", None)
    assert outcome.reason == "ran longer than its limit of 0.2 s"
    assert "in hang_in_here" in (tmp_path / "log.txt").read_text()


HOLDING = """\
import re, sys
from pathlib import Path
from orchestrator import trial_limit
from orchestrator.stages.trial import Trial

trial_limit.SLACK_S = 0.2

def never_let_go():
    re.match(r"(a+)+$", "a" * 60 + "b")

with trial_limit.limit_time(Trial(3, {"lr": 0.1}, None, Path(sys.argv[1]) / "trial"), 0.2, Path(sys.argv[1]) / "log.txt"):
    never_let_go()
"""


def test_a_trial_that_keeps_the_interpreter_to_itself_is_ended_too(tmp_path: Path) -> None:
    ended = subprocess.run([sys.executable, "-c", HOLDING, str(tmp_path)], timeout=250, cwd=Path(__file__).parents[2])
    assert ended.returncode not in (0, ENDED)
    trial = Trial(3, {"lr": 0.1}, None, tmp_path / "trial")
    assert trial.read() is None, "no Python could run"
    with limit_time(trial, 600.0, tmp_path / "log.txt"):  # the next look at it, before it is made again
        outcome = trial.read()
    assert outcome is not None
    assert (outcome.status, outcome.reason) == ("failed", "ran longer than its limit of 600 s")
    assert "in never_let_go" in (tmp_path / "log.txt").read_text()
    assert sorted(file.name for file in tmp_path.iterdir()) == ["log.txt", "trial.json"]


def test_a_process_that_dies_of_something_else_is_not_overdue(tmp_path: Path) -> None:
    trial = Trial(0, {}, None, tmp_path / "trial")
    killed = SCRIPT.replace("time.sleep(600)", "os._exit(9)").replace("import sys, time", "import os, sys")
    subprocess.run([sys.executable, "-c", killed, str(tmp_path)], timeout=250, cwd=Path(__file__).parents[2])
    keep_overdue(trial, 0.2, tmp_path / "log.txt")
    assert trial.read() is None


def test_one_that_is_in_time_is_left_alone(tmp_path: Path) -> None:
    trial = Trial(0, {}, None, tmp_path / "trial")
    for limit_s in (None, 600.0):
        with limit_time(trial, limit_s, tmp_path / "log.txt"):
            pass
    with pytest.raises(KeyError), limit_time(trial, 600.0, tmp_path / "log.txt"):
        raise KeyError
    assert trial.read() is None
    assert not (tmp_path / "log.txt").exists()
