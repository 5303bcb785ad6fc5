"""What `kubectl apply -k` installs: current, known to Kubernetes, and an example that really runs."""

from __future__ import annotations

import os
import runpy
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from kubernetes_validate import validate

from jobyard.broker import JobyardBroker
from jobyard.broker.inspector import Inspector
from jobyard_operator.core.rendering import deployment
from jobyard_operator.resources import JobQueue
from support.chart import ROOT, env, kustomize, one, pod_spec, render, restricted_violations

CRDS = {path.stem for path in (ROOT / "manifests/crds").glob("*.yaml")}


def test_the_files_are_current() -> None:
    texts: dict[Path, str] = runpy.run_path(str(ROOT / "charts/generate"))["texts"]()
    stale = [str(path.relative_to(ROOT)) for path, text in texts.items() if path.read_text(encoding="utf-8") != text]
    assert not stale, "run `make manifests`"


@pytest.mark.parametrize("folder", ["manifests", "manifests/namespaced", "manifests/examples"])
def test_kubernetes_knows_all_that_is_said(folder: str) -> None:
    for document in kustomize(folder):
        if not document["apiVersion"].startswith("jobyard.dev/"):
            validate(document, "1.37", strict=True)
        spec = pod_spec(document)
        assert spec is None or restricted_violations(spec) == []


def test_one_command_installs_everything() -> None:
    documents = kustomize("manifests")
    crds = [each for each in documents if each["kind"] == "CustomResourceDefinition"]
    assert {each["spec"]["names"]["plural"] for each in crds} == CRDS
    assert one(documents, "Deployment", "jobyard-operator")["spec"]["replicas"] == 2
    assert one(documents, "StatefulSet", "jobyard-valkey")
    assert one(documents, "Namespace")["metadata"]["labels"] == {"pod-security.kubernetes.io/enforce": "restricted"}
    assert "Helm" not in str(documents)


def test_the_chart_installs_the_same_definitions() -> None:
    def plain(document: dict[str, Any]) -> dict[str, Any]:
        return {**document, "metadata": {"name": document["metadata"]["name"]}}

    def definitions(documents: list[dict[str, Any]]) -> list[dict[str, Any]]:
        return [each for each in documents if each["kind"] == "CustomResourceDefinition"]

    ours = definitions(render())
    assert sorted(map(plain, ours), key=str) == sorted(map(plain, definitions(kustomize("manifests"))), key=str)
    assert {each["metadata"]["annotations"]["helm.sh/resource-policy"] for each in ours} == {"keep"}
    assert not definitions(render({"crds": {"install": False}}))


def test_in_one_namespace_nothing_is_the_clusters() -> None:
    documents = kustomize("manifests/namespaced")
    assert all(each["metadata"]["namespace"] == "jobyard-system" for each in documents)
    assert not {"ClusterRole", "ClusterRoleBinding", "Namespace"} & {each["kind"] for each in documents}
    spec = pod_spec(one(documents, "Deployment"))
    assert spec is not None
    watched = env(spec["containers"][0])["JOBYARD_OPERATOR_NAMESPACES"]
    assert watched == {"fieldRef": {"fieldPath": "metadata.namespace"}}


def test_it_can_be_put_into_another_namespace_with_another_image(tmp_path: Path) -> None:
    overlay = tmp_path / "overlay"
    overlay.mkdir()
    base = os.path.relpath(ROOT / "manifests/namespaced", overlay)
    overlay.joinpath("kustomization.yaml").write_text(
        f"namespace: shop\nresources: [{base}]\nimages: [{{name: jobyard, newName: localhost/jobyard, newTag: dev}}]\n",
        encoding="utf-8",
    )
    documents = kustomize(str(overlay))
    assert {each["metadata"]["namespace"] for each in documents} == {"shop"}
    assert "jobyard-system" not in str(documents)
    spec = pod_spec(one(documents, "Deployment"))
    assert spec is not None
    assert spec["containers"][0]["image"] == "localhost/jobyard:dev"


def test_the_example_queue_is_one_that_the_operator_can_serve() -> None:
    documents = kustomize("manifests/examples")
    resource = one(documents, "JobQueue")
    resource["metadata"] |= {"uid": "6a8c4c1e", "generation": 1}
    queue = JobQueue.parse(resource)
    rendered = deployment(queue)
    spec = pod_spec(rendered)
    assert spec is not None
    validate({**rendered, "apiVersion": "apps/v1"}, "1.37", strict=True)
    assert restricted_violations(spec) == []
    assert one(documents, "ConfigMap")["metadata"]["name"] == spec["volumes"][-1]["configMap"]["name"]
    assert one(documents, "Secret")["metadata"]["name"] == resource["spec"]["redis"]["secretRef"]["name"]
    # Where `kubectl apply -k manifests/` puts its Valkey.
    service = one(kustomize("manifests"), "Service", "jobyard-valkey")["metadata"]
    assert (
        one(documents, "Secret")["stringData"]["url"] == f"redis://{service['name']}.{service['namespace']}.svc:6379/0"
    )


def test_the_example_enqueues_jobs_that_its_worker_has(broker: JobyardBroker, redis_url: str, tmp_path: Path) -> None:
    spec = pod_spec(one(kustomize("manifests/examples"), "Job"))
    assert spec is not None
    program, number = spec["containers"][0]["command"][1:]
    source = one(kustomize("manifests/examples"), "ConfigMap")["data"][Path(program).name]
    tmp_path.joinpath("shop.py").write_text(source, encoding="utf-8")
    settings = {**os.environ, "JOBYARD_REDIS_URL": redis_url, "JOBYARD_NAMESPACE": broker.namespace}
    subprocess.run([sys.executable, "shop.py", number], check=True, cwd=tmp_path, env=settings)
    queue = one(kustomize("manifests/examples"), "JobQueue")["spec"]["queue"]
    assert Inspector(broker).stats(queue).waiting == int(number)
    module = runpy.run_path(str(tmp_path / "shop.py"), run_name="shop")
    assert module["welcome"].queue_name == queue
