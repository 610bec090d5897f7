"""A sandbox of a card and wallet gateway: a real HTTP server that stripe-python talks to, with faults to order.

It answers the calls our adapter makes, in the shapes of Stripe's API version `API_VERSION`, keeps what it holds in one SQLite
file, delivers signed webhooks and shows pages of its own on which a person pays or does not. Nothing here moves money, and
nothing is taken from Stripe's code. Binds loopback only. How to use it: ``docs/adapters.md``. No Django.
"""

API_VERSION = "2026-10-28.endive"
"""The version stripe-python 16.1 asks for; others are refused, so that an upgrade is noticed."""
