"""Hand a calendar mail in over SMTP: text, and the invitation twice with the same bytes (RFC 6047 §2.4, §2.5).

Programs that know iMIP take the part in ``multipart/alternative``; those that do not offer the attachment.
"""

from __future__ import annotations

import smtplib
from email.charset import BASE64, Charset
from email.encoders import encode_base64
from email.mime.base import MIMEBase
from email.utils import format_datetime, formataddr
from typing import Final

from django.core.mail import EmailMultiAlternatives
from django.core.mail import get_connection as connection
from django.utils.encoding import punycode

from integrations.ics.invitation import invitation, method_of
from scheduler.invitations.ports import Letter, Undelivered

__all__ = ["send", "written"]

BODY: Final = Charset("utf-8")
BODY.body_encoding = BASE64  # no server on the way may wrap, or end otherwise, the lines of a calendar


def send(letter: Letter) -> None:
    """Hand a letter in; answers ``scheduler.invitations.ports.Post``."""
    try:
        with connection() as server:
            message = written(letter)
            message.connection = server
            message.send()
    except smtplib.SMTPRecipientsRefused as error:
        codes = [code for code, _answer in error.recipients.values()]
        raise Undelivered(f"recipient refused: {codes}", final=all(code >= 500 for code in codes)) from error
    except smtplib.SMTPDataError as error:
        raise Undelivered(f"message refused: {error.smtp_code}", final=error.smtp_code >= 500) from error
    except (OSError, smtplib.SMTPException) as error:
        raise Undelivered(f"{type(error).__name__}: {error}", final=False) from error
    except ValueError as error:  # an address no mail can be written to
        raise Undelivered(f"{type(error).__name__}: {error}", final=True) from error


def written(letter: Letter) -> EmailMultiAlternatives:
    """Return the mail. Equal letters give mails that differ in nothing but their boundaries."""
    calendar, method = invitation(letter.invitations), method_of(letter.invitations)
    headers = {
        "Message-ID": letter.message_id,
        "Date": format_datetime(letter.sent_at),
        "Auto-Submitted": "auto-generated",  # RFC 3834 §5: no machine answers
    }
    if letter.references:
        headers |= {"References": letter.references, "In-Reply-To": letter.references}
    message = EmailMultiAlternatives(
        subject=_line(letter.subject),
        body=letter.text,
        from_email=formataddr((_line(letter.sender_name), letter.sender)),
        to=[formataddr((_line(letter.recipient_name), _plain(letter.recipient)))],
        headers=headers,
    )
    message.encoding = BODY
    message.attach_alternative(calendar.decode(), f"text/calendar; method={method}; component=VEVENT")
    attachment = MIMEBase("application", "ics", name="booking.ics")
    attachment.set_payload(calendar)
    attachment.add_header("Content-Disposition", "attachment", filename="booking.ics")
    encode_base64(attachment)
    message.attach(attachment)
    return message


def _plain(address: str) -> str:
    """Return an address with its domain as the wire has it (RFC 5890). Raises UnicodeError for a domain there cannot be."""
    local, _at, domain = address.rpartition("@")
    return f"{local}@{punycode(domain)}"


def _line(value: str) -> str:
    """Return a text as one line of a header, whatever somebody called an instrument."""
    return " ".join("".join(char if char.isprintable() else " " for char in value).split())
