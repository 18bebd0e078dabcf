"""The six kinds of artifact that the pipeline makes, with the schema of every table."""

from __future__ import annotations

import pyarrow as pa

from artifacts import Kind


def _columns(**types: pa.DataType) -> pa.Schema:
    return pa.schema([pa.field(name, type_, nullable=False) for name, type_ in types.items()])


DATASET = Kind(
    name="dataset",
    tables={
        "samples.parquet": _columns(
            split=pa.string(),
            image=pa.string(),  # path relative to the data set's root, with forward slashes
            label=pa.string(),
            width=pa.int32(),
            height=pa.int32(),
            image_hash=pa.string(),
            label_hash=pa.string(),
        ),
        "classes.parquet": _columns(
            class_id=pa.int32(),
            name=pa.string(),
            red=pa.uint8(),
            green=pa.uint8(),
            blue=pa.uint8(),
        ),
        # One row for each sample and class that occurs in it: rare-class sampling and class weights read it.
        "label_counts.parquet": _columns(sample=pa.int32(), class_id=pa.int32(), pixels=pa.int64()),
    },
    files=("rules.json", "location.json", "report.md", "examples.png"),
    # location.json (where the files lie) and the report may differ between machines that hold the same data.
    content=("samples.parquet", "classes.parquet", "label_counts.parquet", "rules.json"),
)

DESCRIPTIONS = Kind(
    name="descriptions",
    tables={
        "descriptions.parquet": _columns(
            class_id=pa.int32(), class_name=pa.string(), position=pa.int32(), text=pa.string()
        ),
        "responses.parquet": _columns(
            class_id=pa.int32(),
            class_name=pa.string(),
            attempt=pa.int32(),
            model=pa.string(),
            prompt_hash=pa.string(),
            prompt=pa.string(),
            text=pa.string(),
            prompt_tokens=pa.int32(),
            completion_tokens=pa.int32(),
            seconds=pa.float64(),
        ),
    },
    files=("report.md",),
    content=("descriptions.parquet",),
)

EMBEDDINGS = Kind(
    name="embeddings",
    tables={
        "embeddings.parquet": pa.schema(
            [
                pa.field("class_id", pa.int32(), nullable=False),
                pa.field("class_name", pa.string(), nullable=False),
                pa.field("position", pa.int32(), nullable=False),
                pa.field("text", pa.string(), nullable=False),
                # The fixed size of the list is the encoder's width, which the schema leaves open.
                pa.field("vector", pa.list_(pa.float32()), nullable=False),
            ]
        )
    },
    files=("encoder.json", "report.md"),
    content=("embeddings.parquet", "encoder.json"),
)

LABEL_SPACE = Kind(
    name="label_space",
    tables={
        "properties.parquet": pa.schema(
            [
                pa.field("property_id", pa.int32(), nullable=False),
                pa.field("name", pa.string(), nullable=False),
                pa.field("size", pa.int32(), nullable=False),
                pa.field("centre", pa.list_(pa.float32()), nullable=False),
            ]
        ),
        "assignments.parquet": _columns(
            class_id=pa.int32(),
            class_name=pa.string(),
            position=pa.int32(),
            text=pa.string(),
            property_id=pa.int32(),
            distance=pa.float32(),
        ),
        "class_properties.parquet": _columns(class_id=pa.int32(), class_name=pa.string(), property_id=pa.int32()),
    },
    files=("diagnostics.json", "report.md", "class_properties.png"),
    content=("properties.parquet", "class_properties.parquet"),
)

CHECKPOINT = Kind(
    name="checkpoint",
    tables={
        "metrics.parquet": _columns(iteration=pa.int32(), name=pa.string(), value=pa.float64()),
    },
    # One that was trained here has training_state.pth and learning_curve.png, too; an imported one has an empty table.
    files=("model.safetensors", "model.json", "report.md"),
    content=("model.safetensors", "model.json"),
    version=2,
)

EVALUATION = Kind(
    name="evaluation",
    tables={
        "per_class.parquet": _columns(
            class_id=pa.int32(), name=pa.string(), iou=pa.float64(), accuracy=pa.float64(), pixels=pa.int64()
        ),
        "per_property.parquet": _columns(
            property_id=pa.int32(),
            name=pa.string(),
            precision=pa.float64(),
            recall=pa.float64(),
            average_precision=pa.float64(),
            pixels=pa.int64(),
        ),
        "confusion.parquet": _columns(label=pa.int32(), prediction=pa.int32(), pixels=pa.int64()),
        "per_image.parquet": _columns(image=pa.string(), miou=pa.float64(), accuracy=pa.float64()),
    },
    files=("report.html", "report.md", "overlays.png"),
    content=("per_class.parquet", "per_property.parquet", "confusion.parquet"),
)
