from __future__ import annotations

import torch

from prolab_model.label_space import IGNORED
from tests.prolab_model.networks import CLASSES, PROPERTIES, small_segmentor


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


def test_scores_and_properties_have_the_label_spaces_sizes() -> None:
    segmentor = small_segmentor().eval()
    images, _ = make_batch()
    with torch.no_grad():
        assert segmentor.properties(images).shape == (2, PROPERTIES, 16, 24)
        assert segmentor.encode_decode(images, []).shape == (2, CLASSES, 64, 96)
