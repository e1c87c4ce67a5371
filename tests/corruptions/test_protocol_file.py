"""Protocols in YAML files: what is read, and each mistake with its file, line and key."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from corruptions import PROTOCOLS, CorruptionError
from corruptions.apply import corrupt
from corruptions.protocol import CHOICES, Protocol
from corruptions.protocol_file import find_protocol, read_protocol


def write(folder: Path, text: str) -> Path:
    path = folder / "mine.yaml"
    path.write_text(text)
    return path


def test_a_file_is_read_in_its_order(tmp_path: Path) -> None:
    path = write(tmp_path, "name: winter\nbackend: fast\ncells:\n  snow: [5, 1]\n  fog: 3\n")
    wanted = Protocol("winter", (("snow", 5), ("snow", 1), ("fog", 3)), backend="fast")
    assert read_protocol(path) == wanted
    assert find_protocol(str(path)) == wanted
    assert all(type(severity) is int for _, severity in read_protocol(path).cells)


def test_the_reference_is_the_default(tmp_path: Path) -> None:
    assert read_protocol(write(tmp_path, "name: a\ncells: {fog: 1}\n")).backend == "reference"


def test_names_are_found() -> None:
    for name in PROTOCOLS:
        assert find_protocol(name) is PROTOCOLS[name]


@pytest.mark.parametrize("text", ["michalis", "folder/michaelis"])
def test_unknown_names_suggest_the_closest(text: str) -> None:
    with pytest.raises(CorruptionError, match=r"did you mean 'michaelis'\? known are .*; or the path of a YAML file"):
        find_protocol(text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name: a\ncells: {fog: [1]}\nbackand: fast\n", r":3: unknown key 'backand': did you mean 'backend'\?"),
        ("name: a\n", "the key 'cells' is missing"),
        ("cells: {fog: 1}\n", "the key 'name' is missing"),
        ("name: 3\ncells: {fog: 1}\n", ":1: name is text, not 3"),
        ("name: quick\ncells: {fog: 1}\n", ":1: name 'quick' is that of a built-in protocol"),
        ("name: a\nbackend: quick\ncells: {fog: 1}\n", ":2: unknown backend 'quick': .*known are fast, reference"),
        ("name: a\ncells: [fog]\n", ":2: cells maps corruptions to severities"),
        ("name: a\ncells: {}\n", ":2: cells maps corruptions to severities"),
        (
            "name: a\ncells:\n  fog: [1]\n  snwo: [1]\n",
            r":4: cells.snwo: unknown corruption 'snwo': did you mean 'snow'\?",
        ),
        ("name: a\ncells:\n  fog: [1, 6]\n", r":3: cells.fog: severity 6 is none of \(1, 2, 3, 4, 5\)"),
        ("name: a\ncells:\n  fog: 0\n", ":3: cells.fog: severity 0 is none of"),
        ("name: a\ncells:\n  fog: [true]\n", ":3: cells.fog: severity True is none of"),
        ("name: a\ncells:\n  fog: [1.0]\n", ":3: cells.fog: severity 1.0 is none of"),
        ("name: a\ncells:\n  fog: [[1]]\n", r":3: cells.fog: severity \[1\] is none of"),
        ("name: a\ncells:\n  fog: [2, 2]\n", ":3: cells.fog: severity 2 stands there twice"),
        ("name: a\ncells:\n  fog: []\n", ":3: cells.fog: no severity"),
        ("name: a\ncells:\n  fog: [1]\n  fog: [2]\n", ":4: this is not valid YAML: found duplicate key"),
        ("name: [a\n", "this is not valid YAML"),
        ("- a\n", "a protocol is a mapping of the keys name, cells, backend"),
        ("", "a protocol is a mapping"),
    ],
)
def test_mistakes_name_file_line_and_key(tmp_path: Path, text: str, message: str) -> None:
    path = write(tmp_path, text)
    with pytest.raises(CorruptionError, match=message) as caught:
        read_protocol(path)
    assert str(caught.value).startswith(str(path))


def test_a_file_that_is_not_there_or_no_text(tmp_path: Path) -> None:
    with pytest.raises(CorruptionError, match=r"none\.yaml: the protocol cannot be read \(No such file"):
        find_protocol(str(tmp_path / "none.yaml"))
    path = tmp_path / "latin.yaml"
    path.write_bytes(b"name: \xe4\n")
    with pytest.raises(CorruptionError, match="not valid YAML"):
        read_protocol(path)


@pytest.mark.parametrize("backend", CHOICES)
def test_backends_exist(backend: str) -> None:
    corrupt(np.zeros((32, 32, 3), np.uint8), "contrast", 1, 0, backend=backend)
