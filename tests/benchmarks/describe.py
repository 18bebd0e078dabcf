"""Times the sequential loop over 171 classes against the stage describe, in one process.

Both ask the tests' HTTP server, which answers after 300 ms. The loop is the original's without its sleep of 0.5 s a
class: one request after the other, and one JSON file at the end. The stage keeps every answer on
disk and writes an artifact.

Run: python -m tests.benchmarks.describe
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path

import openai

from artifacts import Store
from prolab_model.dataset_config import read_dataset_config
from tasks.describe import STAGE, DescribeParams
from tasks.describe.prompt import read_prompt
from tasks.execution import run_stage
from tasks.progress import SilentProgress
from tests.conftest import REPOSITORY

sys.path.insert(0, str(REPOSITORY / "tests" / "tasks" / "describe"))

from chat_server import ChatServer

PROMPT = REPOSITORY / "configs" / "prompts" / "structured.yaml"
ANSWER = "".join(f"- Trait number {word} of it\n" for word in ("one", "two", "three", "four", "five", "six", "seven"))


def ask_in_turn(classes: tuple[str, ...], url: str, path: Path) -> float:
    """Seconds of the original's loop."""
    prompt = read_prompt(PROMPT)
    client = openai.OpenAI(api_key="none", base_url=url)
    started = time.perf_counter()
    descriptions = {}
    for name in classes:
        words = [{"role": "system", "content": prompt.system}, {"role": "user", "content": prompt.user_message(name)}]
        answer = client.chat.completions.create(model="test", messages=words, temperature=0)
        text = answer.choices[0].message.content or ""
        descriptions[name] = [line[2:] for line in text.split("\n") if line.startswith("- ")]
    path.write_text(json.dumps(descriptions))
    return time.perf_counter() - started


def describe(classes: tuple[str, ...], url: str, store: Path, concurrency: int) -> float:
    """Seconds of the stage."""
    provider = {"type": "openai", "model": "test", "base_url": url, "concurrency": concurrency}
    params = DescribeParams(classes=classes, prompt=PROMPT, provider=provider)
    STAGE.load()  # the loop's imports do not count either
    started = time.perf_counter()
    run_stage(STAGE, params, {}, Store(store), SilentProgress())
    return time.perf_counter() - started


def main() -> None:
    """Print both times and their ratio."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--concurrency", type=int, default=32)
    parser.add_argument("--delay", type=float, default=0.3, help="seconds until the server answers")
    parser.add_argument("--in-turn", type=int, default=171, help="classes of the loop; its time is scaled to all 171")
    arguments = parser.parse_args()
    classes = read_dataset_config(REPOSITORY / "configs" / "datasets" / "coco_stuff_164k.py").classes
    with tempfile.TemporaryDirectory() as folder, ChatServer(lambda body: ANSWER, delay=arguments.delay) as server:
        ours = describe(classes, server.base_url, Path(folder) / "store", arguments.concurrency)
        loop = ask_in_turn(classes[: arguments.in_turn], server.base_url, Path(folder) / "loop.json")
    loop *= len(classes) / arguments.in_turn
    print(f"{len(classes)} classes: in turn {loop:.1f} s, ours {ours:.2f} s, ratio {loop / ours:.1f}")


if __name__ == "__main__":
    main()
