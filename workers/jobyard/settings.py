"""Settings of the broker, from environment variables `JOBYARD_…`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

from jobyard.broker.sizes import MAX_MESSAGE, MAX_RESULT

if TYPE_CHECKING:
    from jobyard.broker import JobyardBroker
    from jobyard.broker.key_ring import KeyRing
    from jobyard.broker.protection import Protection


class BrokerSettings(BaseSettings):
    """Which Redis, and how to use it.

    Attributes:
        redis_url: JOBYARD_REDIS_URL. A secret, since it may hold a password.
        namespace: JOBYARD_NAMESPACE. Prefix of all keys.
        patience: JOBYARD_PATIENCE. Seconds for which a producer's call is tried again while Redis can't be reached.
        max_message_size, max_result_size: JOBYARD_MAX_MESSAGE_SIZE, JOBYARD_MAX_RESULT_SIZE. In bytes, 1 MiB each.
        encryption_keys, encryption_keys_file: JOBYARD_ENCRYPTION_KEYS, or a file with the same content, read anew when it
            changes: `NAME:BASE64,…` of 32 bytes each. The first one encrypts, all of them decrypt.
        signing_keys, signing_keys_file: JOBYARD_SIGNING_KEYS, the same for signatures. Then jobs that are neither signed nor
            encrypted are refused.
    """

    model_config = SettingsConfigDict(env_prefix="JOBYARD_", extra="ignore", frozen=True)

    redis_url: SecretStr = SecretStr("redis://127.0.0.1:6379/0")
    namespace: str = Field(default="jobyard", pattern=r"^[A-Za-z0-9_.:-]{1,64}$")
    patience: float = Field(default=10.0, ge=0)

    max_message_size: int = Field(default=MAX_MESSAGE, ge=1)
    max_result_size: int = Field(default=MAX_RESULT, ge=0)
    encryption_keys: SecretStr | None = None
    encryption_keys_file: Path | None = None
    signing_keys: SecretStr | None = None
    signing_keys_file: Path | None = None

    def make_broker(self) -> JobyardBroker:
        """A broker as these settings say. Makes no connection yet.

        Raises:
            ValueError, ImportError: its keys can't be used.
        """
        from jobyard.broker import JobyardBroker

        return JobyardBroker(
            self.redis_url.get_secret_value(),
            namespace=self.namespace,
            patience=self.patience,
            protection=self.make_protection(),
            max_message_size=self.max_message_size,
            max_result_size=self.max_result_size,
        )

    def make_protection(self) -> Protection | None:
        """What encrypts and signs jobs; None: nothing does.

        Raises:
            ValueError, ImportError: the keys can't be used.
        """
        from jobyard.broker.protection import Protection

        encryption = _ring("ENCRYPTION_KEYS", self.encryption_keys, self.encryption_keys_file)
        signing = _ring("SIGNING_KEYS", self.signing_keys, self.signing_keys_file)
        return Protection(encryption, signing) if encryption or signing else None


def _ring(name: str, keys: SecretStr | None, file: Path | None) -> KeyRing | None:
    from jobyard.broker.key_ring import KeyRing

    setting = f"JOBYARD_{name}"
    text = keys.get_secret_value().strip() if keys is not None else ""
    if text and file is not None:
        raise ValueError(f"set {setting} or {setting}_FILE, not both")
    if file is not None:
        return KeyRing.from_file(file, f"{setting}_FILE")
    return KeyRing.from_text(text, setting) if text else None
