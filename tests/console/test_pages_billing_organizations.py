"""Billing admin: finding an organization by anything, its money on a page, and any job's whole chain."""

import re
import uuid

import pytest
from django.test import Client

from accounts import keys
from billing.models import UsageEvent
from tests.console.billing_stage import billing_admin, bought, charged, customer, decided
from tests.console.people import clip, operator, person
from tests.generation.api_stage import deliver, media_folder

__all__ = ["media_folder"]  # a fixture
pytestmark = pytest.mark.django_db

FIND = "/staff/billing/"


def text_of(html: str) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", html))


def get(client: Client, address: str) -> str:
    response = client.get(address)
    assert response.status_code == 200, response.content[:300]
    return response.content.decode()


def page_of(organization) -> str:
    return f"{FIND}organizations/{organization.slug}/"


@pytest.mark.parametrize("page", ["", "prices/", "promotions/", "revenue/", "revenue/lines/", "settings/"])
def test_the_room_is_for_billing_admins_who_showed_a_second_factor(page):
    address = f"{FIND}{page}"
    assert Client().get(address).headers["Location"] == f"/accounts/login/?next={address}"
    assert person()[0].get(address).status_code == 403
    assert operator()[0].get(address).status_code == 403
    client, _ = billing_admin()
    assert client.get(address).status_code == 200
    session = client.session
    del session["account_authentication_methods"]
    session.save()
    assert "/accounts/2fa/" in client.get(address).headers["Location"]


def test_an_organization_is_found_by_name_slug_and_address():
    client, _ = billing_admin()
    wanted, other = customer("Atelier Lumen"), customer("Hobby Corner")
    owner = wanted.memberships.get().user
    for words in ("lumen", wanted.slug, owner.email):
        html = get(client, f"{FIND}?q={words}")
        assert page_of(wanted) in html
        assert page_of(other) not in html


def test_an_organization_is_found_by_the_ids_of_its_work_money_and_keys():
    client, _ = billing_admin()
    _, caller = person()
    job, payment = clip(caller), bought(caller.organization)
    key, _ = keys.create(caller.organization, "render farm", ("read",), "test")
    customer("Hobby Corner")
    found = {
        job.public_id: f"{FIND}work/{job.public_id}/",
        str(job.pk): f"{FIND}work/{job.public_id}/",
        str(job.decision_id): f"{FIND}decisions/{job.decision_id}/",
        str(payment.pk): f"{page_of(caller.organization)}#payments",
        payment.provider_id: f"{page_of(caller.organization)}#payments",
        payment.provider_payment_id: f"{page_of(caller.organization)}#payments",
        key.prefix: page_of(caller.organization),
    }
    for words, href in found.items():
        html = get(client, f"{FIND}?q={words}")
        assert f'<tr data-href="{href}">' in html, words
        assert "Hobby Corner" not in html


def test_what_is_nowhere_is_said_to_be():
    client, _ = billing_admin()
    for words in ("nobody", str(uuid.uuid4()), "bk_zzzzz", "video_" + "0" * 32):
        assert "Nothing found" in get(client, f"{FIND}?q={words}")


def test_finding_needs_few_queries_however_many_there_are(django_assert_max_num_queries):
    client, _ = billing_admin()
    for number in range(12):
        customer(f"Studio {number}", credits=5)
    with django_assert_max_num_queries(12):
        html = get(client, f"{FIND}?q=studio")
    assert html.count('<tr data-href="') == 12


def test_the_page_shows_the_wallet_by_bucket_and_what_happened(django_assert_max_num_queries):
    client, _ = billing_admin()
    organization = customer(credits=300)
    for _ in range(3):
        charged(organization, 10)
        decided(organization, 1)
    bought(organization)
    with django_assert_max_num_queries(36):
        html = get(client, page_of(organization))
    text = text_of(html)
    assert "Included allowance" in text
    assert "5,300 credits" in text  # purchased
    assert "came in as 5,000 credits paid, 300 credits granted, 0 credits corrected" in text
    assert "$50.00" in text
    assert text.count("Allowed") == 6
    assert html.count("credits/refund/?charge=") == 3
    assert f'href="/staff/tiers/{organization.slug}/"' in html


def test_the_page_needs_as_many_queries_for_much_as_for_little(django_assert_max_num_queries):
    client, _ = billing_admin()
    organization = customer(credits=300)
    for _ in range(7):
        charged(organization, 1)
    with django_assert_max_num_queries(36):
        get(client, page_of(organization))
    with django_assert_max_num_queries(14):
        get(client, f"{page_of(organization)}lines/")


@pytest.mark.usefixtures("media_folder")
def test_a_delivered_job_is_explained_from_request_to_balance(django_assert_max_num_queries):
    client, _ = billing_admin()
    _, caller = person()
    job = deliver(clip(caller))
    with django_assert_max_num_queries(18):
        html = get(client, f"{FIND}work/{job.public_id}/")
    text = text_of(html)
    assert "Why it was charged" in text
    assert "1 units × 0.3" in text
    assert "Requests per minute" in text
    usage = UsageEvent.objects.get(subject=str(job.pk))
    assert f"Usage event {usage.pk}" in text
    assert f"Charge {usage.charge.pk}" in text
    assert f"Price version {usage.charge.price_version_id}" in text
    assert "Revenue" in text  # the platform's side of the entries
    assert job.prompt not in html


def test_work_that_failed_is_explained_as_not_charged():
    client, _ = billing_admin()
    charge = charged(customer(), outcome="failed", reason_code="system_failed:internal_error")
    decision = charge.usage_event.hold.decision
    text = text_of(get(client, f"{FIND}decisions/{decision.pk}/"))
    assert "Why it was not charged" in text
    assert "Nothing of 3 credits quoted" in text


def test_a_refused_request_is_explained_and_cost_nothing():
    client, _ = billing_admin()
    decision = decided(customer(tier="enterprise"))
    assert not decision.allowed
    text = text_of(get(client, f"{FIND}decisions/{decision.pk}/"))
    assert "Why it was refused" in text
    assert "Nothing was queued, held or charged." in text


def test_a_line_shows_its_entries_and_another_organizations_is_not_found():
    client, _ = billing_admin()
    charge, other = charged(customer(credits=10)), customer()
    posted = charge.transactions.get(kind="charge")
    text = text_of(get(client, f"{page_of(charge.organization)}lines/{posted.pk}/"))
    assert "the platform" in text
    assert "+3" in text
    assert client.get(f"{page_of(other)}lines/{posted.pk}/").status_code == 404
    assert client.get(f"{FIND}decisions/{uuid.uuid4()}/").status_code == 404
    assert client.get(f"{FIND}work/video_{'0' * 32}/").status_code == 404
