"""One connection: frames cut anywhere, long messages, arrays read from where they lie."""

import multiprocessing
import os
import select
import socket

import numpy as np
import pytest

from labkit import wire
from labkit.cluster import memory
from labkit.cluster.checked import CheckedLink
from labkit.cluster.link import ABORT, BYE, READS, Link
from labkit.cluster.sinks import BLOCK, Combine, Into, New
from labkit.errors import PeerLost

LINUX = pytest.mark.skipif(not memory.readable(*memory.card()),
                           reason="this system does not let processes read each other")


class Receiver:
    """Keeps what a link delivers; long messages go where `wanted` says."""

    def __init__(self):
        self.messages = []
        self.wanted = None

    def deliver(self, source, channel, message, nbytes):
        self.messages.append((source, channel, message, nbytes))

    def sink(self, source, channel, encoding, meta, nbytes):
        return self.wanted or New(encoding, meta)

    def lost(self, source, reason):
        error = PeerLost("gone", got=reason)
        error.rank = source
        return error

    def offered(self, source, channel, offer, nbytes, posted):
        self.deliver(source, channel, offer, nbytes)


class Pair:
    """Two ends of a connection in this process: `left` sends, `right` receives."""

    def __init__(self, kind="unix"):
        if kind != "tcp":
            self.socks = socket.socketpair()
        else:
            with socket.create_server(("127.0.0.1", 0)) as server:
                near = socket.create_connection(server.getsockname())
                self.socks = near, server.accept()[0]
        self.at_left, self.at_right = Receiver(), Receiver()
        make = CheckedLink if kind == "checked" else Link
        self.left = make(self.socks[0], 1, self.at_left, pid=os.getpid())
        self.right = make(self.socks[1], 0, self.at_right, pid=os.getpid())

    def settle(self, until):
        """Move bytes both ways until `until()` is true."""
        for _ in range(10_000):
            if until():
                return
            for link in (self.left, self.right):
                if link.writes:
                    link.flush()
                if link.holds_back and link.pending() or select.select([link], [], [], 0)[0]:
                    link.read()
        raise AssertionError("nothing moves any more")

    def receive(self, count=1):
        self.settle(lambda: len(self.at_right.messages) >= count)
        return [message for _, _, message, _ in self.at_right.messages]

    def close(self):
        self.left.close()
        self.right.close()


@pytest.fixture(params=["unix", "tcp", "checked"])
def pair(request):
    if request.param != "tcp" and not hasattr(socket, "AF_UNIX"):
        pytest.skip("no Unix sockets here")
    pair = Pair(request.param)
    yield pair
    pair.close()


MESSAGES = [np.arange(3.0), np.arange(5_000.0).reshape(50, 100), np.empty((0, 3), "i2"),
            np.float32(2.5), {"a": np.arange(100_000), "b": "text"}, None, np.arange(300_000)]


def test_messages_of_all_sizes_arrive_in_order(pair):
    for channel, message in enumerate(MESSAGES):
        pair.left.send(message, channel)
    got = pair.receive(len(MESSAGES))
    for sent, received in zip(MESSAGES, got, strict=True):
        np.testing.assert_equal(received, sent)
    assert [channel for _, channel, _, _ in pair.at_right.messages] == list(range(len(MESSAGES)))
    assert [nbytes for *_, nbytes in pair.at_right.messages] == [
        wire.size_of(message) for message in MESSAGES]


def test_a_received_array_may_be_changed(pair):
    pair.left.send(np.arange(3.0), 0)
    pair.left.send(np.arange(50_000.0), 0)
    for array in pair.receive(2):
        array += 1


@pytest.mark.parametrize("piece", [1, 7, 15, 16, 17, 33])
def test_frames_may_be_cut_anywhere(piece):
    """A stream has no borders: the same bytes, a few at a time."""
    whole, (near, far) = Pair(), socket.socketpair()
    for message in MESSAGES[:4]:
        whole.left.send(message, 3)
    assert not whole.left.backlog
    raw = whole.socks[1].recv(100_000)
    receiver = Receiver()
    link = Link(far, 0, receiver)
    for at in range(0, len(raw), piece):
        near.sendall(raw[at:at + piece])
        link.read()
    for sent, (_, _, received, _) in zip(MESSAGES[:4], receiver.messages, strict=True):
        np.testing.assert_equal(received, sent)
    near.close()
    link.close()
    whole.close()


def test_a_full_socket_keeps_the_rest_and_the_order(pair):
    big = np.arange(2_000_000.0)
    pair.left.send(big, 0)
    pair.left.send(np.ones(1), 0)
    assert pair.left.backlog
    first, second = pair.receive(2)
    np.testing.assert_array_equal(first, big)
    np.testing.assert_array_equal(second, [1.0])
    assert not pair.left.backlog


def test_a_long_message_goes_into_the_array_that_waits(pair):
    out = np.zeros(200_000)
    pair.at_right.wanted = Into(out)
    pair.left.send(np.arange(200_000.0), 0)
    (message,) = pair.receive()
    assert message is out
    np.testing.assert_array_equal(out, np.arange(200_000.0))


@pytest.mark.parametrize("dtype", ["f8", "f4", "u1", "c16"])
def test_a_long_message_is_combined_block_by_block(pair, dtype):
    size = 3 * BLOCK // np.dtype(dtype).itemsize + 5
    mine, theirs = (np.arange(size) % 50).astype(dtype), (np.arange(size) % 7).astype(dtype)
    out = mine.copy()
    pair.at_right.wanted = Combine(out, np.add)
    pair.left.send(theirs, 0)
    pair.receive()
    np.testing.assert_array_equal(out, mine + theirs)


def test_goodbye_and_abort(pair):
    pair.left.signal(BYE)
    pair.left.signal(ABORT)
    pair.settle(lambda: pair.right.aborted)
    assert pair.right.finished


def test_the_end_without_a_goodbye_names_the_peer(pair):
    pair.left.close()
    with pytest.raises(PeerLost) as caught:
        pair.right.read()
    assert caught.value.rank == 0


def test_the_end_in_the_middle_of_a_message_names_the_peer(pair):
    pair.left.send(np.arange(1_000_000.0), 0)
    pair.left.close()
    with pytest.raises(PeerLost):
        for _ in range(1000):
            pair.right.read()


# ---- arrays read from where they lie


@LINUX
@pytest.mark.parametrize("posted", [True, False])
def test_an_offered_array_is_read_from_its_owner(pair, posted):
    array = np.arange(500_000.0)
    pair.left.offer(array, 2, posted)
    (offer,) = pair.receive()
    assert pair.left.offered == 1
    np.testing.assert_array_equal(offer.fetch(), array)
    pair.settle(lambda: pair.left.offered == 0)


@LINUX
def test_an_offered_array_is_combined_in_place(pair):
    array, out = np.arange(500_000.0), np.ones(500_000)
    pair.left.offer(array, 0, True)
    (offer,) = pair.receive()
    offer.fetch_into(out, np.add)
    np.testing.assert_array_equal(out, array + 1)


@LINUX
def test_the_owner_of_an_offered_array_may_be_gone(pair):
    process = multiprocessing.get_context("spawn").Process(target=int)
    process.start()
    process.join()
    pair.right.pid = process.pid
    pair.left.offer(np.ones(1000), 0, True)
    (offer,) = pair.receive()
    with pytest.raises(PeerLost):
        offer.fetch()


@LINUX
def test_a_token_tells_the_right_process_from_another():
    pid, address, token = memory.card()
    assert memory.readable(pid, address, token)
    assert not memory.readable(pid, address, bytes(len(token)))
    assert not memory.readable(pid, 8, token)


def test_memory_that_is_not_there_is_an_error():
    with pytest.raises(OSError):
        memory.read(os.getpid(), 8, np.empty(8))


def test_a_link_says_how_it_carries_messages(pair):
    kind = pair.left.kind
    assert kind == ("unix" if pair.socks[0].family == getattr(socket, "AF_UNIX", 0) else "tcp")
    pair.right.signal(READS)
    pair.settle(lambda: pair.left.reads)
    assert pair.left.kind == "memory"
