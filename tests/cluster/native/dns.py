"""CoreDNS, as a program of the host: names of services for the pods."""

from __future__ import annotations

from pathlib import Path

from cluster.native.addresses import HOST
from cluster.native.processes import Program


def server(programs: Path, directory: Path, kubeconfig: Path) -> Program:
    """The program; start it when the API server answers."""
    corefile = directory / "Corefile"
    corefile.write_text(
        f".:53 {{\n  bind {HOST}\n  errors\n  kubernetes cluster.local in-addr.arpa {{\n"
        f"    kubeconfig {kubeconfig} jobyard-tests\n  }}\n}}\n"
    )
    return Program("coredns", [programs / "coredns", "-conf", corefile], directory / "logs" / "coredns.log")
