# ProLab on COCO-Stuff-164k: ViT-Adapter-B, 134 M parameters, 256 properties for 171 classes.
# Reached: 45.4 mIoU in the paper (one-hot: 43.1). The original trained in float16, this in bfloat16.
# Needs:   DeiT-B (deit_base_patch16_224-b5f2ef4d.pth) as train.pretrained, descriptions of the classes embedded by
#          bge-base-en-v1.5, and memory for 16 crops (the paper: 8 GPUs with 2 each); for its released checkpoint the
#          bank coco_stuff_164k_desc_bge-base-en-v1.5_gpt3.5_cluster_256_embedding_bank.pth.
# Run:     prolab run configs/experiments/coco_stuff_164k.yaml
_base_ = ["./vit_adapter_b.py", "../schedules/adamw_160k.py"]
model = dict(
    label_space=dict(temperature=0.01, normalise=True),
    test_cfg=dict(mode="slide", crop_size=(512, 512), stride=(341, 341)),
)
train = dict(precision="bfloat16")
