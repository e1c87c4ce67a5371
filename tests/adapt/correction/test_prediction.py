"""The prediction that corrects labels, against the same by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn.functional import interpolate

from adapt.correction.prediction import predict_over_scales
from adapt.inference import forward_logits, to_tensor
from adapt.openmmlab.model import build_model


@pytest.mark.parametrize("flip", [False, True])
def test_equals_the_mean_logits_by_hand(model_config, flip):
    model = build_model(model_config, seed=0).eval()
    image = np.random.default_rng(0).integers(0, 256, (32, 64, 3), dtype=np.uint8)
    batch = to_tensor(model, image)
    logits = []
    with torch.no_grad():
        for size in ((16, 32), (32, 64), (48, 96)):
            resized = interpolate(batch, size=size, mode="bilinear", align_corners=True)
            views = [forward_logits(model, resized)]
            if flip:
                views.append(forward_logits(model, resized.flip(3)).flip(3))
            logits += [interpolate(view, size=(32, 64), mode="bilinear", align_corners=True) for view in views]
    expected = (torch.stack(logits).mean(0)[0] / 2.5).softmax(0)
    predicted, confidence = predict_over_scales(model, image, (0.5, 1.0, 1.5), flip, 2.5)
    assert (predicted.dtype, confidence.dtype, predicted.shape) == (np.uint8, np.float32, (32, 64))
    assert np.allclose(confidence, expected.max(0).values.numpy(), atol=1e-6)
    assert np.array_equal(predicted, expected.argmax(0).numpy())
