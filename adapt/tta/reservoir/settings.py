"""Settings of the style extractor: what an experiment file may say of it; free of torch for the planner."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import PositiveFloat, PositiveInt, model_validator

from adapt.settings import Settings


class StyleExtractorSettings(Settings):
    """The frozen network whose early features tell the style of a batch, and how they are read.

    Attributes:
        name: `vgg19`, the published one: the convolutions 2, 5 and 7 of an ImageNet VGG19; or `early`, ours: the first
            convolutions of the source segmentor itself, which needs no further weights.
        layers: of `early`, how many convolutions are read, in the order in which they run. 3 is as many as are read of
            VGG19.
        weights: of `vgg19`, the file with its weights: a torchvision state dict (`features.0.weight` and so on).
        stride: ours: only every stride-th row and column of the images is looked at. The published code looks at all
            of them (1). 4 keeps the cost at a few per cent of a forward pass of a small network; it moves the distances
            of some domains (on CamVid those of frost and defocus by a third of the threshold).
        distance: between two styles: `euclidean`, the published one; or `mahalanobis`, ours, which divides by how source
            images differ among themselves (`adapt.tta.reservoir.whitening`).
        eps: added to each variance before the logarithm, so that a constant channel has a finite style; ours, far below
            the variances of features.
    """

    name: Literal["early", "vgg19"] = "early"
    layers: PositiveInt = 3
    weights: str | None = None
    stride: PositiveInt = 4
    distance: Literal["euclidean", "mahalanobis"] = "euclidean"
    eps: PositiveFloat = 1.0e-8

    @model_validator(mode="after")
    def _check_weights(self) -> Self:
        if self.name == "vgg19" and self.weights is None:
            raise ValueError(
                "the extractor 'vgg19' needs weights, the path of a torchvision VGG19 state dict; without one, use "
                "name: early"
            )
        if self.name == "early" and self.weights is not None:
            raise ValueError("weights belong to the extractor 'vgg19'; remove them or use name: vgg19")
        return self
