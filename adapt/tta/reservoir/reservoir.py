"""Several adapted models of one base method; each batch is predicted by a mixture and adapts the model of its style.

Paper: ReservoirTTA: Prolonged Test-time Adaptation for Evolving and Recurring Domains, NeurIPS 2025, arXiv 2505.14511.
Implements: style detection, online clustering, the ensemble of parameters weighted by the clusters' probabilities,
    initialisation by mutual information, one state of parameters, optimiser and base method for each model.
Checked against: style vector and cluster sequence of LTS5/ReservoirTTA on closed forms; clustering, mutual information
    and ensemble by naive loops (tests/adapt/tta/reservoir). The rest is from the paper's description alone.
Deviations: mutual information averages over pixels; without VGG19 weights the segmentor's own first convolutions tell the
    style (`adapt.tta.reservoir.style`); a full-size batch is one as large as any before; a weight that is 1 in floating
    point means that model alone, with no pass of its own for the ensemble; `batch_weights`, `adapt_source` and CoTTA as a
    base are ours.
Protocol: the scored prediction is the ensemble's, before the update; then the model of the batch's cluster takes one
    step of the base method. A reset returns to the source as the only model, with base, clustering and buffer.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn

from adapt.errors import SpecError
from adapt.tta.batch_norm import list_batch_norms, use_batch_statistics
from adapt.tta.method import Method, Outcome
from adapt.tta.parameters import copy_optimizer
from adapt.tta.reservoir.clustering import Assignment, Clustering
from adapt.tta.reservoir.mutual_information import mutual_information
from adapt.tta.reservoir.stored_model import StoredModel
from adapt.tta.settings import ReservoirSettings
from adapt.tta.state import copy_state
from adapt.tta.supplies import SourceStyles

INFORMATION_MARGIN = 0.02
"""In nats: of the weights of the batch's statistics whose mutual information is this near to the highest the smallest is taken.

Ours, chosen on CamVid's training frames: where source and batch statistics predict about as surely, as on clean frames, the
source's are better by up to 5 mIoU.
"""


class Reservoir(Method[ReservoirSettings]):
    """Routes each batch to one of several models of a base method, which all run in the one network in turn.

    Attributes:
        base: the method that predicts and learns; between batches its tensors, optimiser and own state are those of the
            model that learnt last.
        clustering: which batch belongs to which model.
        models: one for each cluster; the first began as the source.
    """

    updates = "what its base method updates, once for each model of the reservoir"
    base: Method[Any]
    clustering: Clustering
    models: list[StoredModel]

    def collect_parameters(self) -> dict[str, nn.Parameter]:
        """Name the base method's parameters."""
        return self.base.collect_parameters()

    def collect_tensors(self) -> dict[str, Tensor]:
        """Name everything that the base method may change in the network."""
        return self.base.collect_tensors()

    def collect_deciding_tensors(self) -> dict[str, Tensor]:
        """Name what decides the base method's prediction."""
        return self.base.collect_deciding_tensors()

    def configure(self) -> None:
        """Prepare the base method, its first model and the clustering.

        Raises:
            SpecError: if the styles are missing, the base refuses the network, or `batch_weights` are given for a
                network without BatchNorm.
        """
        # Here, because the catalogue names this class.
        from adapt.tta.catalog import build_method

        settings, styles = self.settings, self._require_styles()
        if settings.batch_weights is not None and not list_batch_norms(self.model):
            raise SpecError(
                f"`batch_weights` of the method `reservoir` choose the statistics of BatchNorm layers, but "
                f"{type(self.model).__name__} has none. Remove `batch_weights`, or choose a model with BatchNorm."
            )
        self.base = build_method(settings.base, self.model, self.forward, self.num_classes, self.supplies)
        self.unit = self.base.unit
        self.batch_norm = self.base.batch_norm
        if settings.batch_weights is not None:
            choice = ", ".join(f"{weight:g}" for weight in settings.batch_weights)
            self.batch_norm = f"source in the first model, in each other a weight of the batch's out of {choice}"
        tensors = self.base.collect_tensors()
        self._live = list(tensors.values())
        names = list(tensors)
        self._deciding = [names.index(name) for name in self.base.collect_deciding_tensors()]
        self._extract = styles.extract
        first = self._live[0]
        self.clustering = Clustering(
            mean=styles.mean.to(first.device),
            threshold=styles.threshold if settings.threshold is None else settings.threshold,
            models=settings.models,
            capacity_per_model=settings.buffer // settings.models,
            replacement=settings.replacement,
            lr=settings.cluster_lr,
            weight_decay=settings.cluster_weight_decay,
            seed=self.supplies.seed,
        )
        optimizer = self.base.optimizer
        if optimizer is None:
            raise TypeError(f"the base method {settings.base.name} has no optimiser")
        self._active = StoredModel(
            values=[tensor.detach().clone() for tensor in self._live],
            optimizer=optimizer,
            own=copy_state(self.base.own_state()),
            batch_weight=None if settings.batch_weights is None else 0.0,
        )
        self.models = [self._active]
        self._source = self._active.clone()
        self._use_statistics(self._active.batch_weight)

    def predict_and_adapt(self, images: Tensor) -> Outcome:
        """Predict (B, K, h, w) logits from (B, 3, H, W) images with the ensemble, then adapt one model.

        Returns:
            The base's outcome but for the logits, or a skipped update (`adapt_source`); the notes add `cluster`, `models`
            (how many there are), `distance` (of the style to the nearest centroid), `is_new` and, with `batch_weights`, the
            model's `batch_weight`.

        Raises:
            NotFiniteError: if the style or the base's loss is not finite; no model, centroid or buffer is then changed.
        """
        assignment = self.clustering.assign(self._measure_style(images), len(images))
        try:
            models = [*self.models, self._found(images)] if assignment.is_new else self.models
            chosen = models[assignment.cluster]
            logits = None if _is_alone(assignment) else self._predict_ensemble(models, assignment, images)
            if logits is not None or chosen is not self._active:
                self._load(chosen)
            if assignment.cluster > 0 or self.settings.adapt_source:
                outcome = self.base.predict_and_adapt(images)
            else:
                outcome = Outcome(self.base.predict(images) if logits is None else logits, skipped=1)
        except Exception:
            self._load(self._active)
            raise
        self._store(chosen)
        self.models = models
        self.clustering.learn(assignment)
        notes = {
            **outcome.notes,
            "cluster": float(assignment.cluster),
            "models": float(len(models)),
            "distance": assignment.distance,
            "is_new": float(assignment.is_new),
        }
        if chosen.batch_weight is not None:
            notes["batch_weight"] = chosen.batch_weight
        prediction = outcome.logits if logits is None else logits
        return Outcome(prediction, outcome.loss, outcome.updates, outcome.skipped, notes)

    def predict(self, images: Tensor) -> Tensor:
        """Predict (B, K, h, w) logits from (B, 3, H, W) images with the ensemble of the models there are; learn nothing.

        Raises:
            NotFiniteError: if the style is not finite.
        """
        assignment = self.clustering.assign(self._measure_style(images), len(images), may_found=False)
        try:
            return self._predict_ensemble(self.models, assignment, images)
        finally:
            self._load(self._active)

    def own_state(self) -> dict[str, Any]:
        """Return the models, which of them runs, and the clustering."""
        return {
            "models": [model.save() for model in self.models],
            "active": self.models.index(self._active),
            "clustering": self.clustering.save(),
        }

    def load_own_state(self, state: dict[str, Any]) -> None:
        """Take the models and the clustering back."""
        self.models = [StoredModel.restore(model, copy_optimizer(self._source.optimizer)) for model in state["models"]]
        self._load(self.models[state["active"]])
        self._active = self.models[state["active"]]
        self.clustering.load(state["clustering"])

    def _require_styles(self) -> SourceStyles:
        if self.supplies.styles is None:
            raise SpecError(
                "The method `reservoir` holds the styles of the stream against those of source images, which are missing. "
                "Add a stage of kind `styles` and hand it to the stream stage: `styles: ${STAGE.styles}`."
            )
        return self.supplies.styles

    def _measure_style(self, images: Tensor) -> Tensor:
        style, mean = self._extract(images), self.clustering.mean
        if style.shape != mean.shape:
            raise SpecError(
                f"The style of a batch has {len(style)} numbers, but the source's mean has {len(mean)}: another extractor "
                "measured it. Run the stage `styles` again with this network and extractor."
            )
        return style.to(mean)

    def _found(self, images: Tensor) -> StoredModel:
        """Make the model of a new cluster; the network is left with the parameters of any model."""
        parent = self._source if self.settings.initialise == "source" else self._find_most_informative(images)
        model = parent.clone()
        if self.settings.batch_weights is not None:
            self._load(model)
            model.batch_weight = self._choose_batch_weight(self.settings.batch_weights, images)
        return model

    def _find_most_informative(self, images: Tensor) -> StoredModel:
        if len(self.models) == 1:
            return self.models[0]
        scores = []
        for model in self.models:
            self._load(model)
            scores.append(self._measure_information(images))
        return self.models[scores.index(max(scores))]

    def _choose_batch_weight(self, weights: tuple[float, ...], images: Tensor) -> float:
        if len(weights) == 1:
            return weights[0]
        scores = []
        for weight in weights:
            self._use_statistics(weight)
            scores.append(self._measure_information(images))
        enough = max(scores) - INFORMATION_MARGIN
        return min(weight for weight, score in zip(weights, scores, strict=True) if score >= enough)

    def _measure_information(self, images: Tensor) -> float:
        """Measure what the base predicts as it stands; a model that has diverged says nothing and loses to all others."""
        information = mutual_information(self.base.predict(images))
        return -math.inf if math.isnan(information) else information

    def _predict_ensemble(self, models: list[StoredModel], assignment: Assignment, images: Tensor) -> Tensor:
        """Predict with sum_k p_k theta_k over the deciding tensors; the rest is that of the batch's own model."""
        self._load(models[assignment.cluster])
        live = [self._live[place] for place in self._deciding]
        with torch.no_grad():
            torch._foreach_mul_(live, assignment.weights[assignment.cluster])
            for index, (model, weight) in enumerate(zip(models, assignment.weights, strict=True)):
                if index != assignment.cluster:
                    torch._foreach_add_(live, [model.values[place] for place in self._deciding], alpha=weight)
        return self.base.predict(images)

    def _load(self, model: StoredModel) -> None:
        """Let the base run as a model."""
        with torch.no_grad():
            torch._foreach_copy_(self._live, model.values)
        self.base.optimizer = model.optimizer
        self.base.load_own_state(copy_state(model.own))
        self._use_statistics(model.batch_weight)

    def _store(self, model: StoredModel) -> None:
        """Write back what the base has made of a model, which stays the one that runs."""
        torch._foreach_copy_(model.values, [tensor.detach() for tensor in self._live])
        model.own = copy_state(self.base.own_state())
        self._active = model

    def _use_statistics(self, batch_weight: float | None) -> None:
        if batch_weight is not None:
            use_batch_statistics(self.model, batch_weight)


def _is_alone(assignment: Assignment) -> bool:
    """Tell whether one model has all the weight, to the precision of the weights: the ensemble is then that model."""
    return assignment.weights[assignment.cluster] == 1.0
