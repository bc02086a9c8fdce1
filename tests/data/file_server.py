"""A file server on this machine whose answers can be scripted to go wrong."""

import contextlib
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Asked:
    """One request that the server got."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes = b""


Behaviour = Callable[["Handler", bytes], None]


@dataclass
class FileServer:
    """Files by path; `script` has the next answers, after which all goes well."""

    url: str
    files: dict[str, bytes] = field(default_factory=dict)
    script: list[Behaviour] = field(default_factory=list)
    asked: list[Asked] = field(default_factory=list)
    etag: str | None = '"v1"'
    pages: dict[tuple[str, str], Behaviour] = field(default_factory=dict)


class Handler(BaseHTTPRequestHandler):
    state: FileServer

    def do_GET(self) -> None:
        self._answer("GET")

    def do_POST(self) -> None:
        self._answer("POST")

    def log_message(self, *_: object) -> None:
        pass

    def _answer(self, method: str) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        headers = {key.lower(): value for key, value in self.headers.items()}
        self.state.asked.append(Asked(method, self.path, headers, body))
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            if page := self.state.pages.get((method, self.path)):
                page(self, body)
            elif self.path not in self.state.files:
                self.send(404)
            else:
                script = self.state.script
                (script.pop(0) if script else good)(self, self.state.files[self.path])

    def send(self, code: int, body: bytes = b"", **headers: object) -> None:
        """Send an answer; names of headers have _ for -. The length is the body's by default."""
        self.send_response(code)
        named = {name.replace("_", "-"): str(value) for name, value in headers.items()}
        for name, value in ({"Content-Length": str(len(body))} | named).items():
            if value != "None":
                self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)
        self.wfile.flush()

    def range_start(self) -> int | None:
        """Where the client wants to go on, if its If-Range still holds."""
        asked, condition = self.headers.get("Range"), self.headers.get("If-Range")
        if asked is None or (condition is not None and condition != self.state.etag):
            return None
        return int(asked.removeprefix("bytes=").removesuffix("-"))


def good(handler: Handler, content: bytes) -> None:
    """Everything as it should be, ranges and all."""
    _serve(handler, content, len(content))


def cut_after(count: int) -> Behaviour:
    """Promise all, send some bytes, hang up."""
    return lambda handler, content: _serve(handler, content, count)


def ignoring_ranges(handler: Handler, content: bytes) -> None:
    handler.send(200, content, ETag=handler.state.etag)


def saying(code: int, **headers: object) -> Behaviour:
    return lambda handler, _: handler.send(code, b"sorry", **headers)


def of_length(length: int | None) -> Behaviour:
    """The right bytes with a false Content-Length, or without any."""
    return lambda handler, content: handler.send(200, content, Content_Length=length)


def other_bytes(handler: Handler, content: bytes) -> None:
    """As many bytes as asked for, and all of them wrong."""
    _serve(handler, bytes(255 - byte for byte in content), len(content))


def _serve(handler: Handler, content: bytes, count: int) -> None:
    start, etag = handler.range_start(), handler.state.etag
    if start is None:
        handler.send(200, content[:count], Content_Length=len(content), ETag=etag)
    elif start >= len(content):
        handler.send(416, Content_Range=f"bytes */{len(content)}")
    else:
        rest = content[start:]
        content_range = f"bytes {start}-{len(content) - 1}/{len(content)}"
        handler.send(
            206,
            rest[:count],
            Content_Length=len(rest),
            Content_Range=content_range,
            ETag=etag,
        )


@contextlib.contextmanager
def running_server() -> Iterator[FileServer]:
    handler = type("OneServersHandler", (Handler,), {})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        state = FileServer(f"http://127.0.0.1:{server.server_port}")
        handler.state = state
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        yield state
        server.shutdown()
        thread.join()
