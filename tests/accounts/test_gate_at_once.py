"""The daily cap and the last use of a code, with sign-ups that really come at the same moment."""

import threading

import pytest
from django.db import connection, transaction
from django.test import Client
from django.utils import timezone

from accounts import gate, organizations
from accounts.errors import ApiError
from accounts.models import Organization, Registration, SignUpDay, User
from tests.accounts.test_gate import made, make_code, set_policy, sign_up
from tests.committed import committed


def at_once(work, count):
    """Run `work(number)` on threads that start together; what each came to."""
    outcomes, start = [], threading.Barrier(count)

    def run(number):
        start.wait()
        try:
            outcomes.append(work(number))
        finally:
            connection.close()

    threads = [threading.Thread(target=run, args=(number,)) for number in range(count)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    return outcomes


def test_the_cap_holds_under_concurrent_sign_ups(django_db_setup, django_db_blocker):
    with committed(django_db_blocker):
        set_policy(cap=3)
        outcomes = at_once(lambda n: sign_up(Client(), f"person-{n}@example.com").status_code, 10)
        assert outcomes.count(302) == 3
        assert set(outcomes) <= {302, 200, 429}
        assert made() == Organization.objects.count() == User.objects.count() == 3
        assert list(Registration.objects.order_by("number").values_list("number", flat=True)) == [1, 2, 3]
        assert SignUpDay.objects.get().made == 3


def test_the_last_use_of_a_code_goes_to_one(django_db_setup, django_db_blocker):
    with committed(django_db_blocker):
        owner = User.objects.create_user("owner@example.com")
        code, shown = make_code(owner, uses=2)

        def enter(number):
            person = User.objects.create_user(f"person-{number}@example.com")
            try:
                with transaction.atomic():
                    organization = organizations.create(f"o {number}", "free", person)
                    gate.enter(organization, person, shown, timezone.now())
            except ApiError as refused:
                return refused.code
            return "in"

        outcomes = at_once(enter, 6)
        assert sorted(outcomes) == ["in"] * 2 + ["invitation_invalid"] * 4
        code.refresh_from_db()
        assert code.uses == Registration.objects.count() == Organization.objects.count() == 2


@pytest.mark.django_db
def test_the_sign_up_page_needs_few_queries(client, django_assert_max_num_queries):
    with django_assert_max_num_queries(4):
        assert client.get("/accounts/signup/").status_code == 200
