"""Which URLs are taken for a download, and what of them is shown."""

from __future__ import annotations

import pytest

from jobyard.jobs.download import DownloadRefused
from jobyard.jobs.download.urls import follow, read_url, shown


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("ftp://example.org/a", "only http and https"),
        ("file:///etc/passwd", "only http and https"),
        ("gopher://example.org/", "only http and https"),
        ("data:image/png;base64,AAAA", "only http and https"),
        ("example.org/a.png", "only http and https"),
        ("", "only http and https"),
        ("http://", "no host"),
        ("http:///a.png", "no host"),
        ("http://user@example.org/", "user name or password"),
        ("http://user:secret@example.org/", "user name or password"),
        ("http://example.org:80@10.0.0.1/", "user name or password"),
        ("http://example.org\\@10.0.0.1/", "backslash"),
        ("http://example.org/a b", "space"),
        ("http://example.org/\r\nX-Header: 1", "control character"),
        ("http://example.org/\x00", "control character"),
        ("http://example.org:99999/", "host or port"),
        ("http://example.org:port/", "host or port"),
        ("http://[::1/", "host or port"),
        ("http://example.org/" + "a" * 9000, "8192"),
    ],
)
def test_a_url_that_may_lead_elsewhere_is_refused(url: str, message: str) -> None:
    with pytest.raises(DownloadRefused, match=message):
        read_url(url)


def test_refusals_do_not_show_passwords_or_signatures() -> None:
    for url in ("http://user:hunter2@example.org/", "http://example.org:99999/?sig=hunter2"):
        with pytest.raises(DownloadRefused) as refusal:
            read_url(url)
        assert "hunter2" not in str(refusal.value)


def test_messages_show_a_url_without_its_query() -> None:
    assert shown(read_url("https://example.org:8443/a.png?sig=hunter2#x")) == "https://example.org:8443/a.png"


@pytest.mark.parametrize(
    ("location", "leads_to"),
    [
        ("/b.png", "http://example.org/b.png"),
        ("b.png?x=1", "http://example.org/dir/b.png?x=1"),
        ("//other.example/b", "http://other.example/b"),
        ("https://other.example/b", "https://other.example/b"),
        ("/caf\u00c3\u00a9", "http://example.org/caf%C3%A9"),
    ],
)
def test_redirects_are_resolved_against_where_they_came_from(location: str, leads_to: str) -> None:
    assert follow(read_url("http://example.org/dir/a.png"), location).url == leads_to


@pytest.mark.parametrize("location", ["file:///etc/passwd", "http://u:p@example.org/", "ftp://example.org/"])
def test_a_redirect_cannot_leave_http(location: str) -> None:
    with pytest.raises(DownloadRefused):
        follow(read_url("http://example.org/"), location)
