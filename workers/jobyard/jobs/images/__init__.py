"""The built-in job type `process_image`: fetch an image, resize it, strip what it says about its maker, store it.

    process_image.send(
        image_url="https://example.org/photo.jpg",
        transformations={"resize": {"width": 300, "height": 200, "fit": "cover"}, "format": "webp", "quality": 80},
    )

The settings are `JOBYARD_IMAGE_…` (see `ImageSettings`) and `JOBYARD_DOWNLOAD_…`.
"""

from jobyard.jobs.images.errors import ImageRefused
from jobyard.jobs.images.job import process_image
from jobyard.jobs.images.payload import ProcessImage, Resize, Transformations
from jobyard.jobs.images.settings import ImageSettings

__all__ = ["ImageRefused", "ImageSettings", "ProcessImage", "Resize", "Transformations", "process_image"]
