"""Hand a plain mail in, so that one nobody will take keeps no other waiting."""

from __future__ import annotations

import smtplib
from datetime import datetime, timedelta
from typing import Final

import structlog
from django.core.mail import EmailMessage

__all__ = ["GIVEN_UP", "handed_in"]

GIVEN_UP: Final = timedelta(days=5)
"""How long a mail is tried that is refused for now, as mail servers do themselves (RFC 5321 §4.5.4.1)."""

logger = structlog.get_logger("mails")


def handed_in(message: EmailMessage, *, since: datetime, now: datetime) -> bool:
    """Say whether a mail waiting `since` then is done with: it went, or it never will. False: to be tried again.

    The subject becomes one line, whatever somebody called a thing. Raises what says that the server is away.
    """
    message.subject = " ".join(str(message.subject).split())
    try:
        message.send()
    except smtplib.SMTPRecipientsRefused as error:
        final = all(code >= 500 for code, _answer in error.recipients.values())
    except smtplib.SMTPDataError as error:
        final = error.smtp_code >= 500
    except ValueError:  # an address that cannot be written down, or a line break in a header
        final = True
    else:
        return True
    logger.warning("mails.refused", final=final, message_id=message.extra_headers.get("Message-ID", ""))
    return final or now - since >= GIVEN_UP
