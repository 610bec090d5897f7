"""Qualify organisations to run instruments themselves, suspend that, and enter certificates: as the lab."""

from __future__ import annotations

from datetime import datetime

from django.db import transaction

from portal.audit import services as audit
from portal.kernel.actors import Actor, Permission
from portal.kernel.errors import Conflict, Forbidden, Invalid, noop
from portal.organisations.models import Organisation
from scheduler.qualifications.models import Calibration, Qualification
from scheduler.qualifications.services import Days
from scheduler.resources import services as resources
from scheduler.resources.models import Resource

__all__ = ["CertificateKnown", "CertificateMissing", "NotQualified", "enter_certificate", "qualify", "suspend"]

_ = noop


class CertificateMissing(Invalid):
    code = "calibration.certificate"
    message = _("请填写证书编号（80 字以内）。")


class CertificateKnown(Conflict):
    code = "calibration.known"
    message = _("这份证书已经登记过。")


class SuspensionUnexplained(Invalid):
    code = "qualification.note"
    message = _("请写明暂停的原因（200 字以内），该单位会看到。")


class NotQualified(Conflict):
    code = "qualification.none"
    message = _("该单位没有这台仪器的上机认可。")


def _require_own(actor: Actor, resource: Resource) -> None:
    actor.require(Permission.INSTRUMENT_MANAGE)
    if resource.owner_id != actor.organisation_id:
        raise Forbidden


@transaction.atomic
def qualify(
    *, actor: Actor, resource: Resource, organisation: Organisation, days: Days, now: datetime
) -> Qualification:
    """Let an organisation's people run the instrument themselves on these days; ends a suspension. Joins what overlaps."""
    _require_own(actor, resource)
    resources.lock(resource_ids=[resource.pk])
    known = Qualification.objects.filter(
        resource=resource, organisation=organisation, valid__overlap=(days.since, days.until)
    )
    rows = list(known)
    since = min([days.since, *(row.valid.lower for row in rows)])
    until = max([days.until, *(row.valid.upper for row in rows)])
    known.delete()
    row = Qualification.objects.create(resource=resource, organisation=organisation, valid=(since, until))
    audit.record(
        action="qualification.granted",
        subject=f"instrument:{resource.number}",
        actor=actor,
        now=now,
        organisations=[organisation.pk, resource.owner_id],
        data={"organisation": organisation.name, "since": str(since), "until": str(until)},
    )
    return row


@transaction.atomic
def suspend(*, actor: Actor, resource: Resource, organisation: Organisation, note: str, now: datetime) -> None:
    """Let an organisation's people run the instrument no more, until qualified anew. Bookings made stay.

    Raises SuspensionUnexplained, NotQualified, Forbidden.
    """
    _require_own(actor, resource)
    if not note.strip() or len(note.strip()) > 200:
        raise SuspensionUnexplained(field="note")
    resources.lock(resource_ids=[resource.pk])
    found = Qualification.objects.filter(resource=resource, organisation=organisation)
    if not found.update(suspended_at=now, note=note.strip()):
        raise NotQualified
    audit.record(
        action="qualification.suspended",
        subject=f"instrument:{resource.number}",
        actor=actor,
        now=now,
        organisations=[organisation.pk, resource.owner_id],
        data={"organisation": organisation.name, "note": note.strip()},
    )


@transaction.atomic
def enter_certificate(*, actor: Actor, resource: Resource, certificate: str, days: Days, now: datetime) -> Calibration:
    """Enter a certificate. From the first one on, the instrument is booked only while one is in force.

    Raises CertificateMissing, CertificateKnown, Forbidden.
    """
    _require_own(actor, resource)
    if not certificate.strip() or len(certificate.strip()) > 80:
        raise CertificateMissing(field="certificate")
    resources.lock(resource_ids=[resource.pk])
    if Calibration.objects.filter(resource=resource, certificate=certificate.strip()).exists():
        raise CertificateKnown(field="certificate")
    row = Calibration.objects.create(resource=resource, certificate=certificate.strip(), valid=(days.since, days.until))
    audit.record(
        action="calibration.entered",
        subject=f"instrument:{resource.number}",
        actor=actor,
        now=now,
        data={"certificate": row.certificate, "since": str(days.since), "until": str(days.until)},
    )
    return row
