"""The Mahalanobis distance of styles: against numpy's inverse covariance, a dead channel, and what it tells apart."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from adapt.tta.reservoir.whitening import compute_whitening


def make_styles(count: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    factors = torch.randn(count, 2, generator=generator)
    mixed = factors @ torch.tensor([[3.0, 2.9, 0.0], [0.1, -0.1, 0.5]])
    return torch.cat([mixed, torch.full((count, 1), 7.0)], dim=1)  # the last channel is dead


def test_distances_are_those_of_the_inverse_covariance():
    styles = make_styles(50)
    whitened = styles @ compute_whitening(styles)
    own = np.cov(styles[:, :3].numpy().astype(np.float64), rowvar=False)
    inverse = np.linalg.inv(0.9 * own + 0.1 * np.diag(np.diag(own)))
    for one, other in [(0, 1), (3, 20), (7, 49)]:
        difference = (styles[one] - styles[other])[:3].numpy().astype(np.float64)
        expected = float(np.sqrt(difference @ inverse @ difference))
        assert float((whitened[one] - whitened[other]).norm()) == pytest.approx(expected, rel=1e-5)


def test_a_dead_channel_counts_nothing():
    whitening = compute_whitening(make_styles(50))
    assert whitening.shape == (4, 3)
    assert not whitening[3].any()


def test_a_direction_that_the_source_never_takes_is_farther_than_one_that_it_does():
    whitening = compute_whitening(make_styles(50))
    together, apart = torch.tensor([1.0, 1.0, 0.0, 0.0]), torch.tensor([1.0, -1.0, 0.0, 0.0])
    assert float((apart @ whitening).norm()) > 3 * float((together @ whitening).norm())


def test_fewer_styles_than_channels_give_finite_numbers():
    assert compute_whitening(torch.randn(5, 40, generator=torch.Generator().manual_seed(0))).isfinite().all()
