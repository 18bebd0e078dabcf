"""The OpenAI provider against a real HTTP server that misbehaves, has limits, or costs money."""

import logging
import time
import traceback
from collections.abc import Callable
from pathlib import Path

import pytest
from chat_server import ChatServer

from tasks.describe import DescribeParams, OpenAI
from tasks.describe.answers import ProviderError, Question
from tasks.describe.estimate import estimate
from tasks.describe.providers import make_provider
from tasks.errors import InputError
from tasks.execution import StageResult

Describe = Callable[..., StageResult]

KEY = "sk-very-secret-0123456789"
PRICES = {"prompt": 1.0, "completion": 2.0}


@pytest.mark.parametrize("trouble", ["truncated", "html", "reset", "short", "drip", 500, 502, 429, (503, "0")])
def test_a_broken_answer_is_asked_for_again(describe: Describe, server: ChatServer, trouble: int | str) -> None:
    server.trouble[:] = [trouble]
    result = describe(("road",), timeout=2.0 if trouble == "drip" else 60.0)
    assert result.artifact.manifest.summary["descriptions"] == 3
    assert len(server.requests) == 2


@pytest.mark.parametrize(
    ("trouble", "message"),
    [
        ("truncated", "expected a chat completion, got"),
        ("html", "Gateway is down"),
        ("reset", "Connection error"),
        ("drip", "no whole answer within 0.5 s"),
        (500, "trouble 500"),
    ],
)
def test_what_stays_broken_is_explained(describe: Describe, server: ChatServer, trouble: str, message: str) -> None:
    server.trouble[:] = [trouble]
    with pytest.raises(ProviderError, match=f"test-model.*'road'.*{message}"):
        describe(("road",), timeout=0.5 if trouble == "drip" else 60.0, max_retries=0)


@pytest.mark.parametrize("trouble", ["empty", "null"])
def test_no_text_is_an_unusable_answer(describe: Describe, server: ChatServer, trouble: str) -> None:
    server.trouble[:] = [trouble]
    responses = describe(("road",)).artifact.table("responses.parquet").to_pylist()
    assert [(row["attempt"], bool(row["text"])) for row in responses] == [(0, False), (1, True)]


def test_a_burst_of_429_holds_all_requests_back_as_long_as_the_server_asks(
    describe: Describe, server: ChatServer
) -> None:
    server.trouble[:] = [(429, "1")] * 4
    describe(tuple(f"class {index}" for index in range(8)), concurrency=4)
    assert len(server.requests) == 12
    assert min(server.times[4:]) - server.times[3] > 0.9


def test_a_server_that_asks_for_too_long_a_wait_is_not_waited_for(describe: Describe, server: ChatServer) -> None:
    server.trouble[:] = [(429, "86400")]
    with pytest.raises(ProviderError, match="asks to wait 86400 s"):
        describe(("road",))


def test_one_refusal_does_not_wait_for_the_backoff_of_others(describe: Describe, server: ChatServer) -> None:
    server.trouble[:] = [(503, "300"), 401]
    started = time.monotonic()
    with pytest.raises(InputError, match="refuses"):
        describe(("road", "car"), concurrency=2)
    assert time.monotonic() - started < 30


def test_requests_go_out_within_the_limits(describe: Describe, server: ChatServer) -> None:
    describe(tuple(f"class {index}" for index in range(4)), concurrency=4, requests_per_minute=300)
    assert server.times[-1] - server.times[0] > 0.4
    server.times.clear()
    # Four requests of about 110 tokens at most.
    describe(tuple(f"class {index}" for index in range(4)), seed=1, tokens_per_minute=33_000, max_tokens=100)
    assert server.times[-1] - server.times[0] > 0.4


@pytest.mark.parametrize(
    ("budget", "asked"), [({"requests": 2}, 2), ({"tokens": 140}, 2), ({"money": 200e-6}, 2), ({"requests": 0}, 0)]
)
def test_a_budget_is_not_passed_and_what_came_is_kept(
    describe: Describe, server: ChatServer, budget: dict[str, float], asked: int
) -> None:
    # An answer takes 10 + 20 tokens; before it came, it could take some 13 + 64.
    classes = ("road", "car", "tree", "sky", "wall", "pole")
    options = {"prices": PRICES, "max_tokens": 64, "concurrency": 3}
    with pytest.raises(InputError, match=rf"provider\.budget\.{next(iter(budget))} = .* could be passed"):
        describe(classes, budget=budget, **options)
    assert len(server.requests) >= asked
    spent = len(server.requests)
    assert spent <= budget.get("requests", 6) and spent * 30 <= budget.get("tokens", 999)
    result = describe(classes, **options)
    assert len(server.requests) == 6
    assert result.artifact.manifest.summary["cost"] == pytest.approx((6 - spent) * 50e-6)


def test_a_budget_of_money_needs_prices() -> None:
    with pytest.raises(ValueError, match="needs prices"):
        OpenAI(type="openai", model="m", budget={"money": 1})


def test_the_record_says_who_answered_with_what_at_what_cost(describe: Describe) -> None:
    (row,) = describe(("road",), prices=PRICES, revision="3").artifact.table("responses.parquet").to_pylist()
    assert (row["model"], row["answered_by"], row["purpose"]) == ("test-model", "test-model-2026", "description")
    assert (row["system"], row["prompt"]) == ("You describe.", "Describe <road>.")
    assert '"revision": "3"' in row["parameters"] and '"max_tokens": 512' in row["parameters"]
    assert row["cost"] == pytest.approx(50e-6)
    assert row["seconds"] > 0 and row["new"]


def test_a_server_that_counts_no_tokens_is_counted_for(describe: Describe, server: ChatServer) -> None:
    server.usage = False
    (row,) = describe(("road",), prices=PRICES).artifact.table("responses.parquet").to_pylist()
    assert row["prompt_tokens"] == row["completion_tokens"] == 0
    assert row["cost"] > 0


def test_the_estimate_needs_no_key_and_asks_nothing(
    describe: Describe, server: ChatServer, prompt: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    describe(("road",), prices=PRICES)
    assert "1 questions, 0 of them answered in the cache; about 1 requests" in caplog.text
    provider = {"type": "openai", "model": "test-model", "prices": PRICES, "max_tokens": 200}
    params = DescribeParams(classes=("road", "car"), prompt=prompt, provider=provider)
    figures = estimate(params, tmp_path / "empty")
    assert (figures.questions, figures.kept, figures.likely.requests, figures.most.requests) == (2, 0, 2, 6)
    assert figures.most.completion_tokens == 6 * 200
    assert figures.most_cost is not None and figures.most_cost > 1200e-6
    assert len(server.requests) == 1


@pytest.mark.parametrize("url", ["http://me:secret@host/v1", "http://host/v1?key=secret", "host/v1", "ftp://host"])
def test_a_url_with_a_password_is_refused_without_it(describe: Describe, url: str) -> None:
    with pytest.raises(InputError, match="base_url") as raised:
        describe(("road",), base_url=url)
    assert "secret" not in str(raised.value)


@pytest.mark.parametrize("trouble", [401, 429, 500, "key", "html", "reset"])
def test_the_key_is_nowhere(
    describe: Describe,
    server: ChatServer,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    tmp_path: Path,
    trouble: int | str,
) -> None:
    """The server tells the key in its errors, or in its answer."""
    caplog.set_level(logging.DEBUG)
    monkeypatch.setenv("TEST_KEY", f"{KEY}\n")
    server.trouble[:] = [trouble] * 3
    try:
        describe(("road", "car", "sky"), api_key_env="TEST_KEY", max_retries=1)
    except (InputError, ProviderError) as error:
        shown = "".join(traceback.TracebackException.from_exception(error, capture_locals=True).format())
        assert KEY not in shown
        assert error.__cause__ is error.__context__ is None
    assert set(server.keys) == {f"Bearer {KEY}"}
    assert KEY not in caplog.text
    assert not [path for path in tmp_path.rglob("*") if path.is_file() and KEY.encode() in path.read_bytes()]


def test_a_key_that_cannot_be_one_is_not_told(server: ChatServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEST_KEY", "sk-säcret\x01")
    params = OpenAI(type="openai", model="m", base_url=server.base_url, api_key_env="TEST_KEY")
    question = Question(subject="road", system="", user="?", seed=0, temperature=0)
    with pytest.raises(InputError, match="TEST_KEY holds no API key") as raised:
        make_provider(params, Path()).answer(question)
    assert "säcret" not in "".join(traceback.format_exception(raised.value))


def test_further_fields_of_a_request(describe: Describe, server: ChatServer) -> None:
    describe(("road",), extra={"reasoning_effort": "low", "seed": None})
    assert server.requests[0]["reasoning_effort"] == "low"
    assert "seed" not in server.requests[0]
    assert server.requests[0]["max_tokens"] == 512
