"""How peers find and trust each other: a listener a worker, a mesh of links a run.

    client   --- Dask --->  every worker: open a listener          (once a world)
    client   --- Dask --->  peer i: addresses, rank, the run's secret
    peer i   --- hello ---> every peer j < i     HMAC(secret, i -> j, nonce)
    peer j   --- reply ---> peer i               HMAC(secret, j -> i, nonce)

The secret is fresh for each run and travels on the Dask cluster's own
connections; links use TLS where those do. A stranger without the secret is
closed after 66 bytes, whatever he sends.
"""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import platform
import secrets
import select
import socket
import ssl
import struct
import sys
import time
from pathlib import Path
from typing import NamedTuple

from labkit.cluster import memory
from labkit.cluster.checked import CheckedLink
from labkit.cluster.link import READS, Link, TlsLink
from labkit.elastic import Commits
from labkit.errors import ClusterError

HELLO = struct.Struct("<HII24s32s")     # magic, from, to, nonce, HMAC-SHA256
MAGIC = 0x1ab5
BACKLOG = 512
MAX_STRANGERS = 256      # who may be about to say hello; `select` knows no more than 1,024 files

_hubs = {}


class Address(NamedTuple):
    """Where a worker's peers listen, and what others on its host need to come closer."""

    host: str
    port: int
    local: str
    """Name of a Unix socket in Linux's abstract namespace, which no file outlives; or ""."""
    machine: str
    """The same for processes that run under one kernel."""
    card: tuple
    """See `labkit.cluster.memory.card`."""


class Hub:
    """One world's listeners in a worker process."""

    def __init__(self, host, security):
        self.tls = security
        self.listeners = [socket.create_server((host, 0), backlog=BACKLOG, family=_family(host))]
        local = ""
        if sys.platform.startswith("linux") and security is None:
            local = f"\0labkit-{secrets.token_hex(16)}"
            self.listeners.append(socket.socket(socket.AF_UNIX))
            self.listeners[-1].bind(local)
            self.listeners[-1].listen(BACKLOG)
        for listener in self.listeners:
            listener.setblocking(False)
        host, port = self.listeners[0].getsockname()[:2]
        self.address = Address(host, port, local, _machine(), memory.card())
        self.peer = None                 # the peer that runs here now
        self.messages = self.nbytes = 0  # of those that have run here, once they have ended
        self.step, self.runs = -1, 0
        self._job, self._commits = "", None

    def commits_of(self, job):
        """Return what the peer of this worker has committed in a job; only the last job's."""
        if self._job != job:
            self._job, self._commits = job, Commits()
        return self._commits

    def count(self, peer):
        """Add up what a peer has sent that has ended here."""
        self.messages += peer.messages
        self.nbytes += peer.nbytes
        self.step = peer._step
        self.runs += 1

    def close(self):
        for listener in self.listeners:
            listener.close()
        if self.peer is not None:
            self.peer.interrupt()


def open_hub(world_id, dask_worker):
    """Open this worker's listeners, and return where they are."""
    host = dask_worker.address.rpartition("://")[2].rpartition(":")[0].strip("[]")
    tls = dask_worker.security if dask_worker.address.startswith("tls://") else None
    if world_id not in _hubs:
        _hubs[world_id] = Hub(host, tls)
    return _hubs[world_id].address


def close_hub(world_id):
    """Close this worker's listener, and the links of a peer that still runs."""
    hub = _hubs.pop(world_id, None)
    if hub is not None:
        hub.close()


def interrupt_peer(world_id):
    """Make a peer that waits in this worker stop waiting."""
    hub = _hubs.get(world_id)
    if hub is not None and hub.peer is not None:
        hub.peer.interrupt()


def ask_to_regroup(world_id):
    """Have the peer in this worker end its generation at its next commit."""
    hub = _hubs.get(world_id)
    if hub is not None and hub.peer is not None:
        hub.peer._regroup = True


def hub_of(world_id):
    """Return the world's hub in this worker process."""
    return _hubs[world_id]


def connect_all(hub, rank, addresses, secret, receiver, deadline, options):
    """Connect to every other peer of the run, by a Unix socket if it is on this host.

    Parameters
    ----------
    hub : Hub
    rank : int
    addresses : list of Address
        Every peer's, by rank.
    secret : bytes
        The run's.
    receiver : object
        What `Link` hands its messages to.
    deadline : float
        On `time.monotonic`'s clock.
    options : Options
        `transport` "tcp" treats peers of this host like those of others; `checksums` checks
        what is sent, except by TLS, which does that itself.

    Returns
    -------
    dict of int to Link

    Raises
    ------
    ClusterError
        If a peer cannot be reached, or has not connected, in time.
    """
    socks = {}
    try:
        # First all hellos, then all answers: nobody waits for a peer that waits in turn.
        nonces = {}
        for other in range(rank):
            sock = _connect(hub, rank, other, addresses[other], deadline, options.transport)
            socks[other] = sock
            nonces[other] = _say_hello(sock, rank, other, secret)
        socks |= _accept(hub, rank, set(range(rank + 1, len(addresses))), secret, deadline)
        for other, nonce in nonces.items():
            _check_reply(socks[other], rank, other, nonce, secret, deadline)
    except BaseException:
        for sock in socks.values():
            sock.close()
        raise
    kind = CheckedLink if options.checksums else Link
    return {other: _link(kind, sock, other, receiver, addresses[other].card)
            for other, sock in sorted(socks.items())}


def _link(kind, sock, other, receiver, card):
    if isinstance(sock, ssl.SSLSocket):
        return TlsLink(sock, other, receiver)
    if sock.family != getattr(socket, "AF_UNIX", None) or not memory.readable(*card):
        return kind(sock, other, receiver)
    link = kind(sock, other, receiver, pid=card[0])
    link.signal(READS)
    return link


def _connect(hub, rank, other, address, deadline, transport):
    left = max(0.1, deadline - time.monotonic())
    if transport == "auto" and address.local and address.machine == hub.address.machine:
        sock = socket.socket(socket.AF_UNIX)
        with contextlib.suppress(OSError):       # another network namespace, perhaps
            sock.settimeout(left)
            sock.connect(address.local)
            return sock
        sock.close()
    try:
        sock = socket.create_connection((address.host, address.port), timeout=left)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if hub.tls:
            args = hub.tls.get_connection_args("worker")
            sock = args["ssl_context"].wrap_socket(sock)
    except OSError as error:
        raise _unreachable(rank, other, error) from error
    return sock


def _say_hello(sock, rank, other, secret):
    nonce = secrets.token_bytes(24)
    try:
        sock.sendall(_hello(secret, rank, other, nonce))
    except OSError as error:
        raise _unreachable(rank, other, error) from error
    return nonce


def _accept(hub, rank, awaited, secret, deadline):
    """Accept the connections of `awaited` peers; close those of anyone else."""
    accepted, strangers = {}, {}
    try:
        while awaited:
            left = deadline - time.monotonic()
            if left <= 0:
                raise ClusterError(
                    "Not all peers have connected.", where=f"peer {rank}",
                    expected=f"a connection from peers {sorted(awaited)}",
                    remedy="see whether their workers are busy or gone: world.client.processing()")
            ready, _, _ = select.select([*hub.listeners, *strangers], [], [], min(left, 0.1))
            for sock in ready:
                if sock in hub.listeners:
                    with contextlib.suppress(OSError):
                        strangers[_admit(hub, sock)] = b""
                        _forget_oldest(strangers)
                    continue
                if (hello := strangers.pop(sock, None)) is None:
                    continue                     # forgotten a moment ago
                try:
                    hello += sock.recv(HELLO.size - len(hello)) or b"\0" * HELLO.size
                except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
                    strangers[sock] = hello      # TLS is still shaking hands
                    continue
                except OSError:
                    sock.close()
                    continue
                if len(hello) < HELLO.size:
                    strangers[sock] = hello
                elif (other := _check_hello(hello, rank, awaited, secret)) is None:
                    sock.close()
                else:
                    accepted[other] = sock
                    awaited.discard(other)
                    _answer(sock, hello, rank, other, secret, deadline)
    except BaseException:
        for sock in accepted.values():
            sock.close()
        raise
    finally:
        for sock in strangers:
            sock.close()
    return accepted


def _forget_oldest(strangers):
    """Close who has been silent for longest, if there are too many."""
    if len(strangers) > MAX_STRANGERS:
        oldest = next(iter(strangers))
        del strangers[oldest]
        oldest.close()


def _answer(sock, hello, rank, other, secret, deadline):
    """Say hello to a peer whose own was right, with the nonce that it chose."""
    nonce = HELLO.unpack(hello[:HELLO.size])[3]
    sock.settimeout(max(0.1, deadline - time.monotonic()))
    try:
        sock.sendall(_hello(secret, rank, other, nonce))
    except OSError as error:
        raise _unreachable(rank, other, error) from error


def _admit(hub, listener):
    sock, _ = listener.accept()
    if listener is hub.listeners[0]:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setblocking(False)          # or a silent stranger would keep the others waiting
    if hub.tls:
        context = hub.tls.get_listen_args("worker")["ssl_context"]
        sock = context.wrap_socket(sock, server_side=True, do_handshake_on_connect=False)
    return sock


def _hello(secret, source, to, nonce):
    return HELLO.pack(MAGIC, source, to, nonce, _token(secret, source, to, nonce))


def _token(secret, source, to, nonce):
    return hmac.digest(secret, struct.pack("<II24s", source, to, nonce), hashlib.sha256)


def _check_hello(hello, rank, awaited, secret):
    """Return the rank that a valid hello comes from, None for a stranger's."""
    magic, source, to, nonce, token = HELLO.unpack(hello[:HELLO.size])
    valid = hmac.compare_digest(token, _token(secret, source, to, nonce))
    return source if valid and magic == MAGIC and to == rank and source in awaited else None


def _check_reply(sock, rank, other, nonce, secret, deadline):
    sock.settimeout(max(0.1, deadline - time.monotonic()))
    reply = b""
    try:
        while len(reply) < HELLO.size:
            more = sock.recv(HELLO.size - len(reply))
            if not more:
                raise ConnectionError("closed during the handshake")
            reply += more
    except OSError as error:
        raise _unreachable(rank, other, error) from error
    if not hmac.compare_digest(reply, _hello(secret, other, rank, nonce)):
        raise _unreachable(rank, other, "it does not know the run's secret")


def _unreachable(rank, other, error):
    return ClusterError(f"Peer {rank} cannot connect to peer {other}.", got=error,
                        expected="an answer that proves the run's secret", where=f"peer {rank}",
                        remedy="workers must reach each other's hosts on any port; see whether "
                               "a firewall is between them or the worker is gone")


def _machine():
    boot = Path("/proc/sys/kernel/random/boot_id")
    return boot.read_text() if boot.exists() else platform.node()


def _family(host):
    return socket.AF_INET6 if ":" in host else socket.AF_INET
