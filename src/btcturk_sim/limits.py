"""Rate limits: fixed windows that start with the first request, and a block for whoever exceeds them.

The table is the exchange's own page, less one row: it names /api/v1/trades, of which nothing else is known. An order
endpoint has two quotas (10 in 1 s and 300 in 60 s), each under both policies; the request counts in all buckets unless
one of them is blocked.

Apart from quotas, whoever sends more than 50 unauthorised requests in a row is blocked altogether (`Blocklist`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Final

import msgspec

from btcturk_sim.errors import ConfigurationError


class Policy(StrEnum):
    IP = "ip"
    ACCOUNT = "account"


@dataclass(frozen=True, slots=True)
class Quota:
    limit: int
    period_s: int
    block_s: int
    policies: tuple[Policy, ...] = (Policy.IP,)

    @property
    def period(self) -> str:
        return f"{self.period_s // 60}m" if self.period_s % 60 == 0 else f"{self.period_s}s"


_BOTH: Final = (Policy.IP, Policy.ACCOUNT)

TABLE: Final[Mapping[str, tuple[Quota, ...]]] = MappingProxyType(
    {
        "balances": (Quota(120, 60, 60),),
        "order.submit": (Quota(10, 1, 1, _BOTH), Quota(300, 60, 60, _BOTH)),
        "order.cancel": (Quota(10, 1, 1, _BOTH), Quota(300, 60, 60, _BOTH)),
        "order.get": (Quota(30, 1, 1, _BOTH), Quota(900, 60, 60, _BOTH)),
        "openOrders": (Quota(300, 60, 60),),
        "allOrders": (Quota(300, 60, 60),),
        "transactions.trade": (Quota(120, 60, 60),),
        "transactions.crypto": (Quota(90, 60, 60),),
        "transactions.fiat": (Quota(90, 60, 60),),
        "ticker": (Quota(600, 60, 60),),
        "orderbook": (Quota(180, 60, 60),),
        "graph.ohlcs": (Quota(120, 60, 60),),
        # Counts every request to the graph host, whatever its path.
        "graph": (Quota(600, 600, 600),),
        # Connections asked for, not subscriptions made on them.
        "ws": (Quota(15, 60, 60),),
    }
)


@dataclass(frozen=True, slots=True)
class LimitsMode:
    """`real`, `real-ip`, `scaled=N` or `off`."""

    enabled: bool = True
    factor: int = 1
    #: With several accounts the IP policy counts per API key, because all of them share the loopback address.
    by_ip: bool = False

    @classmethod
    def parse(cls, text: str) -> LimitsMode:
        if text == "off":
            return cls(enabled=False)
        if text == "real":
            return cls()
        if text == "real-ip":
            return cls(by_ip=True)
        name, _, number = text.partition("=")
        if name == "scaled" and number.isascii() and number.isdigit() and int(number) > 0:
            return cls(factor=int(number))
        raise ConfigurationError(f"--limits {text}: use real, real-ip, scaled=N (a whole number above 0) or off")


class _Bucket(msgspec.Struct):
    opened_ms: int
    count: int = 0
    blocked_until_ms: int = 0


@dataclass(frozen=True, slots=True)
class Exceeded:
    """Everything a 429 says."""

    retry_after_s: int
    limit: int
    period: str
    policy: Policy

    def payload(self) -> dict[str, object]:
        details = f"Quota exceeded. Maximum allowed: {self.limit} per {self.period}."
        if self.policy is Policy.ACCOUNT:
            details += " Please try again later."
        return {
            "message": "TOO_MANY_REQUESTS",
            "success": False,
            "code": 429,
            "details": details,
            "limit": str(self.limit),
            "period": self.period,
            "policy": self.policy.value,
        }


class RateLimiter:
    """Counts requests in buckets of (quota, policy, who).

    `together` counts an account's requests from one address in one bucket instead of once for each of the two, and
    `unlisted` gives what the table leaves out a quota: the page is silent on both.
    """

    def __init__(self, mode: LimitsMode, *, accounts: int) -> None:
        self.together = False
        self.unlisted: tuple[Quota, ...] = ()
        self._mode = mode
        self._by_key = accounts > 1 and not mode.by_ip
        self._buckets: dict[tuple[str, int, Policy, str], _Bucket] = {}

    def check(self, name: str, client_ip: str, key: str | None, now_ms: int) -> Exceeded | None:
        """Count the request, or say what it exceeds; a refused request counts nowhere."""
        if not self._mode.enabled:
            return None
        counted = []
        for quota in TABLE.get(name, self.unlisted):
            limit = quota.limit * self._mode.factor
            joint = self.together and len(quota.policies) > 1
            for policy in (Policy.ACCOUNT,) if joint else quota.policies:
                who = (key or client_ip) if policy is Policy.ACCOUNT or self._by_key else client_ip
                if joint:
                    who = f"{key} from {client_ip}"
                bucket = self._bucket((name, quota.period_s, policy, who), quota, now_ms)
                if bucket.blocked_until_ms > now_ms or bucket.count >= limit:
                    if bucket.blocked_until_ms <= now_ms:
                        bucket.blocked_until_ms = now_ms + quota.block_s * 1000
                    wait_s = -(-(bucket.blocked_until_ms - now_ms) // 1000)
                    return Exceeded(wait_s, limit, quota.period, policy)
                counted.append(bucket)
        for bucket in counted:
            bucket.count += 1
        return None

    def limit_unlisted(self, per_minute: int) -> None:
        """Give everything that the table leaves out this quota; 0: none."""
        self.unlisted = (Quota(per_minute, 60, 60),) if per_minute else ()

    def _bucket(self, name: tuple[str, int, Policy, str], quota: Quota, now_ms: int) -> _Bucket:
        bucket = self._buckets.get(name)
        if bucket is None:
            bucket = self._buckets[name] = _Bucket(now_ms)
        elif bucket.blocked_until_ms:
            if now_ms >= bucket.blocked_until_ms:
                bucket.opened_ms, bucket.count, bucket.blocked_until_ms = now_ms, 0, 0
        elif now_ms - bucket.opened_ms >= quota.period_s * 1000:
            bucket.opened_ms, bucket.count = now_ms, 0
        return bucket


class Blocklist:
    """Who may not ask anything for a while, after too many 401 in a row.

    The documentation says "more than 50" and nothing of how long or what is answered. `after` 0 switches the rule
    off; both numbers may be changed at any time. An authorised request ends a row; public ones neither end nor
    lengthen it.
    """

    def __init__(self, mode: LimitsMode, *, accounts: int, after: int, block_ms: int) -> None:
        self.after = after
        self.block_ms = block_ms
        self._by_key = accounts > 1 and not mode.by_ip
        #: Who sent unauthorised requests of late, and how many in a row.
        self.in_a_row: dict[str, int] = {}
        #: Who is or was blocked until when.
        self.until_ms: dict[str, int] = {}

    def who(self, client_ip: str, key: str | None) -> str:
        """Whom the rule counts: an address, or a key where several accounts share one address."""
        return (key or client_ip) if self._by_key else client_ip

    def holds(self, client_ip: str, key: str | None, now_ms: int) -> bool:
        who = self.who(client_ip, key)
        until_ms = self.until_ms.get(who)
        if until_ms is not None and until_ms <= now_ms:
            del self.until_ms[who]
            return False
        return until_ms is not None

    def admitted(self, client_ip: str, key: str | None) -> None:
        """An authorised request: the row ends."""
        self.in_a_row.pop(self.who(client_ip, key), None)

    def refused(self, client_ip: str, key: str | None, now_ms: int) -> None:
        """An unauthorised request: one more in a row."""
        who = self.who(client_ip, key)
        count = self.in_a_row[who] = self.in_a_row.get(who, 0) + 1
        if 0 < self.after < count:
            self.block(who, now_ms)

    def block(self, who: str, now_ms: int, block_ms: int | None = None) -> None:
        """Block an address (or key) now, for `block_ms` or as long as the rule says."""
        self.in_a_row.pop(who, None)
        self.until_ms[who] = now_ms + (self.block_ms if block_ms is None else block_ms)

    def lift(self) -> None:
        self.in_a_row.clear()
        self.until_ms.clear()

    def blocked(self, now_ms: int) -> dict[str, int]:
        """Who is blocked until when."""
        return {who: until_ms for who, until_ms in self.until_ms.items() if until_ms > now_ms}
