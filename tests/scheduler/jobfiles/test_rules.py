"""Names and numbers of files for jobs."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scheduler.jobfiles.rules import MAX_FILES, Thing, path_is_plain, refusals


@pytest.mark.parametrize("path", ["a", "数据 1.bin", "in/a/b.txt", ".hidden", "a..b"])
def test_a_plain_path(path):
    assert path_is_plain(path)


@pytest.mark.parametrize(
    "path",
    [
        "",
        "/etc/x",
        "../x",
        "a/../x",
        "a/./b",
        "a//b",
        "a/",
        "a\\b",
        "a\nb",
        "a\0b",
        "script",
        "tmp/x",
        "a" * 201,
        "a/" * 16 + "b",
    ],
)
def test_a_path_that_leads_elsewhere(path):
    assert not path_is_plain(path)


@given(st.text(max_size=40))
def test_what_is_plain_stays_inside(path):
    if path_is_plain(path):
        assert not path.startswith("/")
        assert ".." not in path.split("/")


def things(*paths, ready=True):
    return [Thing(f"F{at}", path, 1, ready) for at, path in enumerate(paths)]


def test_every_ground_at_once():
    found = refusals([*things("a", "a", "../b", "c/d", "c"), Thing("F9", "z", 1, is_ready=False)], takes_files=False)
    assert [reason.code for reason in found] == [
        "jobfile.unsupported",
        "jobfile.path_twice",
        "jobfile.path",
        "jobfile.path_twice",
        "jobfile.not_ready",
    ]
    assert [reason.code for reason in refusals(things(*map(str, range(MAX_FILES + 1))))] == ["jobfile.too_many"]
    assert refusals(things("a", "b/a", "b/c")) == []
