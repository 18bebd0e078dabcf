"""Label spaces: what a feature says of properties and classes, and how far it is from a pixel's label (spec 2.4)."""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from prolab_model.dataset_config import IGNORED
from prolab_model.resampling import upsampled_length
from prolab_model.strips import sum_over_pixels

CONTRAST_TEMPERATURE = 0.05
"""Divides cosines before the softmax of the contrast term: they lie too close together without it."""

_RIDGE = 0.05
"""Share of their mean squared length that is added where class vectors hardly differ, or are more than properties."""

BY_CLASS = ("class_matrix", "readout")
"""Buffers of a label space that have a row for each class."""


class LabelSpace(nn.Module, ABC):
    """K properties, and N classes as vectors over them. The buffers travel with the network's state.

    Shapes: B images, C features, D channels of an embedding, P pixels; (h, w) is the size of the
    features and (H, W) that of the labels.

    Args:
        properties: K.
        classes: N.
        width: D.
    """

    centres: Tensor  # (K, D), unit rows
    class_matrix: Tensor  # (N, K), zeros and ones

    def __init__(self, properties: int, classes: int, width: int) -> None:
        super().__init__()
        self.register_buffer("centres", torch.zeros(properties, width))
        self.register_buffer("class_matrix", torch.zeros(classes, properties))

    def part(self, classes: slice) -> LabelSpace:
        """The label space of some of the classes, with the same properties."""
        part = copy.copy(self)
        part._buffers = self._buffers | {
            name: self.get_buffer(name)[classes] for name in BY_CLASS if hasattr(self, name)
        }
        return part

    @abstractmethod
    def similarities(self, features: Tensor, classifier: nn.Conv2d) -> Tensor:
        """What the pixels' embeddings have of every property, before it is squashed.

        Args:
            features: (B, C, h, w).
            classifier: 1x1 convolution from features to embeddings, C to D channels.

        Returns:
            (B, K, h, w).
        """

    @abstractmethod
    def properties(self, similarities: Tensor) -> Tensor:
        """Property vectors, between 0 and 1 or cosines, of similarities (B, K, h, w); at least float32."""

    @abstractmethod
    def class_scores(self, similarities: Tensor) -> Tensor:
        """Scores (B, N, h, w), the largest for the predicted class, of similarities (B, K, h, w)."""

    @abstractmethod
    def votes(self, scores: Tensor, dim: int) -> Tensor:
        """What is averaged over several views of a pixel, from class scores with N along `dim`; shape as it is."""

    @abstractmethod
    def pixel_losses(self, similarities: Tensor, labels: Tensor) -> Tensor:
        """Losses (P,) of pixels.

        Args:
            similarities: (P, K).
            labels: (P,), class ids; N where a pixel has none, which is a class without properties.
        """

    @abstractmethod
    def predict(self, similarities: Tensor, labels: Tensor) -> Tensor:
        """Class ids (P,) of pixels with similarities (P, K), among the classes of their labels' (P,) data sets."""

    def loss(
        self,
        features: Tensor,
        classifier: nn.Conv2d,
        labels: Tensor,
        class_weights: Tensor,
        count_ignored: bool = False,
        measure_accuracy: bool = True,
        first_classes: Tensor | None = None,
        total_weight: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Mean loss of the labelled pixels at the labels' size.

        The K similarities are upsampled, not the D embeddings, and only in strips that are
        forgotten once their gradient is known: nothing of K or N channels exists at full size.

        Args:
            features: (B, C, h, w).
            classifier: 1x1 convolution from features to embeddings, C to D channels.
            labels: (B, H, W), class ids; `IGNORED` pixels do not count.
            class_weights: (N,), how much a pixel of each class counts.
            count_ignored: let `IGNORED` pixels count like others, as the original does.
            measure_accuracy: predict every pixel; otherwise the accuracy is 0.
            first_classes: (B,), the id that each image's labels call 0, where images are of several data sets.
            total_weight: what the sum over the pixels is divided by, where these images are a part of a batch.

        Returns:
            The loss, and the share of the counted pixels whose class is right; both scalars.
        """
        similarities, lengths = self._before_upsampling(features, classifier, labels)
        without_label = len(class_weights)
        labels = _own_ids(labels, without_label, first_classes)
        weights = _pixel_weights(class_weights, count_ignored)
        predict = self.predict if measure_accuracy else None
        total, right = sum_over_pixels(self.pixel_losses, predict, similarities, lengths, labels, weights)
        counted = labels.numel() if count_ignored else (labels != without_label).sum().clamp_min(1)
        if total_weight is None:
            total_weight = weights[labels].sum()
        # A batch without a labelled pixel has loss zero, not 0 / 0.
        return total / total_weight.clamp_min(1e-6), right / counted

    def _before_upsampling(
        self, features: Tensor, classifier: nn.Conv2d, labels: Tensor
    ) -> tuple[Tensor, Tensor | None]:
        """Similarities (B, K, h, w), and by what to divide them once upsampled to the labels: (B, H, W) or nothing."""
        return self.similarities(features, classifier), None


class PropertyLabelSpace(LabelSpace):
    """K properties as centres in the text space, and N classes as multi-hot vectors over them.

    Args:
        properties: K.
        classes: N.
        width: D, the channels of an embedding.
        temperature: divides the similarities. A step of AdamW moves them by the heads' learning rate over it, so the
            two belong together: 0.04 is the paper's for 6e-5; heads that learn ten times as fast saturate sigmoids.
        normalise: take similarities with unit embeddings, instead of embeddings of any length.
        sigmoid: squash the similarities into properties; without it they are the properties.
        loss: "cosine" of a pixel's properties and its class's, or binary cross-entropy ("bce") for each property.
        scores: what a class is decided by: the "cosine" of property vector and row (the paper's), or "decorrelated"
            sums of similarities (see `decorrelated_rows`), which the contrast teaches.
        contrast: weight of a cross-entropy over the class scores beside that loss; without it decorrelated scores would
            never be learnt.
        groups: numbers of classes that compete, N in sum, where the classes are those of several data sets: which of
            two data sets' roads a pixel shows is no question. All compete if not given.
    """

    readout: Tensor  # (N, K), weights of the similarities in decorrelated class scores
    group: Tensor  # (N + 1,), number of each class's group; the last one's, which stands for "no label", is -1

    def __init__(
        self,
        properties: int,
        classes: int,
        width: int,
        temperature: float = 0.04,
        normalise: bool = False,
        sigmoid: bool = True,
        loss: Literal["cosine", "bce"] = "cosine",
        scores: Literal["cosine", "decorrelated"] = "cosine",
        contrast: float = 0.0,
        groups: Sequence[int] = (),
    ) -> None:
        super().__init__(properties, classes, width)
        if groups and (sum(groups) != classes or min(groups) < 1):
            raise ValueError(f"label_space.groups: expected numbers of classes, {classes} in sum; got {list(groups)}")
        if loss not in ("cosine", "bce"):
            raise ValueError(f"label_space.loss: expected 'cosine' or 'bce', got {loss!r}")
        if loss == "bce" and not sigmoid:
            raise ValueError("label_space: loss 'bce' needs probabilities, so sigmoid=True")
        if scores not in ("cosine", "decorrelated"):
            raise ValueError(f"label_space.scores: expected 'cosine' or 'decorrelated', got {scores!r}")
        self.temperature = temperature
        self.normalise = normalise
        self.sigmoid = sigmoid
        self.pixel_loss = loss
        self.decorrelated = scores == "decorrelated"
        if self.decorrelated:
            self.register_buffer("readout", torch.zeros(classes, properties))
        self.contrast = contrast
        self.groups = len(groups)
        group = [number for number, count in enumerate(groups or [classes]) for _ in range(count)]
        self.register_buffer("group", torch.tensor([*group, -1]), persistent=False)

    def assign(self, centres: Tensor, class_matrix: Tensor) -> None:
        """Take over centres (K, D), which are normalised, and class matrix (N, K).

        Raises:
            ValueError: when a shape differs, or a class has no property.
        """
        for name, given, own in (
            ("centres", centres, self.centres),
            ("class matrix", class_matrix, self.class_matrix),
        ):
            if given.shape != own.shape:
                raise ValueError(f"{name}: expected shape {tuple(own.shape)}, got {tuple(given.shape)}")
        without = (class_matrix.sum(dim=1) == 0).nonzero().flatten().tolist()
        if without:
            raise ValueError(f"every class needs a property; classes {without} have none")
        self.centres.copy_(F.normalize(centres, dim=1))
        self.class_matrix.copy_(class_matrix)
        if self.decorrelated:
            self.readout.copy_(decorrelated_rows(self.centres, self.class_matrix, self.group[:-1]))

    def with_property(self, centre: Tensor) -> PropertyLabelSpace:
        """The label space with a further property, the last one, which no class has and none is told by (spec 3.5).

        Args:
            centre: (D,), of any length.

        Raises:
            ValueError: when its width differs.
        """
        if centre.shape != self.centres.shape[1:]:
            raise ValueError(f"centre: expected shape {tuple(self.centres.shape[1:])}, got {tuple(centre.shape)}")
        further = F.normalize(centre.to(self.centres), dim=0)
        extended = copy.copy(self)
        extended._buffers = self._buffers | {"centres": torch.cat([self.centres, further[None]])}
        return extended

    def similarities(self, features: Tensor, classifier: nn.Conv2d) -> Tensor:
        """Inner products with the centres over temperature: (B, C, h, w) to (B, K, h, w)."""
        if self.normalise:
            return self._project(F.normalize(classifier(features), dim=1))
        # Classifier and centres are one linear map: embeddings of D channels are never made. In float64, which
        # autocast leaves alone, so that the product is rounded once.
        dtype, centres = classifier.weight.dtype, self.centres.double() / self.temperature
        weight = (centres @ classifier.weight.flatten(1).double()).to(dtype)
        bias = None if classifier.bias is None else (centres @ classifier.bias.double()).to(dtype)
        return F.conv2d(features, weight[:, :, None, None], bias)

    def properties(self, similarities: Tensor) -> Tensor:
        """Sigmoids of the similarities, or the similarities themselves; at least float32."""
        values = similarities.to(torch.promote_types(similarities.dtype, torch.float32))
        return values.sigmoid() if self.sigmoid else values

    def class_scores(self, similarities: Tensor) -> Tensor:
        """Cosine of property vectors with every class's row, or decorrelated: (B, K, h, w) to (B, N, h, w)."""
        similarities = similarities[:, : self.class_matrix.shape[1]]  # not those `with_property`, which tell no class
        if self.decorrelated:
            values = similarities.to(torch.promote_types(similarities.dtype, torch.float32))
            return F.conv2d(values, self.readout.to(values.dtype)[:, :, None, None])
        properties = self.properties(similarities)
        rows = F.normalize(self.class_matrix, dim=1).to(properties.dtype)
        return F.conv2d(properties, rows[:, :, None, None]) / _length(properties)[:, None]

    def votes(self, scores: Tensor, dim: int) -> Tensor:
        """Probabilities of the classes; cosines as they are, since a softmax of values so close would flatten them."""
        return scores.softmax(dim) if self.decorrelated else scores

    def pixel_losses(self, similarities: Tensor, labels: Tensor) -> Tensor:
        """One minus the cosine, or the binary cross-entropy, and the contrast."""
        class_matrix = F.pad(self.class_matrix, (0, 0, 0, 1)).to(similarities.dtype)  # a row of zeros for "no label"
        properties = self.properties(similarities)
        if self.pixel_loss == "bce":
            targets = class_matrix[labels]
            losses = F.binary_cross_entropy_with_logits(similarities, targets, reduction="none").mean(dim=1)
        else:
            own_rows = F.normalize(class_matrix, dim=1)[labels]
            losses = 1 - (properties * own_rows).sum(dim=1) / _length(properties)
        if self.contrast:
            temperature = 1 if self.decorrelated else CONTRAST_TEMPERATURE
            scores = self._competing(self._pixel_scores(similarities, properties) / temperature, labels)
            without_label = scores.shape[1]
            contrast = F.cross_entropy(scores, labels, reduction="none", ignore_index=without_label)
            losses = losses + self.contrast * contrast
        return losses

    def predict(self, similarities: Tensor, labels: Tensor) -> Tensor:
        """The class with the highest score."""
        scores = self._pixel_scores(similarities, self.properties(similarities))
        return self._competing(scores, labels).argmax(dim=1)

    def _competing(self, scores: Tensor, labels: Tensor) -> Tensor:
        """Class scores (P, N), the lowest there are for classes of other groups than the label's (P,)."""
        if not self.groups:
            return scores
        others = self.group[:-1] != self.group[labels][:, None]
        # Not minus infinity: a pixel without a label has others alone, and its gradient must be zero, not NaN.
        return scores.masked_fill(others, torch.finfo(scores.dtype).min)

    def _pixel_scores(self, similarities: Tensor, properties: Tensor) -> Tensor:
        """Class scores (P, N) of pixels with similarities and property vectors (P, K)."""
        if self.decorrelated:
            return similarities @ self.readout.T.to(similarities.dtype)
        rows = F.normalize(self.class_matrix, dim=1).to(properties.dtype)
        return properties @ rows.T / _length(properties)[:, None]

    def _before_upsampling(
        self, features: Tensor, classifier: nn.Conv2d, labels: Tensor
    ) -> tuple[Tensor, Tensor | None]:
        if not self.normalise:
            return self.similarities(features, classifier), None
        # The projection commutes with the upsampling, the division by the upsampled embedding's length does not.
        embeddings = classifier(features)
        return self._project(embeddings), upsampled_length(embeddings, (labels.shape[1], labels.shape[2]))

    def _project(self, embeddings: Tensor) -> Tensor:
        return F.conv2d(embeddings, (self.centres / self.temperature).to(embeddings.dtype)[:, :, None, None])


def decorrelated_rows(centres: Tensor, class_matrix: Tensor, group: Tensor) -> Tensor:
    """Weights R (N, K) of class scores R s that move one by one, though classes share properties and centres lie close.

    The mere sum of a class's similarities hangs on what all classes have in common: an embedding that moves along it
    moves every sum, and what tells two classes apart is learnt last. Seen in the text space, the rows of R are the
    orthonormal vectors that lie nearest to those sums (Löwdin, 1950), up to a small ridge.

    Args:
        centres: (K, D), unit rows.
        class_matrix: (N, K), zeros and ones.
        group: (N,), number of each class's group; classes of different groups never compete, and may be alike.
    """
    rows, centres = class_matrix.double(), centres.double()
    overlap = rows @ (centres @ centres.T) @ rows.T  # (N, N)
    overlap = overlap.masked_fill(group[:, None] != group, 0)
    values, vectors = torch.linalg.eigh(overlap)
    values = values.clamp_min(0) + _RIDGE * overlap.diagonal().mean()
    decorrelated: Tensor = (vectors * values.rsqrt()) @ vectors.T @ rows
    return decorrelated


class OneHotLabelSpace(LabelSpace):
    """Every class is its own and only property: the baseline, trained by cross-entropy over the classes.

    Args:
        properties: N.
        classes: N.
        width: N, since an embedding is a vector of logits times the temperature.
        temperature: divides the logits: below 1, a step of the optimizer moves them further.

    Raises:
        ValueError: when the three numbers differ.
    """

    def __init__(self, properties: int, classes: int, width: int, temperature: float = 1.0) -> None:
        if not properties == classes == width:
            raise ValueError(
                f"one-hot labels: properties, classes and width must be equal; got {properties}, {classes}, {width}"
            )
        super().__init__(properties, classes, width)
        self.temperature = temperature
        self.centres.copy_(torch.eye(classes))
        self.class_matrix.copy_(torch.eye(classes))

    def similarities(self, features: Tensor, classifier: nn.Conv2d) -> Tensor:
        """Logits: (B, C, h, w) to (B, N, h, w)."""
        logits: Tensor = classifier(features) / self.temperature
        return logits

    def properties(self, similarities: Tensor) -> Tensor:
        """Probabilities of the classes; at least float32."""
        return similarities.to(torch.promote_types(similarities.dtype, torch.float32)).softmax(dim=1)

    def class_scores(self, similarities: Tensor) -> Tensor:
        """The logits; at least float32."""
        return similarities.to(torch.promote_types(similarities.dtype, torch.float32))

    def votes(self, scores: Tensor, dim: int) -> Tensor:
        """Probabilities of the classes, as mmsegmentation averages them."""
        return scores.softmax(dim)

    def pixel_losses(self, similarities: Tensor, labels: Tensor) -> Tensor:
        """Cross-entropy; zero for pixels without a label."""
        without_label = similarities.shape[1]
        return F.cross_entropy(similarities, labels, reduction="none", ignore_index=without_label)

    def predict(self, similarities: Tensor, labels: Tensor) -> Tensor:
        """The class with the largest logit."""
        return similarities.argmax(dim=1)


def total_weight(
    labels: Tensor, class_weights: Tensor, count_ignored: bool = False, first_classes: Tensor | None = None
) -> Tensor:
    """Sum of the weights of all pixels, by which `LabelSpace.loss` of the same arguments divides."""
    return _pixel_weights(class_weights, count_ignored)[_own_ids(labels, len(class_weights), first_classes)].sum()


def _own_ids(labels: Tensor, without_label: int, first_classes: Tensor | None) -> Tensor:
    """Class ids (B, H, W) among those of all data sets, and `without_label` where a pixel has none."""
    ids = labels if first_classes is None else labels + first_classes[:, None, None]
    return torch.where(labels == IGNORED, without_label, ids)


def _pixel_weights(class_weights: Tensor, count_ignored: bool) -> Tensor:
    """Weight of a pixel of each class, and of one without a label (N + 1,)."""
    return F.pad(class_weights, (0, 1), value=float(count_ignored))


KINDS: dict[str, type[LabelSpace]] = {"properties": PropertyLabelSpace, "one_hot": OneHotLabelSpace}


def build_label_space(kind: str = "properties", **arguments: Any) -> LabelSpace:
    """The label space that a network's config describes: its kind, and the arguments of that kind.

    Raises:
        ValueError: when there is no such kind.
    """
    if kind not in KINDS:
        raise ValueError(f"label_space.kind: expected one of {', '.join(KINDS)}; got {kind!r}")
    return KINDS[kind](**arguments)


def _length(vectors: Tensor) -> Tensor:
    """Length of vectors (B or P, K, ...) along their second dimension, never zero."""
    length: Tensor = torch.linalg.vector_norm(vectors, dim=1)
    return length.clamp_min(1e-8)
