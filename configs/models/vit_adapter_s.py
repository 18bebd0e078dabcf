# A light ViT-Adapter-S: 384 wide, with heads of 128 channels, so that it trains on a CPU too. ViT-Adapter's authors
# have heads of 512 and 256 channels, deform_ratio 1 and drop_path 0.2.
# Reached: 54.9 mIoU on CamVid after 200 steps of 4 crops of 256 x 256, in 9 minutes on one quiet core; 58.3 after 400,
#          60.0 after 800 (docs/short_runs.md).
# Needs:   a pretrained ViT-S/16 (`train.pretrained`); the position grid here is that of DINOv2's weights (37 x 37); for
#          DeiT-S set pretrain_grid to 14 in a config that inherits this one. 4 GB for 4 crops of 256 x 256 in bfloat16.
# Run:     prolab run configs/experiments/camvid.yaml
_base_ = "./vit_adapter_b.py"
model = dict(
    backbone=dict(dim=384, heads=6, deform_heads=6, drop_path=0.1, pretrain_grid=37),
    decode_head=dict(in_channels=[384, 384, 384, 384], channels=128),
    auxiliary_head=dict(in_channels=384, channels=128),
    # Otherwise than in the paper, for short runs (docs/short_runs.md): a property's gradient does not vanish where its
    # sigmoid is saturated and wrong, and classes that share most properties are told apart from the first step on. The
    # paper's temperature is for heads that learn with 6e-5; CamVid's learn with 8e-4.
    label_space=dict(temperature=0.2, loss="bce", scores="decorrelated"),
)
train = dict(contrast=1.0)
