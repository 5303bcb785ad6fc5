"""The actor `process_image`: the steps, their progress, and the result."""

from __future__ import annotations

import hashlib
import re
import uuid
from typing import TypedDict

import jobyard
from jobyard.jobs.images.decode import check_pixels, load, open_image, orientation_of
from jobyard.jobs.images.encode import check_can_encode, check_side, encode
from jobyard.jobs.images.formats import WITHOUT_ALPHA, OutputFormat, default_output, name_of
from jobyard.jobs.images.payload import ProcessImage
from jobyard.jobs.images.plan import plan
from jobyard.jobs.images.settings import ImageSettings
from jobyard.jobs.images.source import Source, open_source
from jobyard.jobs.images.transform import lies_on_its_side, transform
from jobyard.jobs.storage import get_storage


class SourceFacts(TypedDict):
    """What came in. Width and height are those of the upright image."""

    width: int
    height: int
    format: str
    bytes: int


class ProcessedImage(TypedDict):
    """What the job results in: where the image is, and what it is."""

    object: str
    url: str
    width: int
    height: int
    format: OutputFormat
    bytes: int
    source: SourceFacts


@jobyard.actor(
    actor_name="process_image",
    queue_name="images",
    payload=ProcessImage,
    retry=jobyard.RetryPolicy(attempts=3, initial=2, factor=2),
    time_limit=180_000,
)
def process_image(payload: ProcessImage) -> ProcessedImage:
    """Fetch an image, transform it, store it, and name where it is.

    Raises:
        DownloadError: the download failed, but may work later.
        RetryAfter: the image's server asks to come back later.
        PermanentError: it never will work: a URL that is refused, an image that is damaged, too large or of no accepted
            format.
    """
    settings = ImageSettings()
    if payload.transformations.format is not None:
        check_can_encode(payload.transformations.format)
    jobyard.report_progress(0, "downloading" if payload.image_url else "reading")
    with open_source(payload, settings, _report_download) as source:
        return _process(source, payload, settings)


def _process(source: Source, payload: ProcessImage, settings: ImageSettings) -> ProcessedImage:
    wanted = payload.transformations
    jobyard.report_progress(40, "decoding")
    with open_image(source.file, settings, source.content_type) as image:
        orientation = orientation_of(image)
        size = image.size[::-1] if lies_on_its_side(orientation) else image.size
        source_format = name_of(image.format)
        output = wanted.format or default_output(source_format)
        check_can_encode(output)
        steps = plan(size, wanted.resize)
        check_pixels(steps.canvas, settings.max_pixels, "the result")
        check_side(steps.canvas, output)
        load(image, (steps.turned() if lies_on_its_side(orientation) else steps).whole())

        jobyard.report_progress(60, "transforming")
        result = transform(image, steps, orientation, wanted.background, keep_alpha=output not in WITHOUT_ALPHA)

    jobyard.report_progress(75, "encoding")
    name = f"images/{_name_of_this_job()}.{output}"
    storage = get_storage()
    with storage.open_write(name) as file:
        written = encode(result, file, output, wanted.quality)
    jobyard.report_progress(100, "stored")
    return {
        "object": name,
        "url": storage.url_of(name),
        "width": result.width,
        "height": result.height,
        "format": output,
        "bytes": written,
        "source": {"width": size[0], "height": size[1], "format": source_format, "bytes": source.size},
    }


def _report_download(received: int, total: int | None) -> None:
    jobyard.report_progress(40 * received / total if total else 0, "downloading", bytes=received)


def _name_of_this_job() -> str:
    """The job's id, so that another attempt replaces what this one wrote; a random name outside a job."""
    job = jobyard.current_job()
    if job is None:
        return uuid.uuid4().hex
    # Clients choose ids. One that can't be part of an object's name is replaced by its hash.
    if re.fullmatch(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,127}", job.id):
        return job.id
    return hashlib.sha256(job.id.encode(errors="replace")).hexdigest()
