"""Make a picture fit to show: judged by what it is, made anew without what else the file carries. No Django, no clock."""

from __future__ import annotations

import io
import warnings
from dataclasses import dataclass
from typing import Final

from PIL import Image, ImageOps, UnidentifiedImageError

from portal.kernel.errors import Reason, Refused, noop

__all__ = ["MAX_BYTES", "BadPicture", "Picture", "made_anew"]

_ = noop

MAX_BYTES: Final = 10 * 1024 * 1024
MAX_PIXELS: Final = 40_000_000
"""What may be unpacked: a phone's largest photograph, and no picture that fills the memory."""
SHORTEST: Final = 200
LONGEST: Final = 1600
"""Longest side shown, pixels."""
SMALL: Final = 320
"""Longest side in a list, pixels: twice what is drawn, for dense screens."""
FORMATS: Final = ("JPEG", "PNG", "WEBP")
QUALITY: Final = 85


class BadPicture(Refused):
    """The file is no picture that can be shown. `reasons` hold the ground and its remedy."""

    code = "picture.bad"
    message = _("图片不能使用，原因如下。")


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture made anew: JPEG bytes, its sides in pixels, and a small copy for lists."""

    content: bytes
    small: bytes
    width: int
    height: int


def _refuse(code: str, message: str, remedy: str) -> BadPicture:
    return BadPicture([Reason(code, message, remedy, field="file")])


def made_anew(content: bytes) -> Picture:
    """Return a picture turned upright, at most 1,600 pixels long, as JPEG with nothing but its pixels. Raises BadPicture.

    Metadata (place and time of the photograph, thumbnails, what else a file may carry) does not survive.
    """
    if len(content) > MAX_BYTES:
        raise _refuse("picture.too_large", _("图片超过上限 10 MB。"), _("请压缩后上传。"))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            found = Image.open(io.BytesIO(content), formats=FORMATS)
            if found.width * found.height > MAX_PIXELS:
                raise _refuse("picture.too_many_pixels", _("图片超过 4000 万像素。"), _("请缩小后上传。"))
            if min(found.size) < SHORTEST:
                raise _refuse("picture.too_small", _("图片太小：短边须至少 200 像素。"), _("请换一张更清晰的图片。"))
            upright = ImageOps.exif_transpose(found)
            plain = _on_white(upright)
    except BadPicture:
        raise
    except UnidentifiedImageError as error:
        raise _refuse(
            "picture.unknown", _("按内容判断，它不是 JPEG、PNG 或 WebP 图片。"), _("请转换后上传。")
        ) from error
    except Exception as error:
        # Whatever a broken or forged file makes the decoders say.
        raise _refuse("picture.broken", _("图片不完整或已损坏。"), _("请重新导出后上传。")) from error
    content = _jpeg(plain, LONGEST)
    width, height = plain.size
    return Picture(content, _jpeg(plain, SMALL), width, height)


def _jpeg(plain: Image.Image, longest: int) -> bytes:
    """Shrink a picture in place to at most `longest` pixels a side and return it as JPEG."""
    plain.thumbnail((longest, longest))
    out = io.BytesIO()
    plain.save(out, "JPEG", quality=QUALITY, optimize=True)
    return out.getvalue()


def _on_white(picture: Image.Image) -> Image.Image:
    """Return a picture without transparency, in plain colours, that shares no metadata with the first."""
    plain = Image.new("RGB", picture.size, "white")
    with_alpha = picture.convert("RGBA")
    plain.paste(with_alpha, mask=with_alpha.getchannel("A"))
    return plain
