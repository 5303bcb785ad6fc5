"""The built-in job types: `send_email`, `process_image`, `generate_report`. `jobyard worker jobyard.jobs` runs them."""
