"""etcd, the API server, the controllers and the scheduler."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from cluster.native.addresses import API_PORT, ETCD_PORT, FIRST_SERVICE, HOST, LOOPBACK, SERVICES, unique_name
from cluster.native.certificates import Authority, service_account_keys
from cluster.native.processes import Program

#: Only what the tests need; one that doesn't exist would end the program.
CONTROLLERS: Final = (
    "deployment", "replicaset", "garbage-collector", "namespace", "disruption", "serviceaccount", "serviceaccount-token",
    "root-ca-certificate-publisher", "job", "endpoints", "endpointslice", "node-lifecycle", "pod-garbage-collector",
    "statefulset", "clusterrole-aggregation", "horizontal-pod-autoscaler",
)  # fmt: skip


class ControlPlane:
    """The programs of the control plane, by name: etcd, api, controllers, scheduler.

    Args:
        address: where the API server listens.
    """

    def __init__(self, programs: Path, directory: Path, authority: Authority, address: str) -> None:
        self._memory = Path("/dev/shm") / unique_name(directory)
        logs = directory / "logs"
        keys = service_account_keys(authority.directory)
        server = authority.issue(
            "apiserver",
            "kube-apiserver",
            hosts=(HOST, LOOPBACK, FIRST_SERVICE, "kubernetes", "kubernetes.default", "kubernetes.default.svc"),
        )
        kubelet_client = authority.issue("apiserver-kubelet", "kube-apiserver", ("system:masters",))
        controllers = authority.kubeconfig(
            "controllers", authority.issue("controllers", "system:kube-controller-manager")
        )
        scheduler = authority.kubeconfig("scheduler", authority.issue("scheduler", "system:kube-scheduler"))
        etcd = f"http://127.0.0.1:{ETCD_PORT}"
        self.etcd = Program(
            "etcd",
            [
                programs / "etcd", "--data-dir", self._memory, "--unsafe-no-fsync", "--log-level=warn",
                f"--listen-client-urls={etcd}", f"--advertise-client-urls={etcd}",
                f"--listen-peer-urls=http://127.0.0.1:{ETCD_PORT + 1}",
                f"--initial-advertise-peer-urls=http://127.0.0.1:{ETCD_PORT + 1}",
                f"--initial-cluster=default=http://127.0.0.1:{ETCD_PORT + 1}",
            ],
            logs / "etcd.log",
        )  # fmt: skip
        self.api = Program(
            "kube-apiserver",
            [
                programs / "kube-apiserver", f"--etcd-servers={etcd}", f"--secure-port={API_PORT}",
                f"--bind-address={address}", f"--advertise-address={address}", "--kubelet-preferred-address-types=InternalIP",
                f"--tls-cert-file={server.certificate}", f"--tls-private-key-file={server.key}",
                f"--client-ca-file={authority.certificate}", "--authorization-mode=Node,RBAC",
                # The second one is OpenShift's: it asks for rights that other clusters don't.
                "--enable-admission-plugins=NodeRestriction,OwnerReferencesPermissionEnforcement",
                f"--service-cluster-ip-range={SERVICES}",
                "--service-account-issuer=https://kubernetes.default.svc",
                f"--service-account-key-file={keys.certificate}", f"--service-account-signing-key-file={keys.key}",
                f"--kubelet-client-certificate={kubelet_client.certificate}",
                f"--kubelet-client-key={kubelet_client.key}", "--allow-privileged=true",
                # No pod, no way to 127.0.0.1: it can't be the address of the Service `kubernetes`.
                *(["--endpoint-reconciler-type=none"] if address == LOOPBACK else []),
                "--shutdown-delay-duration=0s", f"--cert-dir={authority.directory}",
            ],
            logs / "kube-apiserver.log",
        )  # fmt: skip
        self.controllers = Program(
            "kube-controller-manager",
            [
                programs / "kube-controller-manager", f"--kubeconfig={controllers}", "--leader-elect=false",
                f"--service-account-private-key-file={keys.key}", f"--root-ca-file={authority.certificate}",
                "--use-service-account-credentials=true", "--bind-address=127.0.0.1", "--controller-start-interval=0s",
                "--node-monitor-period=2s", "--node-monitor-grace-period=10s", f"--cert-dir={authority.directory}",
                "--controllers=" + ",".join(f"{name}-controller" for name in CONTROLLERS),
            ],
            logs / "kube-controller-manager.log",
        )  # fmt: skip
        self.scheduler = Program(
            "kube-scheduler",
            [
                programs / "kube-scheduler", f"--kubeconfig={scheduler}", "--leader-elect=false",
                "--bind-address=127.0.0.1", f"--cert-dir={authority.directory}",
            ],
            logs / "kube-scheduler.log",
        )  # fmt: skip
        self.programs = [self.etcd, self.api, self.controllers]
        if address != LOOPBACK:
            self.programs.append(self.scheduler)

    def start(self, *, held: Sequence[int] = ()) -> None:
        """Start all, with nothing in etcd. What is `held` stays open as long as one of them runs."""
        shutil.rmtree(self._memory, ignore_errors=True)
        self._memory.mkdir(mode=0o700)
        for program in self.programs:
            program.start(held=held)

    def check(self) -> None:
        """Raises:
        ProgramEnded: one of them doesn't run.
        """
        for program in self.programs:
            program.check()

    def kill(self) -> None:
        for program in reversed(self.programs):
            program.kill()
        shutil.rmtree(self._memory, ignore_errors=True)
