"""The staff page Provenance: who may open it, what it shows, rotating with a preview and a reason, and the way back."""

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from accounts import staff
from accounts.models import AuditEntry, User
from generation.models import SigningOutage
from safety.models import SignerKey
from tests.console.people import operator, person, signed_in, with_second_factor
from tests.generation.api_stage import media_folder, tenant
from tests.generation.held_stage import delivered_clip, held_clip

__all__ = ["media_folder"]  # a fixture
pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("media_folder", "signing_root")]
PAGE = "/staff/safety/provenance/"


@pytest.fixture
def signing_root(tmp_path, settings):
    settings.SIGNING_ROOT = tmp_path / "signing"
    return settings.SIGNING_ROOT


@pytest.fixture
def safety() -> Client:
    user = User.objects.create_user("sana@example.com")
    staff.grant(user, "trust_safety", "test", "for this test")
    return with_second_factor(signed_in(user), user)


def text(response) -> str:
    return response.content.decode()


def test_it_is_for_trust_and_safety_alone(safety):
    assert Client().get(PAGE).status_code == 302
    assert person()[0].get(PAGE).status_code == 403
    assert operator()[0].get(PAGE).status_code == 403
    assert safety.get(PAGE).status_code == 200
    assert operator()[0].post(f"{PAGE}rotate", {"source": "development", "reason": "x"}).status_code == 403


def test_before_the_first_clip_it_teaches(safety):
    page = text(safety.get(PAGE))
    for words in ("No key yet", "Nothing waits", "Every file that was read verifies", "No change yet"):
        assert words in page


def test_it_shows_the_key_the_outage_and_what_waits(safety, tmp_path):
    plus = tenant("plus")
    delivered_clip(plus, tmp_path)
    job = held_clip(plus, tmp_path, seed=2)
    page = text(safety.get(PAGE))
    assert "Clips are signed with a development key" in page
    assert job.public_id in page
    assert "The signer has not answered since" in page
    assert "the signer did not answer" in page
    assert "730 days left" in page or "729 days left" in page


def test_a_rotation_shows_itself_first_takes_a_reason_and_goes_back(safety, tmp_path):
    delivered_clip(tenant("plus"), tmp_path)
    page = text(safety.get(PAGE, {"source": "development"}))
    assert "A new development key is made and signs from the next signing on" in page
    assert "3 signatures of the present key stay Trusted" in page
    assert SignerKey.objects.count() == 1

    assert safety.post(f"{PAGE}rotate", {"source": "development", "reason": " "}).status_code == 400
    assert SignerKey.objects.count() == 1
    done = safety.post(
        f"{PAGE}rotate", {"source": "development", "reason": "a year has gone by"}, follow=True
    )
    assert "signs from the next signing on." in text(done)
    old, new = SignerKey.objects.order_by("pk")
    assert (old.state, new.state, new.reason) == ("retiring", "active", "a year has gone by")

    entry = AuditEntry.objects.get(action="signer.rotate")
    undone = safety.post(f"{PAGE}changes/{entry.pk}/undo", {"reason": "too early"}, follow=True)
    assert "signs again." in text(undone)
    old.refresh_from_db()
    assert old.state == "active"
    assert f"changes/{entry.pk}/undo" not in text(undone)


def test_a_key_that_can_not_be_used_is_explained_where_it_was_typed(safety, tmp_path):
    delivered_clip(tenant("plus"), tmp_path)
    page = text(safety.get(PAGE, {"source": "file", "location": "nowhere"}))
    assert "be used: The signing chain can" in page
    assert "Rotate the signer</button>" not in page


def test_trying_now_takes_a_reason(safety, tmp_path):
    held_clip(tenant("plus"), tmp_path)
    before = SigningOutage.objects.get().next_try_at
    assert "Say why" in text(safety.post(f"{PAGE}retry", {"reason": ""}, follow=True))
    assert SigningOutage.objects.get().next_try_at == before
    safety.post(f"{PAGE}retry", {"reason": "the service was restarted"})
    assert SigningOutage.objects.get().next_try_at < before


def test_its_queries_do_not_grow_with_its_rows(safety, tmp_path):
    plus = tenant("plus")

    def queries() -> int:
        with CaptureQueriesContext(
            connection,
        ) as seen:
            assert safety.get(PAGE).status_code == 200
        return len(seen)

    held_clip(plus, tmp_path)
    delivered_clip(plus, tmp_path, seed=2)
    few = queries()
    for seed in (3, 4, 5):
        held_clip(plus, tmp_path, seed=seed)
        safety.post(f"{PAGE}rotate", {"source": "development", "reason": "again"})
    assert queries() <= few + 1
    assert few <= 30
