"""The lease: one holder at a time among live processes, none that a dead one keeps, whatever the clocks say."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from orchestrator import lease
from orchestrator.lease import FileLease

DEADLINE_S = 30.0


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < deadline, "waited too long"
        time.sleep(0.01)


def write_holder(file: Path, **changes: object) -> None:
    file.write_text(json.dumps(lease.describe_holder("t") | changes))


def find_free_pid() -> int:
    """Return the id of a process that has ended and was reaped."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


WORKER = """
import sys, time
from pathlib import Path
from orchestrator import lease
from orchestrator.lease import FileLease
file, done, log = map(Path, sys.argv[1:4])
lease.POLL_S = 0.01
with lease.hold(lease.FileLease(file), done.exists) as ours:
    if ours:
        with log.open("a") as f: f.write("begin\\n")
        time.sleep(0.3)
        with log.open("a") as f: f.write("end\\n")
        done.write_text("result")
    print("worked" if ours else "took " + done.read_text())
"""


def test_of_several_processes_one_works_and_the_others_take_its_result(tmp_path: Path) -> None:
    file, done, log = tmp_path / "k" / "lease.json", tmp_path / "done", tmp_path / "log"
    command = [sys.executable, "-c", WORKER, str(file), str(done), str(log)]
    processes = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    said = sorted(process.communicate(timeout=DEADLINE_S)[0].strip() for process in processes)
    assert said == ["took result", "took result", "worked"]
    assert log.read_text().split() == ["begin", "end"]
    assert not file.exists()


def test_a_live_holder_keeps_others_out_and_lets_them_in_after(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease, "POLL_S", 0.01)
    file, done = tmp_path / "lease.json", tmp_path / "done"
    order: list[str] = []

    def second() -> None:
        with lease.hold(FileLease(file), done.exists) as ours:
            order.append(f"second {ours}")

    with lease.hold(FileLease(file), done.exists) as ours:
        assert ours
        assert not FileLease(file).try_acquire()
        assert FileLease(file).is_held()
        thread = threading.Thread(target=second)
        thread.start()
        thread.join(timeout=0.1)
        order.append("first ends without a result")
    thread.join(timeout=DEADLINE_S)
    assert order == ["first ends without a result", "second True"]


def test_who_waited_takes_the_result_and_does_not_work(tmp_path: Path) -> None:
    file, done = tmp_path / "lease.json", tmp_path / "done"
    write_holder(file)
    done.write_text("")
    with lease.hold(FileLease(file), done.exists) as ours:
        assert not ours
    assert json.loads(file.read_text())["token"] == "t", "the lease of another was taken away"


def test_a_lease_on_what_is_already_done_asks_for_no_work(tmp_path: Path) -> None:
    done = tmp_path / "done"
    done.write_text("")
    with lease.hold(FileLease(tmp_path / "lease.json"), done.exists) as ours:
        assert not ours


def test_the_lease_of_an_ended_process_is_taken_over_at_once(tmp_path: Path) -> None:
    file = tmp_path / "lease.json"
    write_holder(file, pid=find_free_pid())
    assert not FileLease(file).is_held()
    assert FileLease(file).try_acquire()
    assert json.loads(file.read_text())["token"] != "t"


def test_the_lease_of_a_reused_process_id_is_taken_over_at_once(tmp_path: Path) -> None:
    file = tmp_path / "lease.json"
    write_holder(file, started=lease.read_start(os.getpid()) - 100)
    assert FileLease(file).try_acquire()


def test_a_start_is_told_by_no_clock_that_can_be_set() -> None:
    """Ticks since the boot, as the kernel counts them; psutil's date of the start is the boot's date and these."""
    ticks = os.sysconf("SC_CLK_TCK")
    started = psutil.Process().create_time()
    assert lease.read_start(os.getpid()) / ticks == pytest.approx(started - psutil.boot_time(), abs=2)


def test_the_lease_of_a_killed_process_that_nobody_reaped_is_taken_over(tmp_path: Path) -> None:
    """In a container without an init, a killed driver's workers stay zombies for ever."""
    file = tmp_path / "lease.json"
    code = "import sys; from pathlib import Path; from orchestrator.lease import FileLease as L; L(Path(sys.argv[1])).try_acquire()"
    process = subprocess.Popen([sys.executable, "-c", code, str(file)])
    try:
        wait_until(lambda: psutil.Process(process.pid).status() == psutil.STATUS_ZOMBIE)
        assert json.loads(file.read_text())["pid"] == process.pid
        assert FileLease(file).try_acquire()
    finally:
        process.wait()


def test_a_killed_process_releases_what_it_held(tmp_path: Path) -> None:
    file = tmp_path / "lease.json"
    code = (
        "import sys, time; from pathlib import Path; from orchestrator import lease\n"
        "with lease.hold(lease.FileLease(Path(sys.argv[1])), lambda: False): print('held', flush=True); time.sleep(60)"
    )
    process = subprocess.Popen([sys.executable, "-c", code, str(file)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    assert not FileLease(file).try_acquire()
    process.kill()
    process.communicate()
    assert FileLease(file).try_acquire()


def test_the_heartbeat_renews_the_file(tmp_path: Path) -> None:
    """In a process of its own: the heart of a process is one thread, and this one's may be beating slowly already."""
    code = (
        "import os, sys, time; from pathlib import Path; from orchestrator import lease\n"
        "lease.HEARTBEAT_S = 0.01; file = Path(sys.argv[1])\n"
        "with lease.hold(lease.FileLease(file), lambda: False):\n"
        "    os.utime(file, (0, 0)); deadline = time.monotonic() + 20\n"
        "    while file.stat().st_mtime < 1e9: assert time.monotonic() < deadline; time.sleep(0.01)\n"
        "print('renewed', file.exists())"
    )
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path / "lease.json")], capture_output=True, text=True)
    assert done.stdout == "renewed False\n", done.stderr


def test_a_lease_of_another_machine_stands_while_its_heart_beats(tmp_path: Path) -> None:
    file = tmp_path / "lease.json"
    write_holder(file, host="elsewhere", pid=1)
    now = time.time()
    os.utime(file, (now, now - lease.STALE_AFTER_S + 10))
    assert FileLease(file).is_held()
    assert not FileLease(file).try_acquire()
    os.utime(file, (now, now - lease.STALE_AFTER_S - 10))
    assert not FileLease(file).is_held()
    assert FileLease(file).try_acquire()


@pytest.mark.parametrize("ahead_s", [-3600.0, 3600.0], ids=["an hour behind", "an hour ahead"])
def test_a_host_whose_clock_is_wrong_neither_steals_a_lease_nor_waits_for_a_dead_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ahead_s: float
) -> None:
    """The disk dates the heartbeats, and what is written to see how late it is."""
    alive, dead, now = tmp_path / "alive.json", tmp_path / "dead.json", time.time()
    for file, silent_s in ((alive, lease.STALE_AFTER_S - 20), (dead, lease.STALE_AFTER_S + 20)):
        write_holder(file, host="elsewhere", pid=1)
        os.utime(file, (now - silent_s, now - silent_s))
    real = time.time
    monkeypatch.setattr(time, "time", lambda: real() + ahead_s)
    assert FileLease(alive).is_held()
    assert not FileLease(alive).try_acquire()
    assert not FileLease(dead).is_held()
    assert FileLease(dead).try_acquire()
    assert sorted(os.listdir(tmp_path)) == [".dead.json.thief", "alive.json", "dead.json"], (
        "a probe of the clock was left"
    )


def test_a_clock_that_jumps_while_a_lease_is_held_loses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = FileLease(tmp_path / "lease.json")
    assert held.try_acquire()
    real = time.time
    monkeypatch.setattr(time, "time", lambda: real() + 86_400)
    assert not FileLease(tmp_path / "lease.json").try_acquire()
    held.beat()
    assert held.is_held()
    assert not held.is_lost()
    assert (tmp_path / "lease.json").stat().st_mtime < real() + 60, "the heartbeat was dated by this host's clock"


def test_heartbeats_that_were_lost_for_a_moment_cost_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file server is away for three beats: the holder keeps its lease, and beats again."""
    file = tmp_path / "lease.json"
    held = FileLease(file)
    assert held.try_acquire()
    past = time.time() - 40
    os.utime(file, (past, past))

    def fail(*arguments: object) -> None:
        raise OSError("stale file handle")

    with monkeypatch.context() as patch:
        patch.setattr(os, "utime", fail)
        for _ in range(3):
            with pytest.raises(OSError, match="stale"):
                held.beat()
    held.beat()
    assert file.stat().st_mtime > past + 30
    assert not held.is_lost()


@pytest.mark.parametrize("code", [errno.ESTALE, errno.EIO])
def test_a_lease_that_cannot_be_read_for_a_moment_is_not_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    monkeypatch.setattr(lease, "READ_PAUSE_S", 0.0)
    file = tmp_path / "lease.json"
    held, read, failures = FileLease(file), Path.open, [code] * (lease.READS - 1)
    assert held.try_acquire()

    def fail(path: Path, *arguments: Any, **options: Any) -> Any:
        if path == file and failures:
            raise OSError(failures.pop(), "the file server is away", str(path))
        return read(path, *arguments, **options)

    monkeypatch.setattr(Path, "open", fail)
    assert not held.is_lost()
    assert failures == []
    failures.extend([code] * lease.READS)
    with pytest.raises(OSError, match="the file server is away"):
        held.is_lost()
    write_holder(file, token="the thief's")
    failures.append(code)
    assert held.is_lost()
    file.unlink()
    failures.append(code)
    assert held.is_lost()


def test_a_heart_goes_on_after_an_error(tmp_path: Path) -> None:
    """In a process of its own, whose heart beats fast: the first beats fail, a later one renews the file."""
    code = (
        "import os, sys, time; from pathlib import Path; from orchestrator import lease\n"
        "lease.HEARTBEAT_S = 0.01; file = Path(sys.argv[1]); beat = lease.FileLease.beat; failed = []\n"
        "def fail(self):\n"
        "    if len(failed) < 3: failed.append(1); raise OSError('away')\n"
        "    beat(self)\n"
        "lease.FileLease.beat = fail\n"
        "with lease.hold(lease.FileLease(file), lambda: False):\n"
        "    os.utime(file, (0, 0)); deadline = time.monotonic() + 20\n"
        "    while file.stat().st_mtime < 1e9: assert time.monotonic() < deadline; time.sleep(0.01)\n"
        "print(len(failed), file.exists())"
    )
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path / "lease.json")], capture_output=True, text=True)
    assert done.stdout == "3 False\n", done.stderr


def test_a_lease_that_cannot_be_given_back_does_not_undo_the_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(self: FileLease) -> None:
        raise OSError("away")

    monkeypatch.setattr(FileLease, "release", fail)
    with lease.hold(FileLease(tmp_path / "lease.json"), lambda: False) as ours:
        assert ours
    assert (tmp_path / "lease.json").exists()


def test_a_lease_that_makes_no_sense_stands_until_it_is_stale(tmp_path: Path) -> None:
    file = tmp_path / "lease.json"
    file.write_text("{half")
    assert not FileLease(file).try_acquire()
    os.utime(file, (0, 0))
    assert FileLease(file).try_acquire()


THIEF = """
import sys, time
from pathlib import Path
from orchestrator import lease
from orchestrator.lease import FileLease
file, start = Path(sys.argv[1]), Path(sys.argv[2])
print("ready", flush=True)
while not start.exists(): time.sleep(0.001)
print("won" if lease.FileLease(file).try_acquire() else "lost", flush=True)
sys.stdin.read()
"""


def test_of_several_thieves_one_wins(tmp_path: Path) -> None:
    file, start = tmp_path / "lease.json", tmp_path / "start"
    write_holder(file, pid=find_free_pid())
    thieves = [
        subprocess.Popen(
            [sys.executable, "-c", THIEF, str(file), str(start)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(4)
    ]
    said = []
    for thief in thieves:
        assert thief.stdout is not None
        assert thief.stdout.readline() == "ready\n"
    start.touch()
    for thief in thieves:
        assert thief.stdout is not None
        said.append(thief.stdout.readline().strip())
    for thief in thieves:
        thief.communicate()
    assert sorted(said) == ["lost", "lost", "lost", "won"]


def test_a_slow_thief_does_not_take_the_lease_of_a_quick_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The slow one sees the dead lease; before it acts, the quick one has replaced it by its own."""
    file = tmp_path / "lease.json"
    write_holder(file, pid=find_free_pid())
    look = FileLease._is_dead
    quick: list[bool] = []

    def look_slowly(self: FileLease) -> bool:
        dead = look(self)
        if not quick:
            quick.append(False)
            quick[0] = FileLease(file).try_acquire()
            quick.append(json.loads(file.read_text())["token"])
        return dead

    monkeypatch.setattr(FileLease, "_is_dead", look_slowly)
    assert not FileLease(file).try_acquire()
    assert quick[0]
    assert json.loads(file.read_text())["token"] == quick[1]


def test_a_thief_who_finds_nothing_to_bury_leaves_what_comes_then(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At the gate the dead lease is gone already; after that look, and before the thief acts, the quick one's appears."""
    file = tmp_path / "lease.json"
    write_holder(file, pid=find_free_pid())
    read, quick = FileLease._read, FileLease(file)
    looks: list[bool] = []

    def read_slowly(self: FileLease) -> Any:
        if self is not quick:
            looks.append(True)
            if len(looks) == 2:  # the first found the dead lease; this one is at the gate
                file.unlink()
                nothing = read(self)
                assert quick.try_acquire()
                return nothing
        return read(self)

    monkeypatch.setattr(FileLease, "_read", read_slowly)
    assert not FileLease(file).try_acquire()
    assert not quick.is_lost()


def test_no_draft_is_left_behind(tmp_path: Path) -> None:
    file = tmp_path / "lease.json"
    assert FileLease(file).try_acquire()
    assert not FileLease(file).try_acquire()
    assert os.listdir(tmp_path) == ["lease.json"]


def test_a_lease_of_a_container_with_the_same_host_name_is_not_dead_at_once(tmp_path: Path) -> None:
    file = tmp_path / "lease.json"
    host = lease.name_machine().split()[0]
    file.write_text(
        json.dumps({"token": "t", "host": f"{host} another-boot pid:[1]", "pid": 999_999_999, "started": 0.0})
    )
    assert FileLease(file).is_held()


def test_a_lease_that_passed_to_another_is_lost_and_not_committed(tmp_path: Path) -> None:
    file = tmp_path / "lease.json"
    held = FileLease(file)
    with lease.hold(held, lambda: False) as ours:
        assert ours
        assert not held.is_lost()
        file.write_text(json.dumps({"token": "the thief's"}))
        assert held.is_lost()
    assert file.exists(), "the new holder's lease is left alone"
