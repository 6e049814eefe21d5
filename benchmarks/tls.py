"""TLS for the replay server: a certificate of its own, and a socket that never waits."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

AUTHORITY = "authority.pem"

_RECORD_BYTES = 1 << 14  # what OpenSSL takes at a time


class Peer(Protocol):
    """As much of a socket as a connection needs."""

    def recv(self, most: int, /) -> bytes: ...
    def sendmsg(self, pieces: Sequence[bytes | memoryview], /) -> int: ...
    def fileno(self) -> int: ...
    def close(self) -> None: ...


class Secure:
    """A socket under TLS; what would block raises BlockingIOError, as without."""

    def __init__(self, peer: socket.socket, context: ssl.SSLContext) -> None:
        self._peer = context.wrap_socket(peer, server_side=True, do_handshake_on_connect=False)

    def recv(self, most: int, /) -> bytes:
        """Return all that has come: what OpenSSL holds back wakes nobody."""
        parts = []
        while True:
            try:
                parts.append(self._peer.recv(most))
            except ssl.SSLWantReadError:
                if not parts:
                    raise BlockingIOError from None
                break
            except ssl.SSLError:
                break  # hung up without a goodbye
            if not parts[-1]:
                break
        return b"".join(parts)

    def sendmsg(self, pieces: Sequence[bytes | memoryview], /) -> int:
        """Send as much as goes into a record; a second try begins with the same bytes."""
        try:
            return self._peer.send(_record(pieces))
        except (ssl.SSLWantWriteError, ssl.SSLWantReadError):
            raise BlockingIOError from None
        except ssl.SSLError as error:
            raise ConnectionError from error

    def fileno(self) -> int:
        """The descriptor, for a selector."""
        return self._peer.fileno()

    def close(self) -> None:
        """Hang up."""
        self._peer.close()


def _record(pieces: Sequence[bytes | memoryview]) -> bytes | memoryview:
    if len(pieces[0]) >= _RECORD_BYTES:
        return memoryview(pieces[0])[:_RECORD_BYTES]
    taken, size = [], 0
    for piece in pieces:
        taken.append(piece)
        size += len(piece)
        if size >= _RECORD_BYTES:
            break
    return memoryview(b"".join(taken))[:_RECORD_BYTES]


def certify(where: Path) -> ssl.SSLContext:
    """Make an authority and a certificate; only the authority's own certificate is left there."""
    import trustme

    authority = trustme.CA()
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    authority.cert_pem.write_to_path(str(where / AUTHORITY))
    return context
