import numpy as np
from pydantic import JsonValue

from tasks.errors import InputError
from tasks.stage import StageContext
from tiny.tables import read_texts, write_rows

_held: list[np.ndarray] = []
"""What takes memory until the process ends."""


def run(context: StageContext) -> dict[str, JsonValue]:
    if context.params.fail:
        raise InputError("train.fail: expected false, got true")
    _held.append(np.ones(context.params.megabytes * 1_000_000, np.uint8))
    texts = [
        f"{text} {context.params.lr}" for name in sorted(context.inputs) for text in read_texts(context.inputs[name])
    ]
    write_rows(context.output, texts)
    (context.output / "report.md").write_text("# Training\n")
    (context.output / "report.html").write_text("<h1>Training</h1>\n")
    return {"loss": 0.5}
