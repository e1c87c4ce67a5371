"""Protocols in YAML files: what is read, and each mistake with its file, line and key."""

from __future__ import annotations

import doctest
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import corruptions.protocol_file
from corruptions import PROTOCOLS, CorruptionError
from corruptions.apply import corrupt
from corruptions.protocol import CHOICES, Protocol
from corruptions.protocol_file import (
    ProtocolError,
    describe,
    find_protocol,
    is_protocol_file,
    parse_protocol,
    read_protocol,
)

COMMON = dict.fromkeys(name for name, _ in PROTOCOLS["semsegbench"].cells)


def write(folder: Path, text: str) -> Path:
    path = folder / "mine.yaml"
    path.write_text(text)
    return path


def test_a_file_is_read_in_its_order(tmp_path: Path) -> None:
    path = write(tmp_path, "name: winter\nbackend: reference\ncells:\n  snow: [5, 1]\n  fog: 3\n")
    wanted = Protocol("winter", (("snow", 5), ("snow", 1), ("fog", 3)), backend="reference")
    assert read_protocol(path) == wanted
    assert find_protocol(str(path)) == wanted
    assert all(type(severity) is int for _, severity in read_protocol(path).cells)


@pytest.mark.parametrize(
    ("text", "is_one"),
    [
        ("a.yaml", True),
        ("own/b.YML", True),
        ("/x y/c.Yaml", True),
        ("quick", False),
        ("yaml", False),
        ("a.json", False),
    ],
)
def test_files_are_told_by_their_end(text: str, is_one: bool) -> None:
    assert is_protocol_file(text) == is_one


def test_a_file_whose_end_is_in_capitals_is_read(tmp_path: Path) -> None:
    path = write(tmp_path, "name: a\ncells: {fog: 1}\n").rename(tmp_path / "MINE.YAML")
    assert find_protocol(str(path)).name == "a"


def test_fast_is_the_default(tmp_path: Path) -> None:
    assert read_protocol(write(tmp_path, "name: a\ncells: {fog: 1}\n")).backend == "fast"


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
        ("name: quick\ncells: {fog: 1}\n", ":1: name 'quick' is that of a built-in protocol with other cells"),
        (
            "name: semsegbench\nchannel_order: BGR\ncells:\n" + "".join(f"  {n}: 3\n" for n in COMMON),
            ":1: name 'semsegbench' is that of a built-in protocol, whose channel_order is RGB, not BGR, .*choose another name",
        ),
        (
            "name: a\nbackend: quick\ncells: {fog: 1}\n",
            ":2: backend: unknown corruption backend 'quick': .*known are fast",
        ),
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


MIXED = Protocol("mine", (("snow", 5), ("weather_fog", 2), ("snow", 1)), backend="reference")


@pytest.mark.parametrize("backend", CHOICES)
@pytest.mark.parametrize("name", list(PROTOCOLS))
def test_what_is_described_is_what_is_parsed(name: str, backend: str) -> None:
    row = PROTOCOLS[name].with_backend(backend)
    assert describe(row)["backend"] == backend
    assert parse_protocol(describe(row)) == row
    assert parse_protocol(describe(row) | {"cells": {n: tuple(s) for n, s in describe(row)["cells"].items()}}) == row


def test_how_a_protocol_is_applied_is_described_where_it_is_not_the_default() -> None:
    own = Protocol("p", (("fog", 1),), channel_order="BGR", insertion_point="after_resize")
    assert describe(own) == {
        "name": "p", "cells": {"fog": [1]}, "backend": "fast", "channel_order": "BGR", "insertion_point": "after_resize",
    }  # fmt: skip
    assert parse_protocol(describe(own)) == own
    assert parse_protocol({"name": "p", "cells": {"fog": 1}}) == Protocol("p", (("fog", 1),))


@pytest.mark.parametrize("name", list(PROTOCOLS))
def test_the_name_of_a_built_in_protocol_is_for_nothing_else(name: str) -> None:
    row = PROTOCOLS[name]
    same = describe(row) | {"channel_order": "RGB", "insertion_point": "before_resize", "backend": "reference"}
    assert parse_protocol(same) == row.with_backend("reference")
    for key, other in (("channel_order", "BGR"), ("insertion_point", "after_resize")):
        with pytest.raises(ProtocolError, match=f"whose {key} is .*, not {other}, .*: choose another name$") as caught:
            parse_protocol(describe(row) | {key: other})
        assert caught.value.keys == ("name",)
        assert getattr(parse_protocol(describe(row) | {"name": "own", key: other}), key) == other


def test_cells_come_together_corruption_by_corruption() -> None:
    wanted = {"name": "mine", "cells": {"snow": [5, 1], "weather_fog": [2]}, "backend": "reference"}
    assert describe(MIXED) == wanted
    assert parse_protocol(wanted).cells == (("snow", 5), ("snow", 1), ("weather_fog", 2))
    assert describe(parse_protocol(wanted)) == wanted


@pytest.mark.parametrize(
    ("change", "message", "keys"),
    [
        ({"cells": {"snow": 1, "fog": [3, 6]}}, r"^cells\.fog: severity 6 is none of", ("cells", "fog")),
        ({"cells": {"fgo": [3]}}, r"^cells\.fgo: unknown corruption 'fgo': did you mean 'fog'", ("cells", "fgo")),
        ({"cells": {7: [3]}}, r"^cells\.7: unknown corruption '7'", ("cells", 7)),
        ({"cells": ["fog"]}, "^cells maps corruptions", ("cells",)),
        ({"backend": None}, "^backend: unknown corruption backend 'None'", ("backend",)),
        ({"channel_order": "GBR"}, "^channel_order: 'GBR' is none of RGB, BGR", ("channel_order",)),
        ({"insertion_point": 1}, "^insertion_point: 1 is none of before_resize, after_resize", ("insertion_point",)),
        ({"name": ""}, "^name is text", ("name",)),
        ({"name": "fan"}, "^name 'fan' is that of a built-in protocol", ("name",)),
        ({"seed": 1}, "^unknown key 'seed'", ("seed",)),
    ],
)
def test_mistakes_in_plain_data_name_the_key(change: dict, message: str, keys: tuple) -> None:
    with pytest.raises(ProtocolError, match=message) as caught:
        parse_protocol({"name": "a", "cells": {"fog": [1]}} | change)
    assert caught.value.keys == keys


def test_a_missing_key_is_a_mistake_of_the_whole() -> None:
    with pytest.raises(ProtocolError, match=r"^the key 'cells' is missing") as caught:
        parse_protocol({"name": "a"})
    assert caught.value.keys == ()


def test_reading_imports_nothing_heavy(tmp_path: Path) -> None:
    code = (
        "import sys\n"
        "from corruptions.protocol_file import describe, find_protocol\n"
        "describe(find_protocol(sys.argv[1]))\n"
        "heavy = {'numpy', 'torch', 'cv2', 'numba', 'imagecorruptions'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    subprocess.run([sys.executable, "-c", code, write(tmp_path, "name: a\ncells: {fog: 1}\n")], check=True)


def test_doctests() -> None:
    results = doctest.testmod(corruptions.protocol_file)
    assert results.attempted
    assert not results.failed


@pytest.mark.parametrize("backend", CHOICES)
def test_backends_exist(backend: str) -> None:
    corrupt(np.zeros((32, 32, 3), np.uint8), "contrast", 1, 0, backend=backend)
