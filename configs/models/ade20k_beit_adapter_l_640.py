# ProLab on ADE20K: BEiT-Adapter-L on crops of 640 x 640, 453 M parameters, 256 properties for 150 classes.
# Reached: 58.2 mIoU in the paper (one-hot, by the authors of ViT-Adapter: 58.0). The paper first trains 40,000 steps
#          with one-hot labels; the original's config does not, nor does this.
# Needs:   BEiT-L (beit_large_patch16_224_pt22k_ft22k.pth) as train.pretrained, descriptions of the classes embedded by
#          bge-base-en-v1.5, and memory for 16 crops with checkpointed activations (the paper: 8 GPUs with 2 each); for
#          its released checkpoint the bank ade_desc_bge-base-en-v1.5_gpt3.5_cluster_256_embedding_bank.pth.
# Run:     prolab run configs/experiments/ade20k.yaml --set train.model=configs/models/ade20k_beit_adapter_l_640.py \
#            --set train.pretrained=data/pretrained/beit_large_patch16_224_pt22k_ft22k.pth
_base_ = ["./beit_adapter_l.py", "../schedules/adamw_160k.py"]
model = dict(
    label_space=dict(temperature=0.01, normalise=True),
    test_cfg=dict(mode="slide", crop_size=(640, 640), stride=(426, 426)),
)
train = dict(
    crop_size=640,
    base_size=(2048, 640),
    learning_rate=2e-5,
    layer_decay=0.9,
    weight_decay=0.05,
    checkpoint_activations=True,
)
