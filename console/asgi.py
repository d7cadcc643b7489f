"""The web application, for uvicorn."""

import os

from django.core.asgi import get_asgi_application

from console import logs

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "console.settings")
logs.configure()
_django = get_asgi_application()

from console.edge import Edge  # noqa: E402  (reads settings, which the line above made ready)

application = Edge(_django)
