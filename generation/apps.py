from django.apps import AppConfig


class GenerationConfig(AppConfig):
    name = "generation"

    def ready(self) -> None:
        from accounts import approvals
        from generation.afterwards.withdrawal_actions import WithdrawClip

        approvals.register(WithdrawClip)
