"""The state directory: private, locked, never somebody else's."""

import shelve

import pytest

from portal.launch.console import LaunchError
from portal.launch.state import State


def test_the_secret_key_is_made_once_and_private(tmp_path):
    state = State(tmp_path / "state")
    state.create()
    key = state.secret_key()
    assert len(key) > 60
    assert state.secret_key() == key
    assert (state.path / "secret-key").stat().st_mode & 0o777 == 0o600


def test_a_directory_with_things_of_others_is_refused(tmp_path):
    (tmp_path / "thesis.tex").touch()
    with pytest.raises(LaunchError, match="STATE="):
        State(tmp_path).create()


def test_reset_deletes_what_is_ours_only(tmp_path):
    state = State(tmp_path / "state")
    state.create()
    state.lock()
    state.secret_key()
    with shelve.open(str(state.path / "beat-schedule"), flag="c") as schedule:
        schedule["entries"] = {}
    (state.path / "thesis.tex").touch()
    state.reset()
    assert [path.name for path in state.path.iterdir()] == ["thesis.tex"]


def test_the_environment_survives_any_value(tmp_path):
    state = State(tmp_path / "state")
    state.create()
    values = {"GONGXIANG_SITE_NAME_ZH": "共享 'quoted' $HOME \"平台\"", "DATABASE_URL": "postgresql://x@/y?host=/a b"}
    state.write_environment(values)
    assert state.read_environment() == values


def test_a_dead_holder_does_not_count_as_running(tmp_path):
    state = State(tmp_path / "state")
    state.create()
    (state.path / "launcher.lock").write_text('{"pid": 4194303, "address": "http://127.0.0.1:1/"}')
    assert state.running() == {}
