from django.apps import AppConfig


class SafetyConfig(AppConfig):
    name = "safety"

    def ready(self) -> None:
        from accounts import approvals
        from safety import checks  # noqa: F401  registers the system checks
        from safety.policy.actions import CHANGES

        for kind in CHANGES.values():
            approvals.register(kind)

        from safety.review import actions as review_actions

        review_actions.register()
