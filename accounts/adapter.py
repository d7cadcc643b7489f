"""What Backlot adds to allauth's sign-up: a new person gets an organization on the free tier."""

from allauth.account.adapter import DefaultAccountAdapter
from django.db import transaction
from django.forms import BaseForm
from django.http import HttpRequest

from accounts import organizations
from accounts.models import User


class AccountAdapter(DefaultAccountAdapter):
    """Named in settings as ACCOUNT_ADAPTER."""

    def save_user(self, request: HttpRequest, user: User, form: BaseForm, commit: bool = True) -> User:
        """The person and their organization in one transaction: there is never one without the other."""
        if not commit:
            raise ValueError("sign-up saves the person and their organization together; commit=False can't")
        with transaction.atomic():
            user = super().save_user(request, user, form, commit=True)
            organizations.create(name=user.get_short_name(), tier_slug="free", owner=user)
        return user
