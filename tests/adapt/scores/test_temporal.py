"""TC and VC_n against published vectors and naive loops."""

from __future__ import annotations

import numpy as np
import pytest

from adapt.scores.temporal import (
    ClipScore,
    Ratio,
    count_overlap,
    extend_runs,
    score_temporal,
    score_window,
    warp_prediction,
)

# Outputs of the ETC and VSPW code.
A = np.array([[0, 0, 1, 1], [2, 2, 1, 1], [2, 2, 0, 0]], dtype=np.uint8)
B = np.array([[0, 1, 1, 1], [2, 2, 1, 0], [2, 0, 0, 0]], dtype=np.uint8)
IOU_PER_CLASS = [0.5, 0.6, 0.75]
MEAN_IOU = 0.6166666667
VC_2 = [
    0.75,
    1.0,
]  # over the labels A, A, B, A and the predictions A, B, B, B; the published loop drops the last window

EVERYWHERE = np.ones(A.shape, dtype=bool)


def still(shape: tuple[int, int], x: float = 0.0, y: float = 0.0) -> np.ndarray:
    return np.broadcast_to(np.array([x, y], dtype=np.float32), (*shape, 2)).copy()


def score_windows(labels, predictions, frames: int) -> list[float | None]:
    label_runs = prediction_runs = None
    scores = []
    for index, (label, prediction) in enumerate(zip(labels, predictions, strict=True)):
        label_runs = extend_runs(label_runs, labels[index - 1], label)
        prediction_runs = extend_runs(prediction_runs, predictions[index - 1], prediction)
        if index + 1 >= frames:
            scores.append(score_window(label, label_runs, prediction_runs, frames))
    return scores


def test_overlap_equals_the_published_code():
    warped, is_inside = warp_prediction(B, still(B.shape))
    intersection, union = count_overlap(A, warped, is_inside, 3)
    assert intersection / union == pytest.approx(IOU_PER_CLASS)
    clip = ClipScore("a..b", 2, intersection, union)
    assert score_temporal([clip])["tc"].value == pytest.approx(MEAN_IOU, abs=1e-10)


def test_windows_equal_the_published_code():
    assert score_windows([A, A, B, A], [A, B, B, B], 2)[:2] == VC_2


def test_windows_against_a_naive_loop():
    generator = np.random.default_rng(0)
    labels = generator.integers(0, 2, (9, 5, 7)).astype(np.uint8)
    predictions = generator.integers(0, 2, (9, 5, 7)).astype(np.uint8)
    labels[generator.random(labels.shape) < 0.2] = 255
    labels[:, :2] = labels[0, :2]  # some pixels keep their label, ignored ones included
    predictions[3:8, 0] = predictions[3, 0]
    for frames in (2, 3, 5):
        expected: list[float | None] = []
        for start in range(9 - frames + 1):
            constant = both = 0
            for row in range(5):
                for column in range(7):
                    ids = {int(label[row, column]) for label in labels[start : start + frames]}
                    if len(ids) == 1 and ids != {255}:
                        constant += 1
                        both += len({int(p[row, column]) for p in predictions[start : start + frames]}) == 1
            expected.append(both / constant if constant else None)
        assert score_windows(list(labels), list(predictions), frames) == expected
        assert any(0 < value < 1 for value in expected if value is not None)


def test_a_window_without_a_constant_label_has_no_score():
    ignored = np.full((2, 2), 255, dtype=np.uint8)
    assert score_windows([ignored] * 2, [ignored * 0] * 2, 2) == [None]
    assert score_windows([ignored * 0, ignored * 0 + 1], [ignored * 0] * 2, 2) == [None]


def test_the_next_prediction_is_fetched_from_where_the_pixels_went():
    """What lies at column 2 of the current frame lies at column 3, one row lower, of the next."""
    current = np.zeros((4, 6), dtype=np.uint8)
    current[1, 2] = 7
    following = np.zeros((4, 6), dtype=np.uint8)
    following[2, 3] = 7
    warped, is_inside = warp_prediction(following, still((4, 6), x=1, y=1))
    assert warped[is_inside].tolist() == current[is_inside].tolist()
    assert warped[1, 2] == 7
    assert np.argwhere(~is_inside).tolist() == [[0, 5], [1, 5], [2, 5], *([3, column] for column in range(6))]


def test_warping_against_a_naive_loop_and_ids_are_never_mixed():
    generator = np.random.default_rng(1)
    prediction = (generator.integers(0, 2, (7, 9)) * 200).astype(np.uint8)
    flow = generator.uniform(-4, 4, (7, 9, 2)).astype(np.float32)
    flow[0, :4] = 0.5, -0.5
    warped, is_inside = warp_prediction(prediction, flow)
    for y in range(7):
        for x in range(9):
            column, row = (int(np.floor(float(p) + float(d) + 0.5)) for p, d in zip((x, y), flow[y, x], strict=True))
            assert is_inside[y, x] == (0 <= column < 9 and 0 <= row < 7)
            if is_inside[y, x]:
                assert warped[y, x] == prediction[row, column]
    assert set(np.unique(warped)) == {0, 200}
    assert 0.2 < is_inside.mean() < 0.9


def test_pixels_that_leave_the_frame_count_nowhere():
    is_inside = EVERYWHERE.copy()
    is_inside[:, 3] = False
    intersection, union = count_overlap(A, B, is_inside, 3)
    kept = is_inside
    for class_ in range(3):
        one, other = np.equal(A, class_) & kept, np.equal(B, class_) & kept
        assert intersection[class_] == np.count_nonzero(one & other)
        assert union[class_] == np.count_nonzero(one | other)


@pytest.mark.parametrize("flow", [np.zeros((3, 4)), np.zeros((4, 3, 2)), np.full((3, 4, 2), np.nan)])
def test_refuses_what_is_no_flow_of_these_frames(flow):
    with pytest.raises(ValueError, match="flow"):
        warp_prediction(A, flow)


def test_clips_average_and_windows_pool():
    scores = score_temporal(
        [
            ClipScore("a..b", 4, np.array([1, 0, 0]), np.array([2, 0, 4]), {2: Ratio(2.5, 3)}, Ratio(0.5, 1)),
            ClipScore("c..c", 1, np.zeros(3, int), np.zeros(3, int), {2: Ratio()}, Ratio()),
            ClipScore("d..e", 2, np.array([3, 3, 0]), np.array([3, 3, 0]), {2: Ratio(0.5, 1)}, Ratio(0.75, 1)),
        ]
    )
    assert scores["tc"].value == pytest.approx((0.25 + 1) / 2)  # of the clips with a pair, classes that occur
    assert scores["vc_2"].value == pytest.approx(3 / 4)
    assert scores["perceptual"].value == pytest.approx(1.25 / 2)


def test_a_score_that_cannot_be_had_says_why():
    alone = ClipScore("a..a", 1, np.zeros(3, int), np.zeros(3, int), {8: Ratio()}, Ratio())
    scores = score_temporal([alone])
    assert {name: score.value for name, score in scores.items()} == {"tc": None, "vc_8": None, "perceptual": None}
    assert all(score.reason for score in scores.values())
    assert score_temporal([])["tc"] == (None, "no clip has two frames")
    assert "perceptual" not in score_temporal([ClipScore("a..a", 1, np.zeros(3, int), np.zeros(3, int))])
