"""How a programme's money stands: what was put in, reserved, issued and is left."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from django.db.models import Sum
from django.utils.translation import gettext

from portal.kernel.money import Money
from portal.pages.templatetags.show import budget
from vouchers.programmes import queries
from vouchers.programmes.models import ProgrammeVersion

__all__ = ["Meter", "meters", "named"]


@dataclass(frozen=True, slots=True)
class Meter:
    """One programme's pool of one fiscal year, in fen: `total` = `issued` + `reserved` + `left`."""

    fiscal_year: int
    total_fen: int
    reserved_fen: int
    left_fen: int

    @property
    def issued_fen(self) -> int:
        return self.total_fen - self.reserved_fen - self.left_fen

    def bars(self) -> dict[str, Any]:
        """Return what ``parts/budget.html`` draws, in the words of a pool."""
        words = {"used": gettext("已发券"), "held": gettext("审核中预留"), "free": gettext("剩余")}
        return named(budget(used=self.issued_fen, held=self.reserved_fen, free=self.left_fen), words)


def named(drawn: dict[str, Any], words: Mapping[str, str]) -> dict[str, Any]:
    """Return a drawn budget bar in other words than those of a voucher; the sentence follows."""
    bars = [{**bar, "label": words[bar["code"]]} for bar in drawn["bars"]]
    sentence = gettext("，").join(f"{bar['label']} {Money(bar['fen'])}" for bar in bars)
    return {"bars": bars, "sentence": sentence or drawn["sentence"]}


def meters(versions: Iterable[ProgrammeVersion]) -> dict[int, Meter]:
    """Return the meter of each version's own fiscal year by version id; none for one never published. Three queries."""
    versions = list(versions)
    programme_ids = {version.programme_id for version in versions}
    pools = queries.pools(programme_ids)
    put_in = {
        (row["programme_id"], row["fiscal_year"]): row["total"]
        for row in ProgrammeVersion.objects.filter(programme_id__in=programme_ids, published_at__isnull=False)
        .values("programme_id", "fiscal_year")
        .annotate(total=Sum("budget_fen"))
        .order_by()
    }
    found: dict[int, Meter] = {}
    for version in versions:
        for pool in pools.get(version.programme_id, []):
            if pool.fiscal_year == version.fiscal_year:
                total = put_in[version.programme_id, version.fiscal_year]
                found[version.pk] = Meter(pool.fiscal_year, total, pool.reserved_fen, pool.available_fen)
    return found
