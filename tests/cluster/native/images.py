"""Images on the node: what is imported into containerd, and how the small ones are made."""

from __future__ import annotations

import hashlib
import io
import json
import platform
import re
import subprocess
import tarfile
from pathlib import Path
from typing import Final

PAUSE: Final = "localhost/pause:1"
VALKEY: Final = "docker.io/valkey/valkey:9"


def pause_archive(program: Path, target: Path) -> Path:
    """The program that holds a pod's namespaces."""
    return _archive(target, PAUSE, {"pause": program}, entrypoint=["/pause"])


def valkey_archive(program: Path, target: Path) -> Path:
    """The server, with the libraries that it loads, under the name that our manifests give it."""
    libraries = subprocess.run(["ldd", program], check=True, capture_output=True, text=True).stdout
    files = {found[1:]: Path(found) for found in re.findall(r"(/\S+) \(0x", libraries)}
    return _archive(target, VALKEY, {"usr/local/bin/valkey-server": program, **files}, entrypoint=[])


def _archive(target: Path, tag: str, files: dict[str, Path], *, entrypoint: list[str]) -> Path:
    """A docker archive with one layer."""
    layer = _tar({name: (path.read_bytes(), 0o755) for name, path in files.items()})
    diff = hashlib.sha256(layer).hexdigest()
    config = json.dumps(
        {
            "architecture": {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine()),
            "os": "linux",
            "config": {"Entrypoint": entrypoint, "User": "65535:65535", "Env": ["PATH=/usr/local/bin"]},
            "rootfs": {"type": "layers", "diff_ids": [f"sha256:{diff}"]},
            "history": [{"created_by": "the tests"}],
        }
    ).encode()
    name = hashlib.sha256(config).hexdigest() + ".json"
    manifest = json.dumps([{"Config": name, "RepoTags": [tag], "Layers": ["layer.tar"]}]).encode()
    target.write_bytes(_tar({name: (config, 0o644), "layer.tar": (layer, 0o644), "manifest.json": (manifest, 0o644)}))
    return target


def import_archive(socket: Path, archive: Path) -> None:
    """Give a docker archive to the node's containerd.

    Raises:
        RuntimeError: it refused.
    """
    _ctr(socket, "import", str(archive))


def tag(socket: Path, image: str, name: str) -> None:
    """Give an image on the node another name.

    Raises:
        RuntimeError: containerd refused.
    """
    _ctr(socket, "tag", "--force", image, name)


def _ctr(socket: Path, *arguments: str) -> None:
    command = ["ctr", "--address", str(socket), "--namespace", "k8s.io", "images", *arguments]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=120)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}: {done.stderr.strip()}")


def _tar(files: dict[str, tuple[bytes, int]]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for name, (content, mode) in files.items():
            info = tarfile.TarInfo(name)
            info.size, info.mode = len(content), mode
            archive.addfile(info, io.BytesIO(content))
    return buffer.getvalue()
