"""In which language the portal answers: pages in that of their address, the API in that of its caller."""

from __future__ import annotations

from django.http import HttpRequest
from django.middleware.locale import LocaleMiddleware
from django.utils import translation

__all__ = ["LanguageMiddleware"]

API = "/api/"


class LanguageMiddleware(LocaleMiddleware):
    """Django's choice by the address, and by Accept-Language (RFC 9110 §12.5.4) where no address names a language.

    Django itself takes an address without ``/en/`` for a Chinese page, which the API's are not.
    """

    def process_request(self, request: HttpRequest) -> None:
        super().process_request(request)
        if request.path_info.startswith(API):
            translation.activate(translation.get_language_from_request(request))
            request.LANGUAGE_CODE = translation.get_language()
