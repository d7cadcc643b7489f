from django.apps import AppConfig


class ConsoleConfig(AppConfig):
    name = "console"

    def ready(self) -> None:
        # Makes our Celery application the current one, so that `current_app` and `shared_task` anywhere mean it.
        from console import celery  # noqa: F401
