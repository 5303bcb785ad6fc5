"""Settings of the broker, from environment variables `JOBYARD_…`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

if TYPE_CHECKING:
    from jobyard.broker import JobyardBroker


class BrokerSettings(BaseSettings):
    """Which Redis, and how to use it.

    Attributes:
        redis_url: JOBYARD_REDIS_URL. A secret, since it may hold a password.
        namespace: JOBYARD_NAMESPACE. Prefix of all keys.
        patience: JOBYARD_PATIENCE. Seconds for which a producer's call is tried again while Redis can't be reached.
    """

    model_config = SettingsConfigDict(env_prefix="JOBYARD_", extra="ignore", frozen=True)

    redis_url: SecretStr = SecretStr("redis://127.0.0.1:6379/0")
    namespace: str = Field(default="jobyard", pattern=r"^[A-Za-z0-9_.:-]{1,64}$")
    patience: float = Field(default=10.0, ge=0)

    def make_broker(self) -> JobyardBroker:
        """A broker as these settings say. Makes no connection yet."""
        from jobyard.broker import JobyardBroker

        return JobyardBroker(self.redis_url.get_secret_value(), namespace=self.namespace, patience=self.patience)
