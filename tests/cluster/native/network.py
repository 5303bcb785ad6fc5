"""The bridge to which the pods are tied, and the way out of what an earlier run left behind."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

from cluster.native.addresses import BRIDGE, HOST, PODS


def set_up() -> None:
    """Make the bridge."""
    tear_down()
    _run("ip", "link", "add", BRIDGE, "type", "bridge")
    _run("ip", "addr", "add", f"{HOST}/16", "dev", BRIDGE)
    _run("ip", "link", "set", BRIDGE, "up")
    Path("/proc/sys/net/ipv4/ip_forward").write_text("1")


def write_plugins(directory: Path) -> Path:
    """Returns the folder with the network plugins' configuration."""
    plugins = [
        {
            "type": "bridge",
            "bridge": BRIDGE,
            "isGateway": True,
            "ipMasq": False,
            "ipam": {
                "type": "host-local",
                "dataDir": str(directory / "addresses"),
                "ranges": [[{"subnet": PODS, "rangeStart": "10.88.1.1"}]],
                "routes": [{"dst": "0.0.0.0/0"}],
            },
        },
        {"type": "portmap", "capabilities": {"portMappings": True}},
    ]
    folder = directory / "cni"
    folder.mkdir(exist_ok=True)
    (folder / "10-jobyard.conflist").write_text(
        json.dumps({"cniVersion": "0.4.0", "name": "jobyard", "plugins": plugins})
    )
    return folder


def tear_down() -> None:
    """Remove the bridge and kube-proxy's rules, where they are."""
    subprocess.run(["ip", "link", "delete", BRIDGE], check=False, capture_output=True)
    for family in ("ip", "ip6"):
        subprocess.run(["nft", "delete", "table", family, "kube-proxy"], check=False, capture_output=True)


def _run(*command: str) -> None:
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}: {done.stderr.strip()}")
