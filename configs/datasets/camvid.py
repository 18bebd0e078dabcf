# CamVid, 11 classes: photos from a car driving through Cambridge (Brostow et al., 2009), in the selection and
# with the labels of the SegNet tutorial: 367 photos to train on and 101 to validate with, 480 x 360 pixels.
#
# Folders below the root:
#   images/{train,val}/<name>.jpg   photos
#   labels/{train,val}/<name>.png   8-bit label maps: 0..10 the classes in this order, 11 unlabelled
#
# The tutorial's photos are PNG files: turn them into JPEG, or set img_suffix to ".png".
dataset_type = "CustomDataset"
data_root = "data/camvid"
classes = (
    "sky",
    "building",
    "pole",
    "road",
    "sidewalk",
    "tree",
    "sign symbol",
    "fence",
    "car",
    "pedestrian",
    "bicyclist",
)
palette = [
    [128, 128, 128],
    [128, 0, 0],
    [192, 192, 128],
    [128, 64, 128],
    [0, 0, 192],
    [128, 128, 0],
    [192, 128, 128],
    [64, 64, 128],
    [64, 0, 128],
    [64, 64, 0],
    [0, 128, 192],
]
ignore_index = 11
reduce_zero_label = False
data = dict(
    train=dict(img_dir="images/train", ann_dir="labels/train", img_suffix=".jpg", seg_map_suffix=".png"),
    val=dict(img_dir="images/val", ann_dir="labels/val", img_suffix=".jpg", seg_map_suffix=".png"),
)
