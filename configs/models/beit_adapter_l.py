# BEiT-Adapter-L with UPerHead over properties and an FCN auxiliary head: the network of ProLab's large models, 453 M
# parameters with 768-wide embeddings.
# Reached: see ade20k_beit_adapter_l_640.py and ade20k_beitv2_adapter_l_896.py, which inherit it.
# Needs:   pretrained BEiT-L or BEiTv2-L (`train.pretrained`); `grid` is the crop's size over 16, and other sizes of
#          photos work too.
# Run:     prolab run EXPERIMENT.yaml --set train.model=configs/models/beit_adapter_l.py
#
# Width of the embeddings, number of properties and of classes come from the label space.
_base_ = "./vit_adapter_b.py"
model = dict(
    backbone=dict(
        _delete_=True,
        type="BEiTAdapter",
        dim=1024,
        depth=24,
        heads=16,
        interactions=[(0, 5), (6, 11), (12, 17), (18, 23)],
        deform_heads=16,
        drop_path=0.3,
        grid=40,
        layer_scale=1e-6,
    ),
    decode_head=dict(in_channels=[1024, 1024, 1024, 1024], channels=1024),
    auxiliary_head=dict(in_channels=1024),
)
