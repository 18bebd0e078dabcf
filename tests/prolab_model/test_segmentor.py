from __future__ import annotations

import pytest
import torch

from prolab_model.label_space import IGNORED
from tests.prolab_model.networks import CLASSES, PROPERTIES, small_config, small_segmentor


def make_batch() -> tuple[torch.Tensor, torch.Tensor]:
    torch.manual_seed(1)
    labels = torch.randint(0, CLASSES, (2, 1, 64, 96))
    labels[:, :, :8] = IGNORED
    return torch.randn(2, 3, 64, 96), labels


def test_both_heads_lose_and_every_parameter_learns() -> None:
    segmentor = small_segmentor().train()
    for interaction in segmentor.backbone.interactions:
        torch.nn.init.ones_(interaction.injector.gamma)
    images, labels = make_batch()
    losses = segmentor.forward_train(images, [], labels)
    (losses["decode.loss_properties"] + losses["aux.loss_properties"]).backward()
    assert [name for name, parameter in segmentor.named_parameters() if parameter.grad is None] == []


def test_auxiliary_weight_is_honoured() -> None:
    images, labels = make_batch()
    auxiliary = []
    for weight in (0.4, 1.0):
        segmentor = small_segmentor().eval()
        segmentor.auxiliary_weight = weight
        with torch.no_grad():
            auxiliary.append(segmentor.forward_train(images, [], labels)["aux.loss_properties"])
    torch.testing.assert_close(auxiliary[0], 0.4 * auxiliary[1])


def test_a_few_steps_learn_a_picture_by_heart() -> None:
    torch.manual_seed(0)
    segmentor = small_segmentor().train()
    labels = torch.zeros(2, 1, 64, 64, dtype=torch.long)
    labels[..., 32:] = 1
    images = torch.where(labels == 0, -1.0, 1.0).expand(2, 3, 64, 64) + 0.1 * torch.randn(2, 3, 64, 64)
    optimizer = torch.optim.AdamW(segmentor.parameters(), lr=3e-3)
    for _ in range(30):
        losses = segmentor.forward_train(images, [], labels)
        optimizer.zero_grad()
        (losses["decode.loss_properties"] + losses["aux.loss_properties"]).backward()
        optimizer.step()
    assert losses["decode.accuracy"] > 0.95


def test_train_step_runs_in_bfloat16_where_asked() -> None:
    segmentor = small_segmentor().train()
    segmentor.autocast = torch.bfloat16
    seen = []
    segmentor.backbone.blocks[0].mlp.fc1.register_forward_hook(lambda *call: seen.append(call[2].dtype))
    images, labels = make_batch()
    batch = {"img": images, "img_metas": [{}, {}], "gt_semantic_seg": labels}
    outputs = segmentor.train_step(batch, None)
    assert seen == [torch.bfloat16]
    assert outputs["loss"].dtype == torch.float32


@pytest.mark.parametrize("size", [(64, 96), (50, 70)])
def test_scores_have_the_images_size_whatever_it_is(size: tuple[int, int]) -> None:
    segmentor = small_segmentor().eval()
    images = torch.randn(2, 3, *size)
    with torch.no_grad():
        assert segmentor.similarities(images).shape == (2, PROPERTIES, 16, 24)
        assert segmentor.encode_decode(images, []).shape == (2, CLASSES, *size)


def test_reference_quirks_count_ignored_pixels_and_weigh_both_heads_alike() -> None:
    images, labels = make_batch()
    losses = []
    for quirks in (False, True):
        segmentor = small_segmentor(reference_quirks=quirks).eval()
        with torch.no_grad():
            losses.append(segmentor.forward_train(images, [], labels))
    labelled = (labels != IGNORED).float().mean()
    ours, originals = losses
    for name, weight in (("decode.loss_properties", 1.0), ("aux.loss_properties", 0.4)):
        torch.testing.assert_close(originals[name], ours[name] / weight * labelled + (1 - labelled))
    torch.testing.assert_close(originals["decode.accuracy"], ours["decode.accuracy"] * labelled)


def test_auxiliary_head_may_be_absent() -> None:
    segmentor = small_segmentor(auxiliary_head=None).train()
    images, labels = make_batch()
    assert set(segmentor.forward_train(images, [], labels)) == {"decode.loss_properties", "decode.accuracy"}


def test_heads_that_classify_by_themselves_are_refused() -> None:
    head = small_config()["decode_head"]
    with pytest.raises(ValueError, match=r"must be property heads .* got UPerHead"):
        small_segmentor(decode_head=head | {"type": "UPerHead"})
    with pytest.raises(ValueError, match="align_corners=True"):
        small_segmentor(decode_head=head | {"align_corners": True})


def test_some_of_the_classes_are_predicted_by_the_very_network() -> None:
    segmentor = small_segmentor().eval()
    part = segmentor.predicting(slice(1, 3))
    images = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        assert torch.equal(part.encode_decode(images, []), segmentor.encode_decode(images, [])[:, 1:3])
    assert part.decode_head is segmentor.decode_head
    assert segmentor.label_space.class_matrix.shape[0] == segmentor.num_classes == 4
    assert segmentor.predicting(slice(0, 4)) is segmentor


def test_parts_of_a_batch_have_its_loss_in_sum() -> None:
    segmentor = small_segmentor().eval()  # in which batch norm does not depend on the batch
    segmentor.class_weights.copy_(torch.tensor([0.5, 1.0, 2.0, 4.0]))
    images, labels = torch.randn(4, 3, 64, 64), torch.randint(0, 4, (4, 1, 64, 64))
    labels[0, :, 8:] = 255
    weight = segmentor.total_weight([], labels)
    whole = segmentor.train_step({"img": images, "img_metas": [], "gt_semantic_seg": labels}, None)["loss"]
    parts = [
        segmentor.train_step(
            {"img": images[part], "img_metas": [], "gt_semantic_seg": labels[part], "total_weight": weight}, None
        )["loss"]
        for part in (slice(0, 1), slice(1, 4))
    ]
    torch.testing.assert_close(sum(parts), whole)
