"""A server that speaks OpenAI's protocol (chat completions, files, batches), counts, and misbehaves to order."""

from __future__ import annotations

import contextlib
import json
import socket
import struct
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Reply = Callable[[dict[str, Any]], str]
Trouble = int | str | tuple[int, str]


class ChatServer:
    """Use as a context manager; `base_url` is what a client needs.

    Attributes:
        requests: bodies of all chat requests in the order of their arrival, those that met trouble included.
        times: when they arrived.
        keys: the Authorization header of each.
        trouble: taken from the front, one for each chat request: an HTTP status to fail with (at once to be repeated,
            or with the given Retry-After), or "empty" (no choices), "null" (no text), "truncated" (half of the JSON),
            "short" (less than the announced length), "html", "reset", "drip" (slowly), "key" (tells the key).
        batches: every batch that was sent, by its id.
        looks: how many looks at a batch see it in progress.
        usage: whether answers say how many tokens they took.
    """

    def __init__(self, reply: Reply, delay: float = 0.0, port: int = 0) -> None:
        self.requests: list[dict[str, Any]] = []
        self.times: list[float] = []
        self.keys: list[str | None] = []
        self.trouble: list[Trouble] = []
        self.batches: dict[str, dict[str, Any]] = {}
        self.looks = 0
        self.usage = True
        self._files: dict[str, str] = {}
        self._reply = reply
        self._lock = threading.Lock()
        self._server = _Server(("127.0.0.1", port), self._handler(delay))
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    @property
    def port(self) -> int:
        return self._server.server_port

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    def asked_about(self, phrase: str) -> int:
        """How many requests so far mention `phrase` in the user message."""
        return sum(phrase in body["messages"][-1]["content"] for body in self.requests)

    def __enter__(self) -> ChatServer:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._server.close_connections()
        self._thread.join()

    def completion(self, body: dict[str, Any], said: str | None) -> dict[str, Any]:
        message = {"role": "assistant", "content": said}
        usage = {"prompt_tokens": 10, "completion_tokens": 20, "total_tokens": 30}
        return {
            "id": "chat",
            "object": "chat.completion",
            "created": 0,
            "model": f"{body['model']}-2026",
            "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
            **({"usage": usage} if self.usage else {}),
        }

    def _take(self, body: dict[str, Any], key: str | None) -> Trouble | None:
        with self._lock:
            self.requests.append(body)
            self.times.append(time.monotonic())
            self.keys.append(key)
            return self.trouble.pop(0) if self.trouble else None

    def _upload(self, form: str) -> dict[str, Any]:
        name = f"file-{len(self._files)}"
        self._files[name] = "\n".join(line for line in form.splitlines() if line.startswith("{"))
        return {"id": name, "object": "file", "bytes": 1, "created_at": 0, "filename": "x", "purpose": "batch"}

    def _create(self, body: dict[str, Any]) -> dict[str, Any]:
        name = f"batch-{len(self.batches)}"
        self.batches[name] = {
            "id": name,
            "object": "batch",
            "status": "in_progress",
            "created_at": 100,
            "errors": None,
            "output_file_id": None,
            **body,
        }
        return self.batches[name]

    def _look(self, name: str) -> dict[str, Any]:
        batch = self.batches[name]
        if self.looks:
            self.looks -= 1
        elif batch["status"] == "in_progress":
            lines = [json.loads(line) for line in self._files[batch["input_file_id"]].splitlines()]
            batch |= {"status": "completed", "completed_at": 160, "output_file_id": f"out-{name}"}
            self._files[f"out-{name}"] = "\n".join(map(self._line, lines))
        return batch

    def _line(self, line: dict[str, Any]) -> str:
        trouble = self._take(line["body"], None)
        body = self.completion(line["body"], self._reply(line["body"]))
        response = {"status_code": trouble or 200, "request_id": "r", "body": {} if trouble else body}
        return json.dumps({"id": "l", "custom_id": line["custom_id"], "response": response, "error": None})

    def _handler(outer, delay: float) -> type[BaseHTTPRequestHandler]:  # noqa: N805
        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                match self.path.partition("?")[0].split("/")[2:]:
                    case ["batches"]:
                        self._send(200, {"object": "list", "data": list(outer.batches.values()), "has_more": False})
                    case ["batches", name]:
                        self._send(200, outer._look(name))
                    case ["files", name, "content"]:
                        self._write(200, outer._files[name].encode(), "application/octet-stream")

            def do_POST(self) -> None:
                payload = self.rfile.read(int(self.headers["Content-Length"]))
                if self.path.endswith("/files"):
                    self._send(200, outer._upload(payload.decode()))
                    return
                body = json.loads(payload)
                if self.path.endswith("/batches"):
                    self._send(200, outer._create(body))
                    return
                trouble = outer._take(body, self.headers["Authorization"])
                time.sleep(delay)
                match trouble:
                    case int():
                        self._fail(trouble, ("retry-after-ms", "1"))
                    case (status, seconds):
                        self._fail(status, ("Retry-After", seconds))
                    case _:
                        self._answer(body, trouble)

            def _answer(self, body: dict[str, Any], trouble: str | None) -> None:
                said = None if trouble == "null" else outer._reply(body)
                if trouble == "key":
                    said = "\n".join(f"- {word} {self.headers['Authorization']}" for word in ("one", "two", "three"))
                content = outer.completion(body, said)
                if trouble == "empty":
                    content["choices"] = []
                payload = json.dumps(content).encode()
                match trouble:
                    case "truncated":
                        self._write(200, payload[: len(payload) // 2], "application/json")
                    case "html":
                        self._write(200, b"<html><body>Gateway is down</body></html>", "text/html")
                    case "reset":
                        # Closing with this option set and data unread sends a reset.
                        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                        self.connection.close()
                        self.close_connection = True
                    case "short":
                        self._write(200, payload[:20], "application/json", announced=len(payload))
                        self.close_connection = True
                    case "drip":
                        self._drip(payload)
                    case _:
                        self._write(200, payload, "application/json")

            def _drip(self, payload: bytes) -> None:
                self._write(200, b"", "application/json", announced=len(payload))
                try:
                    for byte in payload:
                        self.wfile.write(bytes([byte]))
                        time.sleep(0.05)
                except OSError:
                    self.close_connection = True

            def _fail(self, status: int, header: tuple[str, str]) -> None:
                message = f"trouble {status} for {self.headers['Authorization']}"
                self._send(status, {"error": {"message": message, "type": "trouble"}}, header)

            def _send(self, status: int, content: dict[str, Any], *headers: tuple[str, str]) -> None:
                self._write(status, json.dumps(content).encode(), "application/json", *headers)

            def _write(
                self, status: int, payload: bytes, kind: str, *headers: tuple[str, str], announced: int | None = None
            ) -> None:
                self.send_response(status)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(payload) if announced is None else announced))
                for name, value in headers:
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(payload)

            def log_message(self, *_: object) -> None:
                pass

            def handle(self) -> None:
                # The client, or a reset, may close the connection.
                with contextlib.suppress(ConnectionError, ValueError):
                    super().handle()

        return Handler


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, address: tuple[str, int], handler: type[BaseHTTPRequestHandler]) -> None:
        super().__init__(address, handler)
        self._connections: set[socket.socket] = set()

    def process_request(self, request: Any, client_address: Any) -> None:
        self._connections.add(request)
        super().process_request(request, client_address)

    def close_connections(self) -> None:
        """Clients keep theirs open between two questions."""
        for connection in self._connections.copy():
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def shutdown_request(self, request: Any) -> None:
        self._connections.discard(request)
        with contextlib.suppress(OSError):
            super().shutdown_request(request)
