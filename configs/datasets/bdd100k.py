# BDD100K, semantic segmentation (Yu et al., 2020), the 19 classes of Cityscapes in the same order: 7,000 street
# scenes from American cities to train on and 1,000 to validate with, 1280 x 720 pixels.
#
# Folders below the root, as in the archives "10K Images" and "Segmentation"; checked by
#   prolab data prepare bdd100k --root ROOT
#   images/10k/{train,val}/<name>.jpg             photos
#   labels/sem_seg/masks/{train,val}/<name>.png   8-bit label maps: 0..18 the classes in this order, 255 to be left out
_base_ = "./cityscapes.py"
data_root = "data/bdd100k"
data = dict(
    train=dict(
        img_dir="images/10k/train",
        ann_dir="labels/sem_seg/masks/train",
        img_suffix=".jpg",
        seg_map_suffix=".png",
    ),
    val=dict(
        img_dir="images/10k/val",
        ann_dir="labels/sem_seg/masks/val",
        img_suffix=".jpg",
        seg_map_suffix=".png",
    ),
)
