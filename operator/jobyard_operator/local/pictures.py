"""Sample images, painted at the start, and a small HTTP server on the loopback that image jobs download them from.

It can be slow, so that progress is seen, and fail at first, so that a retry is.
"""

from __future__ import annotations

import contextlib
import io
import random
import secrets
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Final, Self

_WIDTH: Final = 3000
_HEIGHT: Final = 2000
#: Seconds that a slow download takes.
_SLOWLY: Final = 3.0
_STEPS: Final = 30
#: Seconds that stopping the server may take.
_POLL: Final = 0.05

_ORIENTATION: Final = 0x0112
_MAKER: Final = 0x010F


class PictureServer:
    """Serves `/landscape.jpg`, `/logo.png`, the same below `/slow/`, and below what `flaky()` gives, where one request fails.

    Args:
        port_file: remembers the port from one run to the next, so that jobs that were left over still find their image.
    """

    def __init__(self, port_file: Path) -> None:
        self._port_file = port_file
        self._server: ThreadingHTTPServer | None = None
        self._failing: set[str] = set()

    def start(self) -> Self:
        """Paint, and listen."""
        pictures = {"landscape.jpg": landscape(), "logo.png": logo()}
        self._server = _listen(_remembered(self._port_file), _handler(pictures, self._failing))
        self._port_file.write_text(f"{self.port}\n", encoding="ascii")
        threading.Thread(target=self._server.serve_forever, args=[_POLL], name="jobyard-pictures", daemon=True).start()
        return self

    def stop(self) -> None:
        """Listen no more. Does nothing if it doesn't run."""
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None

    @property
    def port(self) -> int:
        """The port that it listens on."""
        assert self._server is not None
        return int(self._server.server_address[1])

    def flaky(self, name: str) -> str:
        """A path to a picture that fails at the first request, and only in this run: what is left over then works."""
        path = f"flaky/{secrets.token_hex(4)}/{name}"
        self._failing.add(f"/{path}")
        return path

    def url(self, path: str) -> str:
        """The URL of a picture."""
        return f"http://127.0.0.1:{self.port}/{path}"


def landscape() -> bytes:
    """A photograph of sorts, 6 megapixels, as a camera would write it: lying on its side, with the maker's name in it."""
    from PIL import Image, ImageDraw

    dice = random.Random(7)
    # Painted at half the size, which takes a quarter of the time, and is soft enough when enlarged.
    width, height = _WIDTH // 2, _HEIGHT // 2
    sky = Image.linear_gradient("L").resize((width, height))
    image = Image.composite(Image.new("RGB", sky.size, (255, 196, 140)), Image.new("RGB", sky.size, (46, 92, 158)), sky)
    draw = ImageDraw.Draw(image)
    draw.ellipse((1075, 250, 1225, 400), fill=(255, 236, 190))
    for number, colour in enumerate([(122, 132, 170), (84, 98, 134), (48, 66, 92), (22, 38, 48)]):
        middle = 475 + 135 * number
        y = float(middle)
        ridge = []
        for x in range(0, width + 15, 15):
            # Never far from the middle for long.
            y += dice.uniform(-28, 28) + (middle - y) * 0.08
            ridge.append((x, y))
        draw.polygon([(0, height), *ridge, (width, height)], fill=colour)
    grain = Image.effect_noise(image.size, 18).convert("RGB")
    image = Image.blend(image, grain, 0.06).resize((_WIDTH, _HEIGHT), Image.Resampling.BICUBIC)
    about = Image.Exif()
    about[_ORIENTATION] = 8
    about[_MAKER] = "Jobyard sample camera"
    return _encoded(image.transpose(Image.Transpose.ROTATE_270), "JPEG", quality=90, exif=about)


def logo() -> bytes:
    """A drawing with transparency."""
    from PIL import Image, ImageDraw

    image = Image.new("RGBA", (1200, 1200), (0, 0, 0, 0))
    draw = ImageDraw.Draw(image)
    draw.rounded_rectangle((60, 60, 1140, 1140), 240, fill=(59, 91, 219, 255))
    for number, width in enumerate([720, 520, 320]):
        top = 320 + 220 * number
        draw.rounded_rectangle((240, top, 240 + width, top + 120), 60, fill=(255, 255, 255, 255 - 50 * number))
    return _encoded(image, "PNG")


def _encoded(image: Any, kind: str, **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def _remembered(port_file: Path) -> int:
    try:
        port = int(port_file.read_text(encoding="ascii"))
    except (OSError, ValueError):
        return 0
    return port if 1024 <= port < 65536 else 0


def _listen(port: int, handler: type[BaseHTTPRequestHandler]) -> ThreadingHTTPServer:
    if port:
        with contextlib.suppress(OSError):
            return _Server(("127.0.0.1", port), handler)
    return _Server(("127.0.0.1", 0), handler)


class _Server(ThreadingHTTPServer):
    daemon_threads = True


def _handler(pictures: dict[str, bytes], failing: set[str]) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            way, _, name = self.path.lstrip("/").rpartition("/")
            content = pictures.get(name)
            if content is None:
                self.send_error(404)
            elif self.path in failing:
                failing.discard(self.path)
                self.send_error(503, "Too busy, on purpose")
            else:
                self._send(content, "image/png" if name.endswith(".png") else "image/jpeg", slowly=way == "slow")

        def _send(self, content: bytes, media_type: str, *, slowly: bool) -> None:
            self.send_response(200)
            self.send_header("Content-Type", media_type)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            step = len(content) // _STEPS + 1 if slowly else len(content)
            with contextlib.suppress(ConnectionError):
                for at in range(0, len(content), step):
                    self.wfile.write(content[at : at + step])
                    if slowly:
                        time.sleep(_SLOWLY / _STEPS)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 (the base class's name)
            pass

    return Handler
