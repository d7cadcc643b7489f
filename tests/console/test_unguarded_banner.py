"""What an operator has accepted in writing stands on every page, without a query."""

import pytest

from safety.postfilter import gates

pytestmark = pytest.mark.django_db

WRITTEN = "Accepted for the demo of 22 November by A. <Operator>."


@pytest.fixture
def sign_in_page(client, settings, django_assert_num_queries):
    settings.ALLOWED_HOSTS = ["testserver"]
    settings.SECURE_SSL_REDIRECT = False

    def page() -> str:
        gates._made.cache_clear()
        with django_assert_num_queries(0):
            return client.get("/accounts/login/").content.decode()

    return page


def test_the_acceptance_is_shown_in_its_own_words(sign_in_page, settings):
    settings.DEBUG, settings.SAFETY_ACCEPT_CANARIES_ONLY = False, WRITTEN
    page = sign_in_page()
    assert "Accepted for the demo of 22 November by A. &lt;Operator&gt;." in page
    assert (
        "No classifier looks for child safety, celebrity likeness, intimate imagery, violence and gore"
        in page
    )


def test_development_and_real_classifiers_show_nothing(sign_in_page, settings):
    settings.DEBUG, settings.SAFETY_ACCEPT_CANARIES_ONLY = True, WRITTEN
    assert "Accepted in writing" not in sign_in_page()
    settings.DEBUG, settings.SAFETY_ACCEPT_CANARIES_ONLY = False, WRITTEN
    settings.SAFETY_GATES = [*gates.SHIPPED, "tests.safety.broken_gates.Attentive"]
    assert "Accepted in writing" not in sign_in_page()
