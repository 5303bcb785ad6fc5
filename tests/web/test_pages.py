"""The dashboard's files: all there, and such that a strict browser runs them."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from importlib.resources import files
from pathlib import Path
from typing import Final

import pytest

from web.conftest import Client

DASHBOARD: Final = Path(str(files("jobyard.web"))) / "dashboard"
SCRIPTS: Final = sorted(DASHBOARD.rglob("*.js"))


class Page(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.inline: list[str] = []
        self._in: str | None = None
        self.feed(text)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self._in = tag if tag in ("script", "style") else None
        for name, value in attributes:
            if name in ("src", "href") and value and not value.startswith("#"):
                self.links.append(value)
            if name == "style" or name.startswith("on"):
                self.inline.append(f"{tag} {name}")

    def handle_data(self, data: str) -> None:
        if self._in and data.strip():
            self.inline.append(f"{self._in}: {data}")


def test_the_page_and_all_that_it_names_are_served(web: Client) -> None:
    answer = web.get("/")
    assert (answer.status, answer.headers["Content-Type"]) == (200, "text/html; charset=utf-8")
    links = Page(answer.body.decode()).links
    assert len(links) >= 3
    for link in links:
        assert web.get(f"/{link}").status == 200, link


def test_the_page_has_nothing_inline_and_nothing_from_elsewhere() -> None:
    page = Page((DASHBOARD / "index.html").read_text())

    assert page.inline == []
    assert [link for link in page.links if "//" in link] == []
    for file in DASHBOARD.rglob("*.*"):
        text = file.read_text().replace("http://www.w3.org/2000/svg", "")
        assert not re.search(r"https?://|url\(", text), file


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_scripts_import_what_exists_and_never_make_markup_of_text(script: Path) -> None:
    text = script.read_text()

    imports = re.findall(r'^import \{([^}]*)\} from "([^"]+)";', text, re.MULTILINE)
    assert len(imports) == len(re.findall(r"^import ", text, re.MULTILINE))
    for names, path in imports:
        imported = (script.parent / path).resolve().read_text()
        for name in (one.strip() for one in names.split(",")):
            assert not name or re.search(
                rf"^export (const|class|function|async function) {name}\b", imported, re.MULTILINE
            ), name
    assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\b|new Function", text)


def test_types_are_what_browsers_insist_on(web: Client) -> None:
    types = {"style.css": "text/css", "icon.svg": "image/svg+xml", "scripts/main.js": "text/javascript"}
    for name, media_type in types.items():
        assert web.get(f"/dashboard/{name}").headers["Content-Type"].startswith(media_type)


def test_a_file_that_has_not_changed_is_not_sent_again(web: Client) -> None:
    first = web.get("/dashboard/style.css")

    again = web.get("/dashboard/style.css", **{"If-None-Match": first.headers["ETag"]})

    assert (again.status, again.body) == (304, b"")
    assert web.get("/dashboard/style.css", **{"If-None-Match": '"other"'}).status == 200
    assert first.headers["Cache-Control"] == "no-cache"


@pytest.mark.parametrize(
    "path",
    ["..%2Fapp.py", "../app.py", "%2e%2e/app.py", "scripts", "/etc/passwd", "style.css/", "STYLE.CSS", "style.css%00"],
)
def test_nothing_else_is_served(web: Client, path: str) -> None:
    assert web.get(f"/dashboard/{path}").status == 404
