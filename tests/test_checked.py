"""A checked link over a wire that flips bits and loses packets: every message still arrives."""

import select
import socket
from importlib import import_module

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_link import Receiver

from labkit.cluster.checked import HEADER, CheckedLink, sum_of
from labkit.cluster.link import BYE
from labkit.errors import PeerLost

checked = import_module("labkit.cluster.checked")


class Wire:
    """Two ends with a wire between them, which handles packets as `faults` says.

    Each fault is for one packet that passes, in whichever direction: None, "drop", or the
    number of a bit to flip, of those behind the header.
    """

    def __init__(self, faults=()):
        self.faults = list(faults)
        self.flipped = 0
        self.ends, self.inner = zip(*(socket.socketpair() for _ in range(2)))
        self.at = Receiver(), Receiver()
        self.links = [CheckedLink(end, 1 - rank, receiver)
                      for rank, (end, receiver) in enumerate(zip(self.ends, self.at))]
        self._bytes = [b"", b""]
        for sock in self.inner:
            sock.setblocking(False)

    def carry(self):
        """Move whole packets from each end to the other."""
        for rank, sock in enumerate(self.inner):
            try:
                self._bytes[rank] += sock.recv(1 << 20)
            except BlockingIOError:
                continue
            while len(self._bytes[rank]) >= HEADER.size:
                size = HEADER.unpack_from(self._bytes[rank])[2]
                size = HEADER.size + (size & ~(checked.AGAIN | checked.ASKS))
                if len(self._bytes[rank]) < size:
                    break
                packet, self._bytes[rank] = self._bytes[rank][:size], self._bytes[rank][size:]
                self.inner[1 - rank].sendall(self._hurt(bytearray(packet)))

    def _hurt(self, packet):
        fault = self.faults.pop(0) if self.faults else None
        if fault == "drop":
            return b""
        n_bits = 8 * (len(packet) - HEADER.size)
        if fault is not None and n_bits:
            packet[HEADER.size + fault % n_bits // 8] ^= 1 << fault % 8
            self.flipped += 1
        return packet

    def settle(self, until):
        for _ in range(3000):
            if until():
                return
            for link in self.links:
                if link.writes:
                    link.flush()
                self.carry()
                while link.pending() or select.select([link], [], [], 0)[0]:
                    link.read()
                link.tick()
        raise AssertionError("nothing moves any more")

    def close(self):
        for link in self.links:
            link.close()
        for sock in self.inner:
            sock.close()


@pytest.fixture(autouse=True, scope="module")
def short_packets():
    """Small messages make many packets, full windows and long buffers; nobody is patient."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in [("PACKET", 1000), ("WINDOW", 4000), ("CONFIRM", 1500),
                            ("COPY_UP_TO", 600), ("PATIENCE_S", 0.0), ("MAX_PATIENCE_S", 0.0)]:
            patch.setattr(checked, name, value)
        yield


MESSAGES = [np.arange(3.0), np.arange(2_500.0), {"a": np.arange(300), "b": "text"}, None,
            np.arange(100, dtype="u1"), np.float32(2.5), np.arange(1_000.0).reshape(10, 100)]

FAULT = st.none() | st.just("drop") | st.integers(0, 10_000)


def exchange(wire):
    """Send all messages both ways and say goodbye; return what arrived at each end."""
    for link in wire.links:
        for message in MESSAGES:
            link.send(message, 1)
        link.signal(BYE)
    wire.settle(lambda: all(link.done for link in wire.links))
    return [[message for _, _, message, _ in at.messages] for at in wire.at]


@settings(max_examples=60, deadline=None)
@given(faults=st.lists(FAULT, max_size=40))
def test_every_message_arrives_once_and_in_order(faults):
    wire = Wire(faults)
    for got in exchange(wire):
        for sent, received in zip(MESSAGES, got, strict=True):
            np.testing.assert_equal(received, sent)
    if all(fault is None for fault in faults):
        assert sum(link.resent for link in wire.links) == 0
    wire.close()


def test_a_flipped_bit_is_found_and_counted():
    wire = Wire([None, 77])
    wire.links[0].send(np.arange(400.0), 0)
    wire.settle(lambda: wire.at[1].messages)
    np.testing.assert_array_equal(wire.at[1].messages[0][2], np.arange(400.0))
    assert wire.flipped == 1
    assert wire.links[1].refused == 1
    assert wire.links[0].resent >= 1
    wire.close()


def test_a_long_array_may_be_changed_only_when_it_has_come():
    wire = Wire()
    wire.links[0].send(np.arange(2_000.0), 0)
    assert wire.links[0].busy
    wire.settle(lambda: not wire.links[0].busy)
    assert len(wire.at[1].messages) == 1
    wire.close()


def test_a_corrupt_header_ends_the_link():
    near, far = socket.socketpair()
    link = CheckedLink(far, 3, Receiver())
    near.sendall(bytes(HEADER.size))
    with pytest.raises(PeerLost) as caught:
        link.read()
    assert caught.value.rank == 3
    assert "corrupt" in caught.value.got
    near.close()
    link.close()


@pytest.mark.parametrize("n", [1, 7, 8, 2048, 2049, 5000, 100_003])
def test_any_flipped_bit_changes_the_sum(n):
    rng = np.random.default_rng(n)
    data = rng.integers(0, 256, n, dtype=np.uint8)
    before = sum_of(data.data)
    for bit in rng.integers(0, 8 * n, 50):
        data[bit // 8] ^= 1 << bit % 8
        assert sum_of(data.data) != before
        data[bit // 8] ^= 1 << bit % 8
    assert sum_of(data.data) == before
