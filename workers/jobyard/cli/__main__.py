"""`python -m jobyard.cli`."""

from jobyard.cli import main

main()
