from django.apps import AppConfig
from django.core.validators import MaxLengthValidator
from django.utils.translation import ngettext_lazy


TOO_LONG = ngettext_lazy(
    "最多 %(limit_value)d 个字，现在有 %(show_value)d 个字，请缩短。",
    "最多 %(limit_value)d 个字，现在有 %(show_value)d 个字，请缩短。",
    "limit_value",
)
"""For Django's own text, which speaks of variables to whoever fills in a form."""


class PortalConfig(AppConfig):
    name = "portal"
    verbose_name = "门户"

    def ready(self) -> None:
        MaxLengthValidator.message = TOO_LONG
        from portal import celery, checks  # noqa: F401  tasks leave through our application; portal.E001… are registered
