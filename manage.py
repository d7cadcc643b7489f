#!/usr/bin/env python
"""Django's command line, with the embedded servers found or started first when no URL names others."""

import os
import sys

# Commands that never ask the database or Redis anything.
WITHOUT_SERVERS = {
    "check",
    "collectstatic",
    "demo_code",
    "diffsettings",
    "findstatic",
    "help",
    "startapp",
    "version",
}

# Numpy comes in with the models, and asks only then how many threads it may have. These commands want one: several take
# the cores from each other and from everybody else, and an answer takes many times as long on a busy machine.
ONE_THREAD = {"scorer", "train_text_filter", "measure_text_filter"}


def needs_servers(arguments: list[str]) -> bool:
    """Whether a command line may talk to PostgreSQL or Redis."""
    if not arguments or arguments[0] in WITHOUT_SERVERS:
        return False
    return not {"-h", "--help", "--version"} & set(arguments)


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "console.settings")
    if ONE_THREAD.intersection(sys.argv[1:2]):
        for name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
            os.environ[name] = "1"
    if needs_servers(sys.argv[1:]):
        from console import embedded

        try:
            embedded.ensure(f"manage.py {sys.argv[1]}", say=lambda line: print(line, file=sys.stderr))  # noqa: T201
        except embedded.EmbeddedError as error:
            sys.exit(f"backlot: {error}")
    from console import logs

    logs.configure()
    from django.core.management import execute_from_command_line

    execute_from_command_line(sys.argv)


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit(130)
