"""Words for all that is done around large facilities, as the audit trail shows it. Each capability adds its own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from django.utils.functional import Promise

from portal.kernel.errors import noop
from portal.pages.facility_actions import FACILITY_ACTIONS
from portal.pages.panel_actions import JUDGING
from portal.pages.proposal_actions import BEAM_SUBJECTS as PROPOSAL_SUBJECTS
from portal.pages.proposal_actions import PROPOSAL_ACTIONS

__all__ = ["BEAM_ACTIONS", "BEAM_SUBJECTS"]

_ = noop

BEAM_ACTIONS: Final[Mapping[str, Promise]] = {
    **FACILITY_ACTIONS,
    **JUDGING,
    **PROPOSAL_ACTIONS,
}
BEAM_SUBJECTS: Final[Mapping[str, tuple[str, str]]] = {
    **PROPOSAL_SUBJECTS,
    "panel": (_("机时评审组"), "panel"),
    "facility": (_("大科学装置"), "facility"),
    "beam_quote": (_("装置机时"), "beam_quote"),
}
"""What records are about: the word, and the page that shows it."""
