"""The palette: everyone finds their own rooms, actions and work in it, by a word or an id, and nobody else's."""

import re

import pytest
from django.test import Client

from accounts.models import StaffRole, User
from accounts.staff import grant
from billing.models import Decision
from console.palette.entries import DEEDS, OPEN_TO_ALL, Entry, matching
from tests.console.billing_stage import billing_admin
from tests.console.people import PROMPT, clip, code, operator, person, signed_in

pytestmark = pytest.mark.django_db


def hits(client: Client, text: str = "") -> dict[str, list[tuple[str, str]]]:
    """What the list has: group → (label, address) of its lines."""
    html = client.get("/search", {"q": text, "part": "1"}).content.decode()
    return {
        name: re.findall(r'<a href="([^"]+)".*?<span class="hit">(.*?)</span>', group, re.S)
        for name, group in re.findall(r"<h2>([^<]+)</h2><ul>(.*?)</ul>", html, re.S)
    }


def test_it_begins_with_ones_own_rooms_actions_and_newest_work():
    client, caller = person()
    job = clip(caller)
    found = hits(client)
    assert list(found) == ["Go to", "Do", "Recent"]
    assert ("/credits/", "Buy credits") in found["Go to"]
    assert ("/code/#prompt", "Write code") in found["Do"]
    assert found["Recent"] == [(f"/jobs/{job.public_id}/", PROMPT)]
    assert not [address for group in found.values() for address, _ in group if "/operate/" in address]


def test_a_member_is_offered_nothing_that_only_owners_may_open():
    client, _ = person("member")
    offered = {address for group in hits(client).values() for address, _ in group}
    assert not offered & {"/credits/", "/keys/", "/webhooks/", "/audit/"}


def test_every_word_counts_and_none_is_told_so():
    client, _ = person()
    assert [label for _, label in hits(client, "api key")["Do"]] == ["Make an API key"]
    assert hits(client, "zzzz qqqq") == {}
    assert "Nothing has these words" in client.get("/search", {"q": "zzzz"}).content.decode()


def test_work_is_found_by_its_id_its_decision_and_its_prompt():
    client, caller = person()
    made, written = clip(caller), code(caller)
    assert hits(client, made.public_id)["Found"] == [(f"/jobs/{made.public_id}/", PROMPT)]
    assert hits(client, str(made.pk))["Found"][0][0] == f"/jobs/{made.public_id}/"
    assert hits(client, "def mean")["Found"] == [(f"/code/{written.public_id}/", "def mean(values):")]
    decision = Decision.objects.get(pk=made.decision_id)
    assert hits(client, str(decision.pk))["Found"] == [
        (f"/decisions/{decision.pk}/", f"Decision {decision.pk}")
    ]


def test_a_strangers_work_is_not_found_by_id_or_by_prompt():
    _, caller = person()
    stranger, _ = person()
    job = clip(caller)
    for text in (job.public_id, str(job.decision_id), PROMPT):
        assert hits(stranger, text) == {}


def test_operators_find_any_job_by_its_id_without_its_prompt():
    _, caller = person()
    job = clip(caller)
    client, _ = operator()
    assert hits(client, job.public_id)["Found"] == [(f"/operate/jobs/{job.public_id}/", job.public_id)]
    html = client.get("/search", {"q": job.public_id}).content.decode()
    assert PROMPT not in html
    assert caller.organization.name in html
    assert hits(client, "red circle") == {}
    assert ("/operate/lanes/", "Change a lane&#x27;s weight") in hits(client)["Do"]


def test_billing_admins_find_work_by_its_id_in_their_own_room():
    _, caller = person()
    job = clip(caller)
    client, _ = billing_admin()
    assert [address for address, _ in hits(client, job.public_id)["Found"]] == [
        f"/staff/billing/work/{job.public_id}/"
    ]


def test_staff_who_have_not_shown_their_second_factor_find_no_work_of_others():
    _, caller = person()
    job = clip(caller)
    user = User.objects.create_user("half-way@example.com")
    grant(user, StaffRole.Role.OPERATOR, "test", "for this test")
    found = hits(signed_in(user), job.public_id)
    assert "Found" not in found
    assert not [label for _, label in hits(signed_in(user)).get("Do", []) if "lane" in label]


def test_without_scripts_it_is_a_page_and_strangers_sign_in_first():
    client, _ = person()
    html = client.get("/search", {"q": "budget"}).content.decode()
    assert '<form class="filters" method="get" action="/search" role="search">' in html
    assert 'value="budget"' in html
    response = Client().get("/search?q=budget")
    assert response.status_code == 302
    assert response.headers["Location"].startswith("/accounts/login/?next=/search")


def test_it_takes_few_queries(django_assert_max_num_queries):
    client, caller = person()
    for _ in range(8):
        clip(caller)
    with django_assert_max_num_queries(14):
        client.get("/search", {"part": "1"})
    with django_assert_max_num_queries(14):
        client.get("/search", {"q": "red", "part": "1"})


def test_every_action_leads_to_an_address_that_exists_and_is_somebodys():
    from django.urls import reverse

    for deed in (*DEEDS, *OPEN_TO_ALL):
        assert reverse(deed.page)
    assert all(bool(deed.scope) != bool(deed.role) for deed in DEEDS)


def test_matching_needs_every_word_somewhere():
    entries = [Entry("Buy credits", "coins", "/", words="pay"), Entry("Budgets", "half", "/", hint="Account")]
    assert [entry.label for entry in matching(entries, "PAY buy")] == ["Buy credits"]
    assert [entry.label for entry in matching(entries, "account")] == ["Budgets"]
    assert matching(entries, "") == entries
