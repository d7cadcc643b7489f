"""What keeps the service from starting, or is said at the start: in production, frames that nothing but canaries and
lists looks at, and clips that are signed with a development key."""

from django.conf import settings
from django.core.checks import CheckMessage, Error, Warning, register

from safety.postfilter.gates import acceptance, classes_without_judge, gates

LEAST_ACCEPTANCE = 20  # characters: a sentence, not a switch


@register()
def every_gate_can_be_made(app_configs: object, **options: object) -> list[CheckMessage]:
    """SAFETY_GATES names classes that can be imported and made."""
    try:
        gates()
    except (ImportError, TypeError) as error:
        return [Error(f"A gate of SAFETY_GATES can't be made: {error}", id="safety.E001")]
    return []


@register()
def every_class_has_a_judge(app_configs: object, **options: object) -> list[CheckMessage]:
    """With DEBUG off, each frame class needs a classifier of the installation's own, or a written acceptance."""
    try:
        missing = classes_without_judge()
    except (ImportError, TypeError):
        return []  # safety.E001 says so
    if settings.DEBUG or not missing:
        return []
    if len(acceptance()) >= LEAST_ACCEPTANCE:
        return [
            Warning(
                f"No classifier looks for {', '.join(missing)}; this was accepted in writing: {acceptance()}",
                id="safety.W001",
            )
        ]
    return [
        Error(
            f"No classifier looks for {', '.join(missing)}: what ships knows canary marks and listed pictures.",
            hint=(
                "Name classifiers in SAFETY_GATES (docs/safety.md). To run without them, say so in writing: set "
                f"SAFETY_ACCEPT_CANARIES_ONLY to a sentence of at least {LEAST_ACCEPTANCE} characters with a name."
            ),
            id="safety.E002",
        )
    ]


@register()
def the_signing_key_is_no_development_key(app_configs: object, **options: object) -> list[CheckMessage]:
    """With DEBUG off, credentials of a development chain prove something to this installation and to nobody else."""
    if settings.DEBUG or settings.SIGNING_KEY != "development":
        return []
    return [
        Warning(
            "Clips are signed with a development key, which nobody else trusts, "
            "unless another one was made active since.",
            hint="Name a key in SIGNING_KEY, or rotate to one under Safety → Provenance (docs/provenance.md).",
            id="safety.W002",
        )
    ]
