# ProLab on Cityscapes: ViT-Adapter-B on crops of 768 x 768, 134 M parameters, 32 properties for 19 classes.
# Reached: 81.4 mIoU in the paper (one-hot: 79.9).
# Needs:   DeiT-B (deit_base_patch16_224-b5f2ef4d.pth) as train.pretrained, descriptions of the classes embedded by
#          bge-base-en-v1.5, and memory for 8 crops (the paper: 8 GPUs with 1 each); for its released checkpoint the
#          bank cityscapes_bdd_desc_bge-base-en-v1.5_gpt3.5_cluster_32_embedding_bank.pth.
# Run:     prolab run configs/experiments/cityscapes.yaml
_base_ = ["./vit_adapter_b.py", "../schedules/adamw_160k.py"]
model = dict(test_cfg=dict(mode="slide", crop_size=(768, 768), stride=(512, 512)))
train = dict(batch_size=8, crop_size=768, base_size=(2048, 1024))
