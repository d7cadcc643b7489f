"""Every address. Pages come before the API, whose router would answer at the root as well."""

from django.urls import include, path

from console.api import api
from console.health import healthz, readyz
from generation.api.media import media

urlpatterns = [
    path("healthz", healthz, name="healthz"),
    path("readyz", readyz, name="readyz"),
    path("media/<str:token>", media, name="media"),
    path("accounts/", include("allauth.urls")),
    path("", include("console.pages")),
    path("", api.urls),
]
