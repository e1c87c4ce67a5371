"""The lease: one holder at a time among live processes, and none that a dead one keeps."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from orchestrator import lease

DEADLINE_S = 30.0


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < deadline, "waited too long"
        time.sleep(0.01)


def write_holder(file: Path, **changes: object) -> None:
    me = psutil.Process()
    holder = {"token": "t", "host": lease.name_machine(), "pid": me.pid, "started": me.create_time()}
    file.write_text(json.dumps(holder | changes))


def find_free_pid() -> int:
    """Return the id of a process that has ended and was reaped."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


WORKER = """
import sys, time
from pathlib import Path
from orchestrator import lease
file, done, log = map(Path, sys.argv[1:4])
lease.POLL_S = 0.01
with lease.hold(file, done) as ours:
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
        with lease.hold(file, done) as ours:
            order.append(f"second {ours}")

    with lease.hold(file, done) as ours:
        assert ours
        assert lease.try_acquire(file) is None
        assert lease.is_held(file)
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
    with lease.hold(file, done) as ours:
        assert not ours
    assert json.loads(file.read_text())["token"] == "t", "the lease of another was taken away"


def test_a_lease_on_what_is_already_done_asks_for_no_work(tmp_path: Path) -> None:
    done = tmp_path / "done"
    done.write_text("")
    with lease.hold(tmp_path / "lease.json", done) as ours:
        assert not ours


def test_the_lease_of_an_ended_process_is_taken_over_at_once(tmp_path: Path) -> None:
    file = tmp_path / "lease.json"
    write_holder(file, pid=find_free_pid())
    assert not lease.is_held(file)
    token = lease.try_acquire(file)
    assert token is not None
    assert json.loads(file.read_text())["token"] == token


def test_the_lease_of_a_reused_process_id_is_taken_over_at_once(tmp_path: Path) -> None:
    file = tmp_path / "lease.json"
    write_holder(file, started=psutil.Process().create_time() - 3600)
    assert lease.try_acquire(file) is not None


def test_a_clock_that_was_set_by_a_second_takes_no_lease_away(tmp_path: Path) -> None:
    """A start time is boot time plus ticks, and the boot time that the kernel reports moves with the clock."""
    file = tmp_path / "lease.json"
    write_holder(file, started=psutil.Process().create_time() - 1.0)
    assert lease.try_acquire(file) is None


def test_the_lease_of_a_killed_process_that_nobody_reaped_is_taken_over(tmp_path: Path) -> None:
    """In a container without an init, a killed driver's workers stay zombies for ever."""
    file = tmp_path / "lease.json"
    code = "import sys; from pathlib import Path; from orchestrator import lease; lease.try_acquire(Path(sys.argv[1]))"
    process = subprocess.Popen([sys.executable, "-c", code, str(file)])
    try:
        wait_until(lambda: psutil.Process(process.pid).status() == psutil.STATUS_ZOMBIE)
        assert json.loads(file.read_text())["pid"] == process.pid
        assert lease.try_acquire(file) is not None
    finally:
        process.wait()


def test_a_killed_process_releases_what_it_held(tmp_path: Path) -> None:
    file = tmp_path / "lease.json"
    code = (
        "import sys, time; from pathlib import Path; from orchestrator import lease\n"
        "with lease.hold(Path(sys.argv[1]), Path('none')): print('held', flush=True); time.sleep(60)"
    )
    process = subprocess.Popen([sys.executable, "-c", code, str(file)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    assert lease.try_acquire(file) is None
    process.kill()
    process.communicate()
    assert lease.try_acquire(file) is not None


def test_the_heartbeat_renews_the_file(tmp_path: Path) -> None:
    """In a process of its own: the heart of a process is one thread, and this one's may be beating slowly already."""
    code = (
        "import os, sys, time; from pathlib import Path; from orchestrator import lease\n"
        "lease.HEARTBEAT_S = 0.01; file = Path(sys.argv[1])\n"
        "with lease.hold(file, Path('none')):\n"
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
    assert lease.is_held(file)
    assert lease.try_acquire(file) is None
    os.utime(file, (now, now - lease.STALE_AFTER_S - 10))
    assert not lease.is_held(file)
    assert lease.try_acquire(file) is not None


def test_a_lease_that_makes_no_sense_stands_until_it_is_stale(tmp_path: Path) -> None:
    file = tmp_path / "lease.json"
    file.write_text("{half")
    assert lease.try_acquire(file) is None
    os.utime(file, (0, 0))
    assert lease.try_acquire(file) is not None


THIEF = """
import sys, time
from pathlib import Path
from orchestrator import lease
file, start = Path(sys.argv[1]), Path(sys.argv[2])
print("ready", flush=True)
while not start.exists(): time.sleep(0.001)
print("won" if lease.try_acquire(file) else "lost", flush=True)
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
    look = lease._is_dead
    quick: list[str | None] = []

    def look_slowly(path: Path) -> bool:
        dead = look(path)
        if not quick:
            quick.append(None)
            quick[0] = lease.try_acquire(path)
        return dead

    monkeypatch.setattr(lease, "_is_dead", look_slowly)
    assert lease.try_acquire(file) is None
    assert quick[0] is not None
    assert json.loads(file.read_text())["token"] == quick[0]


def test_no_draft_is_left_behind(tmp_path: Path) -> None:
    file = tmp_path / "lease.json"
    assert lease.try_acquire(file) is not None
    assert lease.try_acquire(file) is None
    assert os.listdir(tmp_path) == ["lease.json"]


def test_a_lease_of_a_container_with_the_same_host_name_is_not_dead_at_once(tmp_path: Path) -> None:
    file = tmp_path / "lease.json"
    host = lease.name_machine().split()[0]
    file.write_text(
        json.dumps({"token": "t", "host": f"{host} another-boot pid:[1]", "pid": 999_999_999, "started": 0.0})
    )
    assert lease.is_held(file)


def test_a_lease_that_passed_to_another_is_lost_and_not_committed(tmp_path: Path) -> None:
    file = tmp_path / "lease.json"
    with lease.hold(file, tmp_path / "done") as ours:
        assert ours
        assert not lease.is_lost(file)
        file.write_text(json.dumps({"token": "the thief's"}))
        assert lease.is_lost(file)
    assert file.exists(), "the new holder's lease is left alone"
