"""Where the configuration of schemathesis lies."""

from pathlib import Path

FOLDER = Path(__file__).parent
