"""Static files keep their promises under hashed names."""

import re

from django.core.management import call_command

from portal.storage import ManifestStorage, own_scripts


def test_imports_of_our_own_modules_follow_the_hashes_and_nobody_elses_script_is_touched(settings, tmp_path):
    own, foreign = tmp_path / "own", tmp_path / "foreign"
    (own / "js").mkdir(parents=True)
    (foreign / "lib").mkdir(parents=True)
    (own / "js" / "page.js").write_text('import { grid } from "./grid.js";\ngrid();\n')
    (own / "js" / "grid.js").write_text("export function grid() {}\n")
    # A comment like this one, in a third-party file, stops Django's own rewriting.
    comment = '/* import { x } from "./missing.js"; */\n'
    (foreign / "lib" / "lib.js").write_text(comment)
    settings.STATICFILES_DIRS = [own]
    settings.STATIC_ROOT = tmp_path / "root"
    assert own_scripts() == ["js/grid.js", "js/page.js"]

    storage = ManifestStorage(location=settings.STATIC_ROOT)
    for source in (own, foreign):
        for path in source.rglob("*.js"):
            with path.open("rb") as stream:
                storage.save(path.relative_to(source).as_posix(), stream)
    paths = {name: (storage, name) for name in ("js/page.js", "js/grid.js", "lib/lib.js")}
    for _, _, processed in storage.post_process(paths):
        assert not isinstance(processed, Exception), processed

    page = (settings.STATIC_ROOT / storage.hashed_files["js/page.js"]).read_text()
    grid = storage.hashed_files["js/grid.js"].removeprefix("js/")
    assert re.fullmatch(r"grid\.[0-9a-f]{12}\.js", grid)
    assert f'from "./{grid}"' in page
    assert (settings.STATIC_ROOT / storage.hashed_files["lib/lib.js"]).read_text() == comment


def test_every_static_file_of_the_portal_can_be_collected(settings, tmp_path):
    settings.STATIC_ROOT = tmp_path / "static"
    settings.STORAGES = {**settings.STORAGES, "staticfiles": {"BACKEND": "portal.storage.ManifestStorage"}}
    call_command("collectstatic", interactive=False, verbosity=0)
    assert (settings.STATIC_ROOT / "staticfiles.json").exists()
    assert not list(settings.STATIC_ROOT.rglob("*.gz"))
