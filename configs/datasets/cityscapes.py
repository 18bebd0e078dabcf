# Cityscapes, 19 classes (Cordts et al., 2016): 2,975 street scenes from German cities to train on and 500 to
# validate with, 2048 x 1024 pixels.
#
# Folders below the root; the label maps are made of the annotations by
#   prolab data prepare cityscapes --root ROOT
#   leftImg8bit/{train,val}/<city>/<name>_leftImg8bit.png        photos
#   gtFine/{train,val}/<city>/<name>_gtFine_labelTrainIds.png    8-bit label maps: 0..18 the classes in this order,
#                                                                255 to be left out
dataset_type = "CustomDataset"
data_root = "data/cityscapes"
# fmt: off
classes = (
    "road", "sidewalk", "building", "wall", "fence", "pole", "traffic light", "traffic sign", "vegetation", "terrain",
    "sky", "person", "rider", "car", "truck", "bus", "train", "motorcycle", "bicycle",
)
palette = [
    [128, 64, 128], [244, 35, 232], [70, 70, 70], [102, 102, 156], [190, 153, 153], [153, 153, 153], [250, 170, 30],
    [220, 220, 0], [107, 142, 35], [152, 251, 152], [70, 130, 180], [220, 20, 60], [255, 0, 0], [0, 0, 142], [0, 0, 70],
    [0, 60, 100], [0, 80, 100], [0, 0, 230], [119, 11, 32],
]
# fmt: on
ignore_index = 255
reduce_zero_label = False
data = dict(
    train=dict(
        img_dir="leftImg8bit/train",
        ann_dir="gtFine/train",
        img_suffix="_leftImg8bit.png",
        seg_map_suffix="_gtFine_labelTrainIds.png",
    ),
    val=dict(
        img_dir="leftImg8bit/val",
        ann_dir="gtFine/val",
        img_suffix="_leftImg8bit.png",
        seg_map_suffix="_gtFine_labelTrainIds.png",
    ),
)
