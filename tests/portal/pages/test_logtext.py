"""Raw output to text: nothing lost, nothing twice, wherever it is cut; no control reaches the page."""

import time
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portal.pages.logtext import PATIENCE, readable, tail

PIECES = st.lists(
    st.sampled_from(
        ["a", "好", "é", "😀", "\n", "\r\n", "\r", "\t", "\x1b[0m", "\x1b[1;31m", "\x1b]0;t\x07", "\x1b]8;;u\x1b\\",
         "\x1bP1$r0m\x1b\\", "\x1b(B", "\x00", "\x7f", "\x9b", "\x1b", "\x1b["]
    ).map(str.encode)
    | st.sampled_from([b"\xff", b"\xe4", b"\xe4\xbd", b"\xf0\x9f", b"\x80", b"\xc3"]),
    max_size=40,
)  # fmt: skip


def read_in(data: bytes, cuts: list[int]) -> str:
    """Read `data` as it grows to each of `cuts`, each time from where the last whole thing ended."""
    parts, offset = [], 0
    for until in sorted(min(cut, len(data)) for cut in cuts):
        text, used = readable(data[offset:until], final=False)
        parts.append(text)
        offset += used
    text, used = readable(data[offset:], final=True)
    assert offset + used == len(data)
    return "".join([*parts, text])


@given(pieces=PIECES, cuts=st.lists(st.integers(0, 200), max_size=12))
def test_however_it_arrives_it_reads_the_same(pieces, cuts):
    data = b"".join(pieces)
    assert read_in(data, cuts) == readable(data, final=True)[0]


@given(data=st.binary(max_size=400))
def test_no_control_but_tab_and_line_feed_comes_out(data):
    text, used = readable(data, final=True)
    assert used == len(data)
    assert all(unicodedata.category(char) != "Cc" for char in text if char not in "\t\n")


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        (b"\x1b[32mok\x1b[0m\n", "ok\n"),
        ("进度 1%\r进度 2%\r\n".encode(), "进度 1%\n进度 2%\n"),
        (b"\x1b]0;title\x07\x1b]8;;http://x\x1b\\link\x1b]8;;\x1b\\", "link"),
        (b"bad \xff byte", "bad \ufffd byte"),
        (b"\x1b[2K\x1b[1Gline", "line"),
    ],
)
def test_what_terminals_draw_with_goes(raw, text):
    assert readable(raw, final=True) == (text, len(raw))


@pytest.mark.parametrize("end", [b"\r", b"\x1b", b"\x1b[1;3", b"\x1b]0;ti", b"\xe4\xbd", "好".encode()[:1]])
def test_what_may_still_be_continued_waits(end):
    assert readable(b"done " + end, final=False) == ("done ", 5)


def test_an_endless_sequence_is_not_waited_for():
    data = b"\x1b]" + b"x" * PATIENCE
    assert readable(data, final=False)[1] == len(data)


@pytest.mark.parametrize("piece", [b"\x1b]", b"\x1bP", b"\x1b[1", b"\x1b", b"\r"])
def test_hostile_output_costs_in_proportion_to_its_size(piece):
    """Sixteen times as much costs about sixteen times as much; work that grew with the square would cost 256 times."""

    def effort(size):
        began = time.process_time()
        readable((piece * size)[:size], final=False)
        return time.process_time() - began

    assert min(effort(65536) for _turn in range(5)) < 64 * min(effort(4096) for _turn in range(5))


def test_a_tail_starts_with_a_whole_line():
    assert tail(b"half\nwhole\nmore") == b"whole\nmore"
    assert tail(b"one endless line") == b"one endless line"
    assert tail(b"only\n") == b"only\n"
