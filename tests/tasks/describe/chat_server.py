"""A server that speaks OpenAI's chat completions protocol, counts what it is asked and misbehaves to order."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Reply = Callable[[dict[str, Any]], str]


class ChatServer:
    """Use as a context manager; `base_url` is what a client needs.

    Attributes:
        requests: bodies of all requests in the order of their arrival, those that met trouble included.
        keys: the Authorization header of each request.
        trouble: taken from the front, one for each request: an HTTP status to fail with, or "empty" for no choices.
    """

    def __init__(self, reply: Reply, delay: float = 0.0) -> None:
        self.requests: list[dict[str, Any]] = []
        self.keys: list[str | None] = []
        self.trouble: list[int | str] = []
        self._lock = threading.Lock()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler(reply, delay))
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}/v1"

    def asked_about(self, phrase: str) -> int:
        """How many requests so far mention `phrase` in the user message."""
        return sum(phrase in body["messages"][-1]["content"] for body in self.requests)

    def __enter__(self) -> ChatServer:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def _take(self, body: dict[str, Any], key: str | None) -> int | str | None:
        with self._lock:
            self.requests.append(body)
            self.keys.append(key)
            return self.trouble.pop(0) if self.trouble else None

    def _handler(outer, reply: Reply, delay: float) -> type[BaseHTTPRequestHandler]:  # noqa: N805
        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                trouble = outer._take(body, self.headers["Authorization"])
                time.sleep(delay)
                if isinstance(trouble, int):
                    message = f"trouble {trouble} for {self.headers['Authorization']}"
                    self._send(trouble, {"error": {"message": message, "type": "trouble"}})
                    return
                message = {"role": "assistant", "content": reply(body)}
                choices = [] if trouble == "empty" else [{"index": 0, "message": message, "finish_reason": "stop"}]
                self._send(
                    200,
                    {
                        "id": "chat",
                        "object": "chat.completion",
                        "created": 0,
                        "model": body["model"],
                        "choices": choices,
                        "usage": {"prompt_tokens": 10, "completion_tokens": 20, "total_tokens": 30},
                    },
                )

            def _send(self, status: int, content: dict[str, Any]) -> None:
                payload = json.dumps(content).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(payload)))
                # Tells the client to repeat at once.
                self.send_header("retry-after-ms", "1")
                self.end_headers()
                self.wfile.write(payload)

            def log_message(self, *_: object) -> None:
                pass

        return Handler
