"""`manage.py audit_delivered`: does every file in storage verify as Trusted, with a scan that lets it out?"""

import sys

from django.core.management.base import BaseCommand

from generation.credentials.delivered_audit import Fault, audit


class Command(BaseCommand):
    help = "Read every delivered file and look for its scan; name what fails, and exit 1 where anything does."

    def handle(self, *args: object, **options: object) -> None:
        sound, faults = 0, 0
        for one in audit():
            if isinstance(one, Fault):
                faults += 1
                self.stdout.write(f"{one.path}: {one.reason}")
            else:
                sound += 1
        self.stdout.write(f"{sound} files are Trusted and scanned; {faults} are not.")
        if faults:
            sys.exit(1)
