"""Every address. The API comes first, under its own roots alone: its calls are many, and each pattern tried costs."""

from django.urls import include, path, re_path

from console.api import api
from console.health import healthz, readyz
from console.observability.metrics.page import metrics
from console.openapi import page as openapi_page
from generation.api.media import media

urlpatterns = [
    re_path(r"^(?=v1/|api/)", api.urls),
    path("healthz", healthz, name="healthz"),
    path("readyz", readyz, name="readyz"),
    path("metrics", metrics, name="metrics"),
    path("media/<str:token>", media, name="media"),
    path("accounts/", include("allauth.urls")),
    path("", include("console.pages")),
    path("docs/api/", openapi_page.index, name="api_docs"),
    path("docs/api/<slug:subject>/", openapi_page.subject, name="api_docs_subject"),
]
