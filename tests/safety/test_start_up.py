"""With DEBUG off the service doesn't start on canaries alone, unless somebody has accepted that in writing."""

import pytest
from django.core.checks import run_checks

from safety.postfilter import gates

WRITTEN = "Accepted for the demo of 21 November by A. Operator."


def messages(settings, **values) -> dict[str, str]:
    gates._made.cache_clear()
    settings.SIGNING_KEY = "environment:SIGNER"
    for name, value in values.items():
        setattr(settings, name, value)
    return {message.id: message.msg for message in run_checks() if message.id.startswith("safety.")}


def test_development_starts_as_it_is(settings):
    assert messages(settings, DEBUG=True) == {}


def test_production_does_not_start_on_canaries_and_lists(settings):
    found = messages(settings, DEBUG=False, SAFETY_ACCEPT_CANARIES_ONLY="")
    assert list(found) == ["safety.E002"]
    assert found["safety.E002"].startswith(
        "No classifier looks for child_safety, likeness, intimate, violence"
    )


@pytest.mark.parametrize("text", ["1", "yes", "true", "                        "])
def test_a_switch_is_no_written_acceptance(settings, text):
    assert list(messages(settings, DEBUG=False, SAFETY_ACCEPT_CANARIES_ONLY=text)) == ["safety.E002"]


def test_a_written_acceptance_starts_it_and_is_repeated(settings):
    found = messages(settings, DEBUG=False, SAFETY_ACCEPT_CANARIES_ONLY=WRITTEN)
    assert list(found) == ["safety.W001"]
    assert WRITTEN in found["safety.W001"]


def test_production_starts_with_a_classifier_for_every_class(settings):
    real = "tests.safety.broken_gates.Attentive"
    assert messages(settings, DEBUG=False, SAFETY_GATES=[*gates.SHIPPED, real]) == {}
    partial = messages(settings, DEBUG=False, SAFETY_GATES=["tests.safety.broken_gates.ChildSafetyOnly"])
    assert partial["safety.E002"].startswith("No classifier looks for likeness, intimate, violence")


def test_a_gate_that_can_not_be_made_stops_the_start(settings):
    assert list(messages(settings, DEBUG=True, SAFETY_GATES=["safety.no_such.Gate"])) == ["safety.E001"]


def test_a_development_key_is_told_in_production_only(settings):
    real = "tests.safety.broken_gates.Attentive"
    key = {"SIGNING_KEY": "development", "SAFETY_GATES": [*gates.SHIPPED, real]}
    assert list(messages(settings, DEBUG=False, **key)) == ["safety.W002"]
    assert messages(settings, DEBUG=True, **key) == {}
