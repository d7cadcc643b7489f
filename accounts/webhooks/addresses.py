"""Where a webhook may go. Pure: judged are the text of an address, and each IP address that its name leads to.

The text is read here once, strictly, and the request is made of the parts found here, so that no second parser can
read another host out of it. A name is judged twice: as text when it is entered, and by every address it resolves to
when a connection is made.
"""

import re
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address, ip_network

MOST_LENGTH = 2000
PORTS = (443, 8443)
USUAL_PORT = {"https": 443, "http": 80}
SHAPE = re.compile(
    r"(?P<scheme>[A-Za-z]+)://(?P<host>\[[^\]/?#]*\]|[A-Za-z0-9._-]+)(?::(?P<port>[0-9]{1,5}))?(?P<target>[/?][!-~]*)?"
)
NAME = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?<!-)(\.(?!-)[a-z0-9_-]{1,63}(?<!-))+")
NUMBERISH = re.compile(r"(0x[0-9a-f]*|[0-9]+)")
# Names that mean this machine or this network by convention, whatever they resolve to.
LOCAL_ENDINGS = ("localhost", "local", "localdomain", "internal", "intranet", "lan", "home", "corp", "arpa")
# Outside of what `is_global` refuses: an address of a cloud's own host, and IPv6 forms that carry an IPv4 address.
NEVER = tuple(
    ip_network(text)
    for text in (
        "168.63.129.16/32",
        "192.88.99.0/24",
        "::/96",
        "::ffff:0:0/96",
        "::ffff:0:0:0/96",
        "64:ff9b::/96",
        "64:ff9b:1::/48",
        "2001::/32",
        "2002::/16",
    )
)
PUBLIC_IPV6 = IPv6Network("2000::/3")
ISATAP = (0x00005EFE, 0x02005EFE)

Address = IPv4Address | IPv6Address


class Refused(Exception):
    """A webhook may not go there; the text says why, and names no address that its owner didn't write."""


@dataclass(frozen=True)
class Target:
    """An address in parts: what is looked up, connected to, and sent."""

    scheme: str
    host: str  # without brackets, in lower case
    port: int
    path: str  # with its query, "/" at least


def read(url: str, *, local: bool) -> Target:
    """The parts of an address. `local`: this installation may call itself and its neighbours (development).

    Raises Refused.
    """
    if len(url) > MOST_LENGTH:
        raise Refused(f"it is longer than {MOST_LENGTH:,} characters")
    if "@" in url.partition("://")[2].split("/")[0].split("?")[0]:
        raise Refused("it carries a user name; send secrets in the signature, not in the address")
    found = SHAPE.fullmatch(url)
    if found is None or re.search(r"[#\\]", url):
        raise Refused(
            "it is no plain address such as https://example.com/hooks, in ASCII, without a fragment"
        )
    scheme, host = found["scheme"].lower(), found["host"].lower().strip("[]")
    if scheme != "https" and not (local and scheme == "http"):
        raise Refused("it has to begin with https://")
    port = int(found["port"] or USUAL_PORT[scheme])
    if not 1 <= port <= 65535 or (port not in PORTS and not local):
        raise Refused(f"its port may be {' or '.join(map(str, PORTS))}")
    target = found["target"] or "/"
    _judge_host(host, bracketed=found["host"].startswith("["), local=local)
    return Target(scheme, host, port, target if target.startswith("/") else f"/{target}")


def _judge_host(host: str, *, bracketed: bool, local: bool) -> None:
    literal = _literal(host, bracketed=bracketed)
    if literal is not None:
        judge(literal, local=local)
    elif NUMBERISH.fullmatch(host.rpartition(".")[2]):
        raise Refused("its host is a number; write a name, or an IPv4 address with four plain numbers")
    elif not local and (host.rpartition(".")[2] in LOCAL_ENDINGS or not NAME.fullmatch(host)):
        raise Refused("its host is no public name")


def _literal(host: str, *, bracketed: bool) -> Address | None:
    """The IP address that a host is, None for a name. Zones, short, octal and hexadecimal forms are none here."""
    try:
        found = ip_address(host)
    except ValueError:
        found = None
    if bracketed and (not isinstance(found, IPv6Address) or found.scope_id is not None):
        raise Refused("what stands in brackets is no plain IPv6 address")
    return found


def judge(address: Address, *, local: bool) -> None:
    """Raises Refused for an address that is not out in the public Internet.

    With `local`, loopback and private networks pass; link-local ones, where clouds keep their metadata, never do.
    """
    if local and _is_neighbour(address):
        return
    if not address.is_global or address.is_multicast or address.is_reserved or _carries(address):
        raise Refused("it leads to an address that is not public")


def _is_neighbour(address: Address) -> bool:
    if address.is_link_local or address.is_unspecified:
        return False
    return address.is_loopback or (address.is_private and not _carries(address))


def _carries(address: Address) -> bool:
    """Whether an address is on the list, or a form of IPv6 that may carry a private IPv4 address."""
    if any(address in network for network in NEVER if network.version == address.version):
        return True
    if isinstance(address, IPv4Address):
        return False
    return (
        address not in PUBLIC_IPV6
        or (int(address) >> 32) & 0xFFFFFFFF in ISATAP
        or address.scope_id is not None
    )
