"""Object storage: whole objects or none, names that can't escape, and credentials that are never shown."""

from __future__ import annotations

import io
import os
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from fsspec.implementations.memory import MemoryFileSystem
from hypothesis import given
from hypothesis import strategies as st

from jobyard.errors import JobyardError
from jobyard.jobs.storage import (
    _DRIVERS,
    ObjectNotFound,
    Storage,
    StorageConfigError,
    StorageNameError,
    check_name,
    get_storage,
)


@pytest.fixture(params=["directory", "object store"])
def storage(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Storage]:
    """A local directory; and, for the way that all object stores go, fsspec's store in memory."""
    if request.param == "directory":
        yield Storage((tmp_path / "objects").as_uri())
        return
    monkeypatch.setitem(_DRIVERS, "memory", ("fsspec", "fsspec"))
    # What is staged shall be found if it is left behind.
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    yield Storage("memory://bucket/prefix")
    MemoryFileSystem.store.clear()
    MemoryFileSystem.pseudo_dirs[:] = [""]


def files_below(directory: Path) -> list[str]:
    return sorted(str(path.relative_to(directory)) for path in directory.rglob("*") if path.is_file())


def write(storage: Storage, name: str, content: bytes) -> None:
    with storage.open_write(name) as file:
        file.write(content)


def read(storage: Storage, name: str) -> bytes:
    with storage.open_read(name) as file:
        return file.read()


def write_and_raise(storage: Storage, name: str, error: BaseException) -> None:
    with storage.open_write(name) as file:
        file.write(b"half")
        raise error


def test_what_is_written_can_be_read_measured_and_deleted(storage: Storage) -> None:
    write(storage, "reports/2026/7.csv", b"a,b\n1,2\n")

    assert read(storage, "reports/2026/7.csv") == b"a,b\n1,2\n"
    assert storage.size("reports/2026/7.csv") == 8

    storage.delete("reports/2026/7.csv")
    with pytest.raises(ObjectNotFound):
        storage.size("reports/2026/7.csv")


def test_an_object_appears_only_when_the_block_ends(storage: Storage) -> None:
    with storage.open_write("a.bin") as file:
        file.write(b"x" * 100_000)
        file.flush()
        with pytest.raises(ObjectNotFound):
            storage.size("a.bin")
    assert storage.size("a.bin") == 100_000


def test_a_block_that_raises_leaves_nothing_behind(storage: Storage, tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="half-way"):
        write_and_raise(storage, "a/b.bin", RuntimeError("half-way"))

    with pytest.raises(ObjectNotFound):
        storage.size("a/b.bin")
    assert files_below(tmp_path) == []
    assert not (tmp_path / "objects" / "a").exists()


def test_a_block_that_raises_leaves_the_former_object_as_it_was(storage: Storage) -> None:
    write(storage, "a.bin", b"former")
    with pytest.raises(KeyboardInterrupt):
        write_and_raise(storage, "a.bin", KeyboardInterrupt())
    assert read(storage, "a.bin") == b"former"


def test_writing_again_replaces_the_object_and_open_readers_keep_the_old_one(storage: Storage) -> None:
    write(storage, "a.bin", b"first")
    with storage.open_read("a.bin") as reader:
        write(storage, "a.bin", b"second, longer")
        assert reader.read() == b"first"
    assert read(storage, "a.bin") == b"second, longer"


def test_two_writers_of_one_name_do_not_mix(storage: Storage) -> None:
    contents = [bytes([number]) * 50_000 for number in range(8)]
    threads = [threading.Thread(target=write, args=(storage, "same", content)) for content in contents]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert read(storage, "same") in contents


def test_a_writer_may_seek_and_may_close_the_file_itself(storage: Storage) -> None:
    with storage.open_write("header.bin") as file:
        file.write(b"????body")
        file.seek(0)
        file.write(b"head")
    assert read(storage, "header.bin") == b"headbody"

    with storage.open_write("text.csv") as file:
        text = io.TextIOWrapper(file, encoding="utf-8")
        text.write("é\n")
        text.close()
    assert read(storage, "text.csv") == "é\n".encode()


def test_a_reader_may_read_in_pieces(storage: Storage) -> None:
    write(storage, "big", bytes(range(256)) * 4096)
    with storage.open_read("big") as file:
        file.seek(-256, os.SEEK_END)
        assert file.read(3) == b"\0\1\2"


@pytest.mark.parametrize("action", ["read", "size", "delete"])
@pytest.mark.parametrize("name", ["missing", "missing/deep", "directory", "directory/a/below-a-file"])
def test_what_is_missing_is_named(storage: Storage, action: str, name: str) -> None:
    write(storage, "directory/a", b"")
    actions: dict[str, Callable[[], object]] = {
        "read": lambda: read(storage, name),
        "size": lambda: storage.size(name),
        "delete": lambda: storage.delete(name),
    }
    with pytest.raises(ObjectNotFound, match=name):
        actions[action]()
    assert storage.size("directory/a") == 0


def test_an_error_of_the_readers_own_is_passed_on_as_it_is(storage: Storage) -> None:
    write(storage, "a", b"x")
    with pytest.raises(FileNotFoundError), storage.open_read("a"):
        raise FileNotFoundError("something else")


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("", "empty"),
        ("/etc/passwd", "relative"),
        ("..", "start with '.'"),
        ("../up", "start with '.'"),
        ("a/../../up", "start with '.'"),
        ("a/./b", "start with '.'"),
        (".incoming/x", "start with '.'"),
        ("a//b", "empty part"),
        ("a/", "empty part"),
        ("a\\b", "not allowed"),
        ("s3://other/key", "looks like a URL"),
        ("file:x", "looks like a URL"),
        ("C:", "looks like a URL"),
        ("a?b", "not allowed"),
        ("a#b", "not allowed"),
        ("a%2e%2e", "not allowed"),
        ("a\nb", "control"),
        ("a\0b", "control"),
        ("a\x7fb", "control"),
        ("a\u2028b", "control"),
        ("a\ud800b", "control"),
        ("x/" * 256 + "x", "longer than 512"),
        ("é" * 128, "part is longer than 255"),
    ],
)
def test_a_name_that_could_escape_or_confuse_is_refused_everywhere(
    storage: Storage, tmp_path: Path, name: str, says: str
) -> None:
    for use in (
        lambda: write(storage, name, b"x"),
        lambda: read(storage, name),
        lambda: storage.size(name),
        lambda: storage.delete(name),
        lambda: storage.url_of(name),
    ):
        with pytest.raises(StorageNameError, match=says):
            use()
    assert files_below(tmp_path) == []


@pytest.mark.parametrize(
    "name", ["7", "reports/7.csv", "a/sched:nightly:2026-01-01.pdf", "é/ä b.png", "a/~x_(1)+@,;=&.z"]
)
def test_usual_names_are_accepted(storage: Storage, name: str) -> None:
    write(storage, name, b"x")
    assert read(storage, name) == b"x"


@given(st.text(alphabet=st.one_of(st.sampled_from("./\\:%~\0\n"), st.characters()), max_size=40))
def test_whatever_name_is_accepted_stays_below_the_root(name: str) -> None:
    try:
        check_name(name)
    except StorageNameError:
        return
    root = Path("/srv/objects")
    assert Path(os.path.normpath(root / name)).is_relative_to(root)
    assert Path(os.path.normpath(root / name)) != root


def test_an_objects_url_is_complete_and_percent_encoded(tmp_path: Path) -> None:
    storage = Storage((tmp_path / "my objects").as_uri())
    url = storage.url_of("reports/é 7.csv")
    assert url == f"{tmp_path.as_uri()}/my%20objects/reports/%C3%A9%207.csv"


def test_a_path_without_a_scheme_is_a_local_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert Storage("here").url_of("x") == (tmp_path / "here" / "x").as_uri()


@pytest.fixture
def fresh_settings() -> Iterator[None]:
    get_storage.cache_clear()
    yield
    get_storage.cache_clear()


@pytest.mark.usefixtures("fresh_settings")
def test_the_settings_name_the_storage_and_it_is_made_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JOBYARD_STORAGE_URL", (tmp_path / "set").as_uri())
    assert get_storage().url_of("x") == (tmp_path / "set" / "x").as_uri()
    assert get_storage() is get_storage()


@pytest.mark.usefixtures("fresh_settings")
def test_without_settings_objects_lie_below_the_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("JOBYARD_STORAGE_URL", raising=False)
    monkeypatch.chdir(tmp_path)
    storage = get_storage()
    monkeypatch.chdir("/")
    write(storage, "x", b"1")
    assert (tmp_path / ".jobyard" / "storage" / "x").read_bytes() == b"1"


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("", "empty"),
        ("file:relative", "three slashes"),
        ("file://host/path", "three slashes"),
        ("file:///a/../b", r"'\.\.'"),
        ("ftp://KEY:s3cret@host/x", "not one of"),
        ("s3://KEY:s3cret@/x", "no bucket"),
        ("s3://KEY:s3cret@bucket/x?endpoint=1", "query"),
    ],
)
def test_a_url_that_cannot_be_used_is_refused_without_showing_credentials(url: str, says: str) -> None:
    with pytest.raises(StorageConfigError, match=says) as refused:
        Storage(url)
    assert "s3cret" not in str(refused.value)
    assert "KEY" not in str(refused.value)


@pytest.mark.parametrize(
    ("url", "package"), [("s3://KEY:s3cret@bucket/x", "s3fs"), ("gs://bucket/x", "gcsfs"), ("az://bucket", "adlfs")]
)
def test_a_missing_driver_is_named_with_what_to_install(
    url: str, package: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A module that is None in sys.modules can't be imported, whether it is installed or not.
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(StorageConfigError, match=f"pip install '{package}'") as refused:
        Storage(url)
    assert "s3cret" not in str(refused.value)


def test_the_errors_are_what_their_users_expect() -> None:
    assert issubclass(StorageNameError, ValueError)
    assert issubclass(ObjectNotFound, JobyardError)
    assert issubclass(StorageConfigError, JobyardError)


def test_a_child_process_uses_the_storage_after_a_fork(storage: Storage) -> None:
    write(storage, "a", b"1")
    child = os.fork()
    if child == 0:
        status = 1
        try:
            status = 0 if read(storage, "a") == b"1" else 1
        finally:
            os._exit(status)
    assert os.waitpid(child, 0)[1] == 0
