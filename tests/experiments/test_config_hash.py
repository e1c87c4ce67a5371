"""Model configurations are known by their bytes and those of all that they inherit."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

import pytest

from adapt.errors import SpecError
from experiments.facts import hash_config

Write = Callable[..., Path]


def sha(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def test_a_config_is_hashed_with_all_that_it_inherits(write: Write) -> None:
    root, middle, leaf = "a = 1\n", "_base_ = ['../base/root.py']\nb = 2\n", "c = 3\n_base_ = 'own/middle.py'\n"
    write(root, "base/root.py")
    write(middle, "own/middle.py")
    path = write(leaf, "leaf.py")
    assert hash_config(path) == sha(leaf + sha(middle + sha(root)))
    write("a = 2\n", "base/root.py")
    assert hash_config(path) == sha(leaf + sha(middle + sha("a = 2\n")))


def test_several_bases_are_hashed_in_their_order(write: Write) -> None:
    for name in ("x", "y"):
        write(f"{name} = 1\n", f"{name}.py")
    leaf = "_base_ = ['./x.py', './y.py']\n"
    assert hash_config(write(leaf, "leaf.py")) == sha(leaf + sha("x = 1\n") + sha("y = 1\n"))


def test_a_config_without_base_is_its_bytes(write: Write) -> None:
    text = "model = dict(_base_='x.py')  # a key of that name is no base\n"
    assert hash_config(write(text, "leaf.py")) == sha(text)


@pytest.mark.parametrize("text", ["a = (\n", "_base_ = name\n", "_base_ = ['no/such.py']\n"])
def test_a_config_that_cannot_be_followed_is_refused(write: Write, text: str) -> None:
    path = write(text, "leaf.py")
    with pytest.raises(SpecError, match=f"model config {path}"):
        hash_config(path)


def test_a_config_with_read_base_is_refused_since_its_bases_cannot_be_hashed(tmp_path: Path) -> None:
    config = tmp_path / "lazy.py"
    config.write_text("from mmengine.config import read_base\nwith read_base():\n    from .base import *\n")
    with pytest.raises(SpecError, match="read_base"):
        hash_config(config)
