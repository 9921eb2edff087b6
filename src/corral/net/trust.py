"""Which peers may speak for their clients: addresses and networks, as forwarded_allow_ips names them."""

from collections.abc import Callable, Iterable

from corral.errors import ConfigError

MOST_REMEMBERED = 1024


def truster(allowed: Iterable[str]) -> Callable[[str], bool]:
    """A function of an address. "*" trusts everybody; a network is ADDRESS/BITS."""
    names = frozenset(allowed)
    if "*" in names:
        return lambda _: True
    if not any("/" in name for name in names) and not any(":" in name and name != "::1" for name in names):
        return names.__contains__
    import ipaddress  # lazily: 1 MiB, for those who name networks

    try:
        networks = [ipaddress.ip_network(name) for name in names]
    except ValueError as error:
        raise ConfigError(f"forwarded_allow_ips: {error}") from None
    known: dict[str, bool] = {}

    def trusts(address: str) -> bool:
        if address not in known:
            if len(known) >= MOST_REMEMBERED:
                known.clear()
            known[address] = in_networks(address)
        return known[address]

    def in_networks(address: str) -> bool:
        try:
            peer = ipaddress.ip_address(address)
        except ValueError:
            return False
        peer = getattr(peer, "ipv4_mapped", None) or peer
        return any(peer in network for network in networks)

    return trusts
