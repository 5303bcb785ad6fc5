"""skaffold.yaml: only what Skaffold's documentation knows, and only what the chart and the Dockerfile have.

From the reference of skaffold/v4beta13: a release's fields, and that IMAGE_REPO_NAME and IMAGE_TAG_NAME are there for each
artifact's image.
"""

from __future__ import annotations

import re
from typing import Any

import yaml

from support.chart import NAMESPACE, ROOT, one, pod_spec, render

RELEASE = {
    "name", "chartPath", "remoteChart", "valuesFiles", "namespace", "version", "setValues", "setValueTemplates", "setFiles",
    "createNamespace", "wait", "recreatePods", "skipBuildDependencies", "skipTests", "useHelmSecrets", "repo", "upgradeOnChange",
    "overrides", "packaged", "dependsOn",
}  # fmt: skip
TAGGERS = {"gitCommit", "sha256", "envTemplate", "dateTime", "customTemplate", "inputDigest"}
FORWARD = {"resourceType", "resourceName", "namespace", "port", "address", "localPort"}

CONFIG: dict[str, Any] = yaml.safe_load((ROOT / "skaffold.yaml").read_text(encoding="utf-8"))
[ARTIFACT] = CONFIG["build"]["artifacts"]
[DEPLOYED] = CONFIG["deploy"]["helm"]["releases"]


def test_skaffold_knows_its_fields() -> None:
    assert (CONFIG["apiVersion"], CONFIG["kind"]) == ("skaffold/v4beta13", "Config")
    assert CONFIG.keys() <= {"apiVersion", "kind", "metadata", "build", "deploy", "portForward"}
    assert CONFIG["build"].keys() <= {"artifacts", "tagPolicy", "local"}
    assert len(CONFIG["build"]["tagPolicy"].keys() & TAGGERS) == 1
    assert ARTIFACT.keys() <= {"image", "context", "docker"}
    assert ARTIFACT["docker"].keys() <= {"dockerfile", "target", "buildArgs"}
    assert DEPLOYED.keys() <= RELEASE
    assert all(each.keys() <= FORWARD for each in CONFIG["portForward"])


def test_the_files_that_it_names_exist() -> None:
    assert (ROOT / ARTIFACT.get("context", ".") / ARTIFACT["docker"]["dockerfile"]).is_file()
    assert (ROOT / DEPLOYED["chartPath"] / "Chart.yaml").is_file()
    assert DEPLOYED["namespace"] == NAMESPACE


def test_what_is_built_is_what_is_deployed() -> None:
    built = {f"IMAGE_{part}_{re.sub('[^A-Za-z0-9]', '_', ARTIFACT['image'])}": part for part in ("REPO", "TAG")}
    values: dict[str, Any] = dict(DEPLOYED["overrides"])
    for path, template in DEPLOYED["setValueTemplates"].items():
        group, _, name = path.partition(".")
        [(variable, part)] = [each for each in built.items() if f"{{{{.{each[0]}}}}}" == template]
        values.setdefault(group, {})[name] = {"REPO": "localhost/jobyard", "TAG": "0" * 64}[part]
        assert variable
    documents = render(values)
    spec = pod_spec(one(documents, "Deployment"))
    assert spec is not None
    assert spec["containers"][0]["image"] == f"localhost/jobyard:{'0' * 64}"
    for forward in CONFIG["portForward"]:
        service = one(documents, "Service", forward["resourceName"])
        assert forward["port"] in {each["port"] for each in service["spec"]["ports"]}
