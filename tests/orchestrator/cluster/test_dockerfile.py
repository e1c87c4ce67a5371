"""The Dockerfile: what it copies is there, what it pins is what is locked."""

from __future__ import annotations

import contextlib
import io
import re
import shlex
from pathlib import Path

from orchestrator.cluster import read_ready_file

ROOT = Path(__file__).parents[3]


def read_instructions() -> list[tuple[str, str]]:
    text = re.sub(r"^\s*#.*\n", "", read_ready_file("docker"), flags=re.MULTILINE).replace("\\\n", " ")
    return [(line.split(None, 1)[0], line.split(None, 1)[1]) for line in text.splitlines() if line.strip()]


def list_copied() -> list[str]:
    copied = []
    for name, rest in read_instructions():
        words = [word for word in rest.split() if not word.startswith("--chown")]
        if name == "COPY" and not words[0].startswith("--from"):
            copied += words[:-1]
    return copied


def test_every_instruction_is_dockers() -> None:
    names = {name for name, _ in read_instructions()}
    assert names == {"ARG", "FROM", "ENV", "RUN", "WORKDIR", "COPY", "USER"}


def test_what_is_copied_is_there() -> None:
    copied = list_copied()
    assert {"adapt", "corruptions", "experiments", "orchestrator", "constraints.txt"} <= set(copied)
    for name in copied:
        assert (ROOT / name).exists(), name


def test_what_is_copied_is_not_ignored() -> None:
    lines = (ROOT / "orchestrator/cluster/Dockerfile.dockerignore").read_text().splitlines()
    kept = [line[1:] for line in lines if line.startswith("!")]
    assert "*" in lines
    assert set(list_copied()) == set(kept)
    assert all((ROOT / name).exists() for name in kept)


def test_arguments_of_from_stand_before_it_and_are_used() -> None:
    instructions = read_instructions()
    first = next(index for index, (name, _) in enumerate(instructions) if name == "FROM")
    known = {rest.partition("=")[0] for name, rest in instructions[:first] if name == "ARG"}
    used = {word for name, rest in instructions if name == "FROM" for word in re.findall(r"\$\{(\w+)\}", rest)}
    assert used == known


def test_arguments_are_known_in_their_stage() -> None:
    known: set[str] = set()
    for name, rest in read_instructions():
        if name == "FROM":
            known = {"PATH"}
        elif name in ("ARG", "ENV"):
            known |= {word.partition("=")[0] for word in shlex.split(rest)}
        elif name in ("RUN", "COPY", "WORKDIR"):
            assert set(re.findall(r"\$\{(\w+)\}", rest)) <= known, rest


def test_it_builds_by_the_projects_own_scripts() -> None:
    commands = " ".join(rest for name, rest in read_instructions() if name == "RUN")
    for script in re.findall(r"bash (tools/\S+)", commands):
        assert (ROOT / script).is_file()
    assert "bash tools/install.sh" in commands
    assert "FORCE_CUDA=1" in commands.partition("bash tools/build_mmcv.sh")[0].rpartition("RUN")[2]
    assert not re.search(r"==\d", commands), "versions are pinned in constraints.txt"


def test_python_is_the_one_that_the_pins_are_for() -> None:
    head = (ROOT / "constraints.txt").read_text().splitlines()[0]
    versions = {rest.partition("=")[2] for name, rest in read_instructions() if rest.startswith("PYTHON_VERSION=")}
    assert versions == {re.search(r"Python (\d\.\d+)", head).group(1)}


def test_packages_of_the_skeleton_are_those_of_the_project() -> None:
    listing = next(rest for name, rest in read_instructions() if "setuptools" in rest)
    code = re.search(r'-c "([^"]+)"', listing).group(1)
    out = io.StringIO()
    with contextlib.chdir(ROOT), contextlib.redirect_stdout(out):
        exec(compile(code, "Dockerfile", "exec"), {})
    assert all((ROOT / name.replace(".", "/") / "__init__.py").is_file() for name in out.getvalue().split())
    assert "orchestrator.cluster" in out.getvalue().split()


def test_it_ends_as_an_ordinary_user_whom_doctor_passed() -> None:
    instructions = read_instructions()
    users = [rest for name, rest in instructions if name == "USER"]
    assert users == ["ray"]
    last_name, last = instructions[-1]
    assert last_name == "RUN"
    assert last.startswith("segshift doctor")
    assert instructions.index(("USER", "ray")) < len(instructions) - 1


def test_it_asks_for_a_token_by_default() -> None:
    assert "RAY_AUTH_MODE=token" in " ".join(rest for name, rest in read_instructions() if name == "ENV")
