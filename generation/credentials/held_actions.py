"""What staff can do about clips that wait for the signer."""

from datetime import datetime

from accounts.actions import Action, Preview
from accounts.errors import ApiError
from accounts.models import StaffRole, User
from generation.credentials import held
from generation.models import Job, SigningOutage, State


class RetrySigning(Action):
    """Try the signer in the next round instead of after the rest; upkeep does it within seconds."""

    name = "signing.retry"
    title = "Try the signer now"
    role = StaffRole.Role.TRUST_SAFETY
    target = "signer:active"

    def preview(self) -> Preview:
        outage = SigningOutage.objects.filter(ended_at=None).first()
        if outage is None:
            raise ApiError("not_ready", "The signer is not known to be down: nothing waits for a next try.")
        waiting = Job.objects.filter(state=State.HELD).count()
        before = {"tries": outage.tries, "next_try_at": outage.next_try_at.isoformat()}
        return Preview(
            before, {"next_try_at": "now"}, f"{waiting} clips are tried in the next round, oldest first."
        )

    def apply(self, actor: User, reason: str, expires_at: datetime | None) -> dict:
        before = self.preview().before
        held.retry_now()
        return {"before": before, "after": {"next_try_at": "now"}, "undo": None}

    def undo(self, actor: User, reason: str, undo: dict) -> dict:
        raise ApiError("invalid_value", "A try can't be taken back.", param="entry")
