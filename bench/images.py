"""What `process_image` costs, beside the usual way (open, convert, resize with LANCZOS, save).

    python bench/images.py                  a table
    python bench/images.py --json out.json  and the figures as JSON

Every measurement runs in a process of its own, the two ways in turn, so that neither finds a warm cache or memory that
the other has left. The download and the storage are left out; both ways write the result with the same settings.
"""

from __future__ import annotations

import argparse
import io
import json
import math
import os
import platform
import random
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import PIL
from PIL import Image, ImageChops, ImageCms, ImageDraw, ImageOps, ImageStat, features

from jobyard.jobs.images.decode import load, open_image, orientation_of
from jobyard.jobs.images.encode import encode
from jobyard.jobs.images.formats import OutputFormat
from jobyard.jobs.images.payload import Resize
from jobyard.jobs.images.plan import plan
from jobyard.jobs.images.settings import ImageSettings
from jobyard.jobs.images.transform import lies_on_its_side, transform


@dataclass(frozen=True)
class Case:
    """One thing to do: a source picture, a size, a format."""

    source: str
    resize: Resize
    output: OutputFormat

    def __str__(self) -> str:
        wide, high = self.resize.width or "", self.resize.height or ""
        return f"{self.source} → {wide}×{high} {self.resize.fit} {self.output}"


SOURCES = {"jpg 6000×4000": "photo.jpg", "png 6000×4000": "photo.png", "png 4000×3000 alpha": "alpha.png"}
CASES = [
    Case("jpg 6000×4000", Resize(width=300), "jpg"),
    Case("jpg 6000×4000", Resize(width=300, height=300, fit="cover"), "webp"),
    Case("jpg 6000×4000", Resize(width=1200), "webp"),
    Case("jpg 6000×4000", Resize(width=2400), "jpg"),
    Case("png 6000×4000", Resize(width=300), "webp"),
    Case("png 4000×3000 alpha", Resize(width=300), "webp"),
]


def naive(file: io.BytesIO, case: Case) -> Image.Image:
    """As most code does it: everything at full size."""
    image = ImageOps.exif_transpose(Image.open(file))
    image = image.convert("RGBA" if image.has_transparency_data else "RGB")
    wanted = plan(image.size, case.resize).canvas
    if case.resize.fit == "cover":
        return ImageOps.fit(image, wanted, Image.Resampling.LANCZOS)
    return image.resize(wanted, Image.Resampling.LANCZOS)


def ours(file: io.BytesIO, case: Case) -> Image.Image:
    """The steps of the job."""
    with open_image(file, ImageSettings()) as image:
        orientation = orientation_of(image)
        lying = lies_on_its_side(orientation)
        steps = plan(image.size[::-1] if lying else image.size, case.resize)
        load(image, (steps.turned() if lying else steps).whole())
        return transform(image, steps, orientation, None, keep_alpha=case.output != "jpg")


WAYS = {"naive": naive, "ours": ours}


def make_sources(folder: Path) -> None:
    """A picture with areas, edges and the grain of a camera."""
    dice = random.Random(7)
    picture = Image.merge("RGB", [Image.linear_gradient("L").rotate(90 * turn) for turn in range(3)])
    picture = picture.resize((6000, 4000), Image.Resampling.BICUBIC)
    draw = ImageDraw.Draw(picture)
    for _ in range(1500):
        x, y, size = dice.randrange(6000), dice.randrange(4000), dice.randrange(5, 300)
        draw.ellipse((x, y, x + size, y + size // 2), fill=tuple(dice.randrange(256) for _ in range(3)))
    grain = Image.effect_noise((6000, 4000), 12).convert("RGB")
    picture = ImageChops.add(picture, grain, offset=-128)
    picture.save(folder / "photo.jpg", quality=90)
    picture.save(folder / "photo.png", compress_level=1)
    alpha = picture.resize((4000, 3000))
    alpha.putalpha(Image.radial_gradient("L").resize((4000, 3000)))
    alpha.save(folder / "alpha.png", compress_level=1)


def status(field: str) -> int:
    """A figure from this process' status, in bytes: `VmRSS` now, `VmHWM` at its peak."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{field}:"):
            return int(line.split()[1]) * 1024
    raise LookupError(field)


def measure_one(case: Case, way: str, folder: Path) -> dict[str, float]:
    """Run one way once, in this process."""
    Image.init()
    ImageCms.createProfile("sRGB")
    content = io.BytesIO((folder / SOURCES[case.source]).read_bytes())
    encode(Image.new("RGB", (8, 8)), io.BytesIO(), case.output, None)
    Path("/proc/self/clear_refs").write_text("5")  # Begin the peak anew.
    before = status("VmRSS")
    cpu = time.process_time()
    start = time.perf_counter()
    image = WAYS[way](content, case)
    made = time.perf_counter()
    written = encode(image, io.BytesIO(), case.output, None)
    end = time.perf_counter()
    peak = status("VmHWM") - before
    image.save(folder / f"result-{way}.png")
    return {
        "ms": (end - start) * 1000,
        "until_encoding_ms": (made - start) * 1000,
        "cpu_ms": (time.process_time() - cpu) * 1000,
        "peak_mb": peak / 1e6,
        "bytes": written,
    }


def in_own_process(index: int, way: str, folder: Path) -> dict[str, float]:
    done = subprocess.run(
        [sys.executable, __file__, "--one", str(index), way, str(folder)], check=True, capture_output=True, text=True
    )
    return json.loads(done.stdout)


def likeness(folder: Path) -> float:
    """How alike the two results are: PSNR in dB. Above 40 nobody sees a difference."""
    with Image.open(folder / "result-naive.png") as first, Image.open(folder / "result-ours.png") as second:
        difference = ImageChops.difference(first.convert("RGBA"), second.convert("RGBA"))
    squares = statistics.fmean(ImageStat.Stat(difference.convert("RGB")).rms) ** 2
    return math.inf if squares == 0 else 10 * math.log10(255**2 / squares)


def measure(case: Case, index: int, folder: Path, rounds: int) -> dict[str, Any]:
    runs: dict[str, list[dict[str, float]]] = {way: [] for way in WAYS}
    for _ in range(rounds):
        for way in WAYS:
            runs[way].append(in_own_process(index, way, folder))
    figures = {
        way: {name: round(statistics.median(run[name] for run in of_way), 1) for name in of_way[0]}
        for way, of_way in runs.items()
    }
    return {
        "case": str(case),
        **figures,
        "times_faster": round(figures["naive"]["ms"] / figures["ours"]["ms"], 1),
        "times_less_memory": round(figures["naive"]["peak_mb"] / max(0.1, figures["ours"]["peak_mb"]), 1),
        "psnr_db": round(likeness(folder), 1),
    }


def machine() -> dict[str, Any]:
    return {
        "python": platform.python_version(),
        "pillow": PIL.__version__,
        "libjpeg_turbo": features.version("libjpeg_turbo"),
        "cpus": os.cpu_count(),
        "page_bytes": resource.getpagesize(),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--rounds", type=int, default=5, help="measurements of each case (default 5; the median counts)"
    )
    parser.add_argument("--json", type=Path, help="write the figures there")
    parser.add_argument("--one", nargs=3, metavar=("CASE", "WAY", "FOLDER"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        index, way, folder = options.one
        print(json.dumps(measure_one(CASES[int(index)], way, Path(folder))))
        return

    results = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make_sources(folder)
        print(f"{'':44} {'naive':>18}   {'ours':>18}")
        print(
            f"{'case':44} {'ms':>9} {'peak MB':>8}   {'ms':>9} {'peak MB':>8}   {'faster':>7} {'memory':>7} {'PSNR':>6}"
        )
        for index, case in enumerate(CASES):
            result = measure(case, index, folder, options.rounds)
            results.append(result)
            usual, own = result["naive"], result["ours"]
            print(
                f"{result['case']:44} {usual['ms']:9.0f} {usual['peak_mb']:8.0f}   {own['ms']:9.0f} "
                f"{own['peak_mb']:8.0f}   {result['times_faster']:6.1f}× {result['times_less_memory']:6.1f}× "
                f"{result['psnr_db']:6.1f}",
                flush=True,
            )
    if options.json:
        options.json.write_text(json.dumps({"machine": machine(), "results": results}, indent=2, ensure_ascii=False))


if __name__ == "__main__":
    main()
