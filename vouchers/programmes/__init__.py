"""Programmes as data: a benefit scheme is a file, and one pure engine reads, explains and applies it.

* `documents` reads a programme or a request and names every problem by its JSON path
* `rules.evaluate` turns programme + request into a decision with all its reasons and a trace
* `wording` says a programme and a decision in plain Chinese or English
* `data/` holds 32 real schemes

Everything named here is pure: no Django, no clock, no I/O.
"""
