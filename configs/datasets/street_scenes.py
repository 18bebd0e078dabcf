# Street scenes that the project draws itself, so that it can be tried without a download: 96 pictures to train on
# and 24 to validate with, 256 x 192 pixels, 10 classes, no unlabelled pixels.
#
# The index stage draws them where the root does not hold them yet; by hand, with DIR as the root:
#   python -c "from pathlib import Path; from prolab_model.street_scenes import *; draw_street_scenes(Path('DIR'))"
#
# Folders below the root:
#   images/{train,val}/<number>.png   pictures, 8-bit RGB
#   labels/{train,val}/<number>.png   8-bit label maps: 0..9 the classes in this order
dataset_type = "CustomDataset"
data_root = "data/street_scenes"
drawn_by = "prolab_model.street_scenes:draw_street_scenes"
classes = (
    "sky",
    "building",
    "road",
    "sidewalk",
    "grass",
    "tree",
    "car",
    "person",
    "pole",
    "traffic sign",
)
palette = [
    [70, 130, 180],
    [70, 70, 70],
    [128, 64, 128],
    [244, 35, 232],
    [152, 251, 152],
    [107, 142, 35],
    [0, 0, 142],
    [220, 20, 60],
    [153, 153, 153],
    [220, 220, 0],
]
ignore_index = 255
reduce_zero_label = False
data = dict(
    train=dict(img_dir="images/train", ann_dir="labels/train", img_suffix=".png", seg_map_suffix=".png"),
    val=dict(img_dir="images/val", ann_dir="labels/val", img_suffix=".png", seg_map_suffix=".png"),
)
