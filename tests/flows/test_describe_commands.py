"""`prolab estimate` against an experiment with a language model that is not asked."""

from __future__ import annotations

from processes import Prolab, rows

from tests.conftest import REPOSITORY

CITYSCAPES = str(REPOSITORY / "configs" / "experiments" / "cityscapes.yaml")


def test_estimate_says_what_would_be_asked_and_what_it_costs(real_prolab: Prolab) -> None:
    prices = "describe.provider.prices={prompt: 1, completion: 2}"
    done = real_prolab("estimate", CITYSCAPES, "--set", prices, "--set", "describe.attempts=2")
    assert done.returncode == 0, done.stderr
    title, _, table = done.stdout.partition("\n")
    assert title == "19 questions, 0 of them answered in the cache"
    figures = rows(table)
    assert {name: row[1] for name, row in figures.items()} == {"likely": "19", "at most": "38"}
    assert float(figures["at most"][4]) > 38 * 512 * 2e-6


def test_a_descriptor_file_asks_nothing(real_prolab: Prolab) -> None:
    done = real_prolab("estimate", "experiment.yaml")
    assert done.stdout.startswith("0 questions"), done.stderr
