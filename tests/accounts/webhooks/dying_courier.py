"""A process that serves what is due once, for tests that kill it. Its argument is the name of the database.

It has the environment of the run that starts it, home and all: in another home the secrets could not be read.
"""

import os
import sys
import time

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "console.settings")

import django

django.setup()

from django.db import connections  # noqa: E402

from accounts.webhooks import rounds  # noqa: E402


def main() -> None:
    connections["default"].settings_dict["NAME"] = sys.argv[1]
    for holding in rounds.claim(10):
        rounds.serve(holding, rounds.ways(), time.time)


if __name__ == "__main__":
    main()
