"""Mails about one's account, as allauth writes them: their links begin with the portal's public address."""

from __future__ import annotations

from urllib.parse import urlsplit

from allauth.account.adapter import DefaultAccountAdapter

from portal import links

__all__ = ["AccountAdapter"]


class AccountAdapter(DefaultAccountAdapter):  # type: ignore[misc]  # allauth has no types
    """Asks for a password reset come from strangers: the Host header of such a request is not where the mail leads."""

    def get_reset_password_from_key_url(self, key: str) -> str:
        return links.absolute(self.request, urlsplit(super().get_reset_password_from_key_url(key)).path)
