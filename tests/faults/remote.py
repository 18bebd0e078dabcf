"""A remote breaks off half-way: a server that speaks S3's protocol, behind a wire that is cut after so many bytes."""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import random
import socket
import socketserver
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from artifacts import Store
from tests.faults.fault import Fault, NotHereError
from tests.faults.laboratory import Laboratory, Round
from tests.flows.processes import Prolab

_CHUNK = 16_384


class Wire:
    """Carries bytes between clients and a server until so many have passed; then no connection lasts.

    Attributes:
        left: bytes that may still pass; any if None.
    """

    def __init__(self, server: tuple[str, int]) -> None:
        self.left: int | None = None
        self._server = server
        self._lock = threading.Lock()
        self._listener = socketserver.ThreadingTCPServer(("127.0.0.1", 0), self._handler())
        self._listener.daemon_threads = True
        threading.Thread(target=self._listener.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._listener.server_address[1]}"

    def close(self) -> None:
        self._listener.shutdown()
        self._listener.server_close()

    def _take(self, count: int) -> bool:
        """Whether so many bytes may pass."""
        with self._lock:
            if self.left is None:
                return True
            self.left = max(0, self.left - count)
            return self.left > 0

    def _handler(self) -> type[socketserver.BaseRequestHandler]:
        take, server = self._take, self._server

        class Handler(socketserver.BaseRequestHandler):
            def handle(self) -> None:
                with contextlib.suppress(OSError), socket.create_connection(server) as other:
                    back = threading.Thread(target=carry, args=(other, self.request), daemon=True)
                    back.start()
                    carry(self.request, other)
                    back.join()

        def carry(source: socket.socket, target: socket.socket) -> None:
            with contextlib.suppress(OSError):
                while (data := source.recv(_CHUNK)) and take(len(data)):
                    target.sendall(data)
            for end in (source, target):
                with contextlib.suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)

        return Handler


@contextmanager
def _bucket(round: Round) -> Iterator[tuple[Wire, Prolab]]:
    """The wire to a bucket, and the command in an environment that knows a prefix in it as its remote."""
    try:
        from moto.server import ThreadedMotoServer
        from s3fs import S3FileSystem
    except ImportError as error:
        raise NotHereError(f"{error}: pip install -e '.[dev]'") from error
    logging.getLogger("werkzeug").setLevel(logging.WARNING)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    wire = Wire(server.get_host_and_port())
    try:
        keys = {"key": "someone", "secret": "hunter2", "endpoint_url": wire.url}
        S3FileSystem(**keys, skip_instance_cache=True).makedirs("bucket", exist_ok=True)
        environment = {name: value for name, value in round.prolab.environment.items() if not name.startswith("AWS_")}
        environment |= {
            "PROLAB_REMOTE": f"s3://bucket/{round.folder.name}",
            "AWS_ENDPOINT_URL": wire.url,
            "AWS_ACCESS_KEY_ID": keys["key"],
            "AWS_SECRET_ACCESS_KEY": keys["secret"],
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_MAX_ATTEMPTS": "1",
            "NO_PROXY": "127.0.0.1",
        }
        yield wire, dataclasses.replace(round.prolab, environment=environment)
    finally:
        wire.close()
        server.stop()


def _breaks_off(laboratory: Laboratory, chance: random.Random) -> str:
    with laboratory.round(chance, before="end") as round, _bucket(round) as (wire, prolab):
        most = sum(path.stat().st_size for path in round.store.glob("artifacts/**/*") if path.is_file())
        cut = chance.choice(("push", "pull"))
        if cut == "push":
            wire.left = chance.randrange(most)
        pushed = _held(prolab("artifacts", "push"))
        # Nobody sees the half of a version.
        wire.left = chance.randrange(most) if cut == "pull" else None
        half = _held(prolab("artifacts", "pull", "--store", "other"))
        other = round.folder / "other"
        assert not other.exists() or Store(other).verify() == []
        wire.left = None
        assert _held(prolab("artifacts", "push"))
        assert _held(prolab("artifacts", "pull", "--store", "other"))
        assert Store(other).verify() == []
        versions = {made.kind: made.version for made in Store(other).list()}
        assert versions == laboratory.versions, versions
        assert not any(other.glob("temporary/*"))
        return f"{cut} {'came through' if pushed and half else 'broke off, went on'}"


def _held(done: subprocess.CompletedProcess[str]) -> bool:
    """Whether the command did all; if not, it said why."""
    assert done.returncode in (0, 2), f"exit code {done.returncode}:\n{done.stderr}"
    assert "Traceback" not in done.stderr, done.stderr
    assert done.returncode == 0 or "error: s3://bucket/" in done.stderr, done.stderr
    assert "hunter2" not in done.stdout + done.stderr
    return done.returncode == 0


FAULTS: list[Fault] = [
    Fault(
        "remote",
        "the connection to a bucket breaks off after a random number of bytes of a push or pull",
        "exit code 2 and the cause; other stores see whole versions only; the next push or pull goes on",
        "push or pull again, or just run again",
        _breaks_off,
    ),
]
