"""Operator pages: what is open everywhere, and weights that change with a reason, are audited and can be undone."""

import re

import pytest
from django.utils import timezone

from accounts.models import AuditEntry
from generation.models import LaneOverride
from generation.scheduling import lane_settings
from tests.console.people import PROMPT, clip, operator, person
from tests.generation.api_stage import claimed

pytestmark = pytest.mark.django_db


def weight(slug: str) -> float:
    (lane,) = [lane for lane in lane_settings.lanes() if lane.slug == slug]
    return lane_settings.effective(lane, timezone.now()).weight


def seen(client, slug="clips-plus", field="weight", value="4") -> str:
    """The token that the preview of a change gives out."""
    html = client.get(f"/operate/lanes/{slug}/{field}/preview", {"value": value}).content.decode()
    return (re.findall(r'name="seen" value="([^"]+)"', html) or [""])[0]


def change(client, slug="clips-plus", field="weight", **fields):
    """Look at a change and apply it; `fields` replace what the form says."""
    token = seen(client, slug, field, fields.get("value", "4"))
    fields = {"value": "4", "reason": "Plus waits too long", "expires": "60", "seen": token, **fields}
    return client.post(f"/operate/lanes/{slug}/{field}", fields)


def test_jobs_of_all_organizations_are_listed_with_lane_and_age_but_no_prompt(django_assert_max_num_queries):
    client, _ = operator()
    jobs = [clip(person(tier=tier)[1]) for tier in ("free", "plus", "plus")]
    claimed()
    with django_assert_max_num_queries(32):
        html = client.get("/operate/jobs/").content.decode()
    found = re.findall(r'<tr data-href="/operate/jobs/([^"/]+)/"', html)
    assert found == [job.public_id for job in jobs]  # the oldest first
    assert PROMPT not in html
    assert "test:1" in html  # the worker that has one of them


def test_filters_by_state_pool_and_tier():
    client, _ = operator()
    free, plus = clip(person(tier="free")[1]), clip(person()[1])

    def ids(query: str) -> list[str]:
        html = client.get(f"/operate/jobs/?{query}").content.decode()
        return re.findall(r'<tr data-href="/operate/jobs/([^"/]+)/"', html)

    assert ids("tier=plus") == [plus.public_id]
    assert ids("state=waiting&pool=clips") == [free.public_id, plus.public_id]
    assert ids("pool=code") == []
    assert ids("state=running") == []
    assert client.get("/operate/jobs/?pool=nowhere").status_code == 400


def test_a_weight_is_previewed_without_being_changed():
    client, _ = operator()
    html = client.get("/operate/lanes/clips-plus/weight/preview", {"value": "4"}).content.decode()
    assert "Plus in clips goes from weight 2 to 4" in html
    html = client.get("/operate/lanes/clips-plus/weight/preview?value=0").content.decode()
    assert "Weight lies between" in html
    assert 'name="seen"' not in html
    assert weight("clips-plus") == 2
    assert not LaneOverride.objects.exists()


def test_a_changed_weight_is_in_force_audited_and_undone():
    client, user = operator()
    assert change(client).headers["Location"] == "/operate/lanes/"
    assert weight("clips-plus") == 4
    entry = AuditEntry.objects.get(action="lane.weight")
    assert (entry.actor, entry.target, entry.reason) == (user, "lane:clips-plus", "Plus waits too long")
    assert (entry.before, entry.after["weight"]) == ({"weight": 2.0}, 4.0)
    assert LaneOverride.objects.get().expires_at > timezone.now()
    html = client.get("/operate/lanes/").content.decode()
    assert "Plus waits too long" in html
    assert f'action="/operate/changes/{entry.pk}/undo"' in html
    client.post(f"/operate/changes/{entry.pk}/undo", {"reason": "calm again"})
    assert weight("clips-plus") == 2
    assert AuditEntry.objects.get(action="lane.weight.undo").reason == "calm again"
    assert f'action="/operate/changes/{entry.pk}/undo"' not in client.get("/operate/lanes/").content.decode()


@pytest.mark.parametrize(
    "fields",
    [
        {"reason": "  "},
        {"value": "heavy"},
        {"value": "0"},
        {"value": "nan"},
        {"value": ""},
        {"expires": "7"},
    ],
)
def test_a_change_without_reason_or_with_a_wrong_value_changes_nothing(fields):
    client, _ = operator()
    response = change(client, **fields)
    assert response.status_code == 400
    assert 'role="alert"' in response.content.decode()
    assert weight("clips-plus") == 2
    assert not AuditEntry.objects.filter(action__startswith="lane.").exists()


def test_an_unknown_lane_is_not_found_and_an_undo_needs_a_reason():
    client, _ = operator()
    assert change(client, slug="nowhere").status_code == 404
    change(client)
    entry = AuditEntry.objects.get(action="lane.weight")
    client.post(f"/operate/changes/{entry.pk}/undo", {"reason": " "})
    assert weight("clips-plus") == 4


def test_a_maker_can_not_change_a_weight():
    client, _ = person()
    assert change(client).status_code == 403
    assert client.get("/operate/lanes/events").status_code == 403
    assert weight("clips-plus") == 2


def test_the_lanes_page_needs_few_queries_and_shows_the_series_as_a_table_too(django_assert_max_num_queries):
    client, _ = operator()
    clip(person()[1])
    claimed()
    with django_assert_max_num_queries(34):
        html = client.get("/operate/lanes/").content.decode()
    assert '<script id="waits-data" type="application/json">' in html
    assert "The same as a table" in html
    assert "plotly/plotly.min.js" in html
