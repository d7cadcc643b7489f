"""/v1/models: what can be asked for; /api/models: the same with what was measured."""

from django.http import HttpRequest
from ninja import Router

from accounts.errors import ApiError
from generation import registry
from generation.api import documents, shapes
from generation.evaluation import effects

router = Router(tags=["models"])
measured_router = Router(tags=["models"])


@router.get("/models", response=documents.ModelList, summary="List models")
def page(request: HttpRequest):
    """The models that serve requests now, with the sizes, seconds and context that each can do."""
    return {"object": "list", "data": [shapes.model_object(model) for model in registry.available()]}


@router.get("/models/{model}", response=documents.Model, summary="Read a model")
def retrieve(request: HttpRequest, model: str):
    """One model by its id."""
    known = {found.name: found for found in registry.available()}
    if model not in known:
        raise ApiError(
            "model_not_found", f"There is no model {model[:80]!r}. Available: {', '.join(known) or 'none'}."
        )
    return shapes.model_object(known[model])


@measured_router.get(
    "/models", response=documents.MeasuredModelList, summary="List models with what was measured"
)
def measured(request: HttpRequest):
    """The models that serve now, each with its deploy gate, match rates and speed per precision."""
    models = registry.available()
    found = effects.of(models)
    return {"object": "list", "data": [shapes.measured_object(model, found[model.pk]) for model in models]}
