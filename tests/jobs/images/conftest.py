"""What the tests of image jobs share: pictures made on the spot, a web server that hands them out, a storage."""

from __future__ import annotations

import http.server
import io
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from jobyard.jobs.storage import Storage, get_storage

RED, GREEN, BLUE, YELLOW = (220, 20, 20), (20, 200, 20), (20, 20, 220), (230, 220, 30)


def quarters(width: int = 80, height: int = 60) -> Image.Image:
    """Red, green over blue, yellow: every turn, flip and cut shows in the corners."""
    image = Image.new("RGB", (width, height), RED)
    image.paste(GREEN, (width // 2, 0, width, height // 2))
    image.paste(BLUE, (0, height // 2, width // 2, height))
    image.paste(YELLOW, (width // 2, height // 2, width, height))
    return image


def as_bytes(image: Image.Image, pillow_format: str, **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, pillow_format, **options)
    return file.getvalue()


class Pictures:
    """The helpers above, for tests to take as one fixture."""

    RED, GREEN, BLUE, YELLOW = RED, GREEN, BLUE, YELLOW
    quarters = staticmethod(quarters)
    as_bytes = staticmethod(as_bytes)

    @staticmethod
    def near(image: Image.Image, at: tuple[int, int], colour: tuple[int, ...], off_by: int = 25) -> bool:
        """Whether the pixel has that colour, but for what lossy formats change."""
        pixel = image.convert("RGBA" if len(colour) == 4 else "RGB").getpixel(at)
        assert isinstance(pixel, tuple)
        return all(abs(is_ - should) <= off_by for is_, should in zip(pixel, colour, strict=True))

    @classmethod
    def corners(cls, image: Image.Image) -> list[str]:
        """The names of the colours in the corners: top left, top right, bottom left, bottom right."""
        names = {"red": RED, "green": GREEN, "blue": BLUE, "yellow": YELLOW}
        right, bottom = image.width - 2, image.height - 2
        return [
            next((name for name, colour in names.items() if cls.near(image, at, colour)), "other")
            for at in ((1, 1), (right, 1), (1, bottom), (right, bottom))
        ]


@pytest.fixture
def pictures() -> type[Pictures]:
    return Pictures


@pytest.fixture
def storage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Storage]:
    monkeypatch.setenv("JOBYARD_STORAGE_URL", (tmp_path / "storage").as_uri())
    get_storage.cache_clear()
    yield get_storage()
    get_storage.cache_clear()


@pytest.fixture
def serve(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., str]]:
    """Hands out bytes under a URL that downloads may reach: `serve(content, status=200, content_type=…)`."""
    pages: dict[str, tuple[int, bytes, dict[str, str]]] = {}

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, content, headers = pages[self.path]
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: Any) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    monkeypatch.setenv("JOBYARD_DOWNLOAD_ALLOW", f"127.0.0.1:{server.server_port}")

    def add(content: bytes, status: int = 200, content_type: str = "image/jpeg", **headers: str) -> str:
        path = f"/{len(pages)}"
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        pages[path] = (status, content, {"Content-Type": content_type, **named})
        return f"http://127.0.0.1:{server.server_port}{path}"

    yield add
    server.shutdown()
    thread.join()
    server.server_close()
