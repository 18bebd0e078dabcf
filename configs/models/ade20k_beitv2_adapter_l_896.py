# ProLab on ADE20K: BEiTv2-Adapter-L on crops of 896 x 896, 455 M parameters, 256 properties for 150 classes.
# Reached: 58.7 mIoU in the paper, going on from an earlier training whose weights were not released: these 80,000 steps
#          alone are not known to reach it. The original also pads photos to 896 pixels, which is not needed here.
# Needs:   BEiTv2-L (beitv2_large_patch16_224_pt1k_ft21k.pth) as train.pretrained, descriptions of the classes embedded
#          by bge-base-en-v1.5, and memory for 16 crops with checkpointed activations (the paper: 8 GPUs with 2 each);
#          for its released checkpoint the bank ade_desc_bge-base-en-v1.5_gpt3.5_cluster_256_embedding_bank.pth.
# Run:     prolab run configs/experiments/ade20k.yaml --set train.model=configs/models/ade20k_beitv2_adapter_l_896.py \
#            --set train.pretrained=data/pretrained/beitv2_large_patch16_224_pt1k_ft21k.pth
_base_ = ["./beit_adapter_l.py", "../schedules/adamw_160k.py"]
model = dict(
    backbone=dict(grid=56),
    test_cfg=dict(mode="slide", crop_size=(896, 896), stride=(512, 512)),
)
train = dict(
    max_iters=80_000,
    crop_size=896,
    base_size=(3584, 896),
    learning_rate=4e-5,
    layer_decay=0.9,
    weight_decay=0.05,
    warmup=1500 / 80_000,
    checkpoint_activations=True,
)
