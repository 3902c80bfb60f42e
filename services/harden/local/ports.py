"""Free ports on this machine."""

import socket


def free_ports(count: int) -> list[int]:
    """So many different ones. All are held until the last is found, so that none is named twice."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]
    finally:
        for one in sockets:
            one.close()
