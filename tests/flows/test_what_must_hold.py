"""What must hold of any run: nothing runs twice, everything that a change touches runs, nothing damaged is read."""

import signal
import time
from pathlib import Path

import pytest
from processes import Prolab, rows

ALL = ("index", "describe", "cluster", "train")


def built(states: dict[str, str]) -> list[str]:
    assert set(states.values()) <= {"Built", "Cached"}
    return [stage for stage, state in states.items() if state == "Built"]


@pytest.fixture
def questions(prolab: Prolab) -> Path:
    """The classes that the language model was asked for, one a line."""
    return prolab.folder / "questions.txt"


def edit(prolab: Prolab, module: str, old: str, new: str) -> None:
    path = prolab.folder / "code" / "tiny" / f"{module}.py"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def test_same_run_again_runs_nothing(prolab: Prolab, questions: Path) -> None:
    logged = ("--set", f"describe.log={questions}")
    assert built(prolab.states(*logged)) == list(ALL)

    assert built(prolab.states(*logged)) == []
    assert questions.read_text().split() == ["sky", "road", "car"]


def test_another_language_model(prolab: Prolab) -> None:
    prolab.states()

    assert built(prolab.states("--set", "describe.provider.model=c")) == ["describe", "cluster", "train"]


def test_another_language_model_with_the_same_text(prolab: Prolab) -> None:
    prolab.states()

    assert built(prolab.states("--set", "describe.provider.model=b")) == ["describe"]


def test_another_learning_rate(prolab: Prolab) -> None:
    prolab.states()

    assert prolab.plan("--set", "train.lr=0.02")["train"][3] == "parameters.lr: 0.01 -> 0.02"
    assert built(prolab.states("--set", "train.lr=0.02")) == ["train"]


def test_parameter_that_is_not_part_of_the_key(prolab: Prolab) -> None:
    prolab.states()

    assert built(prolab.states("--set", "describe.threads=8")) == []


def test_edited_code_runs_its_stages(prolab: Prolab) -> None:
    prolab.states()

    edit(prolab, "cluster", "200, np.uint8", "100, np.uint8")

    assert "code" in prolab.plan()["cluster"][3]
    # The picture is another, the properties are not: training need not know.
    assert built(prolab.states()) == ["cluster"]


def test_edited_helper_runs_all_stages_that_use_it(prolab: Prolab) -> None:
    prolab.states()

    edit(prolab, "tables", "list(texts)", "sorted(texts)")

    assert set(built(prolab.states())) >= {"index", "describe"}


def test_edited_comment_runs_nothing(prolab: Prolab) -> None:
    prolab.states()

    edit(prolab, "tables", '"""The helper', '# A comment.\n"""Another text of the helper')
    edit(prolab, "train", "def run(context: StageContext)", "def run(  # another layout\n    context: StageContext\n)")

    assert built(prolab.states()) == []


@pytest.mark.parametrize("damage", ["flip", "delete"])
def test_damaged_checkpoint_is_named_and_made_again(prolab: Prolab, damage: str) -> None:
    version = prolab.summary()["train"][2]
    (table,) = (prolab.folder / "store" / "artifacts" / "checkpoint").glob(f"{version}*/rows.parquet")
    content = table.read_bytes()
    table.unlink() if damage == "delete" else table.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))

    verified = prolab("artifacts", "verify")
    assert verified.returncode == 3
    assert verified.stdout.startswith(f"checkpoint:{version}: rows.parquet: ")
    assert built(prolab.states()) == ["train"]
    assert prolab("artifacts", "verify").returncode == 0
    assert table.read_bytes() == content


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_interrupted_run_goes_on_from_the_last_finished_class(
    prolab: Prolab, questions: Path, number: signal.Signals
) -> None:
    logged = ("--set", f"describe.log={questions}")
    process = prolab.start("run", "experiment.yaml", *logged, "--set", "describe.seconds_per_class=2")
    deadline = time.monotonic() + 120
    while not (questions.exists() and questions.read_text()) and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(number)
    table, log = process.communicate(timeout=120)

    if number is signal.SIGKILL:
        assert process.returncode == -signal.SIGKILL
    else:
        assert process.returncode == 130
        assert log.endswith("interrupted: the next run goes on from what is done\n")
        assert list(rows(table)) == ["index"], "the summary shows what was done before"
    assert built(prolab.states(*logged)) == ["describe", "cluster", "train"]
    assert questions.read_text().split() == ["sky", "road", "car"]
