from __future__ import annotations

import math
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from prolab_model import strips
from prolab_model.label_space import (
    IGNORED,
    LabelSpace,
    OneHotLabelSpace,
    PropertyLabelSpace,
    build_label_space,
    decorrelated_rows,
)

FEATURES, WIDTH, PROPERTIES, CLASSES = 6, 8, 5, 3


def make_label_space(**options: Any) -> PropertyLabelSpace:
    torch.manual_seed(0)
    options = {"temperature": 0.1} | options
    label_space = PropertyLabelSpace(PROPERTIES, CLASSES, WIDTH, **options)
    class_matrix = torch.tensor([[1, 1, 0, 0, 0], [0, 1, 1, 0, 0], [0, 0, 0, 1, 1]]).float()
    label_space.assign(torch.randn(PROPERTIES, WIDTH) * 3, class_matrix)
    return label_space.double()


def make_classifier(outputs: int = WIDTH) -> nn.Conv2d:
    torch.manual_seed(1)
    return nn.Conv2d(FEATURES, outputs, 1).double()


def make_pixels(size: tuple[int, int] = (16, 24)) -> tuple[Tensor, Tensor]:
    torch.manual_seed(2)
    labels = torch.randint(0, CLASSES, (2, *size))
    labels[0, :4] = IGNORED
    return torch.randn(2, FEATURES, 4, 6, dtype=torch.float64), labels


def loss_of(label_space: LabelSpace, features: Tensor, labels: Tensor, **options: Any) -> tuple[Tensor, Tensor]:
    weights = torch.ones(CLASSES, dtype=torch.float64)
    return label_space.loss(features, make_classifier(label_space.centres.shape[1]), labels, weights, **options)


def original_properties(label_space: PropertyLabelSpace, features: Tensor, size: tuple[int, int]) -> Tensor:
    """The paper's order: embeddings, upsampled, normalised where asked for, projected, squashed (spec 2.4)."""
    embeddings = F.interpolate(make_classifier()(features), size=size, mode="bilinear", align_corners=False)
    if label_space.normalise:
        embeddings = F.normalize(embeddings, dim=1)
    similarities = torch.einsum("bdhw,kd->bkhw", embeddings, label_space.centres) / label_space.temperature
    return similarities.sigmoid() if label_space.sigmoid else similarities


def test_centres_are_normalised() -> None:
    torch.testing.assert_close(make_label_space().centres.norm(dim=1), torch.ones(PROPERTIES, dtype=torch.float64))


@pytest.mark.parametrize("normalise", [False, True])
@pytest.mark.parametrize("sigmoid", [False, True])
def test_class_scores_are_cosines_of_the_properties(normalise: bool, sigmoid: bool) -> None:
    label_space = make_label_space(normalise=normalise, sigmoid=sigmoid)
    features, _ = make_pixels()
    similarities = label_space.similarities(features, make_classifier())
    properties = original_properties(label_space, features, (4, 6))
    torch.testing.assert_close(label_space.properties(similarities), properties)
    scores = label_space.class_scores(similarities)
    for class_id in range(CLASSES):
        row = label_space.class_matrix[class_id].view(1, PROPERTIES, 1, 1).expand_as(properties)
        torch.testing.assert_close(scores[:, class_id], F.cosine_similarity(properties, row, dim=1))


@pytest.mark.parametrize("size", [(16, 24), (13, 31), (4, 6), (3, 5)])
@pytest.mark.parametrize(
    "options", [{}, {"normalise": True}, {"sigmoid": False}, {"normalise": True, "sigmoid": False}]
)
@pytest.mark.parametrize("count_ignored", [False, True])
def test_loss_and_gradient_are_those_of_the_original_order(
    monkeypatch: pytest.MonkeyPatch, size: tuple[int, int], options: dict[str, bool], count_ignored: bool
) -> None:
    monkeypatch.setattr(strips, "PIXELS", 100)  # several strips, the last one not full
    label_space = make_label_space(**options)
    features, labels = make_pixels(size)
    ours, originals = features.clone().requires_grad_(), features.clone().requires_grad_()
    loss, accuracy = loss_of(label_space, ours, labels, count_ignored=count_ignored)

    properties = original_properties(label_space, originals, size)
    rows = torch.cat([label_space.class_matrix, label_space.class_matrix.new_zeros(1, PROPERTIES)])
    targets = rows[torch.where(labels == IGNORED, CLASSES, labels)].permute(0, 3, 1, 2)
    distance = 1 - F.cosine_similarity(properties, targets, dim=1)
    predicted = torch.einsum("bkhw,nk->bnhw", properties, F.normalize(label_space.class_matrix, dim=1)).argmax(dim=1)
    right = (predicted == labels).double()
    counted = torch.ones_like(labels, dtype=torch.bool) if count_ignored else labels != IGNORED
    torch.testing.assert_close(loss, distance[counted].mean())
    torch.testing.assert_close(accuracy.double(), right[counted].mean())
    (gradient,) = torch.autograd.grad(3 * loss, ours)
    (expected,) = torch.autograd.grad(3 * distance[counted].mean(), originals)
    torch.testing.assert_close(gradient, expected)


def test_classifier_and_centres_fold_into_one_map_that_learns_alike() -> None:
    label_space = make_label_space()
    features, labels = make_pixels()
    classifier = make_classifier()
    loss, _ = label_space.loss(features, classifier, labels, torch.ones(CLASSES, dtype=torch.float64))
    loss.backward()
    embedding_first = make_classifier()
    embeddings = F.interpolate(embedding_first(features), size=(16, 24), mode="bilinear", align_corners=False)
    properties = (torch.einsum("bdhw,kd->bkhw", embeddings, label_space.centres) / 0.1).sigmoid()
    targets = label_space.class_matrix[labels.where(labels != IGNORED, 0)].permute(0, 3, 1, 2)
    (1 - F.cosine_similarity(properties, targets, dim=1))[labels != IGNORED].mean().backward()
    torch.testing.assert_close(classifier.weight.grad, embedding_first.weight.grad)
    torch.testing.assert_close(classifier.bias.grad, embedding_first.bias.grad)


def test_binary_cross_entropy_looks_at_each_property() -> None:
    label_space = make_label_space(loss="bce")
    features, labels = make_pixels()
    loss, _ = loss_of(label_space, features, labels)
    properties = original_properties(label_space, features, (16, 24)).permute(0, 2, 3, 1)
    labelled = labels != IGNORED
    targets = label_space.class_matrix[labels[labelled]]
    torch.testing.assert_close(loss, F.binary_cross_entropy(properties[labelled], targets))


def test_loss_of_undecided_properties_is_the_sanity_value() -> None:
    """Properties of one half everywhere: one minus the root of a class's share of the properties (spec 2.4)."""
    classifier = make_classifier()
    nn.init.zeros_(classifier.bias)
    loss, _ = make_label_space().loss(
        torch.zeros(1, FEATURES, 2, 2, dtype=torch.float64),
        classifier,
        torch.zeros(1, 8, 8, dtype=torch.long),
        torch.ones(CLASSES),
    )
    assert loss.item() == pytest.approx(1 - math.sqrt(2 / PROPERTIES))


def test_class_weights_weigh_pixels() -> None:
    features = torch.randn(1, FEATURES, 2, 2, dtype=torch.float64)
    only_the_second = torch.tensor([0.0, 1.0, 1.0], dtype=torch.float64)
    labels = torch.tensor([[[0, 0], [0, 1]]])
    weighted, _ = make_label_space().loss(features, make_classifier(), labels, only_the_second)
    alone, _ = loss_of(make_label_space(), features, torch.tensor([[[IGNORED, IGNORED], [IGNORED, 1]]]))
    torch.testing.assert_close(weighted, alone)


@pytest.mark.parametrize(
    "options",
    [{}, {"normalise": True}, {"loss": "bce"}, {"contrast": 0.3}, {"contrast": 0.3, "scores": "decorrelated"}],
)
def test_batch_without_a_label_has_no_loss_and_no_gradient(options: dict[str, Any]) -> None:
    features = torch.randn(1, FEATURES, 2, 2, dtype=torch.float64, requires_grad=True)
    loss, accuracy = loss_of(make_label_space(**options), features, torch.full((1, 4, 4), IGNORED))
    assert (loss.item(), accuracy.item()) == (0, 0)
    (gradient,) = torch.autograd.grad(loss, features)
    assert not gradient.any()


def test_wrong_shapes_and_classes_without_properties_are_refused() -> None:
    label_space = PropertyLabelSpace(properties=2, classes=2, width=3)
    with pytest.raises(ValueError, match=r"centres: expected shape \(2, 3\), got \(3, 2\)"):
        label_space.assign(torch.ones(3, 2), torch.ones(2, 2))
    with pytest.raises(ValueError, match=r"classes \[1\] have none"):
        label_space.assign(torch.ones(2, 3), torch.tensor([[1.0, 1.0], [0.0, 0.0]]))


@pytest.mark.parametrize("scores", ["cosine", "decorrelated"])
def test_a_further_property_is_seen_and_changes_no_class(scores: str) -> None:
    label_space, classifier = make_label_space(scores=scores), make_classifier()
    features, _ = make_pixels()
    centre = torch.randn(WIDTH, dtype=torch.float64)
    extended = label_space.with_property(3 * centre)

    similarities, further = label_space.similarities(features, classifier), extended.similarities(features, classifier)

    torch.testing.assert_close(further[:, :-1], similarities)
    expected = torch.einsum("bdhw,d->bhw", classifier(features), centre / centre.norm()) / label_space.temperature
    torch.testing.assert_close(further[:, -1], expected)
    torch.testing.assert_close(extended.class_scores(further), label_space.class_scores(similarities))
    assert extended.properties(further).shape[1] == PROPERTIES + 1
    assert len(label_space.centres) == PROPERTIES


def test_a_further_property_of_another_width_is_refused() -> None:
    with pytest.raises(ValueError, match=r"centre: expected shape \(\d+,\), got \(3,\)"):
        make_label_space().with_property(torch.zeros(3))


def test_contrast_adds_cross_entropy_over_class_scores() -> None:
    features, labels = make_pixels()
    without, _ = loss_of(make_label_space(), features, labels)
    label_space = make_label_space(contrast=0.5)
    with_contrast, _ = loss_of(label_space, features, labels)
    properties = original_properties(label_space, features, (16, 24))
    rows = F.normalize(label_space.class_matrix, dim=1)
    scores = torch.einsum("bkhw,nk->bnhw", F.normalize(properties, dim=1), rows)
    entropy = F.cross_entropy(scores / 0.05, labels, ignore_index=IGNORED)
    torch.testing.assert_close(with_contrast, without + 0.5 * entropy)


def test_decorrelated_rows_are_the_nearest_orthonormal_ones() -> None:
    """Those of the polar decomposition, which is found in another way here; classes share all properties but one."""
    generator = torch.Generator().manual_seed(0)
    centres = F.normalize(torch.randn(6, 20, dtype=torch.float64, generator=generator) + 1, dim=1)
    class_matrix = torch.tensor([[1, 1, 1, 1, 0, 0], [1, 1, 1, 0, 1, 0], [1, 1, 1, 0, 0, 1]]).double()
    sums = class_matrix @ centres  # (N, D)
    left, lengths, right = torch.linalg.svd(sums, full_matrices=False)
    shortened = lengths / (lengths**2 + 0.05 * (lengths**2).mean()).sqrt()
    rows = decorrelated_rows(centres, class_matrix, torch.zeros(3))
    torch.testing.assert_close(rows @ centres, left @ torch.diag(shortened) @ right)
    cosines = F.cosine_similarity(sums[:, None], sums, dim=-1)
    decorrelated = F.cosine_similarity((rows @ centres)[:, None], rows @ centres, dim=-1)
    assert cosines.fill_diagonal_(0).max() > 0.9
    assert decorrelated.fill_diagonal_(0).max() < 0.5


def test_classes_of_different_groups_are_not_decorrelated() -> None:
    label_space = make_label_space(groups=[2, 1], scores="decorrelated", contrast=1.0)
    centres, class_matrix = label_space.centres, label_space.class_matrix
    overlap = (class_matrix @ centres).square().sum(dim=1)
    alone = class_matrix[2] / (overlap[2] + 0.05 * overlap.mean()).sqrt()
    torch.testing.assert_close(label_space.readout[2], alone)
    assert label_space.part(slice(2, 3)).readout.equal(label_space.readout[2:])


def test_more_classes_than_properties_can_be_decorrelated() -> None:
    rows = decorrelated_rows(torch.eye(4), torch.eye(4).repeat(3, 1), torch.zeros(12))
    assert rows.isfinite().all()
    torch.testing.assert_close(rows[:4], rows[4:8])  # alike, as the classes are


@pytest.mark.parametrize("normalise", [False, True])
def test_decorrelated_scores_are_learnt_beside_the_properties(normalise: bool) -> None:
    label_space = make_label_space(loss="bce", scores="decorrelated", contrast=0.5, normalise=normalise)
    features, labels = make_pixels()
    loss, accuracy = loss_of(label_space, features, labels)
    probabilities = original_properties(label_space, features, (16, 24))  # (B, K, H, W)
    scores = torch.einsum("bkhw,nk->bnhw", probabilities.logit(), label_space.readout)
    labelled = labels != IGNORED
    targets = label_space.class_matrix[labels[labelled]]
    properties = F.binary_cross_entropy(probabilities.permute(0, 2, 3, 1)[labelled], targets)
    classes = F.cross_entropy(scores, labels, ignore_index=IGNORED)
    torch.testing.assert_close(loss, properties + 0.5 * classes)
    torch.testing.assert_close(accuracy.double(), (scores.argmax(dim=1) == labels)[labelled].double().mean())
    similarities = label_space.similarities(features, make_classifier())
    own_scores = label_space.class_scores(similarities)
    torch.testing.assert_close(own_scores, torch.einsum("bkhw,nk->bnhw", similarities, label_space.readout))
    torch.testing.assert_close(label_space.votes(own_scores, dim=1).sum(dim=1), torch.ones_like(own_scores[:, 0]))


def test_one_hot_labels_are_learnt_by_cross_entropy() -> None:
    label_space = build_label_space("one_hot", properties=CLASSES, classes=CLASSES, width=CLASSES).double()
    features, labels = make_pixels()
    loss, accuracy = loss_of(label_space, features, labels)
    logits = F.interpolate(make_classifier(CLASSES)(features), size=(16, 24), mode="bilinear", align_corners=False)
    torch.testing.assert_close(loss, F.cross_entropy(logits, labels, ignore_index=IGNORED))
    labelled = labels != IGNORED
    torch.testing.assert_close(accuracy.double(), (logits.argmax(dim=1) == labels)[labelled].double().mean())
    similarities = label_space.similarities(features, make_classifier(CLASSES))
    torch.testing.assert_close(label_space.properties(similarities), similarities.softmax(dim=1))


def test_temperature_divides_one_hot_logits() -> None:
    features, labels = make_pixels()
    plain = build_label_space("one_hot", properties=CLASSES, classes=CLASSES, width=CLASSES).double()
    sharp = build_label_space("one_hot", properties=CLASSES, classes=CLASSES, width=CLASSES, temperature=0.2).double()
    classifier = make_classifier(CLASSES)
    logits = plain.similarities(features, classifier)
    torch.testing.assert_close(sharp.similarities(features, classifier), 5 * logits)
    upsampled = F.interpolate(5 * logits, size=(16, 24), mode="bilinear", align_corners=False)
    loss, _ = loss_of(sharp, features, labels)
    torch.testing.assert_close(loss, F.cross_entropy(upsampled, labels, ignore_index=IGNORED))


def test_settings_that_make_no_sense_are_refused() -> None:
    with pytest.raises(ValueError, match="properties, classes and width must be equal; got 3, 4, 3"):
        OneHotLabelSpace(properties=3, classes=4, width=3)
    with pytest.raises(ValueError, match="expected one of properties, one_hot; got 'two_hot'"):
        build_label_space("two_hot")
    with pytest.raises(ValueError, match="expected 'cosine' or 'bce', got 'l2'"):
        make_label_space(loss="l2")
    with pytest.raises(ValueError, match="needs probabilities"):
        make_label_space(loss="bce", sigmoid=False)
    with pytest.raises(ValueError, match="expected 'cosine' or 'decorrelated', got 'dot'"):
        make_label_space(scores="dot")


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_large_losses_are_summed_in_full_precision_under_autocast(dtype: torch.dtype) -> None:
    """Thousands of pixels that lose some ten each: more than float16 can hold."""
    label_space = make_label_space(loss="bce", temperature=0.001).float()
    features, classifier = make_pixels()[0].float(), make_classifier().float()
    labels = torch.zeros(2, 96, 144, dtype=torch.long)
    expected, _ = label_space.loss(features, classifier, labels, torch.ones(CLASSES))
    with torch.autocast("cpu", dtype):
        loss, _ = label_space.loss(features, classifier, labels, torch.ones(CLASSES))
    assert expected * strips.PIXELS > torch.finfo(torch.float16).max
    torch.testing.assert_close(loss, expected, rtol=0.02, atol=0)


def test_pixels_are_scored_in_full_precision_under_autocast() -> None:
    """Class scores differ in their third digit, which bfloat16 does not have."""
    label_space = make_label_space(contrast=0.5).float()
    similarities, labels = torch.randn(2, PROPERTIES, 4, 6), torch.randint(0, CLASSES, (2, 16, 24))

    def summed() -> tuple[Tensor, Tensor]:
        weights = torch.ones(CLASSES + 1)
        return strips.sum_over_pixels(
            label_space.pixel_losses, label_space.predict, similarities, None, labels, weights
        )

    expected = summed()
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(torch.stack(summed()), torch.stack(expected))


@pytest.mark.parametrize("options", [{}, {"loss": "bce"}, {"normalise": True}])
def test_classes_of_several_data_sets_compete_with_their_own_alone(options: dict[str, Any]) -> None:
    """Two images of two data sets together are the two of them apart."""
    options |= {"contrast": 0.5}
    together, alone = make_label_space(groups=[2, 1], **options), [make_label_space(**options) for _ in range(2)]
    features, labels = make_pixels()
    labels[0] = torch.where(labels[0] == IGNORED, IGNORED, labels[0] % 2)
    labels[1] = torch.where(labels[1] == 2, IGNORED, 0)
    features.requires_grad_()
    loss, right = loss_of(together, features, labels, first_classes=torch.tensor([0, 2]))
    (gradient,) = torch.autograd.grad(loss, features)

    alone[0].class_matrix, alone[1].class_matrix = together.class_matrix[:2], together.class_matrix[2:]
    classifier, sums, rights, counted = make_classifier(), [], [], []
    for number, label_space in enumerate(alone):
        own = labels[number : number + 1]
        weights = torch.ones(len(label_space.class_matrix), dtype=torch.float64)
        part, share = label_space.loss(features[number : number + 1], classifier, own, weights)
        counted.append((own != IGNORED).sum())
        sums.append(part * counted[-1])
        rights.append(share * counted[-1])
    expected = sum(sums) / sum(counted)
    torch.testing.assert_close(loss, expected)
    torch.testing.assert_close(right.double(), (sum(rights) / sum(counted)).double())
    torch.testing.assert_close(gradient, torch.autograd.grad(expected, features)[0])


def test_more_classes_than_labels_have_numbers() -> None:
    """Class 255 of 300 is a class, and 255 in a label map is still no label."""
    torch.manual_seed(0)
    label_space = PropertyLabelSpace(PROPERTIES, 300, WIDTH, groups=[254, 46]).double()
    label_space.assign(torch.randn(PROPERTIES, WIDTH), torch.eye(PROPERTIES).repeat(60, 1))
    features, _ = make_pixels()
    labels = torch.full((2, 16, 24), IGNORED)
    weights = torch.zeros(300, dtype=torch.float64)
    weights[255] = 1
    labels[1, :8] = 1
    loss, _ = label_space.loss(features, make_classifier(), labels, weights, first_classes=torch.tensor([0, 254]))
    alone = PropertyLabelSpace(PROPERTIES, 46, WIDTH).double()
    alone.assign(label_space.centres, label_space.class_matrix[254:])
    expected, _ = alone.loss(features[1:], make_classifier(), labels[1:], weights[254:])
    torch.testing.assert_close(loss, expected)


@pytest.mark.parametrize("groups", [[2, 2], [3, 0]])
def test_groups_must_hold_every_class_once(groups: list[int]) -> None:
    with pytest.raises(ValueError, match=r"label_space\.groups: expected numbers of classes, 3 in sum"):
        make_label_space(groups=groups)
