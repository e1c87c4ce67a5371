"""A trial that takes too long ends its process, with an outcome and a stack of what hung."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from orchestrator.stages.trial import Trial
from orchestrator.trial_limit import ENDED, limit_time

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


def test_one_that_is_in_time_is_left_alone(tmp_path: Path) -> None:
    trial = Trial(0, {}, None, tmp_path / "trial")
    for limit_s in (None, 600.0):
        with limit_time(trial, limit_s, tmp_path / "log.txt"):
            pass
    with pytest.raises(KeyError), limit_time(trial, 600.0, tmp_path / "log.txt"):
        raise KeyError
    assert trial.read() is None
    assert not (tmp_path / "log.txt").exists()
