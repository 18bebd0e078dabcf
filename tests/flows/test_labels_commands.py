"""`prolab labels` and `prolab import labels` on a label space of street scenes."""

from __future__ import annotations

import csv
import json
import os
import pty
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from processes import Prolab, rows

from artifacts import Store
from prolab_model.checkpoint import read_card
from tasks import cluster
from tasks.execution import run_stage
from tasks.label_space import read_properties
from tasks.progress import SilentProgress
from tests.checkpoints import make_checkpoint_for
from tests.label_spaces import MINILM, STREET, make_embeddings, make_label_space

NEW = {"truck": ["Large rubber wheels", "Painted metal body", "Glass windshield", "The treaty was signed in May"]}


@pytest.fixture(scope="module")
def prolab(tmp_path_factory: pytest.TempPathFactory) -> Prolab:
    """The command in a folder whose store holds label spaces, `twelve` and `ten`, and a network, `trained`."""
    folder = tmp_path_factory.mktemp("labels")
    store = Store(folder / "store")
    for name, properties in (("twelve", 12), ("ten", 10)):
        store.tag(make_label_space(store, STREET, folder, properties), name)
    store.tag(make_checkpoint_for(store, store.resolve("label_space:twelve")), "trained")
    (folder / "wrong.json").write_text("{")
    (folder / "list.json").write_text("[]")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PREFECT_", "PROLAB_"))}
    return Prolab(folder, environment, (str(Path(sys.executable).with_name("prolab")),))


def output(prolab: Prolab, *arguments: str) -> str:
    done = prolab(*arguments)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_show(prolab: Prolab) -> None:
    shown = rows(output(prolab, "labels", "show", "twelve"))
    assert (shown["properties"][1], shown["classes"][1], shown["descriptions"][1]) == ("12", "6", "24")
    assert set(STREET) < set(shown)
    bus = rows(output(prolab, "labels", "show", "label_space:twelve", "--class", "Bus"))
    assert {text for row in bus.values() for text in row[2].split("; ")} == set(STREET["bus"])
    number, row = next((number, row) for number, row in bus.items() if "Four rubber wheels" in row[2])
    assert "car" in row[3]
    members = output(prolab, "labels", "show", "twelve", "--property", number)
    assert ["bus", "Four rubber wheels"] in [line.split("\t")[:2] for line in members.splitlines()]


def test_show_in_a_terminal_is_a_table(prolab: Prolab) -> None:
    leader, follower = pty.openpty()
    command = [*prolab.command, "labels", "show", "twelve", "--class", "bus"]
    environment = {**prolab.environment, "TERM": "dumb", "COLUMNS": "100"}
    subprocess.run(command, cwd=prolab.folder, env=environment, stdout=follower, check=True, timeout=300)
    os.close(follower)
    shown = os.read(leader, 100_000).decode()
    os.close(leader)
    assert "\t" not in shown
    assert max(map(len, shown.splitlines())) <= 100


@pytest.mark.slow
def test_exports_are_imported_again_as_the_same_label_space(prolab: Prolab) -> None:
    for format_, name in (("json", "labels.json"), ("bank", "labels.pth"), ("csv", "labels.csv")):
        written = output(prolab, "labels", "export", "twelve", name, "--format", format_)
        assert written.endswith(f"12 properties written to {name}\n")
    with (prolab.folder / "labels.csv").open(newline="") as file:
        assert len(list(csv.DictReader(file))) == 24
    for name in ("labels.json", "labels.pth"):
        imported = output(prolab, "import", "labels", name, "--encoder", MINILM, "--tag", "back")
        assert imported.splitlines()[-1] == "use it: prolab run EXPERIMENT.yaml --pin cluster=back"
        agreement = rows(output(prolab, "labels", "diff", "twelve", "back"))
        assert agreement["adjusted Rand index"][1] == "1.000"
        assert (agreement["properties kept"][1], agreement["classes with other neighbours"][1]) == ("12", "0")
    assert prolab("artifacts", "verify").returncode == 0


@pytest.mark.slow
def test_a_label_space_is_imported_with_the_settings_that_it_was_made_with(real_prolab: Prolab) -> None:
    store = Store(real_prolab.folder / "store")
    settings = {"template": "a {category}, which has {text}", "lower_case": False, "normalize": False}
    embeddings = make_embeddings(store, STREET, real_prolab.folder, **settings)
    params = cluster.ClusterParams(properties=12)
    made = run_stage(cluster.STAGE, params, {"embeddings": embeddings}, store, SilentProgress()).artifact
    store.tag(made, "made")
    output(real_prolab, "labels", "export", "made", "made.pth", "--format", "bank")

    plain = real_prolab("import", "labels", "made.pth", "--encoder", MINILM)
    assert plain.returncode == 2
    assert "made with another encoder, or with other settings of it (embed.pooling, embed.template" in plain.stderr
    overrides = [("--set", f"embed.{name}={str(value).lower()}") for name, value in settings.items()]
    output(real_prolab, "import", "labels", "made.pth", "--encoder", MINILM, "--tag", "back", *sum(overrides, ()))
    imported = store.resolve("label_space:back")
    assert read_properties(imported).names == read_properties(made).names
    np.testing.assert_array_equal(read_properties(imported).centres, read_properties(made).centres)
    columns = ["class_name", "text", "property_id", "distance"]
    ours, theirs = (space.table("assignments.parquet").select(columns).to_pandas() for space in (imported, made))
    pd.testing.assert_frame_equal(ours, theirs)


def test_diff_of_two_numbers_of_properties(prolab: Prolab) -> None:
    text = output(prolab, "labels", "diff", "twelve", "ten")
    agreement = rows(text)
    assert agreement["properties"][1:] == ["12", "10"]
    assert agreement["shared phrases"][1] == "24"
    assert 0.4 < float(agreement["adjusted Rand index"][1]) < 1
    assert agreement["classes with other descriptions"][1] == "0"
    lost = [line for line in text.splitlines() if line.startswith("lost\t")]
    assert len(lost) == int(agreement["properties lost"][1])


@pytest.mark.slow
def test_extend(prolab: Prolab) -> None:
    (prolab.folder / "new.json").write_text(json.dumps(NEW))
    done = prolab("labels", "extend", "twelve", "new.json", "--device", "cpu", "--tag", "more")
    assert done.returncode == 0, done.stderr
    assert "no property covers 'The treaty was signed in May' of truck" in done.stderr
    shown = rows(done.stdout)
    assert (shown["classes"][1], shown["new classes"][1], shown["covered phrases"][1]) == ("7", "1", "3")
    source = rows(output(prolab, "artifacts", "show", "label_space:twelve"))["artifact"][1]
    assert source in output(prolab, "artifacts", "lineage", "label_space:more")
    assert rows(output(prolab, "labels", "diff", "twelve", "more"))["gained"][1] == "truck"
    again = prolab("labels", "extend", "twelve", "new.json", "--device", "cpu")
    assert rows(again.stdout)["state"][1] == "Cached"
    described = Store(prolab.folder / "store").list("descriptions")[0]
    by_version = prolab("labels", "extend", "twelve", described.reference, "--device", "cpu")
    assert rows(by_version.stdout)["state"][1] == "Cached"
    applied = rows(output(prolab, "labels", "apply", "more", "trained", "--tag", "seven"))
    assert (applied["classes"][1], applied["new classes"][1]) == ("7", "1")
    assert read_card(Store(prolab.folder / "store").resolve("checkpoint:seven").path).classes == (*STREET, "truck")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("labels", "show", "absent"), "label_space:absent names no artifact"),
        (("labels", "show", "dataset:mine"), "dataset:mine: expected a label_space, got a dataset"),
        (("labels", "show", "twelve", "--class", "raod"), "has no class 'raod'; did you mean 'road'"),
        (("labels", "show", "twelve", "--property", "99"), "has no property '99' among its 12"),
        (("labels", "show", "twelve", "--class", "road", "--property", "1"), "expected one of them"),
        (("labels", "show", "twelve", "--store", "absent"), "absent: there is no store here"),
        (("labels", "export", "twelve", "absent/x.json", "--format", "json"), "there is no folder absent"),
        (("labels", "export", "twelve", "x.json", "--format", "json", "--dataset", "a"), "has no data set 'a'"),
        (("labels", "extend", "twelve", "absent.json"), "absent.json: cannot be read"),
        (("labels", "extend", "twelve", "wrong.json"), "wrong.json: not valid JSON"),
        (("labels", "extend", "twelve", "list.json"), "expected a JSON object of class -> list of descriptions"),
        (("labels", "extend", "twelve", "list.json", "--encoder", "./absent"), "No model at"),
        (("labels", "apply", "ten", "trained"), "has 10 properties in 384 dimensions, checkpoint:"),
        (("labels", "apply", "twelve", "trained", "--dataset", "a"), "dataset 'a': it is of a single data set"),
        # Before anything is looked for.
        (("labels", "extend", "absent", "absent.json", "--tag", "latest"), "'latest' is no name for a tag"),
        (("artifacts", "tag", "label_space:absent", "3fa9"), "'3fa9' is no name for a tag"),
        (("import", "labels", "absent.json", "--tag", "a b"), "'a b' is no name for a tag"),
        (("import", "labels", "absent.json", "--set", "embed.poling=cls"), "did you mean 'pooling'?"),
        (("import", "labels", "absent.json"), "absent.json: there is no such file"),
        (("import", "labels", "list.json", "--dataset", "absent.py"), "--dataset: "),
    ],
)
def test_wrong_input_gives_a_message_and_exit_code_2(prolab: Prolab, arguments: tuple[str, ...], message: str) -> None:
    done = prolab(*arguments)
    assert done.returncode == 2
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert not (prolab.folder / "x.json").exists()
