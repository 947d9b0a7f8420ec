"""Fuzzing guided by coverage: the libsvm loader and the handshake, for as long as one likes.

    python tests/atheris_fuzz.py 60          seconds; needs `pip install atheris` (Linux, macOS)

Atheris is Python's libFuzzer: it changes inputs, and keeps those that reach new lines of labkit.
What is checked is the same as in `test_fuzz`. An input that fails is stored where the last line
says; given as a second argument, it is tried again.
"""

import struct
import sys
import tempfile
from pathlib import Path

try:
    import atheris
except ImportError:
    print("atheris is not installed, so nothing was fuzzed: pip install atheris")
    sys.exit(0)

with atheris.instrument_imports(include=["labkit.datasets", "labkit.cluster.rendezvous"],
                                enable_loader_override=False):
    from labkit.cluster import rendezvous
    from labkit.datasets import load_libsvm, parsing  # noqa: F401

from test_fuzz import SECRET, VALID, check_libsvm, right
from test_libsvm import BAD, GOOD_TEXTS

FOLDER = Path(tempfile.mkdtemp(prefix="labkit-fuzz-"))
LIBSVM, HANDSHAKE = b"\0", b"\1"
ZERO_BASED = 2               # a bit of the first byte


def check_hello(data):
    """Take these bytes as a hello, and as one whose HMAC is right."""
    hello = data[:rendezvous.HELLO.size].ljust(rendezvous.HELLO.size, b"\0")
    if data[66:]:
        _, source, to, nonce, _ = rendezvous.HELLO.unpack(hello)
        hello = struct.pack("<H", rendezvous.MAGIC) + rendezvous._hello(
            SECRET, source, to, nonce)[2:]
    found = rendezvous._check_hello(hello, 3, {4, 5}, SECRET)
    assert (found is not None) == right(hello, 3, {4, 5})


def check(data):
    """One input: its first byte says what the others are for."""
    if not data:
        return
    if data[0] & 1:
        check_hello(data[1:])
    else:
        check_libsvm(FOLDER / "data.txt", data[1:], one_based=not data[0] & ZERO_BASED)


def corpus():
    """Write a folder of inputs to begin with, and return its name."""
    folder = FOLDER / "corpus"
    folder.mkdir()
    texts = [VALID, *GOOD_TEXTS.values(), *(text for text, *_ in BAD.values())]
    inputs = [LIBSVM + text for text in texts if len(text) < 1000]
    inputs += [HANDSHAKE + rendezvous._hello(SECRET, 4, 3, b"n" * 24), HANDSHAKE + bytes(67)]
    for number, data in enumerate(inputs):
        (folder / str(number)).write_bytes(data)
    return str(folder)


def main(seconds="60", *again):
    what = list(again) or [f"-max_total_time={int(seconds)}", "-max_len=400", "-rss_limit_mb=2000",
                           "-verbosity=0", "-print_final_stats=1",
                           f"-artifact_prefix={FOLDER}/", corpus()]
    print(f"fuzzing for {seconds} s; inputs that fail go to {FOLDER}", flush=True)
    atheris.Setup([sys.argv[0], *what], check)
    atheris.Fuzz()


if __name__ == "__main__":
    main(*sys.argv[1:])
