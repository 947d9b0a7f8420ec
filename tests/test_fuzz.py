"""Any bytes at all, where labkit reads what others have written.

    a libsvm file     refused with a DataError, or read as scikit-learn and a slow parser read it
    a handshake       refused, unless it carries the right HMAC
    frames, packets   refused or waited for; memory only for what can be meant

`tests/atheris_fuzz.py` does the first two for longer, guided by coverage.
"""

import contextlib
import pickle
import select
import socket
import struct
import threading
import time
import tracemalloc
import zlib
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sklearn.datasets import load_svmlight_file
from test_libsvm import naive
from test_link import Receiver

from labkit import wire
from labkit.cluster import link as links
from labkit.cluster import rendezvous
from labkit.cluster.checked import ASKS, CHECKED, CRC, PACKET, CheckedLink
from labkit.cluster.link import ABORT, BYE, DATA, FAULT, HEADER, OFFER, POST, READS, TAKEN, Link
from labkit.cluster.sinks import New
from labkit.datasets import load_libsvm
from labkit.datasets.parsing import PIECE_BYTES
from labkit.errors import ClusterError, DataError, PeerLost

SECRET = b"s" * 32
ROOM = 4_000_000             # bytes that reading a few hundred may take, a link's buffers included


def cases(number):
    return settings(max_examples=number, deadline=None, suppress_health_check=list(HealthCheck))


# ---- libsvm

VALID = (b"1 1:0.5 3:2\n0 2:1 # a comment\n\n-1 1:-1e3 2:+.5 7:3.\r\n2 4:1\n"
         b"# between\n0.5 1:1 2:2 3:3\n")
TOKENS = [b"nan", b"inf", b"-", b":", b" ", b"\n", b"\r", b"\0", b"#", b"qid:1", b"1_0", b"1e999",
          b"0:1", b"99999999999:1", b"2147483648:1", b"\xef\xbb\xbf", b"\xff", b"1" * 400, b"e",
          b"0x1", b",", b"\x0b", b"\x1c", b"\xc2\xa0", b"\xd9\xa3", b"\x1f\x8b"]


@st.composite
def mutated(draw):
    """A valid file of which some bytes are cut out, doubled, replaced or added."""
    text = bytearray(VALID)
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(text)))
        to = min(len(text), at + draw(st.integers(0, 5)))
        new = draw(st.one_of(st.sampled_from(TOKENS), st.binary(max_size=3),
                             st.just(bytes(text[at:to]) * 2)))
        text[at:to] = new
    return bytes(text)


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return tmp_path_factory.mktemp("fuzz") / "data.txt"


def read(path, one_based):
    """Return (X, y), or None if the file is refused as it should be."""
    try:
        X, y = load_libsvm(path, one_based=one_based)
    except DataError as error:
        assert None not in (error.expected, error.got, error.where, error.remedy)
        assert str(path) in error.where and "cannot be parsed" not in error.what
        return None
    return X.compute(scheduler="synchronous"), y.compute(scheduler="synchronous")


def check_libsvm(path, text, one_based):
    path.write_bytes(text)
    found = read(path, one_based)
    if found is None:
        return
    X, y = load_svmlight_file(str(path), zero_based=not one_based)
    assert (found[0] != X).nnz == 0
    np.testing.assert_array_equal(found[1], y)
    if one_based and X.shape[0] * X.shape[1] < 1e6:
        slow_X, slow_y = naive(text.decode("latin-1").encode("ascii", "replace"))
        np.testing.assert_array_equal(found[0].toarray(), slow_X)
        np.testing.assert_array_equal(found[1], slow_y)


@cases(600)
@given(text=st.one_of(st.binary(max_size=200), mutated()), one_based=st.booleans())
def test_a_file_is_read_as_others_read_it_or_refused(path, text, one_based):
    check_libsvm(path, text, one_based)


@cases(100)
@given(text=mutated())
def test_a_small_file_takes_little_memory(path, text):
    path.write_bytes(text)
    with room_for(PIECE_BYTES + ROOM):           # the buffer that the file is read into
        read(path, one_based=True)


@contextlib.contextmanager
def room_for(nbytes):
    """Fail if what is done inside asks for more, even if it gives it back or never fills it."""
    tracemalloc.start()
    try:
        yield
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < nbytes, f"{peak:,} bytes"


# ---- the handshake


def right(hello, rank, awaited):
    """Whether this is a hello of somebody who is awaited, by the plainest means there is."""
    return any(hello == rendezvous._hello(SECRET, source, rank, hello[10:34])
               for source in awaited)


@cases(500)
@given(hello=st.binary(min_size=66, max_size=66), at=st.integers(0, 66 * 8 - 1),
       source=st.sampled_from([4, 5, 3, 2**32 - 1]), to=st.sampled_from([3, 3, 4]),
       nonce=st.binary(min_size=24, max_size=24),
       secret=st.sampled_from([SECRET, SECRET, b"", b"other"]), flip=st.booleans())
def test_only_the_right_hmac_is_accepted(hello, at, source, to, nonce, secret, flip):
    assert rendezvous._check_hello(hello, 3, {4, 5}, SECRET) is None
    hello = bytearray(rendezvous._hello(secret, source, to, nonce))
    hello[at // 8] ^= flip << at % 8
    found = rendezvous._check_hello(bytes(hello), 3, {4, 5}, SECRET)
    assert (found is not None) == right(bytes(hello), 3, {4, 5})
    assert found in (None, source)
    assert found is None or (secret == SECRET and to == 3 and not flip)


strangers = st.lists(st.one_of(
    st.binary(max_size=300), st.just(b""), st.just(HEADER.pack(DATA, 1, 0, 9, 2**63)),
    st.just(rendezvous._hello(b"wrong", 1, 0, b"n" * 24)),
    st.just(rendezvous._hello(SECRET, 1, 7, b"n" * 24)),
    st.just(rendezvous._hello(SECRET, 1, 0, b"n" * 24)[:-1])), max_size=5)


@cases(25)
@given(texts=strangers, silent=st.booleans())
def test_whoever_else_comes_the_awaited_peer_is_accepted(texts, silent):
    hub = rendezvous.Hub("127.0.0.1", None)
    address = hub.address.host, hub.address.port
    others = [socket.create_connection(address) for _ in texts]
    for sock, text in zip(others, texts):
        sock.sendall(text)
        if not silent:
            sock.close()
    peer = socket.create_connection(address)
    nonce = rendezvous._say_hello(peer, 1, 0, SECRET)
    accepted = rendezvous._accept(hub, 0, {1}, SECRET, time.monotonic() + 10)
    try:
        assert list(accepted) == [1] and accepted[1].getpeername() == peer.getsockname()
        rendezvous._check_reply(peer, 1, 0, nonce, SECRET, time.monotonic() + 10)
    finally:
        for one in (hub, peer, *others, *accepted.values()):
            one.close()


def test_a_crowd_of_silent_strangers_does_not_use_up_the_files(monkeypatch):
    monkeypatch.setattr(rendezvous, "MAX_STRANGERS", 10)
    hub = rendezvous.Hub("127.0.0.1", None)
    address = hub.address.host, hub.address.port
    crowd = [socket.create_connection(address) for _ in range(40)]
    accepted, until = {}, time.monotonic() + 10
    thread = threading.Thread(target=lambda: accepted.update(
        rendezvous._accept(hub, 0, {1}, SECRET, until)))
    thread.start()
    while len(closed := select.select(crowd, [], [], 1)[0]) < 30 and thread.is_alive():
        time.sleep(0.01)
    assert len(closed) == 30 and thread.is_alive(), "the ten youngest may still say something"
    peer = socket.create_connection(address)
    rendezvous._say_hello(peer, 1, 0, SECRET)
    thread.join()
    for one in (hub, peer, accepted[1], *crowd):
        one.close()


def test_peers_that_do_not_come_are_named():
    hub = rendezvous.Hub("127.0.0.1", None)
    stranger = socket.create_connection((hub.address.host, hub.address.port))
    with pytest.raises(ClusterError, match="Not all peers") as caught:
        rendezvous._accept(hub, 0, {1, 2}, SECRET, time.monotonic() + 0.3)
    assert "[1, 2]" in caught.value.expected and stranger.recv(1) == b""
    stranger.close()
    hub.close()


def test_a_peer_that_ends_after_its_hello_is_named(monkeypatch):
    hub = rendezvous.Hub("127.0.0.1", None)
    peer = socket.create_connection((hub.address.host, hub.address.port))
    rendezvous._say_hello(peer, 1, 0, SECRET)
    monkeypatch.setattr(rendezvous, "_hello", lambda *args: b"x" * 10_000_000)
    threading.Timer(0.2, peer.close).start()
    with pytest.raises(ClusterError, match="cannot connect to peer 1"):
        rendezvous._accept(hub, 0, {1}, SECRET, time.monotonic() + 10)
    hub.close()


# ---- frames


class Listener(Receiver):
    def sink(self, source, channel, encoding, meta, nbytes):
        return New(encoding, meta)

    def fault_begins(self, position):
        pass

    def offered(self, source, channel, offer, nbytes, posted):
        pass                                     # an offer is read when it is wanted


def feed(kind, data):
    """Have a link read these bytes and the end of the stream; return (receiver, the error)."""
    near, far = socket.socketpair()
    receiver, error = Listener(), None
    link = kind(far, 1, receiver)
    try:
        near.sendall(data)
        near.shutdown(socket.SHUT_WR)
        for _ in range(len(data) + 10):
            select.select([far], [], [], 5)
            link.read()
            if link.ended:
                break
    except (PeerLost, pickle.UnpicklingError, EOFError) as caught:
        error = caught
    finally:
        near.close()
        far.close()
    return receiver, error


KINDS = [DATA, BYE, ABORT, READS, OFFER, POST, TAKEN, FAULT, 0, 99]
sizes = st.one_of(st.integers(0, 100), st.sampled_from([2**16, 2**31, 2**40, 2**40 + 1, 2**63,
                                                       2**64 - 1]), st.integers(0, 2**64 - 1))
metas = st.one_of(
    st.binary(max_size=40),
    st.lists(sizes, max_size=4).map(lambda shape: struct.pack(
        f"<B{len(shape)}Q", len(shape), *shape) + b"<f8"),
    st.sampled_from([b"\x01" + bytes(8) + dtype for dtype in (b"|O", b"O,O", b"i4,O", b"(2,)f8",
                                                              b"<U0", b"|V0", b"\xff", b"f8")]),
    st.lists(sizes, max_size=4).map(lambda sizes: struct.pack(f"<{len(sizes)}Q", *sizes)))


@st.composite
def frames(draw):
    """A frame that may be wrong in all of its parts; its payload is no pickle."""
    kind = draw(st.one_of(st.sampled_from(KINDS), st.just(DATA)))
    meta, payload = draw(metas), draw(st.binary(max_size=100))
    len_meta = draw(st.one_of(st.just(len(meta)), st.integers(0, 2**32 - 1)))
    nbytes = draw(st.one_of(st.just(len(payload)), sizes))
    encoding = draw(st.sampled_from([wire.ARRAY, wire.ARRAY, wire.SCALAR, wire.PICKLE, 0, 77]))
    # A pickle of a peer is trusted, as its program is: bytes that are none are not its own.
    payload = b"\xff" + payload[1:] if encoding == wire.PICKLE and payload else payload
    return HEADER.pack(kind, encoding, draw(st.integers(0, 9)), len_meta, nbytes) + meta + payload


@cases(800)
@given(data=st.one_of(frames(), st.lists(frames(), max_size=4).map(b"".join)))
def test_bytes_that_are_no_frames_end_a_link_and_take_no_memory(data):
    with pytest.MonkeyPatch.context() as patch, room_for(ROOM):
        patch.setattr(links, "MAX_MESSAGE", ROOM // 4)
        receiver, error = feed(Link, data)
    assert all(nbytes <= len(data) for *_, nbytes in receiver.messages)
    for _, _, message, nbytes in receiver.messages:
        if isinstance(message, np.ndarray):
            assert message.nbytes == nbytes and not message.dtype.hasobject


HUGE = {
    "array of 2**63 bytes": HEADER.pack(DATA, wire.ARRAY, 0, 12, 2**63)
    + struct.pack("<BQ", 1, 2**60) + b"<f8",
    "array of 2**50 bytes": HEADER.pack(DATA, wire.ARRAY, 0, 12, 2**50)
    + struct.pack("<BQ", 1, 2**47) + b"<f8",
    "array of 2**63 bytes in a small frame": HEADER.pack(DATA, wire.ARRAY, 0, 12, 0)
    + struct.pack("<BQ", 1, 2**60) + b"<f8",
    "array of no bytes and 2**60 columns": HEADER.pack(DATA, wire.ARRAY, 0, 20, 0)
    + struct.pack("<BQQ", 2, 0, 2**60) + b"<f8",
    "array of 65 dimensions": HEADER.pack(DATA, wire.ARRAY, 0, 524, 0) + b"\x41" + bytes(520)
    + b"<f8",
    "pickle of 2**63 bytes": HEADER.pack(DATA, wire.PICKLE, 0, 8, 2**63) + struct.pack("<Q", 2**63),
    "pickle of 2**63 bytes in a small frame": HEADER.pack(DATA, wire.PICKLE, 0, 8, 2)
    + struct.pack("<Q", 2**63) + b"..",
    "meta of 4 GB": HEADER.pack(DATA, wire.ARRAY, 0, 2**32 - 1, 8),
    "control frame of 2**63 bytes": HEADER.pack(BYE, 0, 0, 0, 2**63),
    "array of Python objects": HEADER.pack(DATA, wire.ARRAY, 0, 11, 80_000)
    + struct.pack("<BQ", 1, 10_000) + b"|O",
    "offer without a process": HEADER.pack(OFFER, wire.ARRAY, 0, 12, 16)
    + struct.pack("<BQ", 1, 2**60) + b"<f8" + struct.pack("<QQ", 4096, 2**63),
}


@pytest.mark.parametrize("name", HUGE)
def test_what_cannot_be_meant_is_refused_with_a_reason_before_it_comes(name):
    with room_for(ROOM):
        receiver, error = feed(Link, HUGE[name])
    assert isinstance(error, PeerLost) and not receiver.messages
    assert "what is no frame" in error.got


@pytest.mark.skipif(not hasattr(socket, "AF_UNIX") or not links.DONT_WAIT, reason="not on Windows")
def test_memory_for_a_long_pickle_is_there_only_when_it_comes():
    import psutil

    near, far = socket.socketpair()
    before, nbytes = psutil.Process().memory_info().rss, 2**30
    link = Link(far, 1, Listener())
    near.sendall(HEADER.pack(DATA, wire.PICKLE, 0, 16, nbytes + 2)
                 + struct.pack("<QQ", 2, nbytes) + b"N.")
    link.read()
    assert psutil.Process().memory_info().rss - before < 50e6
    near.close()
    far.close()


# ---- packets of checked links


@st.composite
def packets(draw):
    """A packet of a checked link with a right CRC, whatever it says."""
    payload = draw(st.one_of(st.binary(max_size=60), frames()))
    size = draw(st.one_of(st.just(len(payload)), st.just(PACKET), st.integers(0, 2**32 - 1)))
    number = draw(st.one_of(st.just(0), st.integers(0, 2**64 - 1)))
    sum_ = draw(st.one_of(st.just(zlib.crc32(payload)), st.integers(0, 2**64 - 1)))
    header = CHECKED.pack(number, draw(sizes), size, sum_)
    return header + CRC.pack(zlib.crc32(header)) + payload


@cases(400)
@given(data=st.one_of(st.binary(max_size=200), packets(),
                      st.lists(packets(), max_size=3).map(b"".join)))
def test_bytes_that_are_no_packets_end_a_checked_link(data):
    with pytest.MonkeyPatch.context() as patch, room_for(ROOM):
        patch.setattr(links, "MAX_MESSAGE", ROOM // 4)
        receiver, error = feed(CheckedLink, data)
    assert all(nbytes <= len(data) for *_, nbytes in receiver.messages)


def test_a_packet_that_announces_too_much_is_refused_with_a_reason():
    header = CHECKED.pack(0, 0, ASKS - 1, 0)
    _, error = feed(CheckedLink, header + CRC.pack(zlib.crc32(header)))
    assert isinstance(error, PeerLost) and "packets of 1,073,741,823 bytes" in error.got


def test_the_fuzzed_link_still_reads_what_is_right():
    near, far = socket.socketpair()
    sent = [np.arange(3.0), np.float32(2), {"a": np.arange(20_000)}, np.empty((0, 2)), None,
            np.array(["a", "bc"]), np.array(["2026-01-01"], "M8[D]"), np.arange(30_000.0)]
    sender, receiver = Link(near, 0, SimpleNamespace()), Listener()
    reader = Link(far, 1, receiver)
    for message in sent:
        sender.send(message, 0)
        while sender.writes or select.select([far], [], [], 0.05)[0]:
            sender.flush()
            reader.read()
    for before, (_, _, after, _) in zip(sent, receiver.messages, strict=True):
        np.testing.assert_equal(after, before)
    near.close()
    far.close()
