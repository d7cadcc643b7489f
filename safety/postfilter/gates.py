"""Which gates this installation has, and which classes nothing but canaries and lists guards."""

from functools import cache

from django.conf import settings
from django.utils.module_loading import import_string

from safety.models import FrameClass
from safety.postfilter import configured
from safety.postfilter.protocol import Gate

SHIPPED = ("safety.postfilter.hash_list.HashList", "safety.postfilter.canary_marks.CanaryMarks")


def gates() -> tuple[Gate, ...]:
    """The gates named in `SAFETY_GATES` (dotted paths; by default the shipped ones) and those of `SAFETY_GATES_FILE`.

    Made once per process.
    """
    named = tuple(_made(path) for path in getattr(settings, "SAFETY_GATES", SHIPPED))
    file = getattr(settings, "SAFETY_GATES_FILE", "")
    return named + (configured.gates_of(file) if file else ())


@cache
def _made(path: str) -> Gate:
    return import_string(path)()


def classes_without_judge() -> list[str]:
    """The frame classes in which no gate can judge a picture that nobody has registered or painted."""
    judged = {name for gate in gates() if gate.judges_unseen for name in gate.classes}
    return [name for name in FrameClass.values if name not in judged]


def acceptance() -> str:
    """What the operator wrote in `SAFETY_ACCEPT_CANARIES_ONLY`, to run without real classifiers; "" where nothing."""
    return getattr(settings, "SAFETY_ACCEPT_CANARIES_ONLY", "").strip()
