"""Pictures and documents beside an instrument."""

from __future__ import annotations

import io
from datetime import date

import pytest
from PIL import Image

from portal.kernel.errors import Forbidden, NotFound, Refused
from scheduler.catalogue import access, files, pictures, rules
from tests import make
from vouchers.evidence import services as evidence

PLACE = "West Lake, Hangzhou"


def photograph(size=(2400, 1200), kind="JPEG", *, turned: bool = False) -> bytes:
    exif = Image.Exif()
    exif[0x010E] = PLACE
    if turned:
        exif[0x0112] = 6
    out = io.BytesIO()
    Image.new("RGB", size, "teal").save(out, kind, exif=exif)
    return out.getvalue()


class TestPictures:
    @pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
    def test_are_made_anew_small_and_without_metadata(self, kind):
        content = photograph(kind=kind)
        made = pictures.made_anew(content)
        shown = Image.open(io.BytesIO(made.content))
        assert (shown.format, shown.size, (made.width, made.height)) == ("JPEG", (1600, 800), (1600, 800))
        assert dict(shown.getexif()) == {}
        assert PLACE.encode() in content
        assert PLACE.encode() not in made.content

    def test_are_turned_upright_and_see_through_ones_stand_on_white(self):
        assert pictures.made_anew(photograph((800, 400), turned=True)).height == 800
        out = io.BytesIO()
        Image.new("RGBA", (300, 300), (0, 0, 0, 0)).save(out, "PNG")
        made = Image.open(io.BytesIO(pictures.made_anew(out.getvalue()).content))
        assert made.getpixel((5, 5)) == (255, 255, 255)

    @pytest.mark.parametrize(
        ("content", "code"),
        [
            (b"", "picture.unknown"),
            (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "picture.unknown"),
            (b"GIF89a" + b"\0" * 100, "picture.unknown"),
            (photograph()[:3000], "picture.broken"),
            (photograph((300, 199)), "picture.too_small"),
            (b"\xff" * (pictures.MAX_BYTES + 1), "picture.too_large"),
        ],
    )
    def test_refuse_what_cannot_be_shown(self, content, code):
        with pytest.raises(pictures.BadPicture) as refused:
            pictures.made_anew(content)
        assert [reason.code for reason in refused.value.reasons] == [code]

    def test_refuse_a_bomb_before_it_is_unpacked(self):
        out = io.BytesIO()
        Image.new("1", (7000, 7000)).save(out, "PNG")
        with pytest.raises(pictures.BadPicture) as refused:
            pictures.made_anew(out.getvalue())
        assert [reason.code for reason in refused.value.reasons] == ["picture.too_many_pixels"]


@pytest.mark.django_db
class TestKeeping:
    PDF = b"%PDF-1.7\n%%EOF"

    def add(self, w, resource, purpose="picture", words="正面", until=None, content=None, name="正面.png", actor=None):
        return files.add(
            actor=actor or w.keeper,
            resource=resource,
            about=rules.About(rules.FilePurpose(purpose), words, "Front", until),
            upload=evidence.Upload(name, content or photograph((400, 400), "PNG")),
            now=make.NOW,
        )

    def test_a_picture_is_kept_once_and_removed(self, w):
        resource = make.instrument(w)
        first = self.add(w, resource)
        again = self.add(w, resource, words="仪器正面")
        assert (first.pk, again.words) == (again.pk, "仪器正面")
        assert (again.kept.media_type, again.kept.name) == ("image/jpeg", "正面.jpg")
        assert max(Image.open(io.BytesIO(evidence.read(file=again.small))).size) == 320
        files.remove(actor=w.keeper, resource=resource, file_id=first.pk, now=make.NOW)
        assert not access.files_of(resource).exists()
        with pytest.raises(NotFound):
            files.remove(actor=w.keeper, resource=resource, file_id=first.pk, now=make.NOW)
        assert self.add(w, resource).pk != first.pk

    @pytest.mark.parametrize(
        ("said", "fields"),
        [
            ({"words": " "}, ["words"]),
            ({"words": "字" * 121, "until": date(2027, 1, 1)}, ["words", "valid_until"]),
            ({"purpose": "calibration"}, ["valid_until"]),
            ({"purpose": "calibration", "until": date(2026, 11, 24)}, ["valid_until"]),
        ],
    )
    def test_says_what_is_missing(self, w, said, fields):
        with pytest.raises(Refused) as refused:
            self.add(w, make.instrument(w), **said)
        assert [reason.field for reason in refused.value.reasons] == fields

    def test_documents_are_judged_by_content_and_counted(self, w):
        resource = make.instrument(w)
        until = date(2026, 11, 25)
        self.add(w, resource, "calibration", "校准证书", until, self.PDF, "c.pdf")
        with pytest.raises(Refused):
            self.add(w, resource, "sop", "规程", None, b"MZ\0\0", "sop.pdf")
        for number in range(5):
            self.add(w, resource, "sop", "规程", None, self.PDF.replace(b"\n", b"\n%%%d\n" % number), "s.pdf")
        with pytest.raises(Refused) as refused:
            self.add(w, resource, "sop", "规程", None, self.PDF, "s.pdf")
        assert [reason.code for reason in refused.value.reasons] == ["file.too_many"]
        with pytest.raises(Forbidden):
            self.add(w, resource, actor=w.researcher)

    def test_the_first_in_order_stands_for_the_instrument(self, w):
        resource, bare = make.instrument(w), make.instrument(w)
        one, two = (self.add(w, resource, content=photograph((side, side))) for side in (300, 301))
        assert access.covers([resource.pk, bare.pk]) == {resource.pk: one}
        order = {"actor": w.keeper, "resource": resource, "purpose": rules.FilePurpose.PICTURE, "now": make.NOW}
        files.arrange(file_ids=[two.pk, one.pk], **order)
        assert access.covers([resource.pk]) == {resource.pk: two}
        files.remove(actor=w.keeper, resource=resource, file_id=two.pk, now=make.NOW)
        assert access.covers([resource.pk]) == {resource.pk: one}
        for wrong in ([], [one.pk, one.pk], [one.pk, two.pk]):
            with pytest.raises(rules.BadOrder):
                files.arrange(file_ids=wrong, **order)
        assert list(access.files_of(resource)) == [one]

    def test_words_change_and_the_purpose_stays(self, w):
        resource = make.instrument(w)
        file = self.add(w, resource)
        said = {"actor": w.keeper, "resource": resource, "file_id": file.pk, "now": make.NOW}
        changed = files.describe(about=rules.About(rules.FilePurpose.SOP, "样品舱", "Chamber"), **said)
        assert (changed.words, changed.words_en, changed.purpose) == ("样品舱", "Chamber", "picture")
        with pytest.raises(Refused):
            files.describe(about=rules.About(rules.FilePurpose.PICTURE, " "), **said)
