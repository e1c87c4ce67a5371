"""A wrong file is answered by file, line, key, what was got and the closest key."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest

from experiments.explain import closest

Refuse = Callable[..., list[str]]

HEAD = """\
title: errors
datasets:
  source: {type: gta, split: train}
  target:
    type: cityscapes
    split: train
models:
  net: {config: cgnet_small}
stages:
"""

UDA = """\
  adapted:
    kind: uda
    model: net
    source: source
    target: target
    training:
      iterations: 10
    method:
      rare_class:
        min_pixels: 5
      feature_distance: null
"""

STREAM = """\
  weather:
    kind: stream
    checkpoint: ${adapted.checkpoint}
    method:
      name: tent
      lr: 1.0e-5
    stream:
      kind: single
      domains:
        - dataset: target
"""


def edit(text: str, *changes: tuple[str, str]) -> str:
    for old, new in changes:
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    return text


def test_the_file_that_the_other_tests_break_is_right(expand_text: Callable[..., object]) -> None:
    expand_text(HEAD + UDA + STREAM)


@pytest.mark.parametrize(
    ("old", "new", "line"),
    [
        (
            "title: errors\n",
            "titel: errors #!\n",
            "HERE titel: unknown key 'titel'. Did you mean 'title'? Allowed here: ",
        ),
        (
            "    split: train\n",
            "    split: train\n    resizee: [4, 2] #!\n",
            "HERE datasets.target.resizee: unknown key 'resizee'. Did you mean 'resize'? Allowed here: ",
        ),
        (
            "      iterations: 10",
            "      iteration: 10 #!",
            "HERE stages.adapted.training.iteration: unknown key 'iteration'. Did you mean 'iterations'? Allowed here: ",
        ),
        (
            "      iterations: 10",
            "      optimizer:\n        weight_decai: 0 #!",
            "HERE stages.adapted.training.optimizer.weight_decai: unknown key 'weight_decai'. "
            "Did you mean 'weight_decay'? Allowed here: ",
        ),
        (
            "        min_pixels: 5",
            "        min_pixel: 5 #!",
            "HERE stages.adapted.method.rare_class.min_pixel: unknown key 'min_pixel'. Did you mean 'min_pixels'? "
            "Allowed here: max_tries, min_crop_pixels, min_pixels, temperature.",
        ),
        (
            "      lr: 1.0e-5",
            "      lrr: 1.0e-5 #!",
            "HERE stages.weather.method.lrr: unknown key 'lrr'. Did you mean 'lr'? "
            "Allowed here: batch_norm, lr, momentum, name, optimizer.",
        ),
        (
            "        - dataset: target",
            "        - dataset: target\n          corrupton: fog #!",
            "HERE stages.weather.stream.domains.0.corrupton: unknown key 'corrupton'. Did you mean 'corruption'? "
            "Allowed here: corruption, dataset, severity.",
        ),
        (
            "    kind: stream\n",
            "    kind: stream\n    resources: {gpu: 1} #!\n",
            "HERE stages.weather.resources.gpu: unknown key 'gpu'. Did you mean 'gpus'? Allowed here: cpus, ",
        ),
        (
            "    kind: stream\n",
            "    kind: stream\n    zzzz: 1 #!\n",
            "HERE stages.weather.zzzz: unknown key 'zzzz'. Allowed here: auxiliary, checkpoint, ",
        ),
    ],
)
def test_an_unknown_key_is_answered_by_the_closest(refuse: Refuse, old: str, new: str, line: str) -> None:
    lines = refuse(edit(HEAD + UDA + STREAM, (old, new)))
    assert any(got.startswith(line) for got in lines), lines


@pytest.mark.parametrize(
    ("old", "new", "line"),
    [
        (
            "      name: tent\n",
            "      name: tennt\n",
            "stages.weather.method: unknown name 'tennt'. Did you mean 'tent'?",
        ),
        ("      name: tent\n", "", "stages.weather.method: the key 'name' is required and missing"),
    ],
)
def test_the_name_that_tells_a_method_is_explained(refuse: Refuse, old: str, new: str, line: str) -> None:
    text = edit(HEAD + UDA + STREAM, (old, new), ("    method:\n      rare", "    method: \n      rare"))
    lines = refuse(edit(text, ("    method:\n", "    method: #!\n")))
    assert len(lines) == 1
    assert lines[0].startswith(f"HERE {line}")


def test_the_keys_of_the_method_named_are_allowed_and_no_others(refuse: Refuse) -> None:
    text = edit(HEAD + UDA + STREAM, ("      name: tent\n      lr: 1.0e-5", "      name: source\n      lr: 1.0e-5 #!"))
    assert refuse(text) == ["HERE stages.weather.method.lr: unknown key 'lr'. Allowed here: name."]


def test_known_names_of_methods_are_listed_in_order(refuse: Refuse) -> None:
    (line,) = refuse(edit(HEAD + UDA + STREAM, ("      name: tent\n      lr: 1.0e-5", "      name: source2")))
    known = line.partition("Known: ")[2].rstrip(".").split(", ")
    assert known == sorted(known)
    assert {"bn_stats", "source", "tent"} <= set(known)


def test_a_wrong_method_on_an_axis_is_named_by_the_key_that_takes_it(refuse: Refuse) -> None:
    text = edit(
        HEAD + UDA + STREAM,
        ("      name: tent\n      lr: 1.0e-5\n", ""),
        (
            "    method:\n    stream",
            "    matrix: {method: [{name: tent, lrr: 1}]}\n    method: ${matrix.method} #!\n    stream",
        ),
    )
    (line,) = refuse(text)
    assert line.startswith("HERE stages.weather.method: unknown key 'lrr'. Did you mean 'lr'?")


@pytest.mark.parametrize(
    ("old", "new", "line"),
    [
        (
            "  target:\n    type: cityscapes\n",
            "  target: #!\n",
            "HERE datasets.target.type: this key is required and missing.",
        ),
        (
            "  adapted:\n    kind: uda\n    model: net\n",
            "  adapted: #!\n    kind: uda\n",
            "HERE stages.adapted.model: this key is required and missing.",
        ),
        ("title: errors\n", "", "FILE: title: this key is required and missing."),
        (
            "        - dataset: target",
            "        - {} #!",
            "HERE stages.weather.stream.domains.0.dataset: this key is required and missing.",
        ),
    ],
)
def test_a_missing_key_is_named_where_it_should_stand(refuse: Refuse, old: str, new: str, line: str) -> None:
    assert refuse(edit(HEAD + UDA + STREAM, (old, new))) == [line]


@pytest.mark.parametrize(
    ("old", "new", "line"),
    [
        (
            "      iterations: 10",
            "      iterations: ten #!",
            "HERE stages.adapted.training.iterations: input should be a valid integer, "
            "unable to parse string as an integer (got 'ten').",
        ),
        (
            "      iterations: 10",
            "      iterations: -1 #!",
            "HERE stages.adapted.training.iterations: input should be greater than 0 (got -1).",
        ),
        (
            "    training:\n      iterations: 10",
            "    training: 3 #!",
            "HERE stages.adapted.training: a mapping is wanted here, as in {key: value} (got 3).",
        ),
        (
            "    method:\n      rare_class:\n        min_pixels: 5",
            "    method:\n      rare_class: yes #!",
            "HERE stages.adapted.method.rare_class: a mapping is wanted here, as in {key: value} (got 'yes').",
        ),
        (
            "    method:\n      name: tent\n      lr: 1.0e-5",
            "    method: tent #!",
            "HERE stages.weather.method: a mapping is wanted here: write {name: tent}.",
        ),
        (
            "    method:\n      name: tent\n      lr: 1.0e-5",
            "    method: {name: rdumb, n: 9, base: eta} #!",
            "HERE stages.weather.method.base: a mapping is wanted here: write {name: eta}.",
        ),
        (
            "    method:\n      name: tent\n      lr: 1.0e-5",
            "    method: [tent] #!",
            "HERE stages.weather.method: a mapping is wanted here, as in {key: value}.",
        ),
        (
            "      domains:\n        - dataset: target",
            "      domains: target #!",
            "HERE stages.weather.stream.domains: a list is wanted here, as in [a, b] (got 'target').",
        ),
        (
            "      domains:\n        - dataset: target",
            "      domains: [] #!",
            "HERE stages.weather.stream.domains: at least 1 item(s) wanted, got 0.",
        ),
        (
            "        - dataset: target",
            "        - {dataset: target, severity: 3} #!",
            "HERE stages.weather.stream.domains.0: corruption and severity go together: give both or neither, "
            "got corruption=None and severity=3.",
        ),
        (
            "  net: {config: cgnet_small}",
            "  9net: {config: cgnet_small} #!",
            "HERE models.9net: string should match pattern '^[A-Za-z][A-Za-z0-9_]*$' (got '9net').",
        ),
    ],
)
def test_a_wrong_value_is_named_with_what_was_got(refuse: Refuse, old: str, new: str, line: str) -> None:
    assert refuse(edit(HEAD + UDA + STREAM, (old, new))) == [line]


def test_a_value_of_two_possible_kinds_is_named_by_its_key_alone(refuse: Refuse) -> None:
    lines = refuse(edit(HEAD + UDA, ("    split: train\n", "    split: {train: 1} #!\n")))
    assert {line.split(": ")[0] for line in lines} == {"HERE datasets.target.split"}


def test_an_unknown_corruption_is_answered_by_the_closest(refuse: Refuse) -> None:
    (line,) = refuse(
        edit(HEAD + UDA + STREAM, ("- dataset: target", "- {dataset: target, corruption: fogg, severity: 3} #!"))
    )
    assert line.startswith("HERE stages.weather.stream.domains.0: unknown corruption 'fogg': did you mean 'fog'?")


def test_all_errors_are_shown_each_with_its_line(refuse: Refuse) -> None:
    text = edit(
        HEAD + UDA,
        ("      iterations: 10", "      iterations: 0\n      batchsize: 1\n      optimizer: {lr: x}"),
    )
    got = sorted(line.partition("FILE:")[2].split(": ")[0:2] for line in refuse(text))
    assert got == [
        ["16", "stages.adapted.training.iterations"],
        ["17", "stages.adapted.training.batchsize"],
        ["18", "stages.adapted.training.optimizer.lr"],
    ]


@pytest.mark.parametrize(("number", "rest"), [(5, None), (6, "... and 1 more."), (8, "... and 3 more.")])
def test_at_most_five_errors_are_shown(refuse: Refuse, number: int, rest: str | None) -> None:
    wrong = "".join(f"      zz{index}: 1\n" for index in range(number))
    lines = refuse(edit(HEAD + UDA, ("      iterations: 10\n", wrong)))
    assert sum("unknown key" in line for line in lines) == 5
    assert lines[5:] == ([] if rest is None else [rest])


@pytest.mark.parametrize(
    ("override", "line"),
    [
        ("matrix.seed=3", "matrix.seed: a list is wanted here, as in [a, b] (got 3)."),
        ("datasets.target.tipe=gta", "datasets.target.tipe: unknown key 'tipe'. Did you mean 'type'?"),
        ("datasets.source.resize=[a, 3]", "datasets.source.resize.0: input should be a valid integer"),
        ("stages.adapted.training.iterations=0", "stages.adapted.training.iterations: input should be greater than 0"),
        ("stages.more={kind: train, model: net, dataset: source}", "stages.more.training: this key is required"),
    ],
)
def test_an_override_is_named_in_place_of_the_file(refuse: Refuse, override: str, line: str) -> None:
    (got,) = refuse(HEAD + UDA, [override])
    assert got.startswith(f"override {override!r}: {line}")


@pytest.mark.parametrize(
    ("word", "allowed", "hint"),
    [
        ("sed", ("seed", "size"), " Did you mean 'seed'?"),
        ("learning", ("lr", "steps"), ""),
        ("x", (), ""),
    ],
)
def test_only_a_close_word_is_suggested(word: str, allowed: Sequence[str], hint: str) -> None:
    assert closest(word, allowed) == hint
