from django.apps import AppConfig
from django.core.validators import MaxLengthValidator
from django.forms import ChoiceField, MultipleChoiceField
from django.utils.translation import gettext_lazy, ngettext_lazy

TOO_LONG = ngettext_lazy(
    "最多 %(limit_value)d 个字，现在有 %(show_value)d 个字，请缩短。",
    "最多 %(limit_value)d 个字，现在有 %(show_value)d 个字，请缩短。",
    "limit_value",
)
"""For Django's own text, which speaks of variables to whoever fills in a form."""
UNKNOWN = gettext_lazy("请从列表中选择；如果选项刚刚变了，请刷新页面。")
"""For Django's own text, which shows the code that was sent."""


class PortalConfig(AppConfig):
    name = "portal"
    verbose_name = "门户"

    def ready(self) -> None:
        MaxLengthValidator.message = TOO_LONG
        for field in (ChoiceField, MultipleChoiceField):
            field.default_error_messages = {**field.default_error_messages, "invalid_choice": UNKNOWN}
        from portal import celery, checks  # noqa: F401  tasks leave through our application; portal.E001… are registered
