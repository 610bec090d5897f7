"""The ASGI application every web process serves."""

from django.core.asgi import get_asgi_application

import portal.celery  # noqa: F401  names the settings, and makes tasks leave through the portal's own application

application = get_asgi_application()
