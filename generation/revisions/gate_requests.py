"""An operator asks for a deploy gate: the message goes to the pool's workers, who have the device and the weights."""

from celery import current_app
from django.db import transaction
from kombu.exceptions import OperationalError
from redis.exceptions import RedisError

from accounts import audit, staff
from accounts.errors import ApiError
from accounts.models import StaffRole, User
from generation.models import RegisteredModel, Worker


def send(model: RegisteredModel, person: User) -> None:
    """Ask for a run. It changes nothing but its own evaluation row; a message that is lost is asked for again.

    Raises `ApiError`: insufficient_scope, not_ready without a worker, server_is_overloaded without Redis.
    """
    staff.require(person, StaffRole.Role.OPERATOR)
    if not Worker.objects.filter(pool=model.pool_id, stopped_at=None).exists():
        raise ApiError("not_ready", f"No worker of the pool {model.pool_id} is running. Start one first.")
    with transaction.atomic():
        audit.record(
            actor=person,
            action="model.gate",
            target=f"model:{model.pk}",
            reason="asked for on the models page",
            before=None,
            after={"model": str(model)},
        )
        try:
            current_app.send_task(
                "generation.tasks.run_gate", args=[model.pk, person.email], queue=model.pool_id, retry=False
            )
        except (OperationalError, RedisError) as error:
            message = "The workers can't be reached right now. Nothing was started; try again."
            raise ApiError("server_is_overloaded", message, retry_after_s=5) from error
