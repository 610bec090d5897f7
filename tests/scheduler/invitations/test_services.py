"""Calendar mails from booking to a real mail server; judged by libical. Lines C27-C39 of the conformance table."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
from django.utils import timezone
from icalendar import Calendar

from portal.audit.models import Record
from portal.kernel.errors import Forbidden
from portal.organisations.models import Member, User
from scheduler.bookings import moving, rewording
from scheduler.bookings import services as bookings
from scheduler.bookings.models import Booking
from scheduler.invitations import rules, services
from scheduler.invitations.models import CalendarMail
from scheduler.invitations.ports import Undelivered
from tests import make
from tests.integrations.ics.test_conformance import ical_js, libical
from tests.scheduler.invitations import sink as mailbox

ADDRESS = "zhou@firm.example"
LONG = "场发射透射电子显微镜（球差校正，带能谱、电子能量损失谱与原位加热杆）" * 2


@pytest.fixture
def sink(settings):
    with mailbox.serving() as found:
        mailbox.use(settings, found)
        yield found


@pytest.fixture
def scene(w, sink):
    """A lab's instrument, and a researcher with an address."""
    User.objects.filter(pk=w.researcher.user_id).update(email=ADDRESS)
    w.sem = make.instrument(w)
    return w


def deliver(*, now=make.NOW):
    return [services.send(mail_id=mail_id, now=now) for mail_id in services.due(now=now)]


def confirmed(w, **more):
    return bookings.confirm(actor=w.keeper, booking=make.booking(w, w.sem, **more), now=make.NOW)


def event_of(mail):
    calendar = Calendar.from_ical(mailbox.calendar_of(mail))
    (event,) = calendar.walk("VEVENT")
    return str(calendar["METHOD"]), event


def move_inside(w, made, *, hours=1, now=make.NOW):
    """Shorten it: the new time lies in the old, so the lab's word stands."""
    period = make.Period(made.starts_at, made.ends_at - timedelta(hours=hours))
    return moving.move(actor=w.researcher, booking=made, period=period, now=now)


class TestLife:
    def test_s9_invitation_change_and_cancellation_are_one_event_in_three_mails(self, scene, sink):
        w, made = scene, confirmed(scene)
        deliver()
        moved = move_inside(w, made)
        deliver()
        rewording.reword(actor=w.researcher, booking=moved, title="换了个说法", now=make.NOW)
        assert deliver() == []
        bookings.cancel(actor=w.researcher, booking=moved, now=make.NOW)
        deliver()
        told = [event_of(mail) for mail in sink.mails]
        assert [method for method, _event in told] == ["REQUEST", "REQUEST", "CANCEL"]
        first = told[0][1]["SEQUENCE"]
        assert [event["SEQUENCE"] - first for _method, event in told] == [0, 1, 2]
        assert {str(event["UID"]) for _method, event in told} == {str(made.uid)}
        assert [str(event["STATUS"]) for _method, event in told] == ["CONFIRMED", "CONFIRMED", "CANCELLED"]
        assert told[1][1]["DTEND"].dt == moved.ends_at

    def test_c27_c28_libical_accepts_every_mail(self, scene, sink):
        made = confirmed(scene)
        deliver()
        bookings.cancel(actor=scene.researcher, booking=made, now=make.NOW)
        deliver()
        bodies = [mailbox.calendar_of(mail) for mail in sink.mails]
        assert [libical(body) for body in bodies] == [0, 0]
        assert libical(re.sub(rb"ORGANIZER.*?\r\n(?! )", b"", bodies[0], flags=re.DOTALL)), "libical would notice"
        for body in bodies:
            assert body.count(b"ORGANIZER") == 1
            assert all(len(line) <= 75 for line in body.split(b"\r\n"))

    def test_sequence_rises_with_time_and_status_only(self, scene):
        made = make.booking(scene, scene.sem)
        assert made.sequence == 0
        made = bookings.confirm(actor=scene.keeper, booking=made, now=make.NOW)
        assert made.sequence == 1
        bookings.start_session(actor=scene.keeper, booking=made, started_at=made.starts_at, now=made.starts_at)
        bookings.finish_session(actor=scene.keeper, booking=made, ended_at=made.ends_at, now=made.ends_at)
        assert Booking.objects.get(pk=made.pk).sequence == 1
        assert CalendarMail.objects.count() == 1

    def test_moving_away_asks_again_tentatively_then_confirms_anew(self, scene, sink):
        made = confirmed(scene)
        deliver()
        moved = moving.move(actor=scene.researcher, booking=made, period=make.slot(days=3), now=make.NOW)
        deliver()
        bookings.confirm(actor=scene.keeper, booking=moved, now=make.NOW)
        deliver()
        told = [event_of(mail)[1] for mail in sink.mails]
        assert [str(event["STATUS"]) for event in told] == ["CONFIRMED", "TENTATIVE", "CONFIRMED"]
        assert "待实验室确认" in sink.mails[1]["Subject"]

    def test_what_no_mail_told_is_not_cancelled_by_one(self, scene):
        made = make.booking(scene, scene.sem)
        bookings.cancel(actor=scene.researcher, booking=made, now=make.NOW)
        assert not CalendarMail.objects.exists()

    def test_changes_that_overtake_the_mail_leave_one(self, scene, sink):
        made = confirmed(scene)
        move_inside(scene, made)
        assert deliver() == [True]
        assert event_of(sink.mails[0])[1]["SEQUENCE"] == 2
        again = confirmed(scene, period=make.slot(days=2))
        bookings.cancel(actor=scene.researcher, booking=again, now=make.NOW)
        assert deliver() == []

    def test_nobody_is_told_of_what_is_over(self, scene):
        made = make.booking(scene, scene.sem)
        made = bookings.confirm(actor=scene.keeper, booking=made, now=make.NOW)
        CalendarMail.objects.all().delete()
        bookings.miss(actor=scene.keeper, booking=made, now=made.ends_at)
        assert not CalendarMail.objects.exists()


class TestMail:
    def test_c30_c31_is_text_and_calendar_with_one_method_and_the_same_bytes_attached(self, scene, sink):
        confirmed(scene)
        deliver()
        (mail,) = sink.mails
        assert mail.get_content_type() == "multipart/mixed"
        alternative, attachment = mail.get_payload()
        assert [part.get_content_type() for part in alternative.get_payload()] == ["text/plain", "text/calendar"]
        part = alternative.get_payload()[1]
        assert part.get_param("method") == "REQUEST"
        assert part.get_content_charset() == "utf-8"
        assert attachment.get_filename() == "booking.ics"
        assert attachment.get_payload(decode=True) == mailbox.calendar_of(mail)
        assert mail["From"].addresses[0].addr_spec == "bookings@portal.example"
        assert event_of(mail)[1]["ORGANIZER"] == "mailto:bookings@portal.example"
        assert mail["Auto-Submitted"] == "auto-generated"

    def test_text_and_event_lead_to_the_booking(self, scene, sink, settings):
        settings.PUBLIC_URL = "https://portal.example"
        made = confirmed(scene)
        settings.PUBLIC_URL = "https://moved.example"
        deliver()
        url = f"https://portal.example/bookings/{made.number}/"
        (mail,) = sink.mails
        body = mailbox.calendar_of(mail)
        assert str(event_of(mail)[1]["URL"]) == url
        assert f"查看和办理：{url}\n" in mail.get_body(("plain",)).get_content()
        assert libical(body) == 0
        assert ical_js(body)["events"][0]["uid"] == str(made.uid)

    def test_links_are_in_the_readers_language_and_missing_without_an_address(self, scene, sink, settings):
        confirmed(scene)
        deliver()
        assert "URL" not in event_of(sink.mails[0])[1]
        assert "http" not in sink.mails[0].get_body(("plain",)).get_content()
        settings.PUBLIC_URL = "https://portal.example"
        services.choose(actor=scene.researcher, wanted=True, language="en", now=make.NOW)
        told = [confirmed(scene, period=make.slot(days=day)) for day in (2, 3)]
        deliver()
        text = sink.mails[1].get_body(("plain",)).get_content()
        assert all(f"https://portal.example/en/bookings/{made.number}/" in text for made in told)

    def test_c32_instrument_and_operator_take_part(self, scene, sink):
        person = make.operator(scene, scene.sem)
        wanted = bookings.Wanted(resource=scene.sem, period=make.slot(), title="失效分析", operator=person)
        made = bookings.request_booking(actor=scene.researcher, wanted=wanted, now=make.NOW, key=make.key())
        bookings.confirm(actor=scene.keeper, booking=made, now=make.NOW)
        deliver()
        _method, event = event_of(sink.mails[0])
        booker, instrument, operator = event["ATTENDEE"]
        assert booker == f"mailto:{ADDRESS}"
        assert (instrument.params["CUTYPE"], instrument.params["CN"]) == ("RESOURCE", scene.sem.name)
        assert (operator.params["CUTYPE"], operator.params["CN"]) == ("INDIVIDUAL", person.name)
        assert {each.params["PARTSTAT"] for each in event["ATTENDEE"]} == {"ACCEPTED"}
        assert libical(mailbox.calendar_of(sink.mails[0])) == 0

    def test_headers_and_lines_survive_long_chinese_names_and_evil_ones(self, scene, sink):
        type(scene.sem).objects.filter(pk=scene.sem.pk).update(name=LONG + "\r\nBcc: evil@evil.example\r\n")
        confirmed(scene)
        deliver()
        (raw,), (mail,) = sink.raw, sink.mails
        head = raw.partition(b"\r\n\r\n")[0]
        head.decode("ascii")
        assert all(len(line) <= 998 for line in raw.split(b"\r\n"))
        assert all(len(line) <= 78 for line in head.split(b"\r\n"))
        assert LONG in mail["Subject"]
        assert mail["Bcc"] is None
        assert libical(mailbox.calendar_of(mail)) == 0

    def test_is_written_in_the_recipients_language(self, scene, sink):
        services.choose(actor=scene.researcher, wanted=True, language="en", now=make.NOW)
        type(scene.sem).objects.filter(pk=scene.sem.pk).update(name_en="Scanning electron microscope")
        confirmed(scene)
        deliver()
        (mail,) = sink.mails
        assert mail["Subject"].strip().startswith("Booking confirmed: Scanning electron microscope, ")
        text = mail.get_body(("plain",)).get_content()
        assert not re.search(
            r"[一-鿿]", text.replace(scene.sem.site, "").replace("杭州", "").replace("电池极片截面观察", "")
        ), text

    def test_the_subject_and_the_lab_learn_no_purpose(self, scene, sink):
        made = confirmed(scene)
        deliver()
        (mail,) = sink.mails
        assert made.title not in mail["Subject"]
        assert mail["To"].addresses[0].addr_spec == ADDRESS
        assert made.title in mail.get_body(("plain",)).get_content()
        assert made.number in mail["Subject"]

    def test_c39_mails_of_a_booking_are_one_thread(self, scene, sink):
        made = confirmed(scene)
        deliver()
        move_inside(scene, made)
        deliver()
        first, second = sink.mails
        assert first["References"] is None
        assert second["References"] == second["In-Reply-To"] == first["Message-ID"]


class TestSeveralAtOnce:
    @pytest.fixture
    def three(self, scene):
        return [confirmed(scene, period=make.slot(days=day)) for day in (1, 2, 3)]

    def test_c37_a_series_is_one_mail_with_an_event_for_each_use(self, scene, sink, three):
        assert deliver() == [True, False, False]
        (mail,) = sink.mails
        body = mailbox.calendar_of(mail)
        calendar = Calendar.from_ical(body)
        assert str(calendar["METHOD"]) == "PUBLISH"
        assert {str(event["UID"]) for event in calendar.walk("VEVENT")} == {str(made.uid) for made in three}
        assert libical(body) == 0
        assert "3 次预约已确认" in mail["Subject"]
        assert all(made.number in mail.get_body(("plain",)).get_content() for made in three)
        assert set(CalendarMail.objects.values_list("state", flat=True)) == {"sent"}

    def test_one_use_changed_later_is_a_mail_of_its_own(self, scene, sink, three):
        deliver()
        move_inside(scene, three[1])
        assert deliver() == [True]
        method, event = event_of(sink.mails[1])
        assert (method, str(event["UID"])) == ("REQUEST", str(three[1].uid))

    def test_uses_cancelled_together_are_told_together(self, scene, sink, three):
        deliver()
        later = make.NOW + timedelta(minutes=1)
        for made in three[1:]:
            bookings.cancel(actor=scene.researcher, booking=made, now=later)
        assert deliver(now=later) == [True, False]
        events = Calendar.from_ical(mailbox.calendar_of(sink.mails[1])).walk("VEVENT")
        assert [str(event["STATUS"]) for event in events] == ["CANCELLED", "CANCELLED"]
        assert libical(mailbox.calendar_of(sink.mails[1])) == 0

    def test_the_same_goes_again_when_the_server_was_away(self, scene, sink, three):
        sink.data_answers.append("451 later")
        assert deliver() == [False, False, False]
        assert deliver(now=make.NOW + timedelta(minutes=5)) == [True, False, False]
        assert len(sink.raw) == 1


class TestOutbox:
    def test_c36_a_worker_killed_after_data_sends_the_same_mail_again(self, scene, sink, settings, monkeypatch):
        confirmed(scene)
        from integrations.mail import post

        def killed(letter):
            post.send(letter)
            raise SystemExit

        monkeypatch.setattr("tests.scheduler.invitations.test_services.killed", killed, raising=False)
        settings.CALENDAR_POST = "tests.scheduler.invitations.test_services.killed"
        with pytest.raises(SystemExit):
            deliver()
        settings.CALENDAR_POST = "integrations.mail.post.send"
        assert deliver(now=make.NOW + timedelta(minutes=4)) == [], "not while the worker may still be at it"
        assert deliver(now=make.NOW + rules.STALE) == [True]
        assert deliver(now=make.NOW + timedelta(days=1)) == []
        first, second = sink.mails
        assert first["Message-ID"] == second["Message-ID"]
        assert mailbox.calendar_of(first) == mailbox.calendar_of(second)
        assert first["Date"] == second["Date"]

    def test_a_mail_goes_once_however_many_workers_hold_its_number(self, scene, sink):
        confirmed(scene)
        (mail_id,) = services.due(now=make.NOW)
        assert [services.send(mail_id=mail_id, now=make.NOW) for _ in range(3)] == [True, False, False]
        assert len(sink.raw) == 1

    def test_a_server_away_is_tried_again_ever_later_then_given_up(self, scene, settings):
        settings.EMAIL_PORT = 9
        confirmed(scene)
        mail = CalendarMail.objects.get()
        now, waited = make.NOW, []
        for _attempt in range(rules.ATTEMPTS):
            assert services.send(mail_id=mail.pk, now=now) is False
            mail.refresh_from_db()
            waited.append(mail.next_at - now)
            now = mail.next_at
        assert waited[:-1] == sorted(waited[:-1])
        assert (mail.state, mail.attempts) == ("failed", rules.ATTEMPTS)
        assert "ConnectionRefused" in mail.problem
        assert services.due(now=now + timedelta(days=9)) == []

    def test_a_mailbox_that_does_not_exist_is_not_tried_again(self, scene, sink):
        sink.rcpt_answers.append("550 no such user")
        confirmed(scene)
        assert deliver() == [False]
        assert CalendarMail.objects.get().state == "failed"
        assert Record.objects.filter(action="calendar_mail.failed").count() == 1

    def test_an_address_in_chinese_is_written_as_the_wire_has_it(self, scene, sink):
        User.objects.filter(pk=scene.researcher.user_id).update(email="zhou@例子.中国")
        confirmed(scene)
        assert deliver() == [True]
        assert sink.mails[0]["To"].addresses[0].addr_spec == "zhou@xn--fsqu00a.xn--fiqs8s"

    def test_an_address_that_cannot_be_written_is_not_tried_again(self, scene, sink):
        """Signing up takes such a domain; mail does not."""
        User.objects.filter(pk=scene.researcher.user_id).update(email=f"zhou@{'ü' * 60}.de")
        confirmed(scene)
        assert deliver() == [False]
        assert CalendarMail.objects.get().state == "failed"

    @pytest.mark.parametrize("where", ["rcpt_answers", "data_answers"])
    def test_a_busy_server_is_tried_again(self, scene, sink, where):
        getattr(sink, where).append("451 greylisted")
        confirmed(scene)
        assert deliver() == [False]
        assert deliver(now=make.NOW + timedelta(minutes=5)) == [True]

    def test_a_newer_version_makes_trying_an_older_one_again_pointless(self, scene, sink):
        sink.data_answers.append("451 later")
        made = confirmed(scene)
        deliver()
        move_inside(scene, made)
        assert deliver(now=make.NOW + timedelta(hours=1)) in ([False, True], [True, False])
        assert [event_of(mail)[1]["SEQUENCE"] for mail in sink.mails] == [2]


class TestWhoIsTold:
    def test_c38_who_turned_them_off_gets_none_and_keeps_the_feed(self, scene, sink):
        services.choose(actor=scene.researcher, wanted=False, language="zh-hans", now=make.NOW)
        confirmed(scene)
        assert not CalendarMail.objects.exists()
        make.feed(scene.researcher)
        services.choose(actor=scene.researcher, wanted=True, language="zh-hans", now=make.NOW)
        confirmed(scene, period=make.slot(days=2))
        services.choose(actor=scene.researcher, wanted=False, language="zh-hans", now=make.NOW)
        assert deliver() == [False]
        assert CalendarMail.objects.get().state == "dropped"

    def test_who_left_the_organisation_is_told_no_more(self, scene, sink):
        made = confirmed(scene)
        Member.objects.filter(user_id=scene.researcher.user_id).update(left_at=timezone.now())
        assert deliver() == [False]
        bookings.cancel(actor=scene.owner, booking=made, now=make.NOW)
        assert sink.raw == []
        assert CalendarMail.objects.count() == 1

    def test_without_a_mail_server_or_an_address_nothing_is_written(self, scene, settings):
        User.objects.filter(pk=scene.researcher.user_id).update(email="")
        confirmed(scene)
        User.objects.filter(pk=scene.researcher.user_id).update(email=ADDRESS)
        settings.CALENDAR_MAILS = False
        confirmed(scene, period=make.slot(days=2))
        assert not CalendarMail.objects.exists()

    def test_the_choice_is_a_persons_own(self, scene):
        with pytest.raises(Forbidden):
            services.choose(actor=scene.keeper, wanted=False, language="en", now=make.NOW)
        with pytest.raises(rules.LanguageUnknown):
            services.choose(actor=scene.researcher, wanted=True, language="fr", now=make.NOW)


def test_undelivered_says_why():
    assert Undelivered("550", final=True).final
