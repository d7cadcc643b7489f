"""History: the organization's jobs, filtered in the address, page by page, in a bounded number of queries."""

import re

import pytest

from generation import history
from generation.models import Job
from tests.console.people import clip, code, join, person, signed_in

pytestmark = pytest.mark.django_db


def rows(client, address: str = "/history/") -> list[str]:
    """The public ids in the table, in order."""
    return re.findall(r'<tr data-href="/jobs/([^"/]+)/"', client.get(address).content.decode())


def test_a_member_sees_what_everyone_in_the_organization_made_newest_first():
    _, caller = person()
    _, stranger = person()
    first, second = clip(caller), code(caller)
    clip(stranger)
    client = signed_in(join(caller.organization, "member"))
    assert rows(client) == [second.public_id, first.public_id]


def test_filters_by_kind_and_state_are_in_the_address():
    client, caller = person()
    made, written = clip(caller), code(caller)
    client.post(f"/jobs/{made.public_id}/cancel")
    assert rows(client, "/history/?kind=clip") == [made.public_id]
    assert rows(client, "/history/?state=open") == [written.public_id]
    assert rows(client, "/history/?kind=clip&state=stopped") == [made.public_id]
    assert rows(client, "/history/?kind=code&state=stopped") == []


@pytest.mark.parametrize("query", ["kind=film", "state=lost", "before=yesterday"])
def test_a_filter_that_does_not_exist_is_refused_by_name(query):
    client, _ = person()
    response = client.get(f"/history/?{query}")
    assert response.status_code == 400
    assert query.partition("=")[0] in response.content.decode()


def test_a_second_page_goes_on_where_the_first_ended(django_assert_max_num_queries, monkeypatch):
    monkeypatch.setattr(history, "PAGE_SIZE", 3)
    client, caller = person()
    made = [clip(caller).public_id for _ in range(5)]
    with django_assert_max_num_queries(18):
        html = client.get("/history/").content.decode()
    older = re.search(r'href="(\?before=[^"]+)">Older', html).group(1)
    assert rows(client) == made[:1:-1]
    assert rows(client, f"/history/{older}") == made[1::-1]


def test_a_deleted_job_is_gone_from_the_list():
    client, caller = person()
    job = clip(caller)
    Job.objects.filter(pk=job.pk).update(deleted_at=job.created_at)
    assert rows(client) == []
    assert "Nothing made yet" in client.get("/history/").content.decode()
