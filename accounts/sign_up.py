"""The sign-up page's form: an address, a password, and the code of an invitation where the gate asks for one."""

from allauth.account.forms import SignupForm
from allauth.account.internal.templatekit import get_entrance_context_data
from allauth.core import context
from django import forms
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone

from accounts import gate, member_invitations
from accounts.errors import ApiError
from accounts.models import User


class SignUpForm(SignupForm):
    """Named in settings under ACCOUNT_FORMS. A refusal of the gate is an error of the form, with nothing made."""

    invitation = forms.CharField(
        label="Invitation code",
        required=False,
        max_length=80,
        help_text="If you have one.",
        widget=forms.TextInput(attrs={"autocomplete": "off", "spellcheck": "false"}),
    )
    field_order = ("email", "password1", "invitation")

    def __init__(self, *args: object, **kwargs: object) -> None:
        super().__init__(*args, **kwargs)
        now = timezone.now()
        self.standing = gate.look(now)
        # Set by the page for a visitor who came by an owner's link: they join that organization and pass the gate.
        self.joining = member_invitations.of_session()
        field = self.fields["invitation"]
        if self.joining is not None:
            del self.fields["invitation"]
            self.fields["email"].initial = self.joining.email
            return
        if context.request is not None:  # a link may carry the code
            field.initial = context.request.GET.get("invitation", "")[: field.max_length]
        if self.standing.invite_only:
            field.required = True
            field.help_text = "Sign-up is by invitation for now."
            field.error_messages["required"] = gate.CODE_REQUIRED

    def clean(self) -> dict:
        cleaned = super().clean()
        if self.joining is None and not self.errors:
            try:
                gate.check(cleaned.get("invitation", ""), timezone.now())
            except ApiError as refusal:
                self._note(refusal)
        return cleaned

    def try_save(self, request: HttpRequest) -> tuple[User | None, HttpResponse | None]:
        """As allauth's; a refusal that only the locks could tell is shown on the page like the others."""
        try:
            return super().try_save(request)
        except ApiError as refusal:
            self._note(refusal)
            page = {**get_entrance_context_data(request), "form": self}
            answer = render(request, "account/signup.html", page, status=refusal.status)
            for name, value in refusal.response_headers().items():
                answer[name] = value
            return None, answer

    def _note(self, refusal: ApiError) -> None:
        field = refusal.param if refusal.param in self.fields else None
        message = refusal.message
        if refusal.code == "sign_up_cap_reached" and refusal.retry_after_s is None:
            message = gate.cap_reached(gate.look(timezone.now())).message
        self.add_error(field, message)
