"""The one node: containerd, kubelet and kube-proxy in a PID and mount namespace that one SIGKILL ends, containers and all."""

from __future__ import annotations

import shlex
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import yaml

from cluster.native import images
from cluster.native.addresses import HOST, NODE, PODS
from cluster.native.certificates import Authority
from cluster.native.processes import Program

_CONTAINERD: Final = """\
version = 2
root = "{directory}/containerd/root"
state = "{directory}/containerd/state"
oom_score = 0
disabled_plugins = ["io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.zfs", "io.containerd.snapshotter.v1.aufs"]
[grpc]
  address = "{socket}"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{pause}"
  restrict_oom_score_adj = true
  disable_apparmor = true
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "overlayfs"
    default_runtime_name = "runc"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"
      [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
        SystemdCgroup = false
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "{cni}"
"""


class Node:
    """Starts, kills and starts again. Images have to be imported once; they outlast a kill."""

    name = NODE

    def __init__(self, programs: Path, directory: Path, authority: Authority, cni: Path, cgroup: str) -> None:
        self._programs, self._directory, self._cni, self._cgroup = programs, directory, cni, cgroup
        self.socket = directory / "containerd.sock"
        pair = authority.issue("kubelet", f"system:node:{NODE}", ("system:nodes",), hosts=(HOST, NODE))
        proxy = authority.kubeconfig("proxy", authority.issue("proxy", "system:kube-proxy"))
        kubeconfig = authority.kubeconfig("kubelet", pair)
        self._write_containerd()
        config = self._write_kubelet(authority, pair.certificate, pair.key)
        script = self._directory / "node.sh"
        script.write_text(self._script(kubeconfig, config, proxy))
        self.program = Program(
            "node",
            ["sh", script],
            directory / "logs" / "node.log",
            options=["--mount", "--mount-proc"],
        )
        self._held: Sequence[int] = ()

    def start(self, *, held: Sequence[int] | None = None) -> None:
        """Start it, on what an earlier start has left. What is `held` stays open as long as anything of it runs."""
        self._held = self._held if held is None else held
        # A stale socket looks like a containerd that doesn't answer.
        self.socket.unlink(missing_ok=True)
        shutil.rmtree(self._directory / "addresses", ignore_errors=True)
        self.program.start(held=self._held)

    def kill(self) -> None:
        """As if its power were cut."""
        self.program.kill()

    def check(self) -> None:
        """Raises:
        ProgramEnded: it doesn't run.
        """
        self.program.check()

    def _script(self, kubeconfig: Path, config: Path, proxy: Path) -> str:
        logs = self._directory / "logs"
        containerd = shlex.join(["containerd", "--config", str(self._directory / "containerd.toml")])
        kubelet = shlex.join(
            [
                str(self._programs / "kubelet"), f"--kubeconfig={kubeconfig}", f"--config={config}",
                f"--hostname-override={NODE}", f"--node-ip={HOST}", f"--root-dir={self._directory / 'kubelet'}",
            ]
        )  # fmt: skip
        kube_proxy = shlex.join(
            [
                str(self._programs / "kube-proxy"), f"--kubeconfig={proxy}", "--proxy-mode=nftables",
                f"--hostname-override={NODE}", f"--cluster-cidr={PODS}", "--healthz-bind-address=127.0.0.1:10256",
                "--metrics-bind-address=127.0.0.1:10249", "--conntrack-max-per-core=0",
            ]
        )  # fmt: skip
        # What lies in places that can't be configured is the node's own, and ends with it. While containerd takes up the
        # containers of a node that was killed, kubelet finds it not initialized and ends: it is tried again. When this script
        # ends, all others do.
        return (
            "set -eu\n"
            "mount -t tmpfs tmpfs /run\n"
            "mkdir -p /run/netns /run/lock\n"
            "for folder in /var/lib/cni /var/lib/kubelet /var/log/containers; do\n"
            "  mkdir -p $folder && mount -t tmpfs tmpfs $folder\n"
            "done\n"
            f"{containerd} >>{logs}/containerd.log 2>&1 &\n"
            f"until [ -S {self.socket} ]; do sleep 0.05; done\n"
            f"{kube_proxy} >>{logs}/kube-proxy.log 2>&1 &\n"
            "tries=0\n"
            f"until {kubelet} >>{logs}/kubelet.log 2>&1 || [ $((tries += 1)) -ge 20 ]; do sleep 0.2; done\n"
        )

    def _write_containerd(self) -> None:
        (self._directory / "containerd.toml").write_text(
            _CONTAINERD.format(directory=self._directory, socket=self.socket, pause=images.PAUSE, cni=self._cni)
        )

    def _write_kubelet(self, authority: Authority, certificate: Path, key: Path) -> Path:
        config = {
            "apiVersion": "kubelet.config.k8s.io/v1beta1",
            "kind": "KubeletConfiguration",
            "failCgroupV1": False,
            "cgroupDriver": "cgroupfs",
            "cgroupRoot": self._cgroup,
            "podLogsDir": str(self._directory / "pod-logs"),
            "enforceNodeAllocatable": [],
            "oomScoreAdj": 0,
            "failSwapOn": False,
            "resolvConf": "",
            "clusterDNS": [HOST],
            "clusterDomain": "cluster.local",
            "hairpinMode": "none",
            "readOnlyPort": 0,
            "healthzPort": 0,
            "address": HOST,
            "nodeStatusUpdateFrequency": "2s",
            "authentication": {
                "anonymous": {"enabled": False},
                "webhook": {"enabled": False},
                "x509": {"clientCAFile": str(authority.certificate)},
            },
            "authorization": {"mode": "AlwaysAllow"},
            "tlsCertFile": str(certificate),
            "tlsPrivateKeyFile": str(key),
            "containerRuntimeEndpoint": f"unix://{self.socket}",
            "evictionHard": {"memory.available": "50Mi", "nodefs.available": "1%", "imagefs.available": "1%"},
            "imageGCHighThresholdPercent": 100,
            "imageMinimumGCAge": "24h",
        }
        path = self._directory / "kubelet.yaml"
        path.write_text(yaml.safe_dump(config))
        return path
