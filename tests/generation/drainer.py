"""A process that drains held clips and kills itself at one moment: `python -m tests.generation.drainer MOMENT`.

Functions are wrapped here; nothing in the product knows of it.
"""

import os
import signal
import sys
from collections.abc import Callable

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "console.settings")
django.setup()

from generation import finalization  # noqa: E402
from generation.credentials import held, signing  # noqa: E402

MOMENTS = {
    "signed": (signing, "sign_all"),  # nothing is stored yet
    "stored": (signing, "stored_all"),  # the files are there, no row names them
    "uncommitted": (finalization, "deliver_held"),  # everything is written, nothing is committed
    "delivered": (held, "_one"),  # committed; the unsigned file is gone or not
}


def killing(function: Callable) -> Callable:
    def wrapped(*arguments: object, **named: object) -> object:
        function(*arguments, **named)
        os.kill(os.getpid(), signal.SIGKILL)

    return wrapped


if __name__ == "__main__":
    module, name = MOMENTS[sys.argv[1]]
    setattr(module, name, killing(getattr(module, name)))
    held.drain()
