"""What the chart says about itself."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
import yaml
from tests.unit.chart.settings import ALL

from jobyard_operator.resources import JobQueue
from support.chart import CHART, NAMESPACE, ROOT, render
from support.kubernetes_tools import helm

METADATA = yaml.safe_load((CHART / "Chart.yaml").read_text(encoding="utf-8"))


def test_helm_has_nothing_to_complain_about() -> None:
    assert "0 chart(s) failed" in helm("lint", "--strict", CHART)


def test_packed_it_is_the_same(tmp_path: Path) -> None:
    helm("package", CHART, "--destination", tmp_path)
    [package] = tmp_path.glob("jobyard-*.tgz")
    packed = helm("template", "jobyard", package, "--namespace", NAMESPACE)
    assert [each for each in yaml.safe_load_all(packed) if each is not None] == render()


def test_its_version_is_the_projects() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
    assert (METADATA["version"], METADATA["appVersion"]) == (project, project)


def test_a_catalogue_can_show_resources_and_an_example() -> None:
    annotations = METADATA["annotations"]
    shown = {each["kind"] for each in yaml.safe_load(annotations["artifacthub.io/crds"])}
    installed = {each["spec"]["names"]["kind"] for each in render() if each["kind"] == "CustomResourceDefinition"}
    assert shown == installed
    for example in yaml.safe_load(annotations["artifacthub.io/crdsExamples"]):
        example["metadata"] |= {"uid": "6a8c4c1e", "namespace": "shop"}
        JobQueue.parse(example)


@pytest.mark.parametrize("values", ALL.values(), ids=ALL)
def test_the_notes_teach_with_commands_that_fit(values: dict[str, object]) -> None:
    given = yaml.safe_dump(values)
    notes = helm(
        "install", "jobyard", CHART, "--namespace", NAMESPACE, "--dry-run=client", "--values", "-", given=given
    ).partition("NOTES:\n")[2]  # fmt: skip
    watched = values.get("watchNamespaces", ["shop"])
    assert isinstance(watched, list)
    assert f"kubectl -n {watched[0]} apply -f -" in notes
    _, _, resource = notes.partition("<<'END'\n")
    queue = yaml.safe_load(resource.partition("END")[0])
    queue["metadata"] |= {"uid": "6a8c4c1e", "namespace": "shop"}
    JobQueue.parse(queue)
    assert "kubectl explain jobqueue.spec" in notes
    assert "<no value>" not in notes
