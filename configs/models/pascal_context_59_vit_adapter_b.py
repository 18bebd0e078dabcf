# ProLab on Pascal Context: ViT-Adapter-B, 134 M parameters, 128 properties for 59 classes.
# Reached: 58.2 mIoU in the paper (one-hot: 53.3).
# Needs:   DeiT-B (deit_base_patch16_224-b5f2ef4d.pth) as train.pretrained, descriptions of the classes embedded by
#          bge-base-en-v1.5, and memory for 16 crops (the paper: 8 GPUs with 2 each); for its released checkpoint the
#          bank pascal_context_59_desc_bge-base-en-v1.5_gpt3.5_cluster_128_embedding_bank.pth.
# Run:     prolab run configs/experiments/pascal_context_59.yaml
_base_ = ["./vit_adapter_b.py", "../schedules/adamw_160k.py"]
model = dict(test_cfg=dict(mode="slide", crop_size=(512, 512), stride=(341, 341)))
