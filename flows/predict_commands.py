"""`prolab predict`: lets a checkpoint look at photos that nobody labelled."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from flows.artifact_commands import StoreOption, open_store, resolve
from flows.checkpoints import CheckpointArgument, KnownDatasetOption, load_checkpoint
from flows.output import format_seconds, make_progress, print_table, show_log
from tasks.errors import InputError

_SHOWN = 4


def predict(
    checkpoint: CheckpointArgument,
    photos: Annotated[
        list[Path],
        typer.Argument(help="Photos, or folders with photos.", metavar="PHOTO...", show_default=False),
    ],
    output: Annotated[Path, typer.Option(help="Folder for the files.", metavar="FOLDER")] = Path("predictions"),
    property_: Annotated[
        str | None,
        typer.Option("--property", help="Show where this property is, by name or number.", show_default=False),
    ] = None,
    text: Annotated[
        str | None,
        typer.Option(help="Show where this is, in any words; a label space's encoder reads them.", show_default=False),
    ] = None,
    encoder: Annotated[
        str | None, typer.Option(help="Where that encoder lies now, if it was moved.", show_default=False)
    ] = None,
    dataset: KnownDatasetOption = None,
    overrides: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="KEY=VALUE",
            help="How the network runs, as in an experiment: evaluate.precision=bfloat16, evaluate.flip=true.",
            show_default=False,
        ),
    ] = None,
    store: StoreOption = Path("store"),
) -> None:
    """Segment photos: PHOTO.labels.png holds class ids in the classes' colours, PHOTO.picture.jpg is to look at."""
    from flows.section_settings import read_section
    from tasks.evaluate import EvaluateParams
    from tasks.labels.described import find_property
    from tasks.predict.photos import find_photos

    if text is not None and property_ is not None:
        raise InputError("--property and --text: expected one of them, got both")
    if encoder is not None and text is None:
        raise InputError(f"--encoder {encoder}: expected --text, which it is to read")
    params = read_section("evaluate", EvaluateParams, overrides or (), given={}, option="--set")
    opened = open_store(store)
    artifact = resolve(opened, "checkpoint", checkpoint)
    found = find_photos(photos)
    segmentor, card = load_checkpoint(artifact, dataset)
    property_id = None if property_ is None else find_property(card.properties, property_, artifact.reference)
    if text is not None:
        from tasks.predict.phrase import add_property, embed_phrase, known_properties, nearest_property

        label_space = known_properties(segmentor, artifact)
        vector = embed_phrase(opened, artifact, text, encoder, params.device)
        nearest, cosine = nearest_property(label_space, vector)
        print(f"{text!r} is nearest to the property {card.properties[nearest]!r}, cosine {cosine:.2f}")
        card, property_id = add_property(segmentor, card, text, vector), len(card.properties)

    from tasks.evaluate.predictor import make_predictor
    from tasks.predict.run import predict_photo

    show_log()
    predictor = make_predictor(segmentor, card, params)
    rows, seconds = [], 0.0
    with make_progress().bar("predict", len(found), "photos") as bar:
        for name, photo in found.items():
            predicted = predict_photo(predictor, card, photo, output / name, property_id)
            classes = [f"{card.classes[number]} {100 * share:.0f} %" for number, share in predicted.shares.items()]
            rows.append((name, ", ".join(classes[:_SHOWN]) + ", ..." * (len(classes) > _SHOWN)))
            seconds += predicted.seconds
            bar.advance()
    print_table(("photo", "classes"), rows)
    print(f"{len(found)} photos in {format_seconds(seconds)}: {output}")
