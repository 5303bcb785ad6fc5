"""One module a file format. Each has `write_…(report, file)`, which writes a report to a binary file, front to back."""
