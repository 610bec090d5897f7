"""Certificates of vouchers: the record behind one, its PDF, and the public answer whether it is genuine."""

from __future__ import annotations

import hashlib
import io
import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from fractions import Fraction
from pathlib import Path
from typing import Any, Final

import segno
import typst
from django.core.files.base import ContentFile
from django.core.files.storage import Storage, storages
from django.core.signing import BadSignature, Signer
from django.db import transaction
from django.utils.translation import gettext

from portal.audit import services as audit
from portal.kernel.actors import Actor, Permission
from portal.kernel.errors import NotFound
from portal.kernel.money import Money
from portal.papers import FontMissing, font
from vouchers.programmes import names
from vouchers.wallets import access, rules
from vouchers.wallets.models import Certificate, Voucher

__all__ = ["FontMissing", "Genuine", "certificate_of", "font", "genuine", "pdf", "token_of"]

TEMPLATE: Final = Path(__file__).with_name("certificate.typ")


@dataclass(frozen=True, slots=True)
class Genuine:
    """What a stranger may know of a genuine certificate: what is printed on it, and how the voucher stands now."""

    number: str
    printed: Mapping[str, Any]
    face: Money
    last_moment: datetime
    state: str


@transaction.atomic
def certificate_of(*, actor: Actor, voucher: Voucher, now: datetime) -> Certificate:
    """Return the certificate of a voucher of the actor's organisation, made at the first time of asking.

    Raises NotFound, Forbidden.
    """
    actor.require(Permission.VOUCHER_READ_OWN)
    found = access.get_voucher(actor, voucher.number)
    version = found.application.version
    made, created = Certificate.objects.get_or_create(
        voucher=found,
        defaults={
            "token": secrets.token_urlsafe(18),
            "printed": {
                "holder": {"zh": found.holder.name, "en": found.holder.name_en or found.holder.name},
                "programme": {"zh": version.name, "en": version.name_en or version.name},
                "issuer": {
                    "zh": version.programme.department.name,
                    "en": version.programme.department.name_en or version.programme.department.name,
                },
            },
            "made_at": now,
        },
    )
    if created:
        audit.record(
            action="voucher.certified",
            subject=f"voucher:{found.number}",
            actor=actor,
            now=now,
            organisations=[found.holder_id],
        )
    return made


def _signer() -> Signer:
    return Signer(salt="vouchers.wallets.certificates", sep=".")


def token_of(certificate: Certificate) -> str:
    """Return what the public address of a certificate carries: its token, signed."""
    return _signer().sign(certificate.token)


def genuine(*, token: str, now: datetime) -> Genuine:
    """Return what is printed on the certificate of a signed token. Raises NotFound; forged tokens cost no query."""
    try:
        plain = _signer().unsign(token)
    except BadSignature:
        raise NotFound from None
    found = Certificate.objects.filter(token=plain).select_related("voucher").first()
    if found is None:
        raise NotFound
    voucher = found.voucher
    over = voucher.state in {rules.VoucherState.ACTIVE.value, rules.VoucherState.FROZEN.value} and (
        voucher.valid_until <= now
    )
    return Genuine(
        number=voucher.number,
        printed=found.printed,
        face=Money(voucher.face_fen),
        last_moment=voucher.valid_until - timedelta(seconds=1),
        state=rules.VoucherState.EXPIRED.value if over else voucher.state,
    )


def _storage() -> Storage:
    return storages["certificates"]


def pdf(*, certificate: Certificate, url: str, lang: str) -> bytes:
    """Return the certificate as PDF, in Chinese (``zh``) or English (``en``), made once for the same content.

    The words are those of the active language, which must be `lang`. Outside any transaction: setting the page takes a moment. The file is kept under the digest of everything that is on
    it and of the template. Raises FontMissing.
    """
    voucher = certificate.voucher
    last = (voucher.valid_until - timedelta(seconds=1)).astimezone(rules.BEIJING).date()
    first = voucher.valid_from.astimezone(rules.BEIJING).date()
    printed = {name: words[lang] for name, words in certificate.printed.items()}
    content: dict[str, Any] = {
        "lang": lang,
        "fonts": [font()],
        "number": voucher.number,
        "issuer": printed["issuer"],
        "words": {
            "title": gettext("创新资源共享券凭证"),
            "check": gettext("扫码或打开下列地址核验真伪。以核验页面显示的状态为准。"),
        },
        "rows": [
            [gettext("持券单位"), printed["holder"]],
            [gettext("政策项目"), printed["programme"]],
            [gettext("面额"), str(Money(voucher.face_fen))],
            [gettext("可用于"), _services(voucher, lang)],
            [gettext("支付比例"), names.percent(Fraction(voucher.share_num, voucher.share_den))],
            [gettext("发放日期"), first.isoformat()],
            [gettext("最后有效日"), last.isoformat()],
        ],
        "notes": [
            gettext("本券不得转让、出借或兑换现金；用券时由平台从账单中抵扣。"),
            gettext("余额和使用情况不在本凭证上显示。"),
        ],
        "url": url,
        "qr": _qr(url),
    }
    template = TEMPLATE.read_bytes()
    asked = json.dumps(content, ensure_ascii=False, sort_keys=True)
    name = f"{hashlib.sha256(template + asked.encode()).hexdigest()}.pdf"
    if _storage().exists(name):
        with _storage().open(name) as kept:
            return bytes(kept.read())
    made: bytes = typst.compile(template, format="pdf", sys_inputs={"data": asked})
    _storage().save(name, ContentFile(made))
    return made


def _services(voucher: Voucher, lang: str) -> str:
    said = ("、" if lang == "zh" else ", ").join(names.kind(code).say(lang) for code in voucher.services)
    return said[:1].upper() + said[1:] or gettext("各类服务")


def _qr(url: str) -> str:
    buffer = io.BytesIO()
    segno.make(url, error="m").save(buffer, kind="svg", xmldecl=False, border=2)
    return buffer.getvalue().decode()
