"""A plain mail that nobody will take is given up; one that is refused for now is tried for some days."""

from datetime import timedelta
from smtplib import SMTPDataError, SMTPRecipientsRefused, SMTPServerDisconnected

import pytest
from django.core import mail
from django.core.mail import EmailMessage

from portal.mails import GIVEN_UP, handed_in
from tests import make

LONG = make.NOW + GIVEN_UP


def written(subject="停机通知", to="lin@example.com"):
    return EmailMessage(subject=subject, body="正文", to=[to], headers={"Message-ID": "<1@example.com>"})


@pytest.mark.parametrize(
    ("error", "done"),
    [
        (SMTPRecipientsRefused({"lin@example.com": (550, b"no such user")}), True),
        (SMTPRecipientsRefused({"lin@example.com": (450, b"greylisted")}), False),
        (SMTPDataError(554, b"spam"), True),
        (SMTPDataError(451, b"later"), False),
    ],
)
def test_what_is_refused_is_given_up_at_once_or_in_the_end(monkeypatch, error, done):
    def refuse(self, fail_silently=False):
        raise error

    monkeypatch.setattr(EmailMessage, "send", refuse)
    assert handed_in(written(), since=make.NOW, now=LONG - timedelta(seconds=1)) is done
    assert handed_in(written(), since=make.NOW, now=LONG)


def test_an_address_that_cannot_be_written_down_is_given_up():
    assert handed_in(written(to="lin@example.com\nBcc: all@example.com"), since=make.NOW, now=make.NOW)
    assert mail.outbox == []


def test_a_subject_is_one_line_whatever_a_thing_is_called():
    assert handed_in(written(subject="停机通知：电镜\r\nBcc: all@example.com"), since=make.NOW, now=make.NOW)
    assert mail.outbox[0].subject == "停机通知：电镜 Bcc: all@example.com"


def test_a_server_that_is_away_is_told(monkeypatch):
    def lose(self, fail_silently=False):
        raise SMTPServerDisconnected

    monkeypatch.setattr(EmailMessage, "send", lose)
    with pytest.raises(SMTPServerDisconnected):
        handed_in(written(), since=make.NOW, now=LONG)
