"""The command as scripts and people meet it: exit codes, plain output, messages."""

import os
import pty
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from processes import Prolab, rows


def test_run_prints_a_plain_summary_and_the_report(prolab: Prolab) -> None:
    done = prolab("run", "experiment.yaml")

    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0] == "stage\tstate\tversion\ttime\tpeak memory"
    assert [line.split("\t")[:2] for line in lines[1:5]] == [
        ["index", "Built"],
        ["describe", "Built"],
        ["cluster", "Built"],
        ["train", "Built"],
    ]
    label, _, report = lines[5].partition(": ")
    assert label == "report"
    assert Path(report).read_text() == "<h1>Training</h1>\n"
    assert done.stdout.isascii()
    assert "\x1b" not in done.stdout + done.stderr


def test_terminal_gets_colours_and_no_tabs(prolab: Prolab) -> None:
    controller, terminal = pty.openpty()
    command = [sys.executable, "-m", "tiny", "plan", "experiment.yaml"]
    environment = prolab.environment | {"TERM": "xterm-256color"}
    subprocess.run(command, cwd=prolab.folder, env=environment, stdout=terminal, check=True)
    os.close(terminal)
    shown = os.read(controller, 100_000).decode()

    assert "describe has not run yet" in shown
    assert "\x1b[1m" in shown
    assert "\t" not in shown


def test_run_does_not_import_prefect_without_a_server(prolab: Prolab) -> None:
    script = "import sys; sys.argv = ['prolab', 'run', 'experiment.yaml']; import runpy\n"
    script += "try: runpy.run_module('tiny', run_name='__main__')\nexcept SystemExit as end: assert not end.code\n"
    script += "assert 'prefect' not in sys.modules and 'torch' not in sys.modules"

    done = subprocess.run([sys.executable, "-c", script], cwd=prolab.folder, env=prolab.environment, timeout=300)

    assert done.returncode == 0


def test_server_that_does_not_answer_is_mentioned(prolab: Prolab) -> None:
    prolab.environment["PREFECT_API_URL"] = "http://127.0.0.1:9/api"

    done = prolab("run", "experiment.yaml")

    assert done.returncode == 0
    assert "http://127.0.0.1:9/api does not answer" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("run", "nowhere.yaml"), "nowhere.yaml: no such file; in this folder there are experiment.yaml"),
        (("run", "experiment.yaml", "--set", "train.lrr=1"), "did you mean 'lr'?"),
        (("plan", "experiment.yaml", "--only", "trian"), "did you mean 'train'?"),
        (("run", "experiment.yaml", "--pin", "cluster"), "expected STAGE=VERSION"),
        (("run", "experiment.yaml", "--pin", "cluster=abc"), "--pin cluster=abc"),
        (("run", "experiment.yaml", "--set", "train.fail=true"), "train.fail: expected false, got true"),
        (("artifacts", "list"), "store: there is no store here"),
        (("artifacts", "nothing"), "No such command"),
    ],
)
def test_wrong_input_gives_a_message_and_exit_code_2(prolab: Prolab, arguments: tuple[str, ...], message: str) -> None:
    done = prolab(*arguments)

    assert done.returncode == 2
    assert message in done.stderr
    assert "Traceback" not in done.stderr


def test_bug_shows_its_traceback_and_gives_exit_code_1(prolab: Prolab) -> None:
    train = prolab.folder / "code" / "tiny" / "train.py"
    train.write_text(train.read_text().replace('return {"loss": 0.5}', 'raise RuntimeError("a bug")'))

    done = prolab("run", "experiment.yaml")

    assert done.returncode == 1
    assert "Traceback" in done.stderr
    assert "RuntimeError: a bug" in done.stderr


def test_store_by_option_and_by_environment(prolab: Prolab) -> None:
    prolab("run", "experiment.yaml", "--only", "index", "--store", "elsewhere")
    prolab.environment["PROLAB_STORE"] = "elsewhere"

    assert list(rows(prolab("artifacts", "list").stdout)) == ["dataset"]
    assert not (prolab.folder / "store").exists()


def test_store_of_a_newer_version(prolab: Prolab) -> None:
    prolab("run", "experiment.yaml", "--only", "index")
    path = prolab.folder / "store" / "store.json"
    path.write_text(path.read_text().replace("1", "99"))

    done = prolab("run", "experiment.yaml")

    assert done.returncode == 2
    assert "format 99" in done.stderr


def test_artifact_commands(prolab: Prolab) -> None:
    first = prolab.summary()["cluster"][2]
    second = prolab.summary("--set", "cluster.properties=3")["cluster"][2]

    listed = prolab("artifacts", "list", "label_space").stdout
    assert [line.split("\t")[1] for line in listed.splitlines()[1:]] == [second, first]

    shown = rows(prolab("artifacts", "show", f"label_space:{first[:6]}").stdout)
    assert shown["artifact"][1] == f"label_space:{first}"
    assert shown["parameter properties"][1] == "2"
    assert shown["input descriptions"][1].startswith("descriptions:")
    assert shown["used by train"][1].startswith("checkpoint:")
    assert Path(shown["path"][1], "manifest.json").is_file()

    differences = rows(prolab("artifacts", "diff", f"label_space:{first}", "label_space").stdout)
    assert differences["parameters.properties"][1:] == ["2", "3"]

    tree = prolab("artifacts", "lineage", "checkpoint").stdout.splitlines()
    assert [line.partition(":")[0] for line in tree] == ["checkpoint", "  dataset", "  label_space", "    descriptions"]

    assert prolab("artifacts", "verify").returncode == 0
    assert prolab("artifacts", "show", "label_space:zzz").returncode == 2


def test_tag_and_garbage_collection(prolab: Prolab) -> None:
    first = prolab.summary()["cluster"][2]
    prolab.summary("--set", "cluster.properties=3")
    prolab("artifacts", "tag", f"label_space:{first}", "good")
    assert "good" in prolab("artifacts", "list", "label_space").stdout

    preview = prolab("artifacts", "gc")
    assert "would be freed" in preview.stdout
    assert "label_space" not in preview.stdout
    assert len(rows(prolab("artifacts", "list", "checkpoint").stdout)) == 1
    prolab("artifacts", "untag", "label_space:good")
    assert prolab("artifacts", "gc", "--delete").returncode == 0
    assert prolab("artifacts", "show", f"label_space:{first}").returncode == 2
    assert prolab("artifacts", "show", "label_space").returncode == 0


def test_help_of_the_installed_command_is_plain() -> None:
    command = shutil.which("prolab", path=str(Path(sys.executable).parent))
    assert command, "the package is installed"
    done = subprocess.run([command, "--help"], capture_output=True, text=True, timeout=300)

    assert done.returncode == 0, done.stderr
    assert done.stdout.isascii()
    for name in ("run", "plan", "artifacts"):
        assert f"\n  {name} " in done.stdout
