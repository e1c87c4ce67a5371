"""Mean and threshold against all pairs by hand; what is written is what is read."""

from __future__ import annotations

import logging
import math

import numpy as np
import pytest
import torch
from torch import nn

from adapt.errors import PrerequisiteError, SpecError, TaskError
from adapt.tta.reservoir.settings import StyleExtractorSettings
from adapt.tta.reservoir.source_styles import (
    StyleStatistics,
    load_source_styles,
    measure_source_styles,
    save_source_styles,
)


def test_the_threshold_is_a_quantile_of_all_positive_pairwise_distances():
    torch.manual_seed(0)
    styles = torch.randn(60, 4, dtype=torch.float64)
    styles[10:20] = styles[0]  # eleven equal ones: 55 distances of 0, which do not count
    distances = [math.dist(styles[i], styles[j]) for i in range(60) for j in range(i)]
    positive = sorted(distance for distance in distances if distance > 0)
    assert len(positive) == len(distances) - 55
    for quantile in (0.3, 0.999):
        place = quantile * (len(positive) - 1)
        low = positive[int(place)]
        expected = low + (place - int(place)) * (positive[int(place) + 1] - low)
        statistics = measure_source_styles(lambda style: style, styles, quantile)
        assert statistics.threshold == pytest.approx(expected, abs=1e-12)
        assert statistics.threshold == pytest.approx(np.quantile(positive, quantile), abs=1e-12)
    assert statistics.mean.tolist() == pytest.approx(styles.numpy().mean(axis=0).tolist(), abs=1e-12)
    assert statistics.count == 60
    assert measure_source_styles(lambda style: style, styles).threshold == statistics.threshold


def test_takes_more_pairs_than_the_quantile_of_torch_does():
    generator = torch.Generator().manual_seed(0)
    statistics = measure_source_styles(lambda style: style, torch.randn(6000, 2, generator=generator))
    # The distance of two standard normals in the plane is Rayleigh with scale sqrt(2).
    assert statistics.threshold == pytest.approx(2 * math.sqrt(math.log(1000)), rel=0.02)


def test_says_when_the_threshold_rests_on_few_images(caplog):
    with caplog.at_level(logging.WARNING):
        measure_source_styles(lambda style: style, torch.arange(2.0)[:, None])
    assert "rests on 2 source images; 1000" in caplog.text


@pytest.mark.parametrize("count", [0, 1])
def test_refuses_fewer_than_two_images(count):
    with pytest.raises(SpecError, match=f"there are {count}. Give at least two"):
        measure_source_styles(lambda style: style, torch.zeros(count, 3))


def test_refuses_images_without_any_distance_and_styles_that_are_not_finite():
    with pytest.raises(SpecError, match="the same style"):
        measure_source_styles(lambda style: style, torch.ones(3, 2))
    with pytest.raises(TaskError, match="source batch 1 is not finite"):
        measure_source_styles(lambda style: style, torch.tensor([[1.0], [math.nan]]))


def test_reads_what_it_wrote_and_builds_the_extractor_again(tmp_path, toy_net, inputs):
    net = toy_net()
    settings = StyleExtractorSettings(layers=2, stride=1)
    statistics = StyleStatistics(torch.linspace(0, 1, 9, dtype=torch.float64) / 3, 1 / 3, 7)
    path = tmp_path / "styles.npz"
    save_source_styles(path, settings, statistics)
    styles = load_source_styles(path, net, nn.Module.__call__)
    assert torch.equal(styles.mean, statistics.mean)
    assert styles.threshold == 1 / 3
    style = styles.extract(inputs[0])
    assert style.shape == (9,)
    with torch.no_grad():
        assert style[0].item() == pytest.approx(math.log(net[0](inputs[0])[0, 0].var() + 1e-8), abs=1e-12)
    save_source_styles(tmp_path / "again.npz", settings, statistics)
    assert path.read_bytes() == (tmp_path / "again.npz").read_bytes()


def test_refuses_another_file(tmp_path, toy_net):
    for name, content in (("text.npz", b"styles"), ("empty.npz", b"")):
        (tmp_path / name).write_bytes(content)
    np.savez(tmp_path / "other.npz", mean=np.zeros(3))
    np.save(tmp_path / "array.npy", np.zeros(3))
    for name in ("text.npz", "empty.npz", "other.npz", "array.npy", "none.npz"):
        with pytest.raises(PrerequisiteError, match=r"holds no source styles .* again"):
            load_source_styles(tmp_path / name, toy_net(), nn.Module.__call__)
