"""The six kinds of artifact that the pipeline makes, with the schema of every table."""

from __future__ import annotations

import pyarrow as pa

from artifacts import Kind


def _columns(**types: pa.DataType) -> pa.Schema:
    return pa.schema([pa.field(name, type_, nullable=False) for name, type_ in types.items()])


def _answer_columns(*subject: pa.Field) -> pa.Schema:
    """A table of a language model's raw answers: what was asked about, the question, the answer."""
    return pa.schema(
        [
            *subject,
            *_columns(
                attempt=pa.int32(),
                model=pa.string(),
                answered_by=pa.string(),  # the model by the server's own account
                parameters=pa.string(),  # JSON: revision, seed, temperature, ...
                prompt_hash=pa.string(),
                system=pa.string(),
                prompt=pa.string(),
                text=pa.string(),
                cut_off=pa.bool_(),
                new=pa.bool_(),  # and not from the cache
                prompt_tokens=pa.int32(),
                completion_tokens=pa.int32(),
                seconds=pa.float64(),
            ),
            pa.field("cost", pa.float64()),  # null without prices
        ]
    )


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
    files=("rules.json", "location.json", "report.md", "examples.jpg"),
    # location.json (where the files lie) and the report may differ between machines that hold the same data.
    content=("samples.parquet", "classes.parquet", "label_counts.parquet", "rules.json"),
)

DESCRIPTIONS = Kind(
    name="descriptions",
    tables={
        "descriptions.parquet": _columns(
            class_id=pa.int32(), class_name=pa.string(), position=pa.int32(), text=pa.string()
        ),
        "responses.parquet": _answer_columns(
            *_columns(
                class_id=pa.int32(),
                class_name=pa.string(),
                purpose=pa.string(),  # description or contrast
            )
        ),
        # What the answers hold beside descriptions, line by line.
        "dropped.parquet": _columns(
            class_id=pa.int32(),
            class_name=pa.string(),
            purpose=pa.string(),
            attempt=pa.int32(),
            line=pa.string(),
            reason=pa.string(),
        ),
        "quality.parquet": _columns(
            class_id=pa.int32(),
            class_name=pa.string(),
            descriptions=pa.int32(),
            mean_words=pa.float64(),
            longest_words=pa.int32(),
            repeats=pa.int32(),  # lines that the answers repeat
            shared=pa.int32(),  # descriptions that another class has word for word
            names_class=pa.float64(),  # share of the descriptions
            example_copies=pa.int32(),
            non_visual=pa.int32(),
            unfinished=pa.int32(),  # lines that are dropped for it among them
            incoherent=pa.int32(),
        ),
    },
    files=("report.md",),
    content=("descriptions.parquet",),
    version=3,
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
            dataset=pa.string(),  # empty, but where several data sets share their properties
            class_id=pa.int32(),  # counts through all data sets
            class_name=pa.string(),
            position=pa.int32(),
            text=pa.string(),
            property_id=pa.int32(),
            distance=pa.float32(),
        ),
        "class_properties.parquet": _columns(
            dataset=pa.string(), class_id=pa.int32(), class_name=pa.string(), property_id=pa.int32()
        ),
        # Empty where no language model was asked for the names.
        "naming.parquet": _answer_columns(
            pa.field("property_id", pa.int32(), nullable=False),
            pa.field("name", pa.string()),  # that the answer gives; null where it is of no use
        ),
    },
    # One whose number of properties was chosen has choice.png, too.
    files=("diagnostics.json", "report.html", "report.md", "class_properties.png", "phrases.png", "class_tree.png"),
    content=("properties.parquet", "class_properties.parquet"),
    version=3,
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
            class_id=pa.int32(),
            name=pa.string(),
            iou=pa.float64(),
            accuracy=pa.float64(),
            boundary_iou=pa.float64(),
            pixels=pa.int64(),
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
        # One row for each image, by its row of per_image, and class that occurs in its labels or its prediction.
        "per_image_counts.parquet": _columns(
            image=pa.int32(),
            class_id=pa.int32(),
            intersection=pa.int64(),
            label_pixels=pa.int64(),
            predicted_pixels=pa.int64(),
            boundary_intersection=pa.int64(),
            boundary_label_pixels=pa.int64(),
            boundary_predicted_pixels=pa.int64(),
        ),
    },
    # One of a checkpoint that was trained here has learning_curve.png, too; one beside a baseline has differences.png.
    files=("report.html", "report.md", "overlays.jpg", "confusion.png"),
    content=("per_class.parquet", "per_property.parquet", "confusion.parquet", "per_image_counts.parquet"),
    version=2,
)
