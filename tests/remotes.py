"""A server that keeps files in a folder and drops connections, and the file system that talks to it."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote, urlsplit

import fsspec
from fsspec.spec import AbstractFileSystem


class Handler(BaseHTTPRequestHandler):
    """GET (ranges, and folders as JSON) and PUT. In a fit of the server, bodies break off in the middle."""

    server: Server

    def log_message(self, *_: Any) -> None:
        pass

    def _path(self) -> Path:
        return self.server.folder / unquote(urlsplit(self.path).path).lstrip("/")

    def _answer(self, code: int, body: bytes = b"") -> None:
        self.send_response(code)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.server.breaks_now():
            self.wfile.write(body[: len(body) // 2])
            self.connection.close()
            return
        self.wfile.write(body)

    def do_GET(self) -> None:
        path = self._path()
        if self.path.startswith("/?find"):
            files = [one for one in self.server.folder.rglob("*") if one.is_file()]
            names = {one.relative_to(self.server.folder).as_posix(): one.stat().st_size for one in files}
            self._answer(200, json.dumps(names).encode())
        elif path.is_file():
            content = path.read_bytes()
            span = self.headers.get("Range")
            if span:
                start, end = map(int, span.removeprefix("bytes=").split("-"))
                content = content[start : end + 1]
            self._answer(200, content)
        else:
            self._answer(404)

    def do_PUT(self) -> None:
        if self.server.denies:
            self._answer(403)
            return
        size = int(self.headers["Content-Length"])
        path = self._path()
        path.parent.mkdir(parents=True, exist_ok=True)
        if self.server.breaks_now():  # half of it is written, and nobody is told
            path.write_bytes(self.rfile.read(size // 2))
            self.connection.close()
            return
        path.write_bytes(self.rfile.read(size))
        self.server.written.append(path.name)
        self._answer(200)


class Server(ThreadingHTTPServer):
    """Keeps files in a folder.

    Attributes:
        budget: answers until it breaks off; None for never.
        stays_broken: whether all after that break off, too.
    """

    daemon_threads = True

    def __init__(self, folder: Path) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.folder, self.budget, self.stays_broken, self.denies = folder, None, True, False
        self.written: list[str] = []
        self._lock = threading.Lock()

    def handle_error(self, *_: Any) -> None:
        pass

    def breaks_now(self) -> bool:
        with self._lock:
            if self.budget is None:
                return False
            self.budget -= 1
            if self.budget >= 0:
                return False
            if not self.stays_broken:
                self.budget = None
            return True


class Files(AbstractFileSystem):
    """fsspec's view of such a server."""

    protocol = "breaking"
    cachable = False

    def __init__(self, host: str = "", **options: Any) -> None:
        super().__init__(**options)
        self.host = host

    @classmethod
    def _strip_protocol(cls, path: str) -> str:
        return path.removeprefix("breaking://").rstrip("/")

    @staticmethod
    def _get_kwargs_from_urls(path: str) -> dict[str, str]:
        return {"host": path.removeprefix("breaking://").partition("/")[0]}

    def _ask(self, method: str, path: str, body: bytes | None = None, **headers: str) -> bytes:
        connection = http.client.HTTPConnection(self.host, timeout=5)
        try:
            connection.request(method, path, body, headers)
            answer = connection.getresponse()
            content = answer.read()
        finally:
            connection.close()
        if answer.status == 404:
            raise FileNotFoundError(path)
        if answer.status == 403:
            raise PermissionError(path)
        return content

    def _below(self, path: str) -> str:
        return "/" + quote(self._strip_protocol(path).partition("/")[2])

    def find(self, path: str, **_: Any) -> dict[str, Any]:
        found = json.loads(self._ask("GET", "/?find"))
        base = self._strip_protocol(path)
        top = base.partition("/")[0]
        names = {f"{top}/{name}": {"size": size} for name, size in found.items()}
        return {name: told for name, told in names.items() if name.startswith(base + "/")}

    def cat_file(self, path: str, start: int | None = None, end: int | None = None, **_: Any) -> bytes:
        span = {} if start is None else {"Range": f"bytes={start}-{end - 1}"}
        return self._ask("GET", self._below(path), **span)

    def pipe_file(self, path: str, value: bytes, **_: Any) -> None:
        self._ask("PUT", self._below(path), value)

    def makedirs(self, path: str, exist_ok: bool = False) -> None:
        pass


fsspec.register_implementation("breaking", Files, clobber=True)


@contextlib.contextmanager
def serving(folder: Path) -> Iterator[tuple[Server, str]]:
    """A server of a folder, and its address."""
    os.makedirs(folder, exist_ok=True)
    server = Server(folder)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server, f"breaking://127.0.0.1:{server.server_port}/data"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
