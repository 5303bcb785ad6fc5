"""Settings of downloads, from `JOBYARD_DOWNLOAD_…` environment variables."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from jobyard.jobs.download.policy import Policy, parse_allow, parse_ports


class DownloadSettings(BaseSettings):
    """How jobs download.

    Attributes:
        allow: what may be reached although it is not public: host names and networks, separated by commas, each with a
            port if only that one is meant: `images.internal, 10.20.0.0/16, 127.0.0.1:9000, [fd00:1::/32]:8080`.
            Cloud metadata addresses stay closed whatever is listed.
        ports: the ports that may be connected to, separated by commas.
        max_redirects: how many redirects are followed.
        connect_timeout: seconds to wait for one address to accept the connection, within the time for the whole.
        max_retry_after: seconds; a server that asks to come back later than that is asked again after that.
        memory: bytes of a body that are held in memory; what is longer goes to a temporary file (`TMPDIR`).
        ca_file: a PEM file with certificate authorities to trust, besides those of the system.
    """

    model_config = SettingsConfigDict(env_prefix="JOBYARD_DOWNLOAD_", extra="ignore", frozen=True)

    allow: str = ""
    ports: str = "80,443"
    max_redirects: int = Field(default=5, ge=0, le=20)
    connect_timeout: float = Field(default=10.0, gt=0)
    max_retry_after: float = Field(default=3600.0, ge=1)
    memory: int = Field(default=8 * 1024 * 1024, ge=0)
    ca_file: Path | None = None

    @field_validator("allow")
    @classmethod
    def _allow_can_be_read(cls, allow: str) -> str:
        parse_allow(allow)
        return allow

    @field_validator("ports")
    @classmethod
    def _ports_can_be_read(cls, ports: str) -> str:
        parse_ports(ports)
        return ports

    def policy(self) -> Policy:
        """What may be connected to."""
        return Policy(allow=parse_allow(self.allow), ports=parse_ports(self.ports))
