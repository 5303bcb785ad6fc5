"""A real Chromium, driven through chromedriver by the W3C WebDriver protocol. Just what these tests need."""

from __future__ import annotations

import base64
import json
import os
import re
import shutil
from pathlib import Path
from typing import Any, Final, Self

import pytest
import urllib3

from support.processes import end, spawn
from support.waiting import eventually

_ELEMENT: Final = "element-6066-11e4-a52e-4f735466cecf"

#: No network but the loopback, nothing kept, no window.
_ARGUMENTS: Final = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-dev-shm-usage", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync", "--hide-scrollbars",
)  # fmt: skip


class Browser:
    """One browser with one window.

    Args:
        directory: for its profile.
        width, height: of the window, in pixels.
    """

    def __init__(self, directory: Path, width: int = 1280, height: int = 900) -> None:
        log = directory / "chromedriver.log"
        with log.open("wb") as output:
            self._process = spawn([_program("chromedriver"), "--port=0"], stdout=output, stderr=output)
        port = eventually(
            lambda: re.search(r"successfully on port (\d+)", log.read_text()), 20, what="chromedriver listens"
        )
        self._http = urllib3.PoolManager(retries=False, timeout=60)
        self._base = f"http://127.0.0.1:{port[1]}/session"
        options = {
            "binary": str(_program("chromium")),
            "args": [*_ARGUMENTS, f"--user-data-dir={directory / 'profile'}", f"--window-size={width},{height}"],
        }
        wanted = {"goog:chromeOptions": options, "goog:loggingPrefs": {"browser": "ALL"}}
        session = self._send("POST", "", {"capabilities": {"alwaysMatch": wanted}})
        self._base += "/" + session["sessionId"]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self._send("DELETE", "")
        self._http.clear()
        end(self._process)

    def open(self, url: str) -> None:
        """Go to a page."""
        self._send("POST", "/url", {"url": url})

    def run(self, script: str, *arguments: Any) -> Any:
        """Run JavaScript; what it returns."""
        return self._send("POST", "/execute/sync", {"script": script, "args": list(arguments)})

    def text(self, selector: str) -> str | None:
        """The visible text of the first element that fits; None: there is none."""
        found = self._elements(selector)
        return self._send("GET", f"/element/{found[0]}/text") if found else None

    def texts(self, selector: str) -> list[str]:
        """The visible texts of all elements that fit."""
        return [self._send("GET", f"/element/{element}/text") for element in self._elements(selector)]

    def count(self, selector: str) -> int:
        """How many elements fit."""
        return len(self._elements(selector))

    def click(self, selector: str, text: str = "") -> None:
        """Click the first element that fits and has this text, as soon as it is there."""
        self._send("POST", f"/element/{self._wait(selector, text)}/click", {})

    def type(self, selector: str, keys: str) -> None:
        """Type into the first element that fits."""
        self._send("POST", f"/element/{self._wait(selector, '')}/value", {"text": keys})

    def press(self, key: str) -> None:
        """Press a key, wherever the focus is: a character, or one of WebDriver's for special keys."""
        actions = [{"type": "keyDown", "value": key}, {"type": "keyUp", "value": key}]
        self._send("POST", "/actions", {"actions": [{"type": "key", "id": "keyboard", "actions": actions}]})

    def resize(self, width: int | None, height: int | None) -> None:
        """Be a phone of this size; None: be a window again."""
        command = "Emulation.clearDeviceMetricsOverride" if width is None else "Emulation.setDeviceMetricsOverride"
        sizes = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": True}
        self._send("POST", "/goog/cdp/execute", {"cmd": command, "params": {} if width is None else sizes})

    def wait_for_text(self, selector: str, text: str, timeout: float = 10) -> None:
        """Wait until the first element that fits shows a text that contains this."""
        eventually(lambda: text in (self.text(selector) or ""), timeout, what=f"{selector} shows {text!r}")

    def console(self) -> list[str]:
        """What was written to the console since the last call: errors, refused scripts."""
        return [entry["message"] for entry in self._send("POST", "/se/log", {"type": "browser"})]

    def screenshot(self, path: Path) -> None:
        """Save what the window shows."""
        path.write_bytes(base64.b64decode(self._send("GET", "/screenshot")))

    def _wait(self, selector: str, text: str) -> str:
        def find() -> str | None:
            for element in self._elements(selector):
                if text in self._send("GET", f"/element/{element}/text"):
                    return element
            return None

        found: str = eventually(find, 10, what=f"{selector} with {text!r} is there")
        return found

    def _elements(self, selector: str) -> list[str]:
        found = self._send("POST", "/elements", {"using": "css selector", "value": selector})
        return [element[_ELEMENT] for element in found]

    def _send(self, method: str, path: str, body: Any = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        response = self._http.request(
            method, self._base + path, body=data, headers={"Content-Type": "application/json"}
        )
        value = json.loads(response.data)["value"]
        if isinstance(value, dict) and value.get("error") == "stale element reference":
            return ""  # The page has just drawn it anew; whoever waits looks again.
        assert response.status == 200, value
        return value


def _program(name: str) -> Path:
    """Where the program is. Where it is missing, the test is skipped with a message; in CI it fails."""
    found = shutil.which(name)
    if found is None:
        message = f"{name} is missing: run tests/install-servers"
        if os.environ.get("CI"):
            pytest.fail(message, pytrace=False)
        pytest.skip(message)
    return Path(found)
