"""Fetching a calendar from a server that means well, and from those that do not."""

from __future__ import annotations

import gzip
import socket
import threading
import time
import zlib

import pytest

from integrations.ics import fetch as module
from integrations.ics.fetch import fetch
from integrations.ics.syntax import MAX_BYTES
from scheduler.calendars.ports import CalendarUnreachable, Fetched
from tests.integrations.ics.serving import said, serving

FILE = b"BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:x\r\nEND:VCALENDAR\r\n"


@pytest.fixture(autouse=True)
def loopback(settings):
    settings.CALENDAR_FETCH_LOOPBACK = True


@pytest.fixture
def server():
    with serving() as made:
        yield made


def refused(url: str, **known: str) -> str:
    with pytest.raises(CalendarUnreachable) as error:
        fetch(url, **known)
    assert str(error.value.params["detail"])
    return error.value.params["reason"]


def test_an_answer_comes_with_what_to_ask_by_next_time(server):
    dated = "Wed, 25 Nov 2026 02:00:00 GMT"
    server.answers["/lab.ics"] = said(FILE, ETag='W/"7"', Last_Modified=dated)
    assert fetch(server.url()) == Fetched(FILE, 'W/"7"', dated)
    assert "if-none-match" not in server.asked[0]
    assert server.asked[0]["host"] == f"127.0.0.1:{server.port}"


def test_what_is_known_is_not_sent_again(server):
    def answer(handler):
        known = handler.headers["If-None-Match"] == '"7"' and handler.headers["If-Modified-Since"] == "then"
        said(b"", 304 if known else 500)(handler)

    server.answers["/lab.ics"] = answer
    assert fetch(server.url(), etag='"7"', last_modified="then") == Fetched(None, '"7"', "then")


def test_not_modified_without_having_asked_so_is_no_answer(server):
    server.answers["/lab.ics"] = said(b"", 304)
    assert refused(server.url()) == "status"


@pytest.mark.parametrize("status", [204, 206, 401, 403, 404, 410, 429, 500, 503])
def test_any_other_status_is_no_answer(server, status):
    server.answers["/lab.ics"] = said(b"" if status == 204 else FILE, status, Retry_After="120")
    with pytest.raises(CalendarUnreachable) as error:
        fetch(server.url())
    assert (error.value.params["values"], error.value.params["retry_s"]) == ({"status": str(status)}, 120)


def test_gzip_is_unpacked(server):
    big = FILE.replace(b"PRODID:x", b"PRODID:" + b"x" * 300_000)
    server.answers["/lab.ics"] = said(gzip.compress(big), Content_Encoding="gzip")
    assert fetch(server.url()).body == big


class TestSize:
    def test_at_the_limit_is_read_and_beyond_it_is_not(self, server):
        server.answers["/most.ics"] = said(b"x" * MAX_BYTES)
        server.answers["/more.ics"] = said(b"x" * (MAX_BYTES + 1))
        assert len(fetch(server.url("/most.ics")).body) == MAX_BYTES
        assert refused(server.url("/more.ics")) == "too_large"

    def test_a_gzip_bomb_is_seen_before_it_has_gone_off(self, server, monkeypatch):
        packer = zlib.compressobj(9, wbits=31)
        bomb = b"".join(packer.compress(bytes(1 << 20)) for _ in range(200)) + packer.flush()
        assert len(bomb) < 300_000
        server.answers["/lab.ics"] = said(bomb, Content_Encoding="gzip")
        most = []
        unpacked = module._unpacked

        def counted(chunks):
            for piece in unpacked(chunks):
                most.append(len(piece))
                yield piece

        monkeypatch.setattr(module, "_unpacked", counted)
        assert refused(server.url()) == "too_large"
        assert max(most) <= 65536
        assert sum(most) <= MAX_BYTES + 65536

    def test_an_answer_that_never_ends_is_cut(self, server):
        def answer(handler):
            handler.send_response(200)
            handler.end_headers()
            while True:
                handler.wfile.write(b"x" * 65536)

        server.answers["/lab.ics"] = answer
        assert refused(server.url()) == "too_large"

    def test_header_fields_without_end_are_cut(self, server):
        def answer(handler):
            handler.send_response(200)
            for number in range(20_000):
                handler.send_header(f"X-{number}", "y" * 100)
            handler.end_headers()

        server.answers["/lab.ics"] = answer
        assert refused(server.url()) in {"connection", "too_large"}


class TestBrokenAnswers:
    def test_less_than_announced_is_no_answer(self, server):
        server.answers["/lab.ics"] = said(FILE[:20], length=len(FILE))
        assert refused(server.url()) == "connection"

    @pytest.mark.parametrize(
        ("body", "encoding"),
        [
            (gzip.compress(FILE)[:-9], "gzip"),
            (FILE, "gzip"),
            (gzip.compress(FILE) + b"more", "gzip"),
            (FILE, "br"),
            (gzip.compress(FILE), "gzip, gzip"),
        ],
        ids=["cut", "not packed", "something behind", "brotli", "twice"],
    )
    def test_what_cannot_be_unpacked_is_no_answer(self, server, body, encoding):
        server.answers["/lab.ics"] = said(body, Content_Encoding=encoding)
        assert refused(server.url()) == "encoding"

    def test_nobody_listening(self):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        assert refused(f"http://127.0.0.1:{port}/lab.ics") == "connection"

    def test_something_that_speaks_no_http(self):
        with socket.socket() as listening:
            listening.bind(("127.0.0.1", 0))
            listening.listen()

            def answer():
                peer, _from = listening.accept()
                with peer:
                    peer.recv(1000)
                    peer.sendall(b"220 mail.lab.cn ESMTP\r\n")

            threading.Thread(target=answer, daemon=True).start()
            assert refused(f"http://127.0.0.1:{listening.getsockname()[1]}/") == "connection"

    def test_a_certificate_nobody_vouches_for(self, server):
        assert refused(server.url().replace("http:", "https:")) == "connection"


class TestTime:
    @pytest.fixture(autouse=True)
    def hurry(self, monkeypatch):
        monkeypatch.setattr(module, "DEADLINE_S", 0.4)

    def dripping(self, handler, line: bytes):
        for _ in range(100):
            handler.wfile.write(line)
            time.sleep(0.02)

    def test_silence_ends_at_the_deadline(self, server):
        server.answers["/lab.ics"] = lambda _handler: time.sleep(2)
        began = time.monotonic()
        assert refused(server.url()) == "timeout"
        assert time.monotonic() - began < 1.5

    def test_a_body_in_drops_ends_at_the_deadline(self, server):
        def answer(handler):
            handler.send_response(200)
            handler.send_header("Content-Length", "100")
            handler.end_headers()
            self.dripping(handler, b"x")

        server.answers["/lab.ics"] = answer
        assert refused(server.url()) == "timeout"

    def test_header_fields_in_drops_end_at_the_deadline(self, server):
        def answer(handler):
            handler.wfile.write(b"HTTP/1.1 200 OK\r\n")
            self.dripping(handler, b"X: y\r\n")

        server.answers["/lab.ics"] = answer
        assert refused(server.url()) == "timeout"


class TestAddresses:
    @pytest.mark.parametrize(
        "url",
        [
            *("", "lab.ics", "//x.cn/lab.ics", "file:///etc/passwd", "ftp://x.cn/", "gopher://x.cn/", "javascript:1"),
            *("https://", "https:///x", "https://u:p@x.cn/lab.ics", "http://x.cn:22/", "http://x.cn:0/", "http://x:y/"),
            *("http://x.cn/" + "a" * 2000, "http://[::1", "http://x\n.cn/", "data:text/calendar,BEGIN"),
        ],
    )
    def test_that_are_none(self, url):
        assert refused(url) == "bad_address"

    @pytest.mark.parametrize(
        "host",
        [
            "127.0.0.1",
            "localhost",
            "127.1",
            "2130706433",
            "0x7f.1",
            "0177.0.0.1",
            "[::1]",
            "[::ffff:127.0.0.1]",
            "0.0.0.0",
        ],
    )
    def test_of_this_machine_are_refused_however_they_are_written(self, server, settings, host):
        settings.CALENDAR_FETCH_LOOPBACK = False
        assert refused(server.url(host=host)) in {"private_address", "unresolved", "bad_address"}
        assert server.asked == []

    @pytest.mark.parametrize(
        "host", ["10.0.0.1", "169.254.169.254", "192.168.0.1", "100.100.100.200", "[fd00:ec2::254]"]
    )
    def test_of_the_inside_are_refused_without_a_connection(self, host, monkeypatch):
        monkeypatch.setattr(module.httpcore, "SyncBackend", Unconnected)
        assert refused(f"http://{host}/latest/meta-data/") == "private_address"

    def test_one_inside_among_public_ones_is_enough_to_refuse(self, monkeypatch):
        monkeypatch.setattr(module.httpcore, "SyncBackend", Unconnected)
        monkeypatch.setattr(module.socket, "getaddrinfo", resolver("1.1.1.1", "10.0.0.1"))
        assert refused("http://lab.example.com/lab.ics") == "private_address"

    def test_a_name_that_changes_its_answer_is_asked_once(self, server, monkeypatch):
        asked = []
        real = socket.getaddrinfo

        def changing(host, *rest, **more):
            asked.append(host)
            return real("127.0.0.1" if asked.count(host) == 1 else "10.0.0.1", *rest, **more)

        monkeypatch.setattr(module.socket, "getaddrinfo", changing)
        server.answers["/lab.ics"] = said(FILE)
        assert fetch(server.url(host="lab.example.com")).body == FILE
        assert asked == ["lab.example.com", "127.0.0.1"], "the second is the address that was judged"
        assert server.asked[0]["host"] == f"lab.example.com:{server.port}"

    def test_a_name_nobody_has(self, monkeypatch):
        monkeypatch.setattr(module.socket, "getaddrinfo", resolver())
        with pytest.raises(CalendarUnreachable) as error:
            fetch("https://nowhere.invalid/lab.ics")
        assert error.value.params["values"] == {"host": "nowhere.invalid"}

    def test_webcal_is_https(self):
        assert str(module._address("webcal://lab.cn/x.ics?a=b")) == "https://lab.cn/x.ics?a=b"


class TestRedirects:
    @pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
    def test_are_followed(self, server, status):
        server.answers["/lab.ics"] = said(b"", status, Location="/there.ics?x=1")
        server.answers["/there.ics"] = said(FILE)
        assert fetch(server.url()).body == FILE

    def test_three_are_followed_and_four_are_not(self, server):
        for number in range(5):
            server.answers[f"/{number}"] = said(b"", 302, Location=f"/{number - 1}")
        server.answers["/0"] = said(FILE)
        assert fetch(server.url("/3")).body == FILE
        assert refused(server.url("/4")) == "redirects"

    @pytest.mark.parametrize(
        ("to", "why"),
        [
            ("http://10.0.0.1/", "private_address"),
            ("http://169.254.169.254/latest/meta-data/iam/", "private_address"),
            ("http://[fd00::1]/", "private_address"),
            ("//192.168.0.1/x", "private_address"),
            ("file:///etc/passwd", "bad_address"),
            ("ftp://x.cn/", "bad_address"),
            ("http://u:p@x.cn/", "bad_address"),
            ("http://x.cn:25/", "bad_address"),
        ],
    )
    def test_to_the_inside_or_to_something_else_are_refused(self, server, to, why):
        server.answers["/lab.ics"] = said(b"", 302, Location=to)
        assert refused(server.url()) == why
        assert len(server.asked) == 1

    def test_out_of_tls_are_refused(self):
        with pytest.raises(CalendarUnreachable) as error:
            module._onward(module._address("https://lab.cn/x"), "http://lab.cn/x")
        assert error.value.params["reason"] == "redirects"

    def test_without_an_address_are_no_answer(self, server):
        server.answers["/lab.ics"] = said(b"", 302)
        assert refused(server.url()) == "status"


@pytest.mark.parametrize("etag", ["x" * 201, "\u00e9", "a\tb"])
def test_an_etag_no_honest_server_sends_is_not_kept(server, etag):
    server.answers["/lab.ics"] = said(FILE, ETag=etag)
    assert fetch(server.url()).etag == ""


class Unconnected:
    def connect_tcp(self, *_args, **_more):
        raise AssertionError("connected")


def resolver(*addresses: str):
    def resolve(*_args, **_more):
        if not addresses:
            raise socket.gaierror
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, 80)) for address in addresses]

    return resolve
