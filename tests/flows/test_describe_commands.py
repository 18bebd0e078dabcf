"""`prolab estimate` against an experiment with a language model that is not asked."""

from __future__ import annotations

from processes import Prolab, rows

from tests.conftest import REPOSITORY
from tests.squares import CLASSES

CITYSCAPES = str(REPOSITORY / "configs" / "experiments" / "cityscapes.yaml")


def test_estimate_says_what_would_be_asked_and_what_it_costs(real_prolab: Prolab) -> None:
    prices = "describe.provider.prices={prompt: 1, completion: 2}"
    done = real_prolab("estimate", CITYSCAPES, "--set", prices, "--set", "describe.attempts=2")
    assert done.returncode == 0, done.stderr
    title, _, table = done.stdout.partition("\n")
    assert title == "describe: 19 questions, 0 of them answered in the cache"
    figures = rows(table)
    assert {name: row[1] for name, row in figures.items()} == {"likely": "19", "at most": "38"}
    assert float(figures["at most"][4]) > 38 * 512 * 2e-6


def test_a_descriptor_file_asks_nothing(real_prolab: Prolab) -> None:
    done = real_prolab("estimate", "experiment.yaml")
    assert done.stdout.startswith("describe: 0 questions"), done.stderr


def test_contrasts_to_a_descriptor_file_are_counted_for_the_model_that_is_asked(real_prolab: Prolab) -> None:
    group = ", ".join(CLASSES[:2])
    settings = [
        f"describe.contrast=[[{group}]]",
        f"describe.contrast_prompt={REPOSITORY / 'configs' / 'prompts' / 'contrast.yaml'}",
    ]
    model = "describe.contrast_provider={type: openai, model: m, prices: {prompt: 1, completion: 2}}"
    done = real_prolab("estimate", "experiment.yaml", *(word for text in settings for word in ("--set", text)))
    assert done.returncode == 2
    assert "contrast_provider: {type: openai" in done.stderr
    done = real_prolab(
        "estimate", "experiment.yaml", *(word for text in [*settings, model] for word in ("--set", text))
    )
    assert done.returncode == 0, done.stderr
    title, _, table = done.stdout.partition("\n")
    assert title == "describe: 2 questions, 0 of them answered in the cache"
    figures = rows(table)
    assert {name: row[1] for name, row in figures.items()} == {"likely": "2", "at most": "6"}
    assert float(figures["at most"][4]) > 6 * 512 * 2e-6


def test_every_data_set_of_a_joint_experiment_is_estimated(real_prolab: Prolab) -> None:
    done = real_prolab("estimate", str(REPOSITORY / "configs" / "experiments" / "five_data_sets.yaml"))
    titles = [line.split(",")[0] for line in done.stdout.splitlines() if "questions" in line]
    assert titles == [
        "ade20k.describe: 150 questions",
        "coco_stuff_164k.describe: 171 questions",
        "pascal_context_59.describe: 59 questions",
        "cityscapes.describe: 19 questions",
    ], done.stderr


def test_a_server_that_does_not_answer_is_no_bug(real_prolab: Prolab) -> None:
    real_prolab.environment["OPENAI_API_KEY"] = "none"
    settings = [
        "describe.provider={type: openai, model: m, base_url: 'http://127.0.0.1:9/v1', max_retries: 0}",
        f"describe.prompt={REPOSITORY / 'configs' / 'prompts' / 'short.yaml'}",
    ]
    done = real_prolab("run", "experiment.yaml", "--only", "describe", "--set", settings[0], "--set", settings[1])
    assert done.returncode == 4, done.stderr
    assert "Traceback" not in done.stderr
    assert "error: No answer from the language model's server: http://127.0.0.1:9/v1" in done.stderr
    assert done.stderr.endswith("this may pass: the next run goes on from what is done\n")
