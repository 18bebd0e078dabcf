"""`prolab evaluate`: measures a checkpoint that is in the store, or holds one evaluation against another."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from artifacts import Artifact, Change, Manifest, NotFoundError, Store
from flows.artifact_commands import StoreOption, TagOption, open_store, resolve
from flows.evaluations import Measurer, find_evaluations
from flows.output import make_progress, print_table, show_log
from tasks.errors import InputError

if TYPE_CHECKING:
    from tasks.compare.comparison import Comparison, Difference


def evaluate(
    checkpoint: Annotated[
        str | None,
        typer.Argument(help="Version or tag of a checkpoint to measure.", metavar="CHECKPOINT", show_default=False),
    ] = None,
    pair: Annotated[
        tuple[str, str] | None,
        typer.Option(
            "--compare",
            metavar="A B",
            help="Hold B against A: versions or tags of evaluations, or of checkpoints. Those are found by their "
            "evaluations in the store on the same data set and split, or measured where --dataset is given.",
            show_default=False,
        ),
    ] = None,
    dataset: Annotated[
        str | None, typer.Option(help="Version or tag of the data set to measure on.", show_default=False)
    ] = None,
    overrides: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="KEY=VALUE",
            help="How it is measured, as in an experiment: evaluate.split=test, evaluate.precision=bfloat16.",
            show_default=False,
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.html",
            help="Write the comparison as a page, and a picture of the classes as FILE.png beside it.",
            show_default=False,
        ),
    ] = None,
    resamples: Annotated[
        int | None,
        typer.Option(min=100, help="How often photos are drawn; 2000 if not given.", show_default=False),
    ] = None,
    tag: TagOption = None,
    store: StoreOption = Path("store"),
) -> None:
    """Measure a checkpoint on a data set, or compare two: per class, and whether the difference may be chance."""
    if (checkpoint is None) == (pair is None):
        raise InputError("expected a CHECKPOINT to measure, or --compare A B")
    if pair is None and (output is not None or resamples is not None):
        raise InputError("--output and --resamples: expected --compare A B with them")
    if pair is not None and tag is not None:
        raise InputError("--tag: expected a CHECKPOINT to measure; a comparison is not kept in the store")
    if pair is not None and dataset is None and overrides:
        raise InputError("--set: expected --dataset with it; nothing is measured without")
    opened = open_store(store)
    if checkpoint is not None:
        if dataset is None:
            raise InputError("--dataset: missing; expected version or tag of the data set to measure on")
        _measure(opened, checkpoint, _measurer(opened, dataset, overrides or ()), tag)
    if pair is not None:
        _require_page(output)
        measure = None if dataset is None else _measurer(opened, dataset, overrides or ())
        _compare(opened, pair, measure, output, resamples)


def _measurer(store: Store, dataset: str, overrides: Sequence[str]) -> Measurer:
    """Measures checkpoints on a data set, or finds what was measured before."""
    from flows.section_settings import read_section
    from tasks.evaluate import BASELINE_STAGE, STAGE, EvaluateParams
    from tasks.execution import run_stage

    params = read_section("evaluate", EvaluateParams, overrides, given={}, option="--set")
    inputs = {"dataset": resolve(store, "dataset", dataset)}
    if params.baseline is not None:
        inputs["baseline"] = resolve(store, "evaluation", params.baseline)
    stage = STAGE if params.baseline is None else BASELINE_STAGE
    show_log()

    def measure(checkpoint: Artifact) -> Artifact:
        return run_stage(stage, params, {"checkpoint": checkpoint, **inputs}, store, make_progress()).artifact

    return measure


def _measure(store: Store, checkpoint: str, measure: Measurer, tag: str | None) -> None:
    evaluation = measure(resolve(store, "checkpoint", checkpoint))
    if tag is not None:
        store.tag(evaluation, tag)
    rows = [("evaluation", evaluation.reference), *evaluation.manifest.summary.items()]
    print_table(("what", "value"), [(name.replace("_", " "), str(value)) for name, value in rows])
    print(f"report: {evaluation.file('report.html')}")


def _compare(
    store: Store, pair: tuple[str, str], measure: Measurer | None, output: Path | None, resamples: int | None
) -> None:
    from tasks.compare.bootstrap import RESAMPLES
    from tasks.compare.comparison import compare

    a, b = find_evaluations(store, pair, measure)
    comparison = compare(a, b, resamples or RESAMPLES)
    _print_comparison(comparison)
    if output is not None:
        from tasks.compare.report import write_comparison

        write_comparison(output, comparison, _changes(store, a.manifest, b.manifest))
        print(f"report: {output}")


def _require_page(output: Path | None) -> None:
    if output is None:
        return
    if output.suffix != ".html":
        raise InputError(f"--output {output}: expected a file name that ends in .html")
    if not output.parent.is_dir():
        raise InputError(f"--output {output}: there is no folder {output.parent}")


def _changes(store: Store, a: Manifest, b: Manifest) -> list[Change]:
    """In what the checkpoints were made otherwise, as far as the store still has them."""
    try:
        before, after = (store.resolve(f"checkpoint:{manifest.inputs['checkpoint'].version}") for manifest in (a, b))
    except NotFoundError:
        return []
    parts = ("stage", "parameters.", "inputs.", "external.")
    return [change for change in store.diff(before, after) if change.part.startswith(parts)]


def _print_comparison(comparison: Comparison) -> None:
    from tasks.compare.comparison import verdict

    differences = comparison.differences
    headline = {
        "mIoU %": differences.mean_iou,
        "mAcc %": differences.mean_accuracy,
        "aAcc %": differences.pixel_accuracy,
        "mBIoU %": differences.mean_boundary_iou,
    }
    references = ("evaluation", comparison.a.reference, comparison.b.reference, "", "", "")
    columns = ("what", "A", "B", "B - A", "95 % interval", "B ahead %")
    print_table(columns, [references, *((name, *_cells(figure)) for name, figure in headline.items())])
    print()
    print_table(
        ("IoU % of class", *columns[1:], "distinguishable", "photos"),
        [
            (item.name, *_cells(item.iou), "yes" if item.iou.distinguishable else "-", str(item.iou.photos))
            for item in sorted(differences.classes, key=lambda item: (math.isnan(item.iou.value), -item.iou.value))
        ],
    )
    print()
    print(verdict(differences))


def _cells(figure: Difference) -> tuple[str, ...]:
    """A, B, their difference, its interval and the share of the draws in which B is ahead; dashes without a value."""
    if math.isnan(figure.value):
        return _figure(figure.a), _figure(figure.b), "-", "-", "-"
    interval = f"{_figure(figure.low, '+')} to {_figure(figure.high, '+')}"
    return _figure(figure.a), _figure(figure.b), _figure(figure.value, "+"), interval, f"{100 * figure.ahead:.1f}"


def _figure(share: float, sign: str = "") -> str:
    return "-" if math.isnan(share) else f"{100 * share:{sign}.2f}"
