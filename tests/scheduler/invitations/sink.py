"""A mail server of the tests' own on loopback: what it took over is kept, byte for byte."""

from __future__ import annotations

import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage


@dataclass
class Sink:
    """What came in; `answers`: what the next recipients and messages are answered, first those listed, then 250."""

    port: int = 0
    raw: list[bytes] = field(default_factory=list)
    rcpt_answers: list[str] = field(default_factory=list)
    data_answers: list[str] = field(default_factory=list)

    @property
    def mails(self) -> list[EmailMessage]:
        return [message_from_bytes(each, policy=policy.default) for each in self.raw]


class _Handler(socketserver.StreamRequestHandler):
    def say(self, text: str) -> None:
        self.wfile.write(f"{text}\r\n".encode())

    def handle(self) -> None:
        sink: Sink = self.server.sink
        self.say("220 sink")
        while line := self.rfile.readline():
            verb = line[:4].upper()
            if verb == b"EHLO":
                self.say("250-sink\r\n250 8BITMIME")
            elif verb == b"RCPT":
                self.say(sink.rcpt_answers.pop(0) if sink.rcpt_answers else "250 ok")
            elif verb == b"DATA":
                self.say("354 go on")
                lines = []
                while (text := self.rfile.readline()) not in (b".\r\n", b""):
                    lines.append(text[1:] if text.startswith(b"..") else text)
                answer = sink.data_answers.pop(0) if sink.data_answers else "250 taken"
                if answer.startswith("250"):
                    sink.raw.append(b"".join(lines))
                self.say(answer)
            elif verb == b"QUIT":
                self.say("221 bye")
                return
            else:
                self.say("250 ok")


class _Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True


@contextmanager
def serving() -> Iterator[Sink]:
    """Serve on a free port of loopback."""
    with _Server(("127.0.0.1", 0), _Handler) as server:
        server.sink = Sink(port=server.server_address[1])
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        try:
            yield server.sink
        finally:
            server.shutdown()
            thread.join()


def use(settings, sink: Sink) -> None:
    """Let the portal hand its mail in there."""
    settings.CALENDAR_MAILS = True
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", sink.port
    settings.EMAIL_HOST_USER = settings.EMAIL_HOST_PASSWORD = ""
    settings.EMAIL_USE_TLS = False
    settings.EMAIL_TIMEOUT = 5
    settings.DEFAULT_FROM_EMAIL = "共享平台预约中心 <bookings@portal.example>"


def calendar_of(mail: EmailMessage) -> bytes:
    """Return the invitation as the mail's alternative part has it."""
    return next(p for p in mail.walk() if p.get_content_type() == "text/calendar").get_payload(decode=True)
