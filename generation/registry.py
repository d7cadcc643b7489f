"""The models that may serve requests."""

from pathlib import Path

from django.conf import settings

from accounts.errors import ApiError
from generation.models import Kind, RegisteredModel

DEFAULT = {Kind.CLIP: "pocket-video", Kind.CODE: "pocket-code"}


def available() -> list[RegisteredModel]:
    """The active revision of every model, by name."""
    return list(RegisteredModel.objects.filter(status=RegisteredModel.Status.ACTIVE).order_by("name"))


def find(name: str | None, kind: str) -> RegisteredModel:
    """The active revision of a model; without a name, the one that ships. Raises `ApiError` model_not_found."""
    if name is not None and not isinstance(name, str):
        raise ApiError("invalid_type", "model must be a string.", param="model")
    models = {model.name: model for model in available() if model.kind == kind}
    if (name or DEFAULT[kind]) not in models:
        message = f"There is no {kind} model {name!r:.80}. Available: {', '.join(models) or 'none'}."
        raise ApiError("model_not_found", message, param="model")
    return models[name or DEFAULT[kind]]


def folder(model: RegisteredModel) -> Path:
    """Where the model's files lie; a relative folder is inside the project."""
    return settings.BASE_DIR / model.folder
