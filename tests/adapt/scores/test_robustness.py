"""Robustness scores against published tables and their published aggregates, copied here as literals."""

from __future__ import annotations

import doctest

import numpy as np
import pytest

import adapt.scores.robustness
from adapt.scores.robustness import (
    Cell,
    Reference,
    corrupted_class_iou,
    corruption_degradation,
    corruption_error,
    generalization_ability,
    mean_corrupted,
    mean_corruption_error,
    mean_degradation,
    relative_corrupted,
    relative_corruption_degradation,
    relative_corruption_error,
    relative_mean_corruption_error,
    worst_class,
    worst_corruption,
)

# SegFormer (NeurIPS 2021), table 5: mIoU in percent on Cityscapes-C, each a mean over severities.
CITYSCAPES_C = (
    *("motion_blur", "defocus_blur", "glass_blur", "gaussian_blur"),
    *("gaussian_noise", "impulse_noise", "shot_noise", "speckle_noise"),
    *("brightness", "contrast", "saturate", "jpeg_compression"),
    *("snow", "spatter", "fog", "frost"),
)
# fmt: off
SEGFORMER = {  # clean, then the 16
    "R50": (76.6, 58.5, 56.6, 47.2, 57.7, 6.5, 7.2, 10.0, 31.1, 58.2, 54.7, 41.3, 27.4, 12.0, 42.0, 55.9, 22.8),
    "R101": (77.1, 59.1, 56.3, 47.7, 57.3, 13.2, 13.9, 16.3, 36.9, 59.2, 54.5, 41.5, 37.4, 11.9, 47.8, 55.1, 22.7),
    "X71": (78.6, 64.1, 60.9, 52.0, 60.4, 14.9, 10.8, 19.4, 41.2, 68.0, 58.7, 47.1, 40.2, 18.8, 50.4, 64.1, 20.2),
    "PSPNet": (78.8, 59.8, 53.2, 44.4, 53.9, 11.0, 15.4, 15.4, 34.2, 60.4, 51.8, 30.6, 21.4, 8.4, 42.7, 34.4, 16.2),
    "GSCNN": (80.9, 58.9, 58.4, 41.9, 60.1, 5.5, 2.6, 6.8, 24.7, 75.9, 61.9, 70.7, 12.0, 12.4, 47.3, 67.9, 32.6),
    "SegFormer-B5": (
        82.4, 69.1, 68.6, 64.1, 69.8, 57.8, 63.4, 52.3, 72.8, 81.0, 77.7, 80.1, 58.8, 40.7, 68.4, 78.5, 49.9
    ),
}
# mean over the 16, share of clean, mean CD, mean rCD: percent, relative to X71
SEGFORMER_DERIVED = {
    "R50": (36.819, 48.07, 112.73, 118.01),
    "R101": (39.425, 51.13, 108.80, 113.83),
    "X71": (43.200, 54.96, 100.0, 100.0),
    "PSPNet": (34.575, 43.88, 118.71, 139.94),
    "GSCNN": (39.975, 49.41, 104.05, 113.10),
    "SegFormer-B5": (65.812, 79.87, 62.05, 47.40),
}

# Robo3D (ICCV 2023), SemanticKITTI-C: mIoU in percent, three severities already averaged.
SEMANTICKITTI_C = ("fog", "wet", "snow", "motion", "beam", "cross", "echo", "sensor")
ROBO3D = {  # clean, the 8, published mCE and mRR
    "MinkUNet18": (62.76, (55.87, 53.99, 53.28, 32.92, 56.32, 58.34, 54.43, 46.05), 100.00, 81.90),
    "MinkUNet34": (63.78, (53.54, 54.27, 50.17, 33.80, 57.35, 58.38, 54.88, 46.95), 100.61, 80.22),
    "CENet": (62.55, (42.70, 57.34, 53.64, 52.71, 55.78, 45.37, 53.40, 45.84), 103.41, 81.29),
    "SqueezeSeg": (31.61, (18.85, 27.30, 22.70, 17.93, 25.01, 21.65, 27.66, 7.85), 164.87, 66.81),
}

# robust-detection-benchmark, Mask R-CNN R50 on Cityscapes-C: AP x 1e-4 at severities 1 to 5.
# Published P 32.7, mPC 10.0, rPC 30.5 %.
MASK_RCNN_CLEAN = 3269.9
MASK_RCNN = {
    "gaussian_noise": (331, 56, 14, 0, 0), "shot_noise": (509, 66, 7, 0, 0), "impulse_noise": (364, 36, 12, 0, 0),
    "defocus_blur": (2445, 1783, 961, 488, 288), "glass_blur": (2292, 1582, 393, 252, 268),
    "motion_blur": (2583, 1825, 954, 473, 285), "zoom_blur": (280, 102, 74, 39, 46), "snow": (333, 17, 20, 14, 0),
    "frost": (1413, 590, 293, 254, 174), "fog": (2297, 2036, 1758, 1657, 1172),
    "brightness": (3012, 2550, 2031, 1581, 1124), "contrast": (2737, 2463, 2006, 874, 110),
    "elastic_transform": (3181, 3129, 3026, 2946, 2796), "pixelate": (2275, 2375, 924, 481, 412),
    "jpeg_compression": (1594, 992, 779, 438, 203),
}
# fmt: on


def averaged(names: tuple[str, ...], percent: tuple[float, ...]) -> dict[Cell, float]:
    """A row of which each corruption has one cell, for tables that print means over severities."""
    return {(name, 3): value / 100 for name, value in zip(names, percent, strict=True)}


def segformer(model: str) -> Reference:
    clean, *values = SEGFORMER[model]
    return Reference(model, clean / 100, averaged(CITYSCAPES_C, tuple(values)))


CELLS = [(name, 3) for name in CITYSCAPES_C]
MASK_RCNN_ROW = {(name, s): ap / 1e4 for name, aps in MASK_RCNN.items() for s, ap in enumerate(aps, start=1)}


@pytest.mark.parametrize("model", list(SEGFORMER))
def test_segformer_table(model: str) -> None:
    row, reference = segformer(model), segformer("X71")
    mean, retention, degradation, relative = SEGFORMER_DERIVED[model]
    assert mean_corrupted(row.cells, CELLS) * 100 == pytest.approx(mean, abs=0.001)
    assert relative_corrupted(row.cells, row.clean, CELLS) * 100 == pytest.approx(retention, abs=0.006)
    assert mean_degradation(row.cells, reference, CELLS) * 100 == pytest.approx(degradation, abs=0.006)
    rcd = relative_corruption_degradation(row.cells, row.clean, reference, CELLS)
    assert list(rcd) == list(CITYSCAPES_C)
    assert sum(rcd.values()) / 16 * 100 == pytest.approx(relative, abs=0.006)


def test_segformer_worst_corruptions() -> None:
    assert worst_corruption(segformer("SegFormer-B5").cells, CELLS) == ("snow", pytest.approx(0.407))
    assert worst_corruption(segformer("GSCNN").cells, CELLS) == ("impulse_noise", pytest.approx(0.026))
    assert generalization_ability(segformer("GSCNN").cells, CELLS) == pytest.approx(0.026)


@pytest.mark.parametrize("model", list(ROBO3D))
def test_robo3d_table(model: str) -> None:
    clean, values, mce, mrr = ROBO3D[model]
    base_clean, base_values, _, _ = ROBO3D["MinkUNet18"]
    cells = [(name, 3) for name in SEMANTICKITTI_C]
    row = averaged(SEMANTICKITTI_C, values)
    reference = Reference("MinkUNet18", base_clean / 100, averaged(SEMANTICKITTI_C, base_values))
    assert mean_degradation(row, reference, cells) * 100 == pytest.approx(mce, abs=0.006)
    assert relative_corrupted(row, clean / 100, cells) * 100 == pytest.approx(mrr, abs=0.006)
    # Robo3D prints the same as a mean of corruption errors, error being 1 - mIoU
    errors = {cell: 1 - value for cell, value in row.items()}
    base_errors = Reference(
        "MinkUNet18", 1 - base_clean / 100, {cell: 1 - v / 100 for cell, v in zip(cells, base_values, strict=True)}
    )
    assert mean_corruption_error(errors, base_errors, cells) * 100 == pytest.approx(mce, abs=0.006)


def test_mask_rcnn_table() -> None:
    cells = list(MASK_RCNN_ROW)
    assert len(cells) == 75
    assert mean_corrupted(MASK_RCNN_ROW, cells) == pytest.approx(0.09983, abs=5e-6)
    assert relative_corrupted(MASK_RCNN_ROW, MASK_RCNN_CLEAN / 1e4, cells) == pytest.approx(0.30531, abs=5e-6)
    first_three = [cell for cell in cells if cell[1] <= 3]
    assert mean_corrupted(MASK_RCNN_ROW, first_three) == pytest.approx(0.13000, abs=5e-6)
    assert worst_corruption(MASK_RCNN_ROW, cells) == ("snow", pytest.approx((333 + 17 + 20 + 14 + 0) / 5e4))


# A small uneven grid: noise has one severity, fog two. Worked by hand below.
UNEVEN = [("fog", 1), ("fog", 5), ("noise", 1)]
ROW = {("fog", 1): 0.7, ("fog", 5): 0.5, ("noise", 1): 0.2}
BASE = Reference("base", 0.9, {("fog", 1): 0.8, ("fog", 5): 0.2, ("noise", 1): 0.4})


def test_corruptions_weigh_the_same_whatever_their_severities() -> None:
    assert mean_corrupted(ROW, UNEVEN) == pytest.approx((0.6 + 0.2) / 2)
    assert relative_corrupted(ROW, 0.8, UNEVEN) == pytest.approx(0.5)


def test_ratios_are_of_sums_over_severities() -> None:
    assert corruption_degradation(ROW, BASE, UNEVEN) == {
        "fog": pytest.approx((0.3 + 0.5) / (0.2 + 0.8)),
        "noise": pytest.approx(0.8 / 0.6),
    }
    assert relative_corruption_degradation(ROW, 0.8, BASE, UNEVEN) == {
        "fog": pytest.approx((0.1 + 0.3) / (0.1 + 0.7)),
        "noise": pytest.approx(0.6 / 0.5),
    }
    assert mean_degradation(ROW, BASE, UNEVEN) == pytest.approx((0.8 + 0.8 / 0.6) / 2)


def test_classification_errors_are_the_complement() -> None:
    errors = {cell: 1 - value for cell, value in ROW.items()}
    base = Reference("AlexNet", 0.1, {("fog", 1): 0.2, ("fog", 5): 0.8, ("noise", 1): 0.6})
    assert corruption_error(errors, base, UNEVEN) == {"fog": pytest.approx(0.8), "noise": pytest.approx(0.8 / 0.6)}
    assert mean_corruption_error(errors, base, UNEVEN) == pytest.approx((0.8 + 0.8 / 0.6) / 2)
    assert relative_corruption_error(errors, 0.2, base, UNEVEN) == {
        "fog": pytest.approx(0.5),
        "noise": pytest.approx(1.2),
    }
    assert relative_mean_corruption_error(errors, 0.2, base, UNEVEN) == pytest.approx(0.85)


def test_a_row_relative_to_itself_is_one() -> None:
    for ratios in (
        corruption_degradation(BASE.cells, BASE, UNEVEN),
        relative_corruption_degradation(BASE.cells, BASE.clean, BASE, UNEVEN),
    ):
        assert ratios == {"fog": pytest.approx(1), "noise": pytest.approx(1)}


def test_cells_outside_the_protocol_are_left_out() -> None:
    assert mean_corrupted({**ROW, ("snow", 1): 0.0, ("snow", 2): None}, UNEVEN) == pytest.approx(0.4)


@pytest.mark.parametrize("lack", [None, float("nan"), "absent"])
def test_incomplete_rows_are_refused(lack: float | str | None) -> None:
    row: dict[Cell, float | None] = dict(ROW)
    if isinstance(lack, str):
        del row[("fog", 5)]
    else:
        row[("fog", 5)] = lack
    message = r"{} has no value for 1 of 3 cells \(fog severity 5\), and a mean over an incomplete grid is refused"
    for score in (mean_corrupted, worst_corruption, generalization_ability):
        with pytest.raises(ValueError, match=message.format("the row")):
            score(row, UNEVEN)
    for ratio in (corruption_degradation, corruption_error, mean_degradation, mean_corruption_error):
        with pytest.raises(ValueError, match=message.format("the row")):
            ratio(row, BASE, UNEVEN)
        with pytest.raises(ValueError, match=message.format("the reference row 'half'")):
            ratio(ROW, Reference("half", 0.9, row), UNEVEN)
    for relative in (relative_corruption_degradation, relative_corruption_error):
        with pytest.raises(ValueError, match=message.format("the row")):
            relative(row, 0.8, BASE, UNEVEN)


def test_many_missing_cells_are_counted() -> None:
    with pytest.raises(ValueError, match=r"75 of 75 cells \(gaussian_noise severity 1, .* severity 4 and 71 more\)"):
        mean_corrupted({}, list(MASK_RCNN_ROW))


def test_percent_and_senseless_cells_are_refused() -> None:
    with pytest.raises(ValueError, match=r"the row has 70\.0 at fog severity 1, outside \[0, 1\]: is it in percent\?"):
        mean_corrupted({**ROW, ("fog", 1): 70.0}, UNEVEN)
    with pytest.raises(ValueError, match="no cells"):
        mean_corrupted(ROW, [])
    with pytest.raises(ValueError, match="repeats"):
        mean_corrupted(ROW, [*UNEVEN, ("fog", 1)])
    for clean in (0.0, 80.0):
        with pytest.raises(ValueError, match=r"clean score must lie in \(0, 1\]"):
            relative_corrupted(ROW, clean, UNEVEN)
    for relative in (relative_corruption_degradation, relative_corruption_error):
        with pytest.raises(ValueError, match=r"the row has 80\.0 on clean images"):
            relative(ROW, 80.0, BASE, UNEVEN)
        with pytest.raises(ValueError, match=r"the reference row 'base' has 90\.0 on clean images"):
            relative(ROW, 0.8, Reference("base", 90.0, BASE.cells), UNEVEN)


def test_a_reference_that_does_not_degrade_has_no_ratio() -> None:
    perfect = Reference("perfect", 0.4, {("fog", 1): 1.0, ("fog", 5): 1.0, ("noise", 1): 0.4})
    with pytest.raises(ValueError, match="the reference row 'perfect' does not degrade on fog: "):
        corruption_degradation(ROW, perfect, UNEVEN)
    with pytest.raises(ValueError, match="the reference row 'perfect' does not degrade on fog, noise: "):
        relative_corruption_degradation(ROW, 0.8, perfect, UNEVEN)


def test_class_iou_over_a_grid() -> None:
    nan = np.nan
    row = {
        ("fog", 1): np.array([0.9, 0.4, nan, nan]),
        ("fog", 5): np.array([0.5, 0.2, 0.0, nan]),
        ("noise", 1): np.array([0.3, 0.5, nan, nan]),
    }
    mean = corrupted_class_iou(row, UNEVEN)
    np.testing.assert_allclose(mean, [0.5, 0.4, 0.0, nan])
    assert worst_class(mean) == (2, 0.0)
    assert worst_class(row[("fog", 1)]) == (1, 0.4)
    assert worst_class(np.full(3, nan)) is None
    with pytest.raises(ValueError, match=r"no value for 1 of 3 cells \(noise severity 1\)"):
        corrupted_class_iou({cell: iou for cell, iou in row.items() if cell[0] == "fog"}, UNEVEN)


def test_doctests() -> None:
    results = doctest.testmod(adapt.scores.robustness)
    assert results.attempted
    assert not results.failed
