"""The cluster of kubectl's current context. It belongs to somebody: its nodes and its API server are left alone."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import ClassVar

from cluster.cluster import Cluster


class CurrentCluster(Cluster):
    """Needs JOBYARD_TEST_IMAGE, and JOBYARD_TEST_HOST where pods can reach this machine: its address as they see it."""

    disposable: ClassVar[bool] = False

    def __init__(self, directory: Path, program: Path) -> None:
        super().__init__(directory, program)
        self.image = os.environ["JOBYARD_TEST_IMAGE"]
        self.host = os.environ.get("JOBYARD_TEST_HOST", "")

    def start(self) -> None:
        # A copy: the context may be changed while the tests run.
        self.directory.mkdir(parents=True, exist_ok=True)
        command = [str(self.program), "config", "view", "--minify", "--flatten", "--raw"]
        content = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        self.kubeconfig = self.directory / "kubeconfig"
        self.kubeconfig.touch(mode=0o600)
        self.kubeconfig.write_text(content)
        self.kubectl("version")

    def start_pods(self) -> None:
        """They can run."""

    def stop(self) -> None:
        self.kubeconfig.unlink(missing_ok=True)
