"""Listing what a job left, whatever it left."""

from __future__ import annotations

import os

import pytest

from integrations import beneath
from integrations.slurm.agent import beneath as agents


def portals(root, home):
    return [entry.path for entry in beneath.listed(root / home)]


def agent(root, home):
    return [path for path, _size, _changed in agents.listing(str(root), (home,))["files"]]


@pytest.mark.parametrize("listing", [portals, agent])
class TestListing:
    def test_plain_files_by_name_and_nothing_else(self, listing, tmp_path):
        for path in ("home/a", "home/in/b", "home/in/deep/c", "elsewhere/secret"):
            (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / path).write_text("x")
        (tmp_path / "home/link").symlink_to(tmp_path / "elsewhere/secret")
        (tmp_path / "home/folder").symlink_to(tmp_path / "elsewhere")
        os.link(tmp_path / "elsewhere/secret", tmp_path / "home/second-name")
        os.mkfifo(tmp_path / "home/pipe")
        assert listing(tmp_path, "home") == ["a", "in/b", "in/deep/c"]

    def test_names_no_page_can_show_are_left_out(self, listing, tmp_path):
        (tmp_path / "home").mkdir()
        for name in (b"bad\xff", b"two\nlines", "好.txt".encode()):
            (tmp_path / "home" / os.fsdecode(name)).touch()
        assert listing(tmp_path, "home") == ["好.txt"]

    def test_any_number_of_links_keeps_nobody_busy(self, listing, tmp_path, monkeypatch):
        (tmp_path / "home/many").mkdir(parents=True)
        (tmp_path / "home/result").write_text("x")
        for number in range(500):
            (tmp_path / f"home/many/{number}").symlink_to("nowhere")
        for module in (beneath, agents):
            monkeypatch.setattr(module, "MAX_LOOKED", 50)
        looked, stat = [], os.stat
        monkeypatch.setattr(os, "stat", lambda *args, **named: looked.append(args) or stat(*args, **named))
        assert listing(tmp_path, "home") == ["result"]
        assert len(looked) <= 50
