"""The frame: nobody sees a room that isn't theirs, nobody opens one by its address, and preferences are remembered."""

import re

import pytest
from django.test import Client

from tests.console.people import join, operator, person, signed_in

pytestmark = pytest.mark.django_db

MAKERS = [
    *(
        "/",
        "/code/",
        "/library/",
        "/history/",
        "/usage/",
        "/statement/",
        "/spending/",
        "/budgets/",
        "/credits/",
        "/invoices/",
        "/notices/",
    ),
    *("/keys/", "/webhooks/", "/members/", "/audit/"),
]
NOT_A_MEMBERS = ("/spending/", "/credits/", "/invoices/", "/keys/", "/webhooks/", "/audit/")
OPERATORS = [
    *(
        "/operate/",
        "/operate/jobs/",
        "/operate/alarms/",
        "/operate/incidents/",
        "/operate/runbooks/",
        "/operate/lanes/",
        "/operate/scheduling/",
        "/operate/workers/",
    ),
    *("/operate/models/", "/operate/costs/", "/operate/files/", "/operate/changes/"),
]
STAFF = ["/staff/approvals/", "/staff/audit/"]  # of whatever role


def rooms(client: Client, page: str) -> list[str]:
    """The addresses in the rail of a page."""
    html = client.get(page).content.decode()
    rail = html[html.index('aria-label="Rooms"') : html.index("</nav>")]
    return re.findall(r'<a href="([^"]+)"', rail)


def test_an_owner_sees_the_makers_rooms_and_no_other():
    client, _ = person()
    assert rooms(client, "/usage/") == MAKERS


def test_a_member_does_not_see_the_keys_and_may_not_open_them():
    client, _ = person("member")
    assert rooms(client, "/usage/") == [page for page in MAKERS if page not in NOT_A_MEMBERS]
    refused = client.get("/keys/")
    assert refused.status_code == 403
    assert b"does not include admin" in refused.content


@pytest.mark.parametrize("page", [*OPERATORS, *STAFF])
def test_a_maker_may_not_open_an_operators_room(page):
    client, _ = person()
    assert client.get(page).status_code == 403


def test_an_operator_without_an_organization_lands_in_operate_and_sees_nothing_else():
    client, _ = operator()
    assert client.get("/").headers["Location"] == "/operate/"
    assert rooms(client, "/operate/") == [*OPERATORS, *STAFF]
    assert client.get("/usage/").status_code == 403


def test_a_person_without_any_room_is_told_so():
    _, caller = person()
    client = signed_in(join(caller.organization, "member"))
    caller.organization.memberships.filter(role="member").delete()
    response = client.get("/")
    assert response.status_code == 403
    assert b"No organization yet" in response.content


@pytest.mark.parametrize("page", [*MAKERS, *OPERATORS, *STAFF])
def test_a_stranger_is_sent_to_sign_in_and_back(page):
    response = Client().get(page)
    assert response.status_code == 302
    assert response.headers["Location"] == f"/accounts/login/?next={page}"


@pytest.mark.parametrize("page", MAKERS)
def test_every_page_has_a_title_and_a_sentence_and_needs_few_queries(page, django_assert_max_num_queries):
    client, _ = person()
    with django_assert_max_num_queries(36 if page == "/" else 22):
        html = client.get(page).content.decode()
    title, sentence = re.search(r"<h1>([^<]+)</h1>\s*<p>(.+?)</p>", html, re.S).groups()
    assert title.strip()
    assert len(sentence) > 30
    assert f"<title>{title}" in html.replace("\n", "")


def test_the_theme_is_in_the_first_byte_of_the_next_page():
    client, _ = person()
    assert "data-theme" not in client.get("/usage/").content.decode().partition("<head>")[0]
    client.post("/preferences", {"theme": "dark", "next": "/usage/"})
    assert '<html lang="en" data-theme="dark"' in client.get("/usage/").content.decode()
    client.post("/preferences", {"theme": "system"})
    assert "data-theme" not in client.get("/usage/").content.decode().partition("<head>")[0]


def test_rows_are_compact_for_operators_until_they_choose():
    client, _ = operator()
    assert 'data-density="compact"' in client.get("/operate/").content.decode()
    client.post("/preferences", {"density": "comfortable"})
    assert 'data-density="comfortable"' in client.get("/operate/").content.decode()


def test_a_preference_leads_nowhere_else():
    client, _ = person()
    assert (
        client.post("/preferences", {"theme": "dark", "next": "https://example.com/"}).headers["Location"]
        == "/"
    )


def test_the_switcher_changes_the_organization_and_refuses_a_strangers():
    client, caller = person()
    _, other = person()
    assert client.post("/organization", {"organization": other.organization.slug}).status_code == 404
    assert caller.organization.name in client.get("/members/").content.decode()
    other.organization.memberships.create(user=caller.user, role="member")
    assert client.post("/organization", {"organization": other.organization.slug}).status_code == 302
    assert other.organization.name in client.get("/members/").content.decode()
