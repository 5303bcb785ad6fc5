"""Settings of image jobs, from `JOBYARD_IMAGE_…` environment variables."""

from __future__ import annotations

from pydantic import Field, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from jobyard.jobs.images.formats import READABLE


class ImageSettings(BaseSettings):
    """What image jobs accept.

    Attributes:
        max_bytes: an image file may have so many bytes.
        max_pixels: an image may have so many pixels, source and result alike. A decoded pixel takes 4 bytes of memory,
            and two copies may exist at once: plan with 8 bytes times this for each worker thread.
        timeout: seconds for the download.
        formats: formats that are read, separated by commas: jpg, png, webp, avif, gif, bmp, tiff.
    """

    model_config = SettingsConfigDict(env_prefix="JOBYARD_IMAGE_", extra="ignore", frozen=True)

    max_bytes: int = Field(default=50_000_000, gt=0)
    max_pixels: int = Field(default=80_000_000, gt=0)
    timeout: float = Field(default=30.0, gt=0)
    formats: str = "jpg,png,webp,avif,gif"

    @field_validator("formats")
    @classmethod
    def _formats_are_known(cls, formats: str) -> str:
        names = _split(formats)
        unknown = [name for name in names if name not in READABLE]
        if unknown or not names:
            raise ValueError(f"{', '.join(unknown) or 'empty'}: formats are {', '.join(READABLE)}")
        return formats

    @property
    def readable(self) -> list[str]:
        """The names of the formats that are read."""
        return _split(self.formats)


def _split(formats: str) -> list[str]:
    return [name.strip().lower() for name in formats.split(",") if name.strip()]
