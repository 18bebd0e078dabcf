from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F

from prolab_model.label_space import IGNORED, PropertyLabelSpace


def make_label_space() -> PropertyLabelSpace:
    torch.manual_seed(0)
    label_space = PropertyLabelSpace(properties=5, classes=3, width=8, temperature=0.1)
    class_matrix = torch.tensor([[1, 1, 0, 0, 0], [0, 1, 1, 0, 0], [0, 0, 0, 1, 1]]).float()
    label_space.assign(torch.randn(5, 8) * 3, class_matrix)
    return label_space


def test_centres_are_normalised() -> None:
    torch.testing.assert_close(make_label_space().centres.norm(dim=1), torch.ones(5))


def test_class_scores_are_cosines() -> None:
    label_space = make_label_space()
    properties = torch.rand(2, 5, 3, 4)
    scores = label_space.class_scores(properties)
    for class_id in range(3):
        row = label_space.class_matrix[class_id].view(1, 5, 1, 1).expand_as(properties)
        torch.testing.assert_close(scores[:, class_id], F.cosine_similarity(properties, row, dim=1))


def test_loss_equals_upsampling_first() -> None:
    """The paper upsamples the embeddings and then projects them; ours the other way round, for the same figure."""
    label_space = make_label_space()
    embeddings = torch.randn(2, 8, 4, 6)
    labels = torch.randint(0, 3, (2, 16, 24))
    labels[0, :4] = IGNORED
    loss, accuracy = label_space.loss(embeddings, labels)

    upsampled = F.interpolate(embeddings, size=(16, 24), mode="bilinear", align_corners=False)
    properties = (torch.einsum("bdhw,kd->bkhw", upsampled, label_space.centres) / 0.1).sigmoid()
    targets = label_space.class_matrix[labels.where(labels != IGNORED, 0)].permute(0, 3, 1, 2)
    distance = 1 - F.cosine_similarity(properties, targets, dim=1)
    torch.testing.assert_close(loss, distance[labels != IGNORED].mean())
    predicted = label_space.class_scores(properties).argmax(dim=1)
    torch.testing.assert_close(accuracy, (predicted == labels)[labels != IGNORED].float().mean())


def test_loss_of_undecided_properties_is_the_sanity_value() -> None:
    """Properties of one half everywhere: one minus the root of a class's share of the properties (spec 2.4)."""
    label_space = make_label_space()
    loss, _ = label_space.loss(torch.zeros(1, 8, 2, 2), torch.zeros(1, 8, 8, dtype=torch.long))
    assert loss.item() == pytest.approx(1 - math.sqrt(2 / 5))


def test_class_weights_weigh_pixels() -> None:
    label_space = make_label_space()
    embeddings = torch.randn(1, 8, 2, 2)
    labels = torch.tensor([[[0, 0], [0, 1]]])
    only_the_second = torch.tensor([0.0, 1.0, 1.0])
    weighted, _ = label_space.loss(embeddings, labels, only_the_second)
    alone, _ = label_space.loss(embeddings, torch.tensor([[[IGNORED, IGNORED], [IGNORED, 1]]]))
    torch.testing.assert_close(weighted, alone)


def test_batch_without_a_label_has_no_loss_and_no_gradient() -> None:
    embeddings = torch.randn(1, 8, 2, 2, requires_grad=True)
    loss, _ = make_label_space().loss(embeddings, torch.full((1, 4, 4), IGNORED))
    assert loss.item() == 0
    (gradient,) = torch.autograd.grad(loss, embeddings)
    assert not gradient.any()


def test_wrong_shapes_and_classes_without_properties_are_refused() -> None:
    label_space = PropertyLabelSpace(properties=2, classes=2, width=3)
    with pytest.raises(ValueError, match=r"centres: expected shape \(2, 3\), got \(3, 2\)"):
        label_space.assign(torch.ones(3, 2), torch.ones(2, 2))
    with pytest.raises(ValueError, match=r"classes \[1\] have none"):
        label_space.assign(torch.ones(2, 3), torch.tensor([[1.0, 1.0], [0.0, 0.0]]))


def test_contrast_adds_cross_entropy_over_class_scores() -> None:
    label_space = make_label_space()
    embeddings = torch.randn(1, 8, 2, 2)
    labels = torch.tensor([[[0, 1], [2, IGNORED]]])
    without, _ = label_space.loss(embeddings, labels)
    label_space.contrast = 0.5
    with_contrast, _ = label_space.loss(embeddings, labels)
    scores = label_space.class_scores(label_space.properties(label_space.similarities(embeddings)))
    entropy = F.cross_entropy(scores / 0.05, labels, ignore_index=IGNORED)
    torch.testing.assert_close(with_contrast, without + 0.5 * entropy)
