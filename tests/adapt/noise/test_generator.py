"""The generator of an image: a function of seed and name."""

from __future__ import annotations

from adapt.noise.generator import image_generator


def test_seed_and_name_decide() -> None:
    keys = [(seed, name) for seed in (0, 1, 2**40) for name in ("a", "b", "Bäume", "")]
    draws = {key: image_generator(*key).integers(2**62) for key in keys}
    assert len(set(draws.values())) == len(keys)
    assert {key: image_generator(*key).integers(2**62) for key in reversed(keys)} == draws


def test_the_draws_never_change() -> None:
    # Written down once: noisy labels that others made must be made again by later versions.
    assert image_generator(7, "0001TP_006690").integers(1000, size=4).tolist() == [173, 995, 518, 625]
