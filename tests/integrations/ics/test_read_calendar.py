"""``manage.py read_calendar``: what it says, how it counts, how it ends."""

from datetime import date
from io import StringIO

import pytest
from django.core.management import CommandError, call_command

from tests.integrations.ics.text import MONDAY, TWO_HOURS, calendar, event


def check(*paths, **options):
    out, err = StringIO(), StringIO()
    try:
        call_command("read_calendar", check=list(paths), stdout=out, stderr=err, **options)
    except CommandError as error:
        return out.getvalue().splitlines(), err.getvalue(), str(error)
    return out.getvalue().splitlines(), err.getvalue(), ""


@pytest.fixture
def files(tmp_path):
    def write(**contents):
        paths = []
        for name, raw in contents.items():
            paths.append(tmp_path / f"{name}.ics")
            paths[-1].write_bytes(raw)
        return paths

    return write


def test_tells_what_would_block_and_why_the_rest_would_not(files):
    busy = event(MONDAY, TWO_HOURS, "SUMMARY:设备维护")
    night = event("DTSTART:20260303T150000Z", TWO_HOURS, uid="2")
    holiday = event("DTSTART;VALUE=DATE:20261001", "DTEND;VALUE=DATE:20261008", "SUMMARY:国庆", uid="3")
    free = event(MONDAY, TWO_HOURS, "TRANSP:TRANSPARENT", uid="4")
    (path,) = files(lab=calendar(busy, night, holiday, free))
    lines, err, failure = check(path)
    assert lines == [
        f"{path}：4 个日程，将占用 3 段（Asia/Shanghai，自 2026-03-01 起 400 天）",
        "    2026-03-02 09:00–11:00  设备维护",
        "    2026-03-03 23:00–2026-03-04 01:00",
        "    2026-10-01–2026-10-07 全天  国庆",
        "    不占用：标为空闲 1",
        "1 files: 1 read, 0 refused",
    ]
    assert (err, failure) == ("", "")


def test_looks_from_the_given_day_in_the_given_zone(files):
    (path,) = files(lab=calendar(event(MONDAY, TWO_HOURS, "RRULE:FREQ=DAILY")))
    lines, _err, _failure = check(path, zone="Europe/Zurich", start=date(2026, 3, 28), days=10)
    assert lines[0] == f"{path}：1 个日程，将占用 10 段（Europe/Zurich，自 2026-03-28 起 10 天）"
    assert lines[1:4] == ["    2026-03-28 02:00–04:00", "    2026-03-29 03:00–05:00", "    2026-03-30 03:00–05:00"]
    assert lines[6] == "    另有 5 段"


def test_counts_read_and_refused_and_a_refusal_is_no_failure(files):
    paths = files(
        good=calendar(event(MONDAY, TWO_HOURS)),
        page=b"<html>",
        every_second=calendar(event(MONDAY, TWO_HOURS, "SUMMARY:心跳", "RRULE:FREQ=SECONDLY")),
        huge=b"BEGIN:VCALENDAR\r\n" + b"X" * 10_000_000,
        nothing=calendar(),
    )
    lines, _err, failure = check(*paths)
    assert lines[-1] == "5 files: 2 read, 3 refused"
    assert f"{paths[1]}：拒绝。日历文件无法导入：这是一个网页，不是日历文件。链接可能已失效，或需要先登录。" in lines
    assert any("“心跳”的重复过于频繁" in line for line in lines)
    assert any("文件超过 5 MB" in line for line in lines)
    assert any("0 个日程，不占用时间" in line for line in lines)
    assert failure == ""


def test_a_file_that_cannot_be_opened_is_a_failure_but_the_others_are_checked(files, tmp_path):
    paths = files(good=calendar(event(MONDAY, TWO_HOURS)))
    lines, err, failure = check(tmp_path / "missing.ics", tmp_path, *paths)
    assert lines[-1] == "1 files: 1 read, 0 refused"
    assert err.count("打不开") == 2
    assert failure == "有 2 个文件打不开。"


@pytest.mark.parametrize("options", [{"zone": "Asia/Beijing"}, {"zone": "../x"}])
def test_refuses_an_unknown_zone_in_words(files, options):
    lines, _err, failure = check(*files(good=calendar()), **options)
    assert lines == []
    assert "时区" in failure


@pytest.mark.parametrize("wrong", ["--days=0", "--days=x", "--from=0001-01-01", "--from=9999-12-31", "--from=soon"])
def test_refuses_options_out_of_range(files, wrong):
    with pytest.raises(CommandError, match=wrong.split("=")[0]):
        call_command("read_calendar", "--check", *map(str, files(good=calendar())), wrong)
