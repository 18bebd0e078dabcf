"""`prolab data`: makes a data set ready for the stage `index`, a published one or the user's own."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from flows.output import format_seconds, make_progress, print_table
from tasks.errors import InputError

if TYPE_CHECKING:
    from tasks.new_dataset.create import NewDataset

_CONFIGS = Path(__file__).parents[1] / "configs"
_SHOWN = 10

app = typer.Typer(help="Make data sets ready to train on.", no_args_is_help=True, rich_markup_mode=None)


@app.callback()
def data() -> None:
    """Make data sets ready to train on."""


@app.command()
def prepare(
    name: Annotated[
        Literal["ade20k", "bdd100k", "cityscapes", "coco_stuff_164k", "pascal_context_59"],
        typer.Argument(help="Which published data set.", show_default=False),
    ],
    root: Annotated[
        Path,
        typer.Option(help="The folder into which its archives were unpacked.", metavar="FOLDER", show_default=False),
    ],
) -> None:
    """Check a published data set that was downloaded, and make its label maps.

    Nothing is downloaded, moved or deleted. What is missing is named; what an earlier run made is kept.
    """
    from prolab_model.dataset_config import read_dataset_config
    from tasks.prepare.prepare import prepare as prepare_dataset
    from tasks.prepare.published import PUBLISHED

    published = PUBLISHED[name]
    config = read_dataset_config(_CONFIGS / "datasets" / f"{name}.py")
    try:
        prepared = prepare_dataset(published, config, root, make_progress())
    except InputError as error:
        raise InputError(f"{name}: {error}") from error
    print_table(
        ("split", "images", "published"),
        [(split, f"{count:,}", f"{published.images[split]:,}") for split, count in sorted(prepared.images.items())],
    )
    if any(prepared.images[split] < count for split, count in published.images.items()):
        print("note: these are fewer than were published; were the archives unpacked as a whole?")
    if prepared.made or prepared.kept:
        kept = f", {prepared.kept:,} were there" if prepared.kept else ""
        print(f"made {prepared.made:,} label maps in {format_seconds(prepared.seconds)}{kept}")
    experiment = _shorten(_CONFIGS / "experiments" / f"{name}.yaml")
    print(f"next: prolab run {shlex.quote(str(experiment))} --set {shlex.quote(f'dataset.root={root}')}")


@app.command()
def init(
    images: Annotated[Path, typer.Argument(help="The folder of photos.", metavar="IMAGES", show_default=False)],
    masks: Annotated[
        Path,
        typer.Argument(
            help="The folder of masks: class numbers, a palette, or colours.", metavar="MASKS", show_default=False
        ),
    ],
    classes: Annotated[
        Path | None,
        typer.Option(
            help="The class list: .txt, .json or .csv. Without it the command says which values occur.",
            metavar="FILE",
            show_default=False,
        ),
    ] = None,
    ignored: Annotated[
        list[str] | None,
        typer.Option(
            "--ignore",
            help="Leave out a value, or a name of the class list: 0, 255,255,255, void. 255 is, unless a class has it.",
            metavar="VALUE",
            show_default=False,
        ),
    ] = None,
    name: Annotated[
        str | None, typer.Option(help="Of the data set; by default that of its folder.", show_default=False)
    ] = None,
    to: Annotated[Path, typer.Option(help="Where NAME.py and NAME.yaml are written.", metavar="FOLDER")] = Path(),
    validation_share: Annotated[
        float,
        typer.Option(
            "--val-share",
            min=0.0,
            max=1.0,
            help="Share of the photos to validate with, where there are no folders train and val.",
        ),
    ] = 0.2,
    image_suffix: Annotated[
        str | None, typer.Option(help="How photos' names end, for instance _photo.jpg.", show_default=False)
    ] = None,
    mask_suffix: Annotated[
        str | None, typer.Option(help="How masks' names end, for instance _mask.png.", show_default=False)
    ] = None,
) -> None:
    """Look at your own photos and masks, and write a data set's configuration and an experiment to start from.

    Photos and masks stay as they are; masks of colours are written anew as class numbers, beside them.
    """
    from tasks.new_dataset.create import Source, create

    source = Source(images, masks, classes, ignored or (), image_suffix, mask_suffix, validation_share)
    dataset = create(source, name, to, _CONFIGS, make_progress())
    _print_dataset(dataset)
    experiment = next(path for path in dataset.made if path.suffix == ".yaml")
    print(f"next: prolab run {shlex.quote(str(_shorten(experiment)))}")


def _print_dataset(dataset: NewDataset) -> None:
    everything = sum(count.pixels for count in (*dataset.classes, dataset.ignored))
    print_table(
        ("class", "in the masks", "pixels", "masks"),
        [
            (
                count.name,
                "; ".join(map(str, count.values[:_SHOWN])) + ("; …" if len(count.values) > _SHOWN else ""),
                f"{100 * count.pixels / everything:.2f} %",
                f"{count.masks:,}",
            )
            for count in (*dataset.classes, dataset.ignored)
        ],
    )
    print(f"photos: {', '.join(f'{count:,} {part}' for part, count in dataset.images.items())}")
    smallest, largest = ("{} x {}".format(*size) for size in dataset.sizes)
    print(f"sizes: {smallest}" if smallest == largest else f"sizes: {smallest} to {largest}")
    if absent := [count.name for count in dataset.classes if not count.masks]:
        print(f"never in the masks: {', '.join(absent)}")
    if dataset.left_out:
        print(f"not used, {len(dataset.left_out):,} in all:")
        for line in dataset.left_out[:_SHOWN]:
            print(f"  {line}")
    for path in dataset.made:
        print(f"written: {_shorten(path)}")


def _shorten(path: Path) -> Path:
    """The path as seen from the working directory, where it lies below it."""
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path
