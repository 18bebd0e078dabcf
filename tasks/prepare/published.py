"""The published data sets: where they are downloaded, what the archives bring, and what label maps are made of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from prolab_model.label_formats import cityscapes, coco_stuff
from tasks.prepare.annotations import AnnotationFiles, Annotations, MergedAnnotations

_LABEL_MAPS = AnnotationFiles()


@dataclass(frozen=True)
class Published:
    """What is known of a data set besides its configuration.

    Attributes:
        archives: what is downloaded by hand: the archive and its site, by the path below the root that it brings.
        images: published number of photos of each split.
        annotations: what its label maps are made of.
    """

    archives: Mapping[str, str]
    images: Mapping[str, int]
    annotations: Annotations = _LABEL_MAPS


_CITYSCAPES = "https://www.cityscapes-dataset.com/downloads (after registration)"
_COCO = "https://cocodataset.org/#download"
_COCO_STUFF = "https://github.com/nightrome/cocostuff; unpack it in the folder annotations"
_BDD100K = (
    "https://bdd-data.berkeley.edu (after registration); the archive begins with the folder bdd100k, which is ROOT"
)
_VOC = "http://host.robots.ox.ac.uk/pascal/VOC/voc2010; the archive begins with VOCdevkit/VOC2010, which is ROOT"
_ADE20K = "https://sceneparsing.csail.mit.edu; the archive begins with the folder ADEChallengeData2016, which is ROOT"

PUBLISHED: Mapping[str, Published] = {
    "ade20k": Published(
        archives=dict.fromkeys(("images", "annotations"), f"ADEChallengeData2016.zip from {_ADE20K}"),
        images={"train": 20_210, "val": 2_000},
    ),
    "cityscapes": Published(
        archives={
            "leftImg8bit": f"leftImg8bit_trainvaltest.zip from {_CITYSCAPES}",
            "gtFine": f"gtFine_trainvaltest.zip from {_CITYSCAPES}",
        },
        images={"train": 2_975, "val": 500},
        annotations=AnnotationFiles(
            {
                # Drawn by the data set's authors; polygons come out the same but for Pillow's version.
                "_gtFine_labelIds.png": cityscapes.from_label_ids,
                "_gtFine_polygons.json": cityscapes.from_polygons,
            }
        ),
    ),
    "coco_stuff_164k": Published(
        archives={
            "images/train2017": f"train2017.zip from {_COCO}; unpack it in the folder images",
            "images/val2017": f"val2017.zip from {_COCO}; unpack it in the folder images",
            "annotations": f"stuffthingmaps_trainval2017.zip from {_COCO_STUFF}",
        },
        images={"train": 118_287, "val": 5_000},
        annotations=AnnotationFiles({".png": coco_stuff.from_pixel_map}),
    ),
    "pascal_context_59": Published(
        archives={
            "JPEGImages": f"VOCtrainval_03-May-2010.tar from {_VOC}",
            "trainval_merged.json": "trainval_merged.json from https://sites.google.com/view/pasd/dataset",
        },
        images={"train": 4_996, "val": 5_104},
        annotations=MergedAnnotations("trainval_merged.json"),
    ),
    "bdd100k": Published(
        archives={
            "images/10k": f"10K Images from {_BDD100K}",
            "labels/sem_seg": f"Segmentation from {_BDD100K}",
        },
        images={"train": 7_000, "val": 1_000},
    ),
}
"""By the name of the configuration in `configs/datasets`."""
