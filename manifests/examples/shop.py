"""A shop's jobs: `jobyard worker shop` runs them, `python shop.py NUMBER` enqueues so many."""

from __future__ import annotations

import sys
import time

import jobyard


@jobyard.actor(queue_name="emails", retry=jobyard.RetryPolicy(attempts=3, initial=2, factor=2))
def welcome(address: str) -> str:
    """Greet a customer. Customers of example.invalid can't be reached: they become dead letters."""
    time.sleep(0.5)
    if address.endswith("@example.invalid"):
        raise ConnectionError(f"{address}: no such domain")
    return f"greeted {address}"


@jobyard.actor(queue_name="emails")
def newsletter(edition: str) -> str:
    """Tell all customers the news. A JobSchedule enqueues it."""
    return f"sent the {edition} edition"


if __name__ == "__main__":
    for number in range(int(sys.argv[1])):
        domain = "example.invalid" if number % 50 == 49 else "example.org"
        welcome.send(f"customer-{number}@{domain}")
