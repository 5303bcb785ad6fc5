"""Requests to the API server, with objects as plain JSON. The connection, TLS and tokens are the official client's."""

from __future__ import annotations

import json
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote, urlencode

import aiohttp
from kubernetes.aio import config
from kubernetes.aio.client import ApiClient, Configuration

from jobyard_operator.kubernetes.kinds import Kind

#: Seconds for one request.
TIMEOUT: Final = 10.0
#: Owns all fields that we apply.
MANAGER: Final = "jobyard-operator"
#: Owns the number of replicas.
SCALER: Final = "jobyard-autoscaler"
_PAGE: Final = 500
_APPLY: Final = "application/apply-patch+yaml"
_MERGE: Final = "application/merge-patch+json"
_SERVICE_ACCOUNT: Final = Path("/var/run/secrets/kubernetes.io/serviceaccount/token")

Object = dict[str, Any]


class ApiError(Exception):
    """The API server refused a request.

    Attributes:
        status: of HTTP.
        reason: Kubernetes' word for it, for instance Conflict.
        details: as in metav1.Status.
    """

    def __init__(self, status: int, reason: str, message: str, details: dict[str, Any] | None = None) -> None:
        super().__init__(message or f"HTTP {status}")
        self.status, self.reason, self.details = status, reason, details or {}


class NotFound(ApiError):
    """There is no such object."""


class Conflict(ApiError):
    """The object is not as the request took it to be, is there already, or somebody else owns a field."""


class Unreachable(ApiError):
    """The API server doesn't answer, or not now."""


class Api:
    """One connection pool, for one event loop. `async with Api.connect() as api`."""

    def __init__(self, client: ApiClient) -> None:
        self._client = client
        self.requests: dict[tuple[str, str], int] = {}  # by method and plural, for the metrics

    @classmethod
    async def connect(cls, kubeconfig: Path | None = None) -> Api:
        """As the pod's service account, or else as the kubeconfig says.

        Args:
            kubeconfig: this one, wherever it runs.

        Raises:
            ConfigException: there is neither.
        """
        configuration = Configuration()
        if kubeconfig is None and os.environ.get("KUBERNETES_SERVICE_HOST") and _SERVICE_ACCOUNT.exists():
            config.load_incluster_config(client_configuration=configuration)
        else:
            file = None if kubeconfig is None else str(kubeconfig)
            await config.load_kube_config(config_file=file, client_configuration=configuration)
        configuration.connection_pool_maxsize = 16
        return cls(ApiClient(configuration=configuration))

    @property
    def configuration(self) -> Configuration:
        """How the API server is reached."""
        found: Configuration = self._client.configuration
        return found

    async def close(self) -> None:
        await self._client.close()

    async def get(self, kind: Kind, namespace: str | None, name: str) -> Object:
        """One object. Only namespaces are in no namespace.

        Raises:
            NotFound, ApiError.
        """
        return await self._request("GET", kind, namespace, name)

    async def list(self, kind: Kind, namespace: str | None = None, *, labels: str = "") -> AsyncIterator[Object]:
        """All objects, page by page."""
        query = {"limit": str(_PAGE), **({"labelSelector": labels} if labels else {})}
        while True:
            page = await self._request("GET", kind, namespace, query=query)
            for item in page.get("items") or ():
                yield item
            more = page.get("metadata", {}).get("continue")
            if not more:
                return
            query["continue"] = more

    async def create(self, kind: Kind, namespace: str, whole: Object) -> Object:
        """Create an object.

        Raises:
            Conflict: there is one of that name.
        """
        return await self._request("POST", kind, namespace, body=whole, query={"fieldManager": MANAGER})

    async def apply(self, kind: Kind, whole: Object) -> Object:
        """Server-side apply. Fields that somebody else owns are not taken.

        Raises:
            Conflict: somebody else owns fields, and they have other values; `details` names them.
        """
        meta = whole["metadata"]
        query = {"fieldManager": MANAGER, "force": "false"}
        return await self._request(
            "PATCH", kind, meta["namespace"], meta["name"], body=whole, query=query, patch=_APPLY
        )

    async def scale(self, kind: Kind, namespace: str, name: str, replicas: int) -> Object:
        """Write the number of replicas, which the autoscaler owns then."""
        scale = {
            "apiVersion": "autoscaling/v1",
            "kind": "Scale",
            "metadata": {"name": name, "namespace": namespace},
            "spec": {"replicas": replicas},
        }
        query = {"fieldManager": SCALER, "force": "true"}
        return await self._request("PATCH", kind, namespace, name, "scale", body=scale, query=query, patch=_APPLY)

    async def patch(
        self, kind: Kind, namespace: str, name: str, change: Object, *, subresource: str | None = None
    ) -> Object:
        """A merge patch. With metadata.resourceVersion or metadata.uid in it, only if the object has that."""
        query = {"fieldManager": MANAGER}
        return await self._request("PATCH", kind, namespace, name, subresource, body=change, query=query, patch=_MERGE)

    async def replace(self, kind: Kind, namespace: str, name: str, whole: Object) -> Object:
        """Replace an object, if it still has that resourceVersion."""
        return await self._request("PUT", kind, namespace, name, body=whole, query={"fieldManager": MANAGER})

    async def delete(
        self, kind: Kind, namespace: str, name: str, *, uid: str | None = None, foreground: bool = False
    ) -> None:
        """Delete an object, if there is one (and, with `uid`, if it is that one)."""
        options: Object = {"propagationPolicy": "Foreground" if foreground else "Background"}
        if uid is not None:
            options["preconditions"] = {"uid": uid}
        try:
            await self._request("DELETE", kind, namespace, name, body=options)
        except NotFound:
            return
        except Conflict:
            if uid is None:
                raise

    async def _request(
        self,
        method: str,
        kind: Kind,
        namespace: str | None,
        name: str | None = None,
        subresource: str | None = None,
        *,
        body: Object | None = None,
        query: dict[str, str] | None = None,
        patch: str = "application/json",
    ) -> Object:
        key = (method, f"{kind.plural}/{subresource}" if subresource else kind.plural)
        self.requests[key] = self.requests.get(key, 0) + 1
        configuration = self._client.configuration
        url = configuration.host + quote(kind.path(namespace, name, subresource))
        if query:
            url += "?" + urlencode(query)
        headers = {"Accept": "application/json", "Content-Type": patch, "User-Agent": MANAGER}
        for setting in (await configuration.auth_settings()).values():
            headers[setting["key"]] = setting["value"]
        try:
            reply = await self._client.rest_client.request(
                method, url, headers=headers, body=body, _request_timeout=aiohttp.ClientTimeout(total=TIMEOUT)
            )
            content = await reply.read()
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise Unreachable(0, "Unreachable", f"the API server can't be reached: {error!r}") from error
        return _read(reply.status, content)


def _read(status: int, content: bytes) -> Object:
    try:
        whole: Object = json.loads(content) if content else {}
    except ValueError:
        whole = {}
    if status < 400:
        return whole
    kind = {404: NotFound, 409: Conflict}.get(status, Unreachable if status in (429, 500, 502, 503, 504) else ApiError)
    message = whole.get("message") or content[:200].decode(errors="replace")
    raise kind(status, whole.get("reason") or "", message, whole.get("details"))
