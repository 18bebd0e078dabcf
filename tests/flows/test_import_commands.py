"""Released files become a checkpoint in the store, which the stage evaluate takes."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import torch
from processes import Prolab, rows

from artifacts import Store
from prolab_model.bank import Bank, write_bank
from prolab_model.checkpoint import load_model
from prolab_model.config_file import read_config
from prolab_model.network_config import sized_network
from prolab_model.openmmlab import build_segmentor
from tasks.errors import InputError
from tasks.execution import run_stage
from tasks.import_checkpoint import STAGE, ImportParams
from tasks.progress import SilentProgress
from tests.conftest import REPOSITORY
from tests.squares import CLASSES, PALETTE

MODEL = REPOSITORY / "configs/models/vit_adapter_demo.py"
TRAINED_WITH = "_base_ = [{base!r}]\ntrain = dict(base_size=(256, 64), max_iters=9)\n"
WIDTH = 32
# Properties 3 and 4 have the same owner, so that their names cannot be told apart.
OWNERS = [["meadow"], ["meadow", "pond"], [CLASSES[1]], ["pond"], ["pond"]]
NAMES = ["green", "flat", "red", "wet", "blue"]


@pytest.fixture
def released(real_prolab: Prolab) -> Prolab:
    """A folder with a released checkpoint of the coloured squares, its bank and its properties."""
    bank = Bank(
        centres=torch.randn(len(OWNERS), WIDTH, generator=torch.Generator().manual_seed(0)),
        class_matrix=torch.tensor([[float(name in owners) for owners in OWNERS] for name in CLASSES]),
        descriptions=dict.fromkeys(CLASSES, ("flat",)),
    )
    write_bank(real_prolab.folder / "squares_desc_bge_gpt3.5_cluster_5_embedding_bank.pth", bank)
    torch.manual_seed(1)
    network = read_config(MODEL)["model"]
    segmentor = build_segmentor(sized_network(network, properties=len(OWNERS), classes=len(CLASSES), width=WIDTH))
    weights = {
        f"module.{name}": value for name, value in segmentor.state_dict().items() if not name.startswith("label_space.")
    }
    content = {"meta": {"iter": 160000, "CLASSES": CLASSES}, "state_dict": weights, "optimizer": {}}
    torch.save(content, real_prolab.folder / "released.pth")
    properties = {name: [f"{owner}: something" for owner in owners] for name, owners in zip(NAMES, OWNERS, strict=True)}
    (real_prolab.folder / "network.py").write_text(TRAINED_WITH.format(base=str(MODEL)))
    (real_prolab.folder / "properties.json").write_text(json.dumps(dict(reversed(properties.items()))))
    return real_prolab


BANK = ("--bank", "squares_desc_bge_gpt3.5_cluster_5_embedding_bank.pth")
NETWORK = ("--model", "network.py")


@pytest.mark.slow
def test_imported_checkpoint_is_evaluated(released: Prolab) -> None:
    arguments = ("--bank", ".", *NETWORK, "--dataset", "squares/squares.py", "--properties", "properties.json")
    imported = released("import", "checkpoint", "released.pth", *arguments, "--tag", "paper")
    assert imported.returncode == 0, imported.stderr
    shown = {name: row[1] for name, row in rows(imported.stdout).items()}
    assert shown["artifact"].endswith("(checkpoint:paper)")
    assert shown["state"] == "Built"
    assert (shown["classes"], shown["properties"], shown["named properties"]) == ("3", "5", "3")
    assert shown["iter"] == "160000"
    assert imported.stdout.splitlines()[-1] == "use it: prolab run EXPERIMENT.yaml --pin train=paper"

    segmentor, card = load_model(Path(shown["path"]))
    assert card.classes == CLASSES
    assert card.palette == PALETTE
    assert card.base_size == (256, 64)
    assert card.properties == ("green", "flat", "red", "property 3 (pond)", "property 4 (pond)")
    weights = torch.load(released.folder / "released.pth", weights_only=True)["state_dict"]
    state = segmentor.state_dict()
    assert all(torch.equal(state[name.removeprefix("module.")], value) for name, value in weights.items())
    torch.testing.assert_close(segmentor.label_space.centres.norm(dim=1), torch.ones(5))

    assert released.states("--pin", "train=paper") == {"index": "Built", "train": "Pinned", "evaluate": "Built"}
    (report,) = (released.folder / "store/artifacts/evaluation").glob("*/report.html")
    assert "The checkpoint was imported" in report.read_text(encoding="utf-8")

    again = released("import", "checkpoint", "released.pth", *arguments)
    assert rows(again.stdout)["state"][1] == "Cached"
    assert released("artifacts", "verify").returncode == 0


def test_without_data_set_and_names_the_bank_says_all(released: Prolab) -> None:
    imported = released("import", "checkpoint", "released.pth", *BANK, *NETWORK)
    assert imported.returncode == 0, imported.stderr
    shown = rows(imported.stdout)
    _, card = load_model(Path(shown["path"][1]))
    assert card.classes == CLASSES
    assert len(set(card.palette)) == 3
    assert card.properties[1] == "property 1 (meadow, pond)"
    manifest = released("artifacts", "show", "checkpoint").stdout
    assert "recorded checkpoint\treleased.pth" in manifest
    assert "external checkpoint\t" in manifest


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("absent.pth", *BANK, *NETWORK), "checkpoint: no file absent.pth"),
        (("absent.pth", *BANK, *NETWORK, "--tag", "3fa9"), "'3fa9' is no name for a tag"),  # before anything is read
        (("released.pth", "--bank", ".", *NETWORK), "--bank . is a folder: name the file"),
        (("released.pth", *BANK, "--model", "squares/squares.py"), "defines no dict named `model`"),
    ],
)
def test_wrong_input_gives_a_message_and_exit_code_2(
    released: Prolab, arguments: tuple[str, ...], message: str
) -> None:
    done = released("import", "checkpoint", *arguments)
    assert done.returncode == 2
    assert message in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"bank": "absent.pth"}, "bank: no file"),
        ({"model": MODEL.with_name("vit_adapter_t.py")}, "of another shape: backbone."),
        ({"checkpoint": "properties.json"}, "properties.json: expected a file of torch.save"),
        ({"bank": "released.pth"}, "one key that ends in _embeddings_and_labels"),
        ({"dataset": "other.py"}, "class 2 is 'pond' in the bank and 'lake' in the data set"),
        ({"properties": "other.json"}, "the 1 named properties are not the bank's 5: 1 are owned by the same classes"),
    ],
)
def test_files_that_do_not_belong_together(released: Prolab, settings: dict[str, str | Path], message: str) -> None:
    config = (released.folder / "squares/squares.py").read_text()
    (released.folder / "other.py").write_text(config.replace("pond", "lake"))
    (released.folder / "other.json").write_text('{"wet": ["meadow: something", "pond: something"]}')
    files = {"checkpoint": "released.pth", "bank": BANK[1], "model": "network.py", **settings}
    params = ImportParams(**{name: released.folder / path for name, path in files.items()})
    with pytest.raises(InputError, match=re.escape(message)):
        run_stage(STAGE, params, {}, Store(released.folder / "store"), SilentProgress())
