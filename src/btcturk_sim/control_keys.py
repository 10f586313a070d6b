"""Keys and assumptions, for the control interface: what the exchange's own people change behind its clients' backs."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from btcturk_sim.accounts import Account
from btcturk_sim.api import Api
from btcturk_sim.assumptions import QUESTIONS, Assumptions
from btcturk_sim.feed import Feed
from btcturk_sim.permissions import permissions

Action = Callable[[dict[str, str], bytes, int], object]


class _KeyForm(msgspec.Struct, forbid_unknown_fields=True):
    key: str
    permissions: tuple[str, ...] | None = None
    addresses: tuple[str, ...] | msgspec.UnsetType | None = msgspec.UNSET
    revoked: bool | None = None


class KeyControls:
    def __init__(self, api: Api, feed: Feed) -> None:
        self._accounts = api.engine.books.accounts
        self._assumptions = Assumptions(api.engine, api, feed)
        self.actions: dict[tuple[str, str], Action] = {
            ("GET", "/assumptions"): self._show,
            ("POST", "/assumptions"): self._assume,
            ("GET", "/keys"): self._keys,
            ("POST", "/keys"): self._change_key,
        }

    def _show(self, query: dict[str, str], body: bytes, now_ms: int) -> object:
        held = self._assumptions.answers()
        return {
            name: {"answer": held[name], "about": one.about}
            | ({"answers": list(one.answers)} if one.answers else {"least": one.least})
            for name, one in QUESTIONS.items()
        }

    def _assume(self, query: dict[str, str], body: bytes, now_ms: int) -> object:
        given = msgspec.json.decode(body, type=dict[str, str | int])
        self._assumptions.change({name: str(answer) for name, answer in given.items()})
        return self._show(query, body, now_ms)

    def _keys(self, query: dict[str, str], body: bytes, now_ms: int) -> object:
        return {key: _key_state(account) for key, account in self._accounts.items()}

    def _change_key(self, query: dict[str, str], body: bytes, now_ms: int) -> object:
        form = msgspec.json.decode(body, type=_KeyForm)
        account = self._accounts.get(form.key)
        if account is None:
            raise ValueError(f"no account {form.key!r}; there are {', '.join(self._accounts)}")
        if form.permissions is not None:
            account.permissions = permissions(form.permissions)
        if form.addresses is not msgspec.UNSET:
            account.addresses = None if form.addresses is None else frozenset(form.addresses)
        if form.revoked is not None:
            account.revoked = form.revoked
        return _key_state(account)


def _key_state(account: Account) -> dict[str, object]:
    return {
        "permissions": sorted(account.permissions),
        "addresses": None if account.addresses is None else sorted(account.addresses),
        "revoked": account.revoked,
    }
