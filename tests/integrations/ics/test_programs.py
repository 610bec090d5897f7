"""What the portal writes, in the hands of programs people use: a CalDAV server, a synchroniser, a terminal calendar."""

from __future__ import annotations

from datetime import timedelta

import pytest

from integrations.ics.feed import Busy, FeedEvent, Kind, Privacy, Status, events, freebusy
from portal.kernel.period import Period, merge
from tests.integrations.ics import programs
from tests.integrations.ics.serving import said, serving
from tests.integrations.ics.test_conformance import START, WINDOW, feed, ical_js, items, period

COUNT = 60
LOCAL = timedelta(hours=8)


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with programs.radicale(tmp_path_factory.mktemp("radicale")) as found:
        yield found


def spans(found, *kinds):
    return list(merge(span for kind, span in found if kind in kinds))


def test_c41_radicale_answers_the_same_busy_time_as_our_own_document(server):
    server.put("sem", feed(count=COUNT))
    asked = server.busy("sem", WINDOW)
    told = [item for item in items(COUNT) if item.status is not Status.CANCELLED]
    for kind, status in (("BUSY", Status.CONFIRMED), ("BUSY-TENTATIVE", Status.TENTATIVE)):
        assert spans(asked, kind) == list(merge(item.period for item in told if item.status is status))
    ours = freebusy([_busy(item) for item in told], uid="u", window=WINDOW, stamp=START)
    ours_read = [(kind, period(start, end)) for kind, start, end in ical_js(ours)["busy"]]
    assert spans(ours_read, "BUSY", "BUSY-TENTATIVE") == spans(asked, "BUSY", "BUSY-TENTATIVE")


def _busy(item):
    return Busy(item.period, Kind.TENTATIVE if item.status is Status.TENTATIVE else Kind.BUSY)


def test_c41_radicale_keeps_every_event_under_its_uid(server):
    server.put("kept", feed(count=COUNT))
    kept = server.get("kept").replace("\r\n ", "")
    assert all(item.uid in kept for item in items(COUNT))


def test_c53_c54_c58_vdirsyncer_files_every_event_and_khal_lists_it_in_local_time(tmp_path):
    told = [
        FeedEvent(
            uid=item.uid,
            sequence=item.sequence,
            period=item.period,
            summary=f"透射电镜 {number}，失效分析；甲方",
            status=item.status,
            last_modified=item.last_modified,
        )
        for number, item in enumerate(items(COUNT))
    ]
    body = events(told, name="电镜", zone="Asia/Shanghai", source="https://example.cn/f.ics")
    with serving() as web:
        web.answers["/events.ics"] = said(body, Content_Type="text/calendar; charset=utf-8")
        folder = programs.sync(web.url("/events.ics"), tmp_path)
        assert len(list(folder.iterdir())) == COUNT
        fewer = events(told[1:], name="电镜", zone="Asia/Shanghai")
        web.answers["/events.ics"] = said(fewer, Content_Type="text/calendar; charset=utf-8")
        programs.sync(web.url("/events.ics"), tmp_path)
    assert len(list(folder.iterdir())) == COUNT - 1, "what the feed no longer has goes from the disk, nothing else"
    listed = programs.khal_list(folder, tmp_path, window=WINDOW)
    expected = [
        f"{each.period.start + LOCAL:%Y-%m-%d %H:%M}|{each.period.end + LOCAL:%Y-%m-%d %H:%M}|"
        f"{each.summary}|{each.status.value}"
        for each in told[1:]
    ]
    assert sorted(line.strip() for line in listed) == sorted(expected)


def test_c12_what_is_on_a_busy_subscribers_disk_names_nobody(tmp_path):
    with serving() as web:
        web.answers["/f.ics"] = said(feed(Privacy.BUSY, count=9), Content_Type="text/calendar; charset=utf-8")
        folder = programs.sync(web.url("/f.ics"), tmp_path)
    texts = "".join(path.read_text(encoding="utf-8").replace("\n ", "") for path in folder.iterdir())
    assert texts.count("SUMMARY:已占用") == 9
    assert not any(secret in texts for secret in ("机密", "预约单位", "杭州"))


def test_the_judges_notice_a_wrong_hour(server):
    """A judge that agrees with everything proves nothing."""
    wrong = feed(count=3).replace(b"DTEND:20261126T02", b"DTEND:20261126T01")
    server.put("wrong", wrong)
    assert spans(server.busy("wrong", WINDOW), "BUSY")[0] == Period(START, START + timedelta(hours=1))
