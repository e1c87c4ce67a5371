"""DAFormer's self-training as one segmentor for mmengine's Runner.

Paper: DAFormer: Improving Network Architectures and Training Strategies for Domain-Adaptive Semantic Segmentation,
    CVPR 2022, arXiv:2111.14887; mixing from ClassMix, WACV 2021, arXiv:2007.07936.
Implements: section 3.1 (equations 1 to 6: source loss, pseudo-labels, their weight, EMA teacher) and ClassMix.
Checked against: lhoyer/DAFormer, mmseg/models/uda/dacs.py; the EMA, ClassMix and learning-rate vectors in the tests.
Deviations: the teacher's step count is saved, so a resumed run keeps its teacher. Strong augmentation of the mixed
    image and the ImageNet feature distance are not part of this module.
Protocol: evaluation uses the student; the teacher is offered under its own name.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.modules.dropout import _DropoutNd

from adapt.errors import SpecError
from adapt.openmmlab import MODELS, BaseModel, DropPath
from adapt.uda.class_mix import draw_classes, make_mask, mix
from adapt.uda.ema import compute_ema_alpha, update_teacher
from adapt.uda.loss import compute_weighted_cross_entropy
from adapt.uda.pseudo_label import make_pseudo_labels
from adapt.uda.settings import UdaSettings


@MODELS.register_module()
class DAFormer(BaseModel):
    """A student that learns from source labels and from its EMA teacher's labels of mixed images."""

    def __init__(self, student: nn.Module | dict[str, Any], settings: UdaSettings | Mapping[str, Any]) -> None:
        """Wrap a segmentor.

        Args:
            student: An `EncoderDecoder`, or its config.
            settings: The method's settings, or the same as a dict.
        """
        built = student if isinstance(student, nn.Module) else MODELS.build(student)
        super().__init__(data_preprocessor=built.data_preprocessor)
        self.settings = settings if isinstance(settings, UdaSettings) else UdaSettings(**settings)
        self.student = built
        self.teacher = copy.deepcopy(built).requires_grad_(False)
        self.register_buffer("iteration", torch.tensor(0))

    def init_weights(self) -> None:
        """Initialise the student where that is still to be done, and copy it to the teacher."""
        if not self.student.is_init:
            self.student.init_weights()
        self.teacher.load_state_dict(self.student.state_dict())

    def train(self, mode: bool = True) -> DAFormer:
        """Switch mode. The teacher goes along, its batch norms too, but never drops anything out."""
        super().train(mode)
        for module in self.teacher.modules():
            if isinstance(module, (_DropoutNd, DropPath)):
                module.eval()
        return self

    def forward(self, inputs: Tensor, data_samples: Any = None, mode: str = "tensor") -> Any:
        """Run the student, as its own `forward` does."""
        return self.student(inputs, data_samples, mode)

    def train_step(self, data: dict[str, Any], optim_wrapper: Any) -> dict[str, Tensor]:
        """Do one training step on a batch of pairs.

        Args:
            data: `source` and `target`, each what a segmentor's preprocessor takes; only the source has labels.
            optim_wrapper: mmengine's, over the student's parameters.

        Returns:
            Scalars: `loss` (the sum), `source_loss`, `mix_loss`, `q` (share of confident target pixels), `ema_alpha`.
        """
        source = self.data_preprocessor(data["source"], training=True)
        target = self.data_preprocessor(data["target"], training=True)
        source_label = torch.stack([sample.gt_sem_seg.data[0] for sample in source["data_samples"]])  # (N, H, W)

        optim_wrapper.zero_grad()

        alpha = compute_ema_alpha(int(self.iteration), self.settings.ema_alpha)
        update_teacher(self.teacher, self.student, alpha)

        with optim_wrapper.optim_context(self):
            source_loss, _ = self.parse_losses(self.student.loss(source["inputs"], source["data_samples"]))
        optim_wrapper.backward(source_loss)

        with torch.no_grad(), optim_wrapper.optim_context(self):
            teacher_logits = predict(self.teacher, target["inputs"], [self.teacher.decode_head])[0]
        pseudo_label, pseudo_weight, q = make_pseudo_labels(
            teacher_logits, self.settings.pseudo_threshold, self.settings.ignore_top, self.settings.ignore_bottom
        )

        # One draw of classes for every image, all from the classes of the whole batch.
        mask = torch.stack([make_mask(label, draw_classes(source_label)) for label in source_label])  # (N, H, W)
        mixed_image = mix(mask[:, None], source["inputs"], target["inputs"])
        mixed_label = mix(mask, source_label, pseudo_label)
        mixed_weight = mix(mask, torch.ones_like(pseudo_weight), pseudo_weight)

        mix_loss = q.new_zeros(())
        heads = list_heads(self.student)
        with optim_wrapper.optim_context(self):
            for head, logits in zip(heads, predict(self.student, mixed_image, heads), strict=True):
                loss = compute_weighted_cross_entropy(logits, mixed_label, mixed_weight)
                mix_loss = mix_loss + get_loss_factor(head) * loss
        optim_wrapper.backward(mix_loss)

        optim_wrapper.step()
        self.iteration += 1
        return {
            "loss": (source_loss + mix_loss).detach(),
            "source_loss": source_loss.detach(),
            "mix_loss": mix_loss.detach(),
            "q": q,
            "ema_alpha": torch.tensor(alpha, dtype=torch.float64),
        }


def predict(network: nn.Module, images: Tensor, heads: Sequence[nn.Module]) -> list[Tensor]:
    """Run a segmentor up to the logits of some of its heads, in the mode that it is in.

    Args:
        network: An `EncoderDecoder`.
        images: (N, 3, H, W) float32, normalised.
        heads: Heads of this network.

    Returns:
        For each head (N, K, H, W) logits.

    Raises:
        SpecError: A head does not give one map of logits; such networks have no weighted cross-entropy here.
    """
    features = network.extract_feat(images)
    outputs = []
    for head in heads:
        logits = None if isinstance(head, nn.ModuleList) else head(features)
        if not isinstance(logits, Tensor):
            raise SpecError(
                f"The head {type(head).__name__} does not give one map of logits in training, which self-training "
                "needs. Choose an EncoderDecoder network whose heads do, such as SegFormer, DeepLabV3+ or CGNet."
            )
        size = images.shape[2:]
        outputs.append(functional.interpolate(logits, size=size, mode="bilinear", align_corners=head.align_corners))
    return outputs


def list_heads(network: nn.Module) -> list[nn.Module]:
    """List the decode head and then the auxiliary heads of a segmentor.

    Args:
        network: An `EncoderDecoder`.

    Returns:
        At least one head.
    """
    auxiliary = getattr(network, "auxiliary_head", None)
    if isinstance(auxiliary, nn.ModuleList):
        return [network.decode_head, *auxiliary]
    return [network.decode_head] if auxiliary is None else [network.decode_head, auxiliary]


def get_loss_factor(head: nn.Module) -> float:
    """Look up the factor that a head's loss has in its config; 1 for a head with several losses."""
    return float(getattr(head.loss_decode, "loss_weight", 1.0))
