"""Hold an organisation to its limits inside Slurm: its account, its users, and what they may use.

Written from what 22.05.8 (v0.0.38) does, seen on a running one; 24.11.5 (v0.0.40 to v0.0.42) takes the same with counts in
their wrapping, and none of the care:

* The row of an account is the association with ``user: ""``. GrpTRESRunMins is ``max/tres/group/active``, GrpTRES
  ``max/tres/total``, GrpSubmitJobs ``max/jobs/per/submitted``; a count of −1 removes one.
* A list that is set and left out of the body makes slurmrestd read a null pointer and die: every one is repeated.
* slurmrestd adds ``parent_account: root`` to every change, and slurmdbd then changes *nothing*, without an error, when the
  account already is the first child of root, which the last changed one always is. So another account of ours, kept for
  that alone, is moved there first. Nothing is believed before it was read back.
* An association made without a QOS can submit nothing (2066).

Only accounts with our prefix are touched, and nothing is ever deleted: that would cancel the account's jobs.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any, Final

from integrations.slurm.link import Link
from integrations.slurm.reading import optional
from integrations.slurm.tokens import NoToken
from integrations.slurm.wire import Answer, Kind, Lost, NotReached
from portal.kernel.errors import Rejected, Unavailable
from scheduler.jobs.capabilities import AccountLimits

__all__ = ["PREFIX", "TURN", "Limits"]

PREFIX: Final = "e-"
"""What the names of our accounts begin with; a hyphen keeps 22.05 from reading a name as a number or a truth value."""
TURN: Final = "e-portal-turn"
"""The account that is moved to the front so that another can be changed. It may submit nothing."""
ROOT: Final = "root"
QOS: Final = "normal"
NO_BOUND: Final = -1

_LISTS = (
    ("tres", "total"),
    ("tres", "minutes", "total"),
    ("tres", "minutes", "per", "job"),
    ("tres", "group", "minutes"),
    ("tres", "group", "active"),
    ("tres", "per", "job"),
    ("tres", "per", "node"),
)
"""Every list of trackable resources an association has."""
_ABOUT: Final = {"description": "gongxiang", "organization": "gongxiang"}
_CARD, _CPU = ("gres", "gpu"), ("cpu", "")


class Limits:
    """The limits of our accounts on one cluster, read and set with the token of `operator`, a Slurm Operator."""

    def __init__(self, link: Link, *, operator: str, cluster: str = "") -> None:
        self.link, self.operator, self._cluster = link, operator, cluster

    def read(self, accounts: Sequence[str]) -> list[AccountLimits]:
        """Return the limits of those of `accounts` that exist, in the order asked for. Raises Unavailable, Rejected."""
        rows = self._rows()
        return [_limits(account, rows) for account in _ours(accounts) if (account, "") in rows]

    def apply(self, wanted: Sequence[AccountLimits]) -> list[AccountLimits]:
        """Make accounts and users that are missing, set the limits, return what is there then.

        Raises Unavailable, Rejected. What was read back may differ from `wanted`: then it was not taken over.
        """
        _ours([each.account for each in wanted])
        rows = self._rows()
        self._make([each for each in wanted if (each.account, "") not in rows])
        rows = self._rows()
        self._enrol(wanted, rows)
        for again in (False, True):
            differing = [each for each in wanted if not _same(each, _limits(each.account, rows))]
            if not differing:
                break
            for each in differing:
                if again:
                    self._turn(rows)
                self._send("associations", {"associations": [self._change(each, rows[each.account, ""])]})
            rows = self._rows()
        return [_limits(each.account, rows) for each in wanted if (each.account, "") in rows]

    # --- making what is missing

    def _make(self, wanted: Sequence[AccountLimits]) -> None:
        if not wanted:
            return
        names = [each.account for each in wanted]
        if self.link.codec().makes_whole:
            self._send("accounts_association", {**self._whole(names, parent=ROOT), "account": _ABOUT})
            return
        self._send("accounts", {"accounts": [_account(name) for name in names]})
        self._send("associations", {"associations": [self._association(name) for name in names]})

    def _enrol(self, wanted: Sequence[AccountLimits], rows: Mapping[tuple[str, str], Any]) -> None:
        """Let each wanted user submit under its account. Users that are there already stay as they are."""
        missing = [(each.account, user) for each in wanted for user in each.users if (each.account, user) not in rows]
        if not missing:
            return
        known = {row.get("name") for row in self._get("users").body.get("users") or []}
        new = {user: account for account, user in missing if user not in known}
        if self.link.codec().makes_whole:
            for account, user in missing:
                first = {"defaultaccount": account} if new.get(user) == account else {}
                self._send("users_association", {**self._whole([account], users=[user]), "user": first})
            return
        if new:
            users = [{"name": user, "default": {"account": account}} for user, account in new.items()]
            self._send("users", {"users": users})
        self._send("associations", {"associations": [self._association(*pair) for pair in missing]})

    def _whole(self, accounts: Sequence[str], *, parent: str = "", users: Sequence[str] = ()) -> dict[str, Any]:
        """Return what accounts, or users under them, are made of at once, with all that Slurm's own command adds.

        Made as a bare association, as 22.05 needs it, an account looks right in 24.11 and no job may use it (2045).
        """
        association = {"qoslevel": [QOS], "defaultqos": QOS, **({"parent": parent} if parent else {})}
        condition = {"accounts": list(accounts), "clusters": [self.cluster], "association": association}
        return {"association_condition": {**condition, **({"users": list(users)} if users else {})}}

    def _association(self, account: str, user: str = "") -> dict[str, Any]:
        parent = {} if user else {"parent_account": ROOT}
        named = {"account": account, "cluster": self.cluster, "user": user, "partition": ""}
        return {**named, **parent, "qos": [QOS], "default": {"qos": QOS}}

    def _turn(self, rows: Mapping[tuple[str, str], Any]) -> None:
        """Put the account kept for that in front of all others, so that the next change of one is taken."""
        if (TURN, "") not in rows:
            self._send("accounts", {"accounts": [_account(TURN)]})
        front = {**self._association(TURN), "max": {"jobs": {"per": {"submitted": 0}}}}
        self._send("associations", {"associations": [front]})

    def _change(self, wanted: AccountLimits, row: Mapping[str, Any]) -> dict[str, Any]:
        """Return the body that sets our limits and repeats every other the account has."""
        most = copy.deepcopy(dict(row.get("max") or {}))
        for path in _LISTS:
            _list_at(most, path)
        _put(_list_at(most, ("tres", "group", "active")), _CARD, wanted.running_card_minutes)
        _put(_list_at(most, ("tres", "group", "active")), _CPU, wanted.running_cpu_minutes)
        _put(_list_at(most, ("tres", "total")), _CARD, wanted.cards)
        _put(_list_at(most, ("tres", "total")), _CPU, wanted.cpus)
        per = most.setdefault("jobs", {}).setdefault("per", {})
        per["submitted"] = self.link.codec().bound(wanted.submitted)
        qos = list(row.get("qos") or [QOS])
        named = {
            "account": wanted.account,
            "cluster": self.cluster,
            "user": "",
            "partition": "",
            "parent_account": ROOT,
        }
        return {**named, "qos": qos, "default": {"qos": (row.get("default") or {}).get("qos") or qos[0]}, "max": most}

    # --- talking

    @property
    def cluster(self) -> str:
        """The cluster's name in accounting: as configured, else the only one there is. Raises Rejected, Unavailable."""
        if not self._cluster:
            names = [row.get("name") for row in self._get("clusters").body.get("clusters") or []]
            if len(names) != 1:
                raise Rejected(reason=f"name the `cluster`, accounting has {names}")
            self._cluster = str(names[0])
        return self._cluster

    def _rows(self) -> dict[tuple[str, str], Any]:
        """Return our associations on this cluster by account and user ("" = the account's own row)."""
        found = self._get("associations").body.get("associations") or []
        return {
            (str(row["account"]), str(row.get("user") or "")): row
            for row in found
            if str(row.get("account", "")).startswith(PREFIX)
            and row.get("cluster") == self.cluster
            and not row.get("partition")
        }

    def _get(self, what: str) -> Answer:
        try:
            answer = self.link.wire.get(self.link.path(f"/{what}", db=True), user=self.operator)
        except (NotReached, NoToken, Lost) as error:
            raise Unavailable(detail=str(error)) from error
        if answer.kind is Kind.NO_ENDPOINT:
            self.link.forget()
        if answer.kind is not Kind.FINE:
            raise Unavailable(detail=f"{what}: {answer.words}")
        return answer

    def _send(self, what: str, body: Mapping[str, Any]) -> None:
        try:
            answer = self.link.wire.send("POST", self.link.path(f"/{what}", db=True), user=self.operator, body=body)
        except (NotReached, NoToken, Lost) as error:
            raise Unavailable(detail=f"{what}: {error}") from error
        if answer.kind is Kind.REFUSED:
            raise Rejected(reason=f"{what}: {answer.words}")
        if answer.kind is not Kind.FINE:
            raise Unavailable(detail=f"{what}: {answer.words}")


def _ours(accounts: Sequence[str]) -> list[str]:
    """Return the accounts. Raises Rejected for one that is not ours to touch."""
    foreign = [account for account in accounts if not account.startswith(PREFIX) or account == TURN]
    if foreign:
        raise Rejected(reason=f"not an account of the portal: {', '.join(foreign)}")
    return list(dict.fromkeys(accounts))


def _account(name: str) -> dict[str, str]:
    return {"name": name, **_ABOUT}


def _list_at(most: dict[str, Any], path: Sequence[str]) -> list[dict[str, Any]]:
    """Return the list of resources at `path`, made where it is missing."""
    for name in path[:-1]:
        most = most.setdefault(name, {})
    if most.get(path[-1]) is None:
        most[path[-1]] = []
    found: list[dict[str, Any]] = most[path[-1]]
    return found


def _is(entry: Mapping[str, Any], what: tuple[str, str]) -> bool:
    return (str(entry.get("type")), str(entry.get("name") or "")) == what


def _put(entries: list[dict[str, Any]], what: tuple[str, str], count: int | None) -> None:
    kept = [entry for entry in entries if not _is(entry, what)]
    was_there = len(kept) != len(entries)
    if count is not None or was_there:
        kept.append({"type": what[0], "name": what[1] or None, "count": NO_BOUND if count is None else count})
    entries[:] = kept


def _count(entries: Sequence[Mapping[str, Any]], what: tuple[str, str]) -> int | None:
    counts = [int(entry["count"]) for entry in entries if _is(entry, what) and entry.get("count") is not None]
    return counts[0] if counts and counts[0] >= 0 else None


def _limits(account: str, rows: Mapping[tuple[str, str], Any]) -> AccountLimits:
    """Return what the cluster holds an account to; the users are those enrolled under it."""
    most = copy.deepcopy(dict((rows.get((account, "")) or {}).get("max") or {}))
    running, total = _list_at(most, ("tres", "group", "active")), _list_at(most, ("tres", "total"))
    submitted = ((most.get("jobs") or {}).get("per") or {}).get("submitted")
    return AccountLimits(
        account=account,
        users=tuple(sorted(user for name, user in rows if name == account and user)),
        running_card_minutes=_count(running, _CARD),
        running_cpu_minutes=_count(running, _CPU),
        cards=_count(total, _CARD),
        cpus=_count(total, _CPU),
        submitted=optional(submitted),
    )


def _same(wanted: AccountLimits, found: AccountLimits) -> bool:
    """Say whether the bounds agree; users beyond the wanted ones do no harm."""
    return all(
        getattr(wanted, name) == getattr(found, name)
        for name in ("running_card_minutes", "running_cpu_minutes", "cards", "cpus", "submitted")
    )
