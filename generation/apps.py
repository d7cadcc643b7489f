from django.apps import AppConfig


class GenerationConfig(AppConfig):
    name = "generation"

    def ready(self) -> None:
        from accounts import approvals
        from generation.afterwards.withdrawal_actions import WithdrawClip, WithdrawClips
        from generation.late_credit_actions import GrantSlaCredits

        approvals.register(WithdrawClip)
        approvals.register(WithdrawClips)
        approvals.register(GrantSlaCredits)
