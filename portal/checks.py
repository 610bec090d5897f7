"""Refuse to start misconfigured: numbered checks ``portal.E001…`` run by ``manage.py check --deploy``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.core.checks import CheckMessage, Error, Tags, register
from django.core.checks import Warning as Caution
from django.utils.module_loading import import_string


@register(Tags.security, deploy=True)
def production_values(**_kwargs: Any) -> Sequence[CheckMessage]:
    """E001 secret key, E002 hosts, E003 demo data: what production must say for itself."""
    found: list[CheckMessage] = []
    if settings.SECRET_KEY.startswith("insecure-"):
        found.append(Error("GONGXIANG_SECRET_KEY is not set.", hint="Set 50 random characters.", id="portal.E001"))
    if "*" in settings.ALLOWED_HOSTS or not settings.ALLOWED_HOSTS:
        found.append(Error("GONGXIANG_ALLOWED_HOSTS must name the hosts.", id="portal.E002"))
    if settings.DEMO and not settings.DEBUG and settings.SESSION_COOKIE_SECURE:
        found.append(Error("GONGXIANG_DEMO is on: demo accounts have public passwords.", id="portal.E003"))
    if settings.SESSION_COOKIE_SECURE and not settings.EMAIL_HOST:
        found.append(Caution("GONGXIANG_EMAIL_HOST is not set: password resets go to the log.", id="portal.W004"))
    if settings.SESSION_COOKIE_SECURE and not settings.PUBLIC_URL:
        found.append(Caution("GONGXIANG_PUBLIC_URL is not set: mails have no links.", id="portal.W006"))
    return found


@register()
def public_address(**_kwargs: Any) -> Sequence[CheckMessage]:
    """E005 the public address is not scheme and host only, so no link in a mail would lead anywhere."""
    try:
        parts = urlsplit(settings.PUBLIC_URL)
        whole = parts.hostname and f"{parts.scheme}://{parts.netloc}" == settings.PUBLIC_URL and "@" not in parts.netloc
        good = whole and parts.scheme in {"http", "https"} and parts.port != 0
    except ValueError:
        good = False
    if settings.PUBLIC_URL and not good:
        hint = "Scheme, host and port if need be: https://portal.example"
        return [Error(f"GONGXIANG_PUBLIC_URL is no address: {settings.PUBLIC_URL!r}", hint=hint, id="portal.E005")]
    return []


@register()
def adapters_exist(**_kwargs: Any) -> Sequence[CheckMessage]:
    """E010 an adapter named in settings cannot be imported."""
    found: list[CheckMessage] = []
    followers = {f"follower {path}": path for path in settings.WORKDAYS_FOLLOWERS}
    rails = {f"payment rail {code}": path for code, path in settings.PAYMENT_RAILS.items()}
    adapters = {**settings.CLUSTER_ADAPTERS, "calendar": settings.CALENDAR_READER, **followers, **rails}
    for name, path in adapters.items():
        try:
            import_string(path)
        except ImportError as error:
            found.append(Error(f"Adapter {name}: {error}", id="portal.E010"))
    return found


@register()
def one_engine(**_kwargs: Any) -> Sequence[CheckMessage]:
    """E011 the database is not PostgreSQL: constraints, ranges and locks are part of the design."""
    if settings.DATABASES["default"]["ENGINE"] != "django.db.backends.postgresql":
        return [Error("Only PostgreSQL is supported.", id="portal.E011")]
    return []


@register()
def stripe_account(**_kwargs: Any) -> Sequence[CheckMessage]:
    """E020 … E029, W029 what forbids to take or pass on money over Stripe: `integrations.stripe.configuring.problems`."""
    if "stripe" not in settings.PAYMENT_RAILS:
        if settings.STRIPE["transfers"]:
            hint = "Set GONGXIANG_STRIPE_KEY and its siblings, or GONGXIANG_STRIPE_TRANSFERS=0."
            return [Error("GONGXIANG_STRIPE_TRANSFERS is on without a key.", hint=hint, id="portal.E029")]
        return []
    from integrations.stripe.configuring import config_from, problems
    from integrations.stripe.wire import API_VERSION, sdk_version

    wrong = problems(
        config_from(settings.STRIPE),
        rehearsing=settings.DEBUG or settings.DEMO,
        api_version=(API_VERSION, sdk_version()),
    )
    return [(Error if one.grave else Caution)(one.text, hint=one.hint, id=one.id) for one in wrong]
