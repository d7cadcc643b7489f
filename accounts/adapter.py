"""What Backlot adds to allauth's sign-up: a new person gets an organization, or joins the one that invited them."""

from allauth.account.adapter import DefaultAccountAdapter
from django.db import transaction
from django.forms import BaseForm
from django.http import HttpRequest
from django.utils import timezone

from accounts import gate, member_invitations, organizations
from accounts.models import User


class AccountAdapter(DefaultAccountAdapter):
    """Named in settings as ACCOUNT_ADAPTER."""

    def save_user(self, request: HttpRequest, user: User, form: BaseForm, commit: bool = True) -> User:
        """The person and their organization in one transaction: there is never one without the other.

        Raises `ApiError` where the gate or the invitation refuses; then neither is kept.
        """
        if not commit:
            raise ValueError("sign-up saves the person and their organization together; commit=False can't")
        with transaction.atomic():
            user = super().save_user(request, user, form, commit=True)
            if form.joining is not None:
                member_invitations.accept_of_session(request, user)
            else:
                organization = organizations.create(name=user.get_short_name(), tier_slug="free", owner=user)
                gate.enter(organization, user, form.cleaned_data.get("invitation", "") or "", timezone.now())
        return user
