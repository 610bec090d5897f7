"""Index of the portal's tables, for Django only; nothing inside the app imports it."""

from portal.audit.models import Record
from portal.organisations.models import ApiToken, Member, Organisation, User
from portal.workdays.models import CalendarDay

__all__ = ["ApiToken", "CalendarDay", "Member", "Organisation", "Record", "User"]
