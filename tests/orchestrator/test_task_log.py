"""The log of a task, in a process of its own: it takes over the process's output."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path


def run(body: str, log: Path) -> subprocess.CompletedProcess[str]:
    code = (
        "import os, sys, time, logging, re, subprocess\nfrom pathlib import Path\n"
        f"from orchestrator.task_log import keep_log\nlog = Path({str(log)!r})\n" + textwrap.dedent(body)
    )
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)


def test_all_that_a_process_writes_goes_to_the_log_and_nothing_before_or_after(tmp_path: Path) -> None:
    log = tmp_path / "task" / "log.txt"
    done = run(
        """
        print("before")
        with keep_log(log, "train[seed=0]"):
            print("printed")
            os.write(2, b"from compiled code\\n")
            subprocess.run(["echo", "from a child"])
            logging.getLogger("adapt.training").info("a sentence")
            logging.getLogger("mmengine").info("not ours")
        print("after")
        logging.getLogger("adapt.training").info("nobody listens")
        """,
        log,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "before\nafter\n", "")
    lines = log.read_text().splitlines()
    assert lines[0].startswith("--- 20")
    assert lines[0].endswith(" train[seed=0]")
    assert set(lines[1:]) >= {"printed", "from compiled code", "from a child"}
    assert lines[-1].endswith("INFO adapt.training: a sentence")
    assert len(lines) == 5


def test_attempts_follow_each_other(tmp_path: Path) -> None:
    log = tmp_path / "log.txt"
    for title in ("first", "second"):
        assert run(f"with keep_log(log, {title!r}): print('in', {title!r})", log).returncode == 0
    assert [line.split()[-1] for line in log.read_text().splitlines()] == ["first", "first", "second", "second"]


def test_an_error_ends_the_log_and_passes_on(tmp_path: Path) -> None:
    done = run("with keep_log(log, 'a'): raise ValueError('told to')", tmp_path / "log.txt")
    assert done.returncode == 1
    assert "ValueError: told to" in done.stderr


def test_the_stacks_are_written_even_while_the_interpreter_is_held(tmp_path: Path) -> None:
    log = tmp_path / "log.txt"
    run(
        """
        def find():
            re.match(r"(a+)+$", "a" * 26 + "b")  # seconds, in which no other Python thread runs
        with keep_log(log, "a", 0.05):
            find()
        """,
        log,
    )
    assert "Timeout (0:00:00.050000)!" in log.read_text()
    assert "in find" in log.read_text()


def test_who_is_in_time_leaves_no_stacks(tmp_path: Path) -> None:
    log = tmp_path / "log.txt"
    run("with keep_log(log, 'a', 0.3): pass\ntime.sleep(0.6)", log)
    assert len(log.read_text().splitlines()) == 1
