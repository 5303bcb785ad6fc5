"""The alerts that the chart has for Prometheus."""

from __future__ import annotations

import re
from typing import Any

import yaml

from support.chart import CHART


def alerts() -> list[dict[str, Any]]:
    """All of them, as Prometheus reads them."""
    groups = yaml.safe_load((CHART / "files" / "alerts.yaml").read_text(encoding="utf-8"))["groups"]
    return [rule for group in groups for rule in group["rules"]]


def metrics() -> set[str]:
    """The names of all metrics that they look at."""
    return {name for alert in alerts() for name in re.findall(r"\bjobyard_\w+", alert["expr"])}
