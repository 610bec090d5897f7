"""Every setting, every value from the environment, development defaults. Nothing else reads the environment.

Engines are always real: PostgreSQL by ``DATABASE_URL``, Redis or Valkey by ``REDIS_URL``. ``make run`` fills both in.
A value that production needs but lacks is reported by a numbered check (``portal/checks.py``), not by a crash.
"""

from __future__ import annotations

import base64
import hashlib
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import structlog
from csp.constants import NONE, SELF
from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from portal.beat import SCHEDULE
from portal.logs import SHARED_LOG_PROCESSORS, logging_of

BASE_DIR = Path(__file__).resolve().parent.parent


class Environment(BaseSettings):
    """What the environment may say. Names are upper-cased: ``GONGXIANG_DEBUG=1`` and so on."""

    model_config = SettingsConfigDict(env_prefix="GONGXIANG_", extra="ignore")

    debug: bool = False
    secret_key: str = ""
    code_key: str = ""
    """Keys voucher codes and their hashes; without one they hang on the secret key, and end with it."""
    job_secret_keys: str = ""
    """Fernet keys of jobs' secrets, the newest first, separated by commas; without any, one hangs on the secret key."""
    allowed_hosts: str = "localhost,127.0.0.1,[::1]"
    trusted_origins: str = ""
    public_url: str = ""
    """The address people reach the portal by, as links in mails begin: ``https://portal.example``."""
    https: bool = False
    state_dir: Path = BASE_DIR / ".state"
    database_url: str = Field(default="postgresql:///gongxiang", validation_alias="DATABASE_URL")
    redis_url: str = Field(default="redis://127.0.0.1:6379/0", validation_alias="REDIS_URL")
    demo: bool = False
    refund_approval_fen: int = Field(default=1_000_000, ge=0)
    write_off_after_days: int = Field(default=90, ge=1)
    log_json: bool = False
    log_level: str = "INFO"
    email_host: str = ""
    """Where mail is handed in; without one, mail goes to the log."""
    email_port: int = 587
    email_user: str = ""
    email_password: str = ""
    email_tls: bool = True
    email_from: str = "no-reply@localhost"
    oidc_server: str = ""
    oidc_client_id: str = ""
    oidc_secret: str = ""
    oidc_name: str = "统一身份认证"
    local_runner_dir: Path | None = None
    slurm_token_command: str = ""
    """How to ask the signer for a short-lived Slurm token; empty where no cluster uses Slurm."""
    site_name_zh: str = "浙江省创新资源共享平台"
    site_name_en: str = "Zhejiang Innovation Sharing Portal"
    department_zh: str = "省科技主管部门"
    department_en: str = "Provincial department of science and technology"
    contact_phone: str = "0571-0000 0000"
    bank_payee: str = "浙江省创新资源共享服务中心（结算专户）"
    bank_name: str = "中国工商银行杭州分行营业部"
    payee_cooling_days: int = Field(default=3, ge=0, le=60)
    """Days a verified bank account of a payee waits before it is used."""
    bank_account: str = "0000 0000 0000 0000 000"
    """Where enterprises transfer their own shares to; the number is a placeholder no bank uses."""
    stripe_key: str = ""
    """Secret key of the operator's account with Stripe; without one there is no such rail."""
    stripe_webhook_secret: str = ""
    """What its notices are signed with; several, separated by commas, while one is being replaced."""
    stripe_api_base: str = ""
    """Where its API is, for the sandbox payment server on this machine; Stripe's own where empty."""
    stripe_account: str = ""
    """The account the key must open (acct_…); notices of others are refused in any case."""
    stripe_methods: str = "checkout,card,alipay,wechat_pay"
    stripe_sandbox: bool = False
    """Says, and shows everywhere, that no real money moves."""
    stripe_transfers: bool = False
    """Whether providers are paid over Connect."""


ENV = Environment()

STATE_DIR = ENV.state_dir.resolve()
DEBUG = ENV.debug
DEMO = ENV.demo
SECRET_KEY = ENV.secret_key or "insecure-development-key-never-for-production-0123456789"
VOUCHER_CODE_KEY = hashlib.sha256(f"voucher-code:{ENV.code_key or SECRET_KEY}".encode()).digest()
JOB_SECRET_KEYS = [key for key in ENV.job_secret_keys.split(",") if key] or [
    base64.urlsafe_b64encode(hashlib.sha256(f"job-secret:{SECRET_KEY}".encode()).digest()).decode()
]
ALLOWED_HOSTS = [host for host in ENV.allowed_hosts.split(",") if host]
PUBLIC_URL = ENV.public_url.rstrip("/")
"""Without one, mails have no links."""
CSRF_TRUSTED_ORIGINS = [origin for origin in ENV.trusted_origins.split(",") if origin]
SITE_NAME = {"zh-hans": ENV.site_name_zh, "en": ENV.site_name_en}
DEPARTMENT = {"zh-hans": ENV.department_zh, "en": ENV.department_en}
CONTACT_PHONE = ENV.contact_phone
BANK_ACCOUNT = {"payee": ENV.bank_payee, "bank": ENV.bank_name, "number": ENV.bank_account}
INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django.contrib.postgres",
    "django_htmx",
    "csp",
    "django_structlog",
    "pgtrigger",
    "ninja",
    "allauth",
    "allauth.account",
    "allauth.mfa",
    "allauth.socialaccount",
    "allauth.socialaccount.providers.openid_connect",
    "portal",
    "vouchers",
    "scheduler",
    "integrations",
]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "csp.middleware.CSPMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "portal.language.LanguageMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django_structlog.middlewares.RequestMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "allauth.account.middleware.AccountMiddleware",
    "portal.organisations.middleware.ActorMiddleware",
]

ROOT_URLCONF = "portal.urls"
ASGI_APPLICATION = "portal.asgi.application"

TEMPLATES: list[dict[str, Any]] = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "portal" / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "portal.pages.context.shell",
            ],
            "builtins": ["portal.pages.templatetags.show"],
        },
    }
]


def database(url: str) -> dict[str, Any]:
    """Read ``postgresql://user:password@host:port/name?host=/socket/dir`` into Django's dictionary."""
    parts = urlsplit(url)
    query = {key: values[-1] for key, values in parse_qs(parts.query).items()}
    return {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": unquote(parts.path.lstrip("/")) or "gongxiang",
        "USER": unquote(parts.username or ""),
        "PASSWORD": unquote(parts.password or ""),
        "HOST": query.get("host", parts.hostname or ""),
        "PORT": str(parts.port or query.get("port", "")),
        "CONN_MAX_AGE": 0,
        "CONN_HEALTH_CHECKS": True,
        # No statement of ours runs long enough to repay compiling it; a search with an operator took ten times as long.
        "OPTIONS": {"options": "-c jit=off", "pool": {"min_size": 1, "max_size": 12, "timeout": 10}},
    }


DATABASES = {"default": database(ENV.database_url)}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
CACHES: dict[str, dict[str, Any]] = {
    "default": {
        "BACKEND": "django.core.cache.backends.redis.RedisCache",
        "LOCATION": ENV.redis_url,
        "OPTIONS": {"pool_class": "portal.caching.SharedPool"},
    }
}

AUTH_USER_MODEL = "portal.User"
AUTHENTICATION_BACKENDS = ["allauth.account.auth_backends.AuthenticationBackend"]
PASSWORD_HASHERS = [f"django.contrib.auth.hashers.{name}PasswordHasher" for name in ("Argon2", "PBKDF2")]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 10}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
]
LOGIN_URL = "account_login"
LOGIN_REDIRECT_URL = "home"
LOGOUT_REDIRECT_URL = "home"
ACCOUNT_ADAPTER = "portal.organisations.mailing.AccountAdapter"
ACCOUNT_LOGIN_METHODS = {"username", "email"}
ACCOUNT_SIGNUP_FIELDS = ["username*", "email*", "password1*", "password2*"]
ACCOUNT_EMAIL_VERIFICATION = "none"
ACCOUNT_LOGOUT_ON_GET = False
ACCOUNT_SESSION_REMEMBER = False
MFA_SUPPORTED_TYPES = ["totp", "recovery_codes"]
SOCIALACCOUNT_ONLY = False
SOCIALACCOUNT_PROVIDERS = (
    {
        "openid_connect": {
            "APPS": [
                {
                    "provider_id": "oidc",
                    "name": ENV.oidc_name,
                    "client_id": ENV.oidc_client_id,
                    "secret": ENV.oidc_secret,
                    "settings": {"server_url": ENV.oidc_server},
                }
            ]
        }
    }
    if ENV.oidc_server
    else {}
)
EMAIL_BACKEND = f"django.core.mail.backends.{'smtp' if ENV.email_host else 'console'}.EmailBackend"
EMAIL_HOST, EMAIL_PORT = ENV.email_host, ENV.email_port
EMAIL_HOST_USER, EMAIL_HOST_PASSWORD = ENV.email_user, ENV.email_password
EMAIL_USE_TLS = ENV.email_tls
EMAIL_TIMEOUT = 30
DEFAULT_FROM_EMAIL = ENV.email_from

LANGUAGE_CODE = "zh-hans"
LANGUAGES = [("zh-hans", "简体中文"), ("en", "English")]
LOCALE_PATHS = [BASE_DIR / "portal" / "locale"]
USE_I18N = True
USE_TZ = True
TIME_ZONE = "Asia/Shanghai"


def private(folder: str) -> dict[str, Any]:
    """Return a storage below the state directory that nobody but the portal's own user reads."""
    options = {"location": STATE_DIR / folder, "file_permissions_mode": 0o600, "directory_permissions_mode": 0o700}
    return {"BACKEND": "django.core.files.storage.FileSystemStorage", "OPTIONS": options}


STATIC_URL = "/static/"
STATIC_ROOT = STATE_DIR / "static"
STATICFILES_DIRS = [BASE_DIR / "portal" / "static"]
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "portal.storage.ManifestStorage"},
    **{name: private(name) for name in ("certificates", "evidence", "jobfiles")},
}

CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [SELF],
        "script-src": [SELF],
        "style-src": [SELF],
        "img-src": [SELF, "data:"],
        "connect-src": [SELF],
        "object-src": [NONE],
        "base-uri": [SELF],
        "form-action": [SELF],
        "frame-ancestors": [NONE],
    }
}
SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = "Lax"
SESSION_COOKIE_SECURE = ENV.https
CSRF_COOKIE_SECURE = ENV.https
SECURE_SSL_REDIRECT = ENV.https
SECURE_REDIRECT_EXEMPT = [r"^healthz$", r"^readyz$"]
SECURE_HSTS_SECONDS = 31_536_000 if ENV.https else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = ENV.https
SECURE_HSTS_PRELOAD = ENV.https
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if ENV.https else None
DATA_UPLOAD_MAX_MEMORY_SIZE = FILE_UPLOAD_MAX_MEMORY_SIZE = 6 * 1024 * 1024

CELERY_BROKER_URL = ENV.redis_url.replace("unix://", "redis+socket://")
CELERY_RESULT_BACKEND = None
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_ACKS_LATE = True
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_TIMEZONE = "UTC"
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
DJANGO_STRUCTLOG_CELERY_ENABLED = True
CELERY_BEAT_SCHEDULE = SCHEDULE

CLUSTER_ADAPTERS = {
    "local": "integrations.local.cluster.LocalCluster",
    "slurm": "integrations.slurm.cluster.SlurmCluster",
}
"""Which class answers ``scheduler.jobs.ports.Cluster`` for ``Cluster.adapter``."""
JOB_GUARDS = ("scheduler.allocations.guarding.refusals", "scheduler.limits.guarding.refusals")
"""Each answers ``scheduler.jobs.guards.Guard``: further grounds against a job."""
JOB_IDENTITY = "scheduler.limits.services.identity"
"""Answers ``scheduler.jobs.guards.Identity``: whom an enterprise's jobs run as on a cluster."""
JOB_ACCOUNTS = "scheduler.limits.queries.accounts"
"""Answers ``scheduler.jobs.guards.Accounts``: the accounts of many enterprises on a cluster."""
JOB_OUTAGES, JOB_ROOM = "scheduler.clusters.incidents.outages", "scheduler.clusters.queries.rooms"
"""Answer ``scheduler.jobs.guards``: when a cluster's controller was away, what is free by the last readings."""
PAST_VISITS, LEFT_TEAM = "scheduler.beamtime.past.past_visits", "scheduler.beamtime.visits.left_team"
"""Answer ``scheduler.proposals.ports``: a team's visits so far; what follows from leaving one."""
SHIFTS_PROMISED, GRADES_STAND = "scheduler.beamtime.promised.shifts_promised", "scheduler.panels.standing.grades_stand"
"""Answer ``scheduler.facilities.ports``: who counts on shifts, and on grades, as they are."""
BEAM_PLANNER = "integrations.cpsat.planner.CpSatPlanner"
"""Makes a ``scheduler.beamtime.ports.Planner``."""
CALENDAR_READER = "integrations.ics.reader.read"
"""Is a ``scheduler.calendars.ports.CalendarReader`` for a file one brings."""
CALENDAR_CAPPED_READER, CALENDAR_FETCHER = "integrations.ics.capped.read", "integrations.ics.fetch.fetch"
"""The reader of what an address answered, in a process with caps on time and memory; ``calendars.ports.CalendarFetcher``."""
CALENDAR_FETCH_LOOPBACK = False
"""Whether calendars may lie on this machine: for tests with a server of their own, never in use."""
CALENDAR_MAILS = bool(ENV.email_host)
"""Whether bookings are told to calendars by mail: not where mail would go to the log."""
CALENDAR_POST, PDF_PAGES = "integrations.mail.post.send", "integrations.pdf.pages.count"
"""Answer ``scheduler.invitations.ports.Post`` and ``scheduler.proposals.ports.PagesOf``."""
REFUND_APPROVAL_FEN, WRITE_OFF_AFTER_DAYS = ENV.refund_approval_fen, ENV.write_off_after_days
"""What one person of a provider may give back of one charge; how long an own share is due before it may be given up."""
BANK_TWO_PERSON_FEN, EXPLAIN_APPROVAL_FEN, BANK_REFERENCES = 10_000_000, 100_000, "vouchers.banking.claiming.claim"
PAYMENT_RAILS: dict[str, str] = {"stripe": "integrations.stripe.rail.from_settings"} if ENV.stripe_key else {}
"""By code, what makes each gateway's answer to ``vouchers.payments.ports.Rail``; bank transfer is always there."""
STRIPE: dict[str, Any] = {
    "key": ENV.stripe_key,
    "webhook_secret": ENV.stripe_webhook_secret,
    "api_base": ENV.stripe_api_base,
    "account": ENV.stripe_account,
    "methods": ENV.stripe_methods,
    "sandbox": ENV.stripe_sandbox,
    "transfers": ENV.stripe_transfers,
}
"""What ``integrations.stripe.configuring`` reads and checks."""
LEDGER_CHECKS = ("vouchers.settlements.checking.violations",)
"""Each returns ``vouchers.ledger.verification.Violation`` of books that rest on the ledger; the audit asks them all."""
PAYEE_TELLER, PAYEE_COOLING_DAYS = "scheduler.messages.payees.told", ENV.payee_cooling_days
PAYOUT_NOTICES, ORDER_TELLER = "vouchers.settlements.taken_back.notice", "scheduler.messages.orders.told"
"""Where a payee's owners read what happens to its account (``vouchers.payees.ports.Teller``); days from verified to used."""
PAYMENT_FULFILMENTS = {"booking": "scheduler.bookings.prepaying.fulfil", "order": "vouchers.offers.prepaying.fulfil"}
"""Each answers ``vouchers.payments.ports.Fulfilment`` for what a subject's kind names: what is paid for in advance."""
PAYMENT_ALARMS: tuple[str, ...] = ("scheduler.messages.alarms.tell_finance",)
"""Each is told by ``vouchers.payments.alarms`` what needs finance: called with `what`, `about` and `now`."""
REFUND_FOLLOWERS, INVOICE_DELIVERIES = ("vouchers.invoices.following.refunded",), "portal.reports.deliveries.describe"
WRITE_OFF_FOLLOWERS = ("vouchers.invoices.following.lost", "scheduler.messages.write_offs.told")
"""Answer ``vouchers.charges.ports``: `RefundFollower`, `WriteOffFollower`, each; and ``vouchers.invoices.ports.Describe``."""
LOCAL_RUNNER_DIR, SLURM_TOKEN_COMMAND = ENV.local_runner_dir or STATE_DIR / "runner", ENV.slurm_token_command
WORKDAYS_FOLLOWERS = ("scheduler.availability.holidays.follow",)
"""Each is told when the calendar of working days changed."""

LOGGING = logging_of(as_json=ENV.log_json, level=ENV.log_level)
structlog.configure(
    processors=[*SHARED_LOG_PROCESSORS, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
    logger_factory=structlog.stdlib.LoggerFactory(),
    cache_logger_on_first_use=True,
)
