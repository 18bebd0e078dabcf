"""Runs that share artifacts through a remote, and the commands that push and pull."""

import pytest
from processes import Prolab, rows

from artifacts import Store


def test_what_one_machine_made_others_pull(prolab: Prolab) -> None:
    prolab.environment["PROLAB_REMOTE"] = str(prolab.folder / "remote")
    assert set(prolab.states("--store", "here").values()) == {"Built"}
    assert set(prolab.states("--store", "there").values()) == {"Cached"}

    here = Store(prolab.folder / "here")
    here.tag(here.resolve("label_space"), "production")
    pushed = prolab("artifacts", "push", "--store", "here", "--remote", "another")
    assert pushed.returncode == 0, pushed.stderr
    assert {row[1] for row in rows(pushed.stdout).values()} == {"pushed"}
    assert "\n4 versions, " in pushed.stdout
    assert "tag label_space:production is " in pushed.stdout
    assert "push label_space:" in pushed.stderr

    prolab.environment["PROLAB_REMOTE"] = "another"
    pulled = prolab("artifacts", "pull", "label_space:production", "--with-inputs", "--store", "third")
    assert [name.partition(":")[0] for name in rows(pulled.stdout)] == ["descriptions", "label_space"]
    synced = prolab("artifacts", "sync", "--store", "third")
    assert "\n2 versions, " in synced.stdout
    assert "; 2 were there already" in synced.stdout
    third = Store(prolab.folder / "third")
    assert third.verify() == []
    assert third.tags() == here.tags()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("push",), "no remote is named: use --remote URL or PROLAB_REMOTE"),
        (("pull", "--remote", "nowhere"), "no remote is here"),
        (("sync", "--remote", "foo://user:hunter2@host"), "Protocol not known: foo"),
    ],
)
def test_what_is_wrong_with_a_remote_is_said(prolab: Prolab, arguments: tuple[str, ...], message: str) -> None:
    Store(prolab.folder / "store")
    done = prolab("artifacts", *arguments)
    assert done.returncode == 2
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert "hunter2" not in done.stdout + done.stderr
