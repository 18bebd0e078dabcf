"""Whether there is a Prefect server to report to."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import httpx
import pytest

from flows.prefect_api import is_away, prefect_api_answers

_REQUEST = httpx.Request("GET", "http://127.0.0.1:4200/api/flows")
_OTHER_REQUEST = httpx.Request("GET", "http://127.0.0.1:8000/models")


class _Api(BaseHTTPRequestHandler):
    status = 200

    def do_GET(self) -> None:
        self.send_response(self.status if self.path == "/api/health" else 500)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def api() -> Iterator[str]:
    _Api.status = 200
    server = HTTPServer(("127.0.0.1", 0), _Api)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/api"
    server.shutdown()
    server.server_close()


@pytest.fixture(autouse=True)
def no_prefect(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    for name in ("PREFECT_API_URL", "PREFECT_PROFILE", "PREFECT_PROFILES_PATH"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PREFECT_HOME", str(tmp_path))
    return tmp_path / "profiles.toml"


def test_nothing_configured() -> None:
    assert not prefect_api_answers()


def test_environment(api: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PREFECT_API_URL", f"{api}/")

    assert prefect_api_answers()


def test_active_profile(api: str, monkeypatch: pytest.MonkeyPatch, no_prefect: Path) -> None:
    no_prefect.write_text(f'active = "local"\n[profiles.local]\nPREFECT_API_URL = "{api}"\n[profiles.other]\n')

    assert prefect_api_answers()
    monkeypatch.setenv("PREFECT_PROFILE", "other")
    assert not prefect_api_answers()


def test_an_empty_address_says_that_there_is_none(api: str, monkeypatch: pytest.MonkeyPatch, no_prefect: Path) -> None:
    no_prefect.write_text(f'active = "local"\n[profiles.local]\nPREFECT_API_URL = "{api}"\n')
    monkeypatch.setenv("PREFECT_API_URL", "")

    assert not prefect_api_answers()


@pytest.mark.parametrize(
    ("error", "away"),
    [
        (httpx.ConnectError("refused", request=_REQUEST), True),
        (httpx.ReadTimeout("no answer", request=_REQUEST), True),
        (httpx.ConnectError("refused", request=_OTHER_REQUEST), False),
        (httpx.HTTPStatusError("", request=_REQUEST, response=httpx.Response(503)), True),
        (httpx.HTTPStatusError("", request=_REQUEST, response=httpx.Response(422)), False),
        (ConnectionError("of something else"), False),
    ],
)
def test_a_server_that_is_away(error: Exception, away: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PREFECT_API_URL", "http://127.0.0.1:4200/api/")
    assert is_away(error) is away


@pytest.mark.parametrize(("status", "answers"), [(401, True), (404, True), (500, False), (503, False)])
def test_errors(api: str, monkeypatch: pytest.MonkeyPatch, status: int, answers: bool) -> None:
    monkeypatch.setenv("PREFECT_API_URL", api)
    _Api.status = status

    assert prefect_api_answers() is answers


@pytest.mark.parametrize("url", ["http://127.0.0.1:9/api", "no url"])
def test_nobody_there(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, url: str) -> None:
    monkeypatch.setenv("PREFECT_API_URL", url)

    assert not prefect_api_answers()
    assert f"{url} does not answer" in caplog.text
