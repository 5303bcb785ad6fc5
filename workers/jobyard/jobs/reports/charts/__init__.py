"""The charts of reports: laid out once as shapes (`scene`), then drawn as SVG (`svg`) or in a PDF (`drawing`)."""
