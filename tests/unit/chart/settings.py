"""Values files that people would write, for tests that hold for all of them."""

from __future__ import annotations

from typing import Any, Final

EVERYTHING: Final[dict[str, Any]] = {
    "commonLabels": {"team": "shop"},
    "image": {"repository": "registry.example:5000/jobyard", "digest": "sha256:" + "0" * 64, "pullPolicy": "Always"},
    "imagePullSecrets": [{"name": "registry"}],
    "serviceAccount": {"annotations": {"example.org/role": "jobyard"}},
    "operator": {
        "replicas": 3,
        "podDisruptionBudget": {"maxUnavailable": "50%"},
        "podLabels": {"tier": "control"},
        "podAnnotations": {"example.org/scrape": "yes"},
        "nodeSelector": {"kubernetes.io/os": "linux"},
        "tolerations": [{"key": "dedicated", "operator": "Exists", "effect": "NoSchedule"}],
        "priorityClassName": "system-cluster-critical",
        "extraEnv": [{"name": "TZ", "value": "Europe/Berlin"}],
        "extraEnvFrom": [{"configMapRef": {"name": "more"}}],
        "extraVolumes": [{"name": "ca", "configMap": {"name": "ca"}}],
        "extraVolumeMounts": [{"name": "ca", "mountPath": "/etc/redis", "readOnly": True}],
    },
    "metrics": {
        "serviceMonitor": {"enabled": True, "labels": {"release": "prometheus"}},
        "prometheusRule": {"enabled": True, "labels": {"release": "prometheus"}},
    },
    "networkPolicy": {
        "enabled": True,
        "redisPorts": [6379, 26379],
        "extraEgress": [{"to": [{"ipBlock": {"cidr": "10.0.0.0/8"}}]}],
    },
    "redis": {"existingSecret": "redis", "key": "address", "namespace": "shop"},
    "web": {
        "enabled": True,
        "replicas": 2,
        "tokens": {"existingSecret": "tokens"},
        "service": {"type": "LoadBalancer"},
    },
    "valkey": {
        "enabled": True,
        "appendfsync": "always",
        "auth": {"existingSecret": "valkey"},
        "persistence": {"size": "5Gi", "storageClass": "fast"},
    },
}
NAMESPACED: Final[dict[str, Any]] = {"watchNamespaces": ["shop", "billing"]}
TRYING: Final[dict[str, Any]] = {
    "valkey": {"enabled": True, "persistence": {"enabled": False}},
    "web": {"enabled": True, "tokens": {"existingSecret": "tokens"}},
}

ALL: Final[dict[str, dict[str, Any]]] = {
    "default": {},
    "everything": EVERYTHING,
    "namespaced": NAMESPACED,
    "trying": TRYING,
}
