"""No client under judgement reaches anything but this machine.

The clients come with the real exchange's addresses in them, and one of them calls it in an error path whatever its
base address. An audit hook sees every connection and every name look-up of the process before it happens, cannot be
taken out again, and refuses whatever is not loopback.
"""

from __future__ import annotations

import ipaddress
import sys
from typing import Final

#: Audit events of the socket module and where their arguments name the other side: (self, address) or (host, …).
_WITH_ADDRESS: Final = frozenset({"socket.connect", "socket.sendto", "socket.sendmsg"})
_WITH_HOST: Final = frozenset({"socket.getaddrinfo", "socket.gethostbyname", "socket.gethostbyaddr"})

_refused: Final[list[str]] = []
_guarded: Final[list[bool]] = []


class OutsideAddress(ConnectionError):
    """Something wanted to leave this machine. For the client it is a connection that failed."""


def guard() -> None:
    """From now on this process talks to loopback only. There is no way back."""
    if not _guarded:
        _guarded.append(True)
        sys.addaudithook(_look)


def refused() -> list[str]:
    """The hosts that were wanted and refused since the last call, in order."""
    hosts = list(_refused)
    _refused.clear()
    return hosts


def is_loopback(host: str) -> bool:
    """`host` is a name or an address; the only name of this machine is localhost."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.partition("%")[0]).is_loopback
    except ValueError:
        return False


def _look(event: str, arguments: tuple[object, ...]) -> None:
    if event in _WITH_HOST:
        host = arguments[0]
    elif event in _WITH_ADDRESS:
        address = arguments[1]
        if not isinstance(address, tuple):
            return  # a Unix socket's path, or a socket that is connected already
        host = address[0]
    else:
        return
    name = host.decode("ascii", "replace") if isinstance(host, bytes | bytearray) else host
    if name is None or (isinstance(name, str) and is_loopback(name)):
        return
    _refused.append(str(name))
    raise OutsideAddress(f"the judges talk to this machine only; {name} is not on it")
