"""Operators see how long files are kept and change it: with a look before, a reason, and a way back."""

import html

import pytest

from accounts.models import AuditEntry
from generation.models import FileRetention
from tests.console.people import clip, operator, person
from tests.generation.api_stage import deliver, media_folder

__all__ = ["media_folder"]  # a fixture
pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("media_folder")]
PAGE = "/operate/files/"


def shown(client, query: str = "") -> str:
    return " ".join(html.unescape(client.get(PAGE + query).content.decode()).split())


def days(tier: str = "plus") -> int | None:
    return FileRetention.objects.get(tier=tier).days


def test_it_says_what_is_kept_and_what_lies_there(django_assert_max_num_queries):
    staff, _ = operator()
    _, caller = person()
    deliver(clip(caller))
    with django_assert_max_num_queries(20):
        page = shown(staff)
    assert (
        '<td class="number" data-label="kept">30 days</td> <td class="number" data-label="clips">1</td>'
        in page
    )
    assert "365 days" in page
    assert "No change yet" in page


def test_a_change_is_looked_at_first_takes_a_reason_and_is_undone():
    staff, who = operator()
    look = shown(staff, "?tier=plus&days=3")
    assert "kept 3 days after delivery instead of 30 days" in look
    assert "those that are delivered keep their date" in look
    assert days() == 30, "a look changes nothing"
    unsaid = staff.post(f"{PAGE}plus", {"days": "3", "reason": " "})
    assert (unsaid.status_code, days()) == (400, 30)
    assert staff.post(f"{PAGE}plus", {"days": "3", "reason": "the disks are full"}).status_code == 302
    entry = AuditEntry.objects.get(action="retention.days")
    assert (days(), entry.actor, entry.before, entry.after) == (3, who, {"days": 30}, {"days": 3})
    page = shown(staff)
    assert "30 days → <b>3 days</b>" in page
    assert "the disks are full" in page
    assert staff.post(f"{PAGE}changes/{entry.pk}/undo", {"reason": "there is room"}).status_code == 302
    assert days() == 30
    assert "Undone" in shown(staff)


def test_no_days_keep_files_and_nonsense_is_refused():
    staff, _ = operator()
    assert staff.post(f"{PAGE}pro", {"days": "", "reason": "a promise"}).status_code == 302
    assert days("pro") is None
    assert "until deleted" in shown(staff)
    for nonsense in ("0", "-1", "99999", "x", "3.5"):
        assert staff.post(f"{PAGE}plus", {"days": nonsense, "reason": "x"}).status_code == 400, nonsense
    assert staff.post(f"{PAGE}nobody", {"days": "3", "reason": "x"}).status_code == 404
    assert days() == 30


def test_nobody_else_sees_or_changes_it():
    client, _ = person()
    assert client.get(PAGE).status_code == 403
    assert client.post(f"{PAGE}plus", {"days": "3", "reason": "x"}).status_code == 403
    assert days() == 30
