"""What a caller sends to `process_image`, and what is refused before it is queued."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, field_validator, model_validator

from jobyard.jobs.download.errors import DownloadRefused
from jobyard.jobs.download.urls import read_url
from jobyard.jobs.images.formats import OutputFormat
from jobyard.jobs.storage import check_name
from jobyard.priority import PriorityField

LONGEST_SIDE: Final = 16_383

Fit = Literal["cover", "contain", "fill", "inside"]


def _downloadable(url: str) -> str:
    try:
        read_url(url)
    except DownloadRefused as error:
        raise ValueError(str(error)) from None
    return url


def _jpeg_is_jpg(value: Any) -> Any:
    return "jpg" if value == "jpeg" else value


Side = Annotated[int, Field(strict=True, ge=1, le=LONGEST_SIDE)]


class Resize(BaseModel):
    """The size that is wanted. With one side only, the other follows from the proportions.

    Attributes:
        width: pixels, 1 to 16383.
        height: pixels, 1 to 16383.
        fit: what to do when the proportions differ:
            `inside`: as large as fits into width × height, nothing cut off, nothing added;
            `contain`: the same, then padded to exactly width × height;
            `cover`: width × height are covered whole, and what stands out is cut off at both ends;
            `fill`: stretched to exactly width × height.
        upscale: whether an image that is smaller may be enlarged. `fill` always may.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    width: Side | None = None
    height: Side | None = None
    fit: Fit = "inside"
    upscale: bool = False

    @model_validator(mode="after")
    def _sides(self) -> Resize:
        if self.width is None and self.height is None:
            raise ValueError("give width, height, or both")
        if self.fit == "fill" and (self.width is None or self.height is None):
            raise ValueError("fit 'fill' needs both width and height")
        return self


class Transformations(BaseModel):
    """What to do with the image. Orientation and metadata are always dealt with.

    Attributes:
        resize: None: the size stays.
        format: `jpg`, `png`, `webp` or `avif`; None: as the image came, PNG for what is none of these.
        quality: 1 (small) to 100 (good), for jpg, webp and avif; None: 80 for jpg and webp, 60 for avif.
        background: `#rrggbb` or `#rgb`, laid under what is transparent, in any format, and used where `contain` pads.
            None: white for jpg, which knows no transparency; otherwise transparent.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    resize: Resize | None = None
    format: Annotated[OutputFormat, BeforeValidator(_jpeg_is_jpg)] | None = None
    quality: Annotated[int, Field(strict=True, ge=1, le=100)] | None = None
    background: Annotated[str, Field(pattern=r"^#(?:[0-9a-fA-F]{3}|[0-9a-fA-F]{6})$")] | None = None

    @field_validator("quality")
    @classmethod
    def _png_has_none(cls, quality: int | None, info: Any) -> int | None:
        if quality is not None and info.data.get("format") == "png":
            raise ValueError("png is lossless and has no quality; leave it out, or choose another format")
        return quality


class ProcessImage(BaseModel):
    """The payload of `process_image`.

    Attributes:
        image_url: an http or https URL to fetch the image from.
        object: the name of an object in the storage to read the image from. Either this or `image_url`.
        transformations: what to do with it.
        priority: 0 (first) to 100, or `critical`, `high`, `normal`, `low`.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    image_url: Annotated[str, AfterValidator(_downloadable)] | None = None
    object: Annotated[str, AfterValidator(check_name)] | None = None
    transformations: Transformations = Transformations()
    priority: PriorityField = None

    @model_validator(mode="after")
    def _one_source(self) -> ProcessImage:
        if (self.image_url is None) == (self.object is None):
            raise ValueError("give either image_url or object")
        return self
