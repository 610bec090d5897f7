from django.apps import AppConfig


class PortalConfig(AppConfig):
    name = "portal"
    verbose_name = "门户"

    def ready(self) -> None:
        from portal import celery, checks  # noqa: F401  tasks leave through our application; portal.E001… are registered
