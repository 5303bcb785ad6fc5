"""The operator's settings, from the environment (`JOBYARD_OPERATOR_…`) or the command line."""

from __future__ import annotations

import os
import socket
from typing import Annotated

from pydantic import Field, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

_DNS = r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$"


def _identity() -> str:
    # A name alone is not enough: a container that is started again has the name of the one before.
    return f"{os.environ.get('JOBYARD_POD_NAME') or socket.gethostname()}_{os.urandom(4).hex()}"


class Settings(BaseSettings):
    """All of them.

    Attributes:
        namespaces: whose JobQueues are looked after; none: those of the whole cluster.
        lease_name, lease_namespace: of the Lease by which operators elect their leader.
        identity: this process's name in the election; nobody else has it.
        secret_age: seconds after which a Secret is read again: so long it takes at most until its change is noticed.
        port: for /livez, /readyz and /metrics; 0: any free one; None: no server.
    """

    model_config = SettingsConfigDict(env_prefix="JOBYARD_OPERATOR_", extra="ignore")

    namespaces: Annotated[tuple[str, ...], NoDecode] = ()
    lease_name: Annotated[str, Field(pattern=_DNS, max_length=253)] = "jobyard-operator"
    lease_namespace: Annotated[str, Field(pattern=_DNS, max_length=63)] = "default"
    identity: Annotated[str, Field(min_length=1, max_length=253)] = Field(default_factory=_identity)
    secret_age: Annotated[float, Field(ge=1, le=3600)] = 30.0
    port: Annotated[int, Field(ge=0, le=65535)] | None = 8080

    @field_validator("namespaces", mode="before")
    @classmethod
    def _listed(cls, value: object) -> object:
        return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value
