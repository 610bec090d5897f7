"""The Celery application: settings under ``CELERY_``, tasks from each app's ``tasks.py``."""

import os

from celery import Celery
from django_structlog.celery.steps import DjangoStructLogInitStep

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "portal.settings")

app = Celery("gongxiang")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.conf.update(
    # A worker killed in the middle of a task gives it back after this many seconds; no task of ours runs longer.
    broker_transport_options={"visibility_timeout": 300},
    # One log format for the whole portal: that of settings.LOGGING.
    worker_hijack_root_logger=False,
)
app.steps["worker"].add(DjangoStructLogInitStep)
app.autodiscover_tasks()
# `shared_task` looks up the current application per thread; web requests run in threads of their own.
app.set_default()
