"""Two streams in a row give what two fresh processes give, for every method. Run as a script, this file is such a process."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from collections.abc import Iterator

import pytest
import torch
from torch import nn

from adapt.tta.catalog import METHODS, build_method
from adapt.tta.method import Method
from adapt.tta.reservoir.style import log_variance
from adapt.tta.settings import (
    AuxAdaptSettings,
    BnAlphaSettings,
    BnEmaSettings,
    BnStatsSettings,
    BnTrainSettings,
    CottaSettings,
    EataSettings,
    EtaSettings,
    MemoSettings,
    MethodSettings,
    PseudoLabelSettings,
    RdumbSettings,
    ReservoirSettings,
    SarSettings,
    SourceSettings,
    TentSettings,
)
from adapt.tta.supplies import SourceStyles, Supplies

ALL = {"margin": 10.0, "diversity": 1.01}  # the filters keep every frame
SETTINGS: list[MethodSettings] = [
    SourceSettings(),
    BnStatsSettings(),
    BnAlphaSettings(),
    BnEmaSettings(),
    BnTrainSettings(),
    TentSettings(lr=1e-2),
    PseudoLabelSettings(lr=1e-2),
    EtaSettings(lr=1e-2, **ALL),
    EataSettings(lr=1e-2, **ALL),
    SarSettings(lr=1e-2, margin=10.0, reset_below=0.0),
    CottaSettings(lr=1e-2, restore=0.5, scales=(0.5, 1.0), anchor_threshold=0.3),
    RdumbSettings(n=4, base=EtaSettings(lr=1e-2, **ALL)),
    MemoSettings(lr=1e-2, views=3),
    AuxAdaptSettings(lr=1e-2),
    ReservoirSettings(base=TentSettings(lr=1e-2)),
]
"""Large learning rates, so that what is left over from the first stream would be seen; toy nets need `margin: 10`."""


def build(settings: MethodSettings) -> Method:
    from conftest import build_inputs, build_toy_net  # the folder of a script is on its path

    def extract(images: torch.Tensor) -> torch.Tensor:
        return log_variance(images, 1e-8)

    styles = SourceStyles(extract, extract(build_inputs()[0]), threshold=1.0)
    fisher = {"1.weight": torch.ones(4).double(), "1.bias": torch.ones(4).double()}
    supplies = Supplies(seed=7, auxiliary=build_toy_net(), styles=styles, fisher=fisher)
    return build_method(settings, build_toy_net(dropout=0.3), nn.Module.__call__, 5, supplies)


def walk(method: Method, which: str) -> str:
    """Hash the predictions of one of two streams."""
    from conftest import build_inputs

    frames = [scaled for images in build_inputs() for scaled in (images, 3 * images + 0.5)]
    method.reset()
    order = frames if which == "first" else frames[::-1]
    digest = hashlib.sha256()
    for images in order:
        digest.update(method.predict_and_adapt(images).logits.numpy().tobytes())
    return digest.hexdigest()


def report(streams: list[str]) -> dict[str, str]:
    """Hash the last of some streams that each method walks through."""
    return {settings.name: [walk(method, which) for which in streams][-1] for settings, method in _build_all()}


def _build_all() -> Iterator[tuple[MethodSettings, Method]]:
    for settings in SETTINGS:
        yield settings, build(settings)


def run(*streams: str) -> dict[str, str]:
    line = [sys.executable, __file__, *streams]
    return json.loads(subprocess.run(line, check=True, capture_output=True, text=True).stdout)


@pytest.mark.slow
def test_a_second_stream_is_that_of_a_fresh_process():
    after, fresh, first = run("first", "second"), run("second"), run("first")
    assert list(after) == list(METHODS)
    assert after == fresh
    learning = set(METHODS) - {
        "source",
        "bn_stats",
        "bn_alpha",
        "memo",
    }  # others see a frame alike, whatever came before
    assert all(first[name] != fresh[name] for name in learning)


if __name__ == "__main__":
    print(json.dumps(report(sys.argv[1:])))
