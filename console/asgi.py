"""The web application, for uvicorn."""

import gc
import os

import django

from console import logs
from console.observability import tracing

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "console.settings")
logs.configure()
tracing.begin("web")
django.setup(set_prefix=False)

from django.conf import settings  # noqa: E402

from console import urls  # noqa: E402, F401  (or the first request would load them)
from console.edge import Edge  # noqa: E402  (reads settings, which the lines above made ready)
from console.handler import Handler  # noqa: E402

application = Edge(Handler(settings.WEB_THREADS))

# What is loaded by now lives as long as the process. Looking through it for garbage again and again would be a tenth
# of a request's time, and a pause for whoever is served at that moment.
NEW_OBJECTS_BEFORE_A_LOOK = 20_000
gc.collect()
gc.freeze()
gc.set_threshold(NEW_OBJECTS_BEFORE_A_LOOK, 20, 50)
