"""People and the organisations they act for."""

from __future__ import annotations

from django.conf import settings
from django.contrib.auth.models import AbstractUser
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from portal.organisations import rules


class User(AbstractUser):
    """A person who signs in. What they may do hangs on memberships, never on the user."""

    display_name = models.CharField(_("姓名"), max_length=60, blank=True)

    class Meta(AbstractUser.Meta):
        db_table = "user_account"

    def __str__(self) -> str:
        return self.display_name or self.username


class Organisation(models.Model):
    """An enterprise, a provider of resources, or a government department; the payer, the payee or the authority."""

    class Kind(models.TextChoices):
        ENTERPRISE = rules.Kind.ENTERPRISE.value, _("企业")
        PROVIDER = rules.Kind.PROVIDER.value, _("资源提供单位")
        DEPARTMENT = rules.Kind.DEPARTMENT.value, _("主管部门")

    kind = models.CharField(max_length=12, choices=Kind)
    name = models.CharField(_("单位名称"), max_length=120)
    name_en = models.CharField(_("英文名称"), max_length=160, blank=True)
    credit_code = models.CharField(_("统一社会信用代码"), max_length=18, unique=True)
    city = models.CharField(_("所在城市"), max_length=40)
    facts = models.JSONField(default=dict, blank=True)
    """Registered facts the rule engine reads below ``applicant.`` or ``provider.``, e.g. ``{"sme": true}``."""
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        db_table = "organisation"
        ordering = ["name", "pk"]
        constraints = [
            models.CheckConstraint(
                name="organisation_kind_known", condition=Q(kind__in=[kind.value for kind in rules.Kind])
            ),
            models.CheckConstraint(
                name="organisation_credit_code_shape", condition=Q(credit_code__regex=r"^[0-9A-HJ-NP-RT-UW-Y]{18}$")
            ),
        ]

    def __str__(self) -> str:
        return self.name


class Member(models.Model):
    """One person's roles in one organisation."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="memberships")
    organisation = models.ForeignKey(Organisation, on_delete=models.PROTECT, related_name="members")
    roles = ArrayField(models.CharField(max_length=24), default=list)
    joined_at = models.DateTimeField(auto_now_add=True)
    left_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        db_table = "member"
        constraints = [
            models.UniqueConstraint(
                name="member_once", fields=["user", "organisation"], condition=Q(left_at__isnull=True)
            )
        ]

    def __str__(self) -> str:
        return f"{self.user} @ {self.organisation}"


class ApiToken(models.Model):
    """A secret with which an organisation's own system calls the API. Only its hash is kept; shown once."""

    organisation = models.ForeignKey(Organisation, on_delete=models.PROTECT, related_name="tokens")
    name = models.CharField(_("名称"), max_length=60)
    prefix = models.CharField(max_length=12)
    digest = models.CharField(max_length=64, unique=True)
    roles = ArrayField(models.CharField(max_length=24), default=list)
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    created_at = models.DateTimeField()
    last_used_at = models.DateTimeField(null=True, blank=True)
    revoked_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        db_table = "api_token"
        ordering = ["-pk"]

    def __str__(self) -> str:
        return f"{self.name} ({self.prefix}…)"
