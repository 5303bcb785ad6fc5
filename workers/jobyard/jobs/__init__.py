"""The built-in job types: `send_email`, `process_image`, `generate_report`. `jobyard worker jobyard.jobs` runs them.

from jobyard.jobs import send_email

send_email.send(to="ada@example.org", subject="Hello", body="Good morning!")
"""

try:
    from jobyard.jobs.email import send_email
    from jobyard.jobs.images import process_image
    from jobyard.jobs.reports import generate_report
except ModuleNotFoundError as missing:
    if missing.name is None or missing.name.partition(".")[0] == "jobyard":
        raise
    raise ImportError(
        f"the built-in job types need {missing.name!r}, which is not installed: pip install 'jobyard[jobs]'",
        name=missing.name,
    ) from missing

__all__ = ["generate_report", "process_image", "send_email"]
