"""``manage.py evaluate``: apply programme files to a request, or to a file of worked cases. Needs no database."""

from __future__ import annotations

import io
import json
import sys
from argparse import ArgumentParser
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from django.core.management.base import BaseCommand, CommandError

from vouchers.programmes import cases, documents, rules, wording
from vouchers.programmes.parsing import MAX_BYTES, BadDocument
from vouchers.programmes.schemes import Programme

T = TypeVar("T")

BAD_INPUT = 2
"""Exit status for files or options that cannot be used; 1 says that cases failed."""
NOT_A_PROGRAMME = "cases.json"


class Command(BaseCommand):
    """Exit status: 0 decided, or all cases passed; 1 cases failed; 2 a file or the options cannot be used."""

    help = (
        "Decide a request under a programme and print the decision as JSON (--programme FILE --request FILE), "
        "or check worked cases (--programmes DIR --cases FILE). Needs no database."
    )
    requires_system_checks = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--programme", type=Path, metavar="FILE", help="the programme to apply")
        parser.add_argument("--request", type=Path, metavar="FILE", help="the request to decide")
        parser.add_argument("--programmes", type=Path, metavar="DIR", help="programmes: every *.json but cases.json")
        parser.add_argument("--cases", type=Path, metavar="FILE", help="worked cases to check")

    def handle(self, *_args: Any, **options: Any) -> None:
        _speak_utf8()
        programme, request = options["programme"], options["request"]
        directory, case_file = options["programmes"], options["cases"]
        if request and programme and not case_file:
            self.decide(programme, request, directory)
        elif case_file and (programme or directory) and not request:
            named = self.read(programme, documents.load) if programme else None
            self.run_cases(self.read_catalogue(named, directory), case_file)
        else:
            raise CommandError(
                "give --programme FILE --request FILE, or --programmes DIR --cases FILE", returncode=BAD_INPUT
            )

    def decide(self, programme_file: Path, request_file: Path, directory: Path | None) -> None:
        """Print the decision as JSON, with its explanation in both languages; unknown facts are noted on stderr."""
        programme = self.read(programme_file, documents.load)
        for problem in documents.unknown_facts(programme):
            self.complain(programme_file, problem)
        request = self.read(request_file, documents.load_request)
        catalogue = self.read_catalogue(programme, directory)
        decision = rules.evaluate(programme, request, catalogue=catalogue)
        explanation = {
            language: [told.text for told in wording.explain(decision, language, catalogue=catalogue)]
            for language in ("zh", "en")
        }
        answer = {**decision.as_json(), "explanation": explanation}
        self.stdout.write(json.dumps(answer, ensure_ascii=False, indent=2))

    def run_cases(self, catalogue: dict[str, Programme], case_file: Path) -> None:
        """Print one line per case and ``N passed, M failed``; exit 1 if any failed."""
        failed = passed = 0
        for result in cases.run(self.read(case_file, cases.load_cases, cases.MAX_CASE_BYTES), catalogue):
            for problem in result.case.problems:
                self.complain(case_file, problem)
            self.stdout.write(result.line())
            passed += result.is_passed
            failed += not result.is_passed
        self.stdout.write(f"{passed} passed, {failed} failed")
        if failed:
            sys.exit(1)

    def read_catalogue(self, named: Programme | None, directory: Path | None) -> dict[str, Programme]:
        """Read the programmes of the directory; `named` takes the place of one of the same code."""
        programmes: list[Programme] = []
        are_bad = False
        for file in _programme_files(directory):
            try:
                programmes.append(self.read(file, documents.load))
            except CommandError:
                are_bad = True
        if are_bad:
            raise _unusable()
        if named:
            programmes = [*(programme for programme in programmes if programme.code != named.code), named]
        try:
            return documents.catalogue(programmes)
        except BadDocument as error:
            for problem in error.problems:
                self.complain(directory or Path(), problem)
        raise _unusable()

    def read(self, file: Path, load: Callable[[bytes], T], max_bytes: int = MAX_BYTES) -> T:
        """Read `file` with `load`. Prints every problem to stderr and raises CommandError if it cannot be used."""
        try:
            with file.open("rb") as stream:
                return load(stream.read(max_bytes + 1))
        except BadDocument as error:
            for problem in error.problems:
                self.complain(file, problem)
        except OSError as error:
            self.stderr.write(f"{file}: {error.strerror or error}")
        raise _unusable()

    def complain(self, file: Path, problem: documents.Problem) -> None:
        """Write one problem to stderr: file, path, what is wrong, what is allowed; English, then Chinese."""
        self.stderr.write(f"{file}: {problem.say('en')} | {problem.message.zh}允许：{problem.allowed.zh}")


def _unusable() -> CommandError:
    return CommandError("some files cannot be used; see above", returncode=BAD_INPUT)


def _programme_files(directory: Path | None) -> list[Path]:
    if directory is None:
        return []
    if not directory.is_dir():
        raise CommandError(f"{directory}: not a directory", returncode=BAD_INPUT)
    files = sorted(file for file in directory.glob("*.json") if file.name != NOT_A_PROGRAMME)
    if not files:
        raise CommandError(f"{directory}: no programme file (*.json)", returncode=BAD_INPUT)
    return files


def _speak_utf8() -> None:
    """Write UTF-8 whatever the locale says: names are Chinese."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(encoding="utf-8", errors="backslashreplace")
