"""Papers and files of these tests lie in a folder of their own."""

import pytest


@pytest.fixture(autouse=True)
def _own_folders(settings, tmp_path):
    settings.STORAGES = {
        **settings.STORAGES,
        "certificates": {**settings.STORAGES["certificates"], "OPTIONS": {"location": tmp_path / "papers"}},
        "evidence": {**settings.STORAGES["evidence"], "OPTIONS": {"location": tmp_path / "evidence"}},
    }
