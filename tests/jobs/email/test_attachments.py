"""Attachments from the storage and from URLs, within a limit, and what their failures lead to."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from email.message import MIMEPart
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import jobyard
from jobyard.jobs.download import DownloadError, DownloadRefused
from jobyard.jobs.email import AttachmentError, send_email
from jobyard.jobs.storage import Storage, get_storage

if TYPE_CHECKING:
    from tests.jobs.email.conftest import Server, StartServer

MAIL: dict[str, Any] = {"to": "ada@example.org", "subject": "Hello", "body": "Good morning!"}
PDF = b"%PDF-1.7\n" + bytes(range(256)) * 100


@pytest.fixture
def storage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Storage]:
    monkeypatch.setenv("JOBYARD_STORAGE_URL", (tmp_path / "objects").as_uri())
    get_storage.cache_clear()
    yield get_storage()
    get_storage.cache_clear()


@pytest.fixture
def report(storage: Storage) -> str:
    with storage.open_write("reports/7.pdf") as file:
        file.write(PDF)
    return "reports/7.pdf"


class Files(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        if self.path == "/busy":
            self.send_error(503)
            return
        if self.path == "/missing":
            self.send_error(404)
            return
        self.send_response(200)
        self.send_header("Content-Type", "image/png; charset=binary")
        self.send_header("Content-Length", str(len(PDF)))
        self.end_headers()
        self.wfile.write(PDF)

    def log_message(self, *_: Any) -> None: ...


@pytest.fixture
def files(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The URL of a web server that may be reached although it is on the loopback."""
    web = ThreadingHTTPServer(("127.0.0.1", 0), Files)
    thread = threading.Thread(target=web.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    monkeypatch.setenv("JOBYARD_DOWNLOAD_ALLOW", f"127.0.0.1:{web.server_port}")
    yield f"http://127.0.0.1:{web.server_port}"
    web.shutdown()
    web.server_close()
    thread.join()


def attached(server: Server) -> list[MIMEPart]:
    [mail] = server.received
    return list(mail.message.iter_attachments())


def test_an_object_of_the_storage_is_attached(server: Server, report: str) -> None:
    send_email(**MAIL, attachments=[{"filename": "Quarter 1.pdf", "object": report}])
    [part] = attached(server)
    assert part.get_filename() == "Quarter 1.pdf"
    assert part.get_content_type() == "application/pdf"
    assert part.get_payload(decode=True) == PDF


def test_a_url_is_downloaded_and_attached(server: Server, files: str) -> None:
    send_email(**MAIL, attachments=[{"filename": "picture", "url": f"{files}/picture"}])
    [part] = attached(server)
    assert part.get_content_type() == "image/png"
    assert part.get_payload(decode=True) == PDF


@pytest.mark.parametrize(
    ("filename", "given_type", "content_type"),
    [
        ("a.csv", None, "text/csv"),
        ("a.csv", "application/x-own", "application/x-own"),
        ("a.tar.gz", None, "application/gzip"),
        ("a.tar.xz", None, "application/octet-stream"),
        ("a.eml", None, "application/octet-stream"),
        ("a", None, "application/octet-stream"),
    ],
)
def test_the_media_type_is_what_is_given_or_follows_from_the_file_name(
    server: Server, report: str, filename: str, given_type: str | None, content_type: str
) -> None:
    attachment = {"filename": filename, "object": report}
    if given_type is not None:
        attachment["content_type"] = given_type
    send_email(**MAIL, attachments=[attachment])
    assert attached(server)[0].get_content_type() == content_type


def test_an_object_that_is_not_there_buries_the_job(server: Server, report: str) -> None:
    attachments = [{"filename": "a.pdf", "object": report}, {"filename": "b.pdf", "object": "reports/8.pdf"}]
    with pytest.raises(
        AttachmentError, match=r"attachments\.1 \(b\.pdf\): there is no object 'reports/8\.pdf'"
    ) as error:
        send_email(**MAIL, attachments=attachments)
    assert isinstance(error.value, jobyard.PermanentError)
    assert server.received == []
    assert server.connections == 0


def test_attachments_share_one_limit(start_server: StartServer, report: str, files: str) -> None:
    server = start_server(settings={"MAX_ATTACHMENT_BYTES": str(2 * len(PDF))})
    one: dict[str, Any] = {"filename": "a.pdf", "object": report}
    other: dict[str, Any] = {"filename": "b.pdf", "url": f"{files}/b"}

    send_email(**MAIL, attachments=[one, other])
    assert len(server.received) == 1
    with pytest.raises(AttachmentError, match=r"attachments\.2 .*JOBYARD_SMTP_MAX_ATTACHMENT_BYTES"):
        send_email(**MAIL, attachments=[one, other, one])
    with pytest.raises(DownloadRefused):
        send_email(**MAIL, attachments=[one, one, other])
    assert len(server.received) == 1


def test_a_download_that_may_work_later_is_retried(server: Server, files: str) -> None:
    with pytest.raises(DownloadError) as error:
        send_email(**MAIL, attachments=[{"filename": "a", "url": f"{files}/busy"}])
    assert not isinstance(error.value, jobyard.PermanentError)
    assert server.received == []


def test_a_download_that_never_works_buries_the_job(server: Server, files: str) -> None:
    with pytest.raises(DownloadRefused):
        send_email(**MAIL, attachments=[{"filename": "a", "url": f"{files}/missing"}])


def test_a_private_address_is_not_downloaded_from(server: Server, files: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("JOBYARD_DOWNLOAD_ALLOW")
    with pytest.raises(DownloadRefused):
        send_email(**MAIL, attachments=[{"filename": "a", "url": f"{files}/a"}])
    assert server.received == []
