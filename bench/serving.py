"""Settings of the server that `bench/web.py` measures: the portal, plus one bare view that does a single INSERT."""

from portal.settings import *  # noqa: F403
from portal.settings import ENV

ROOT_URLCONF = "bench.urls"
SECRET_KEY = ENV.secret_key or "bench-only-" + "x" * 50
STORAGES = {**STORAGES, "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"}}  # noqa: F405
STATIC_ROOT.mkdir(parents=True, exist_ok=True)  # noqa: F405
