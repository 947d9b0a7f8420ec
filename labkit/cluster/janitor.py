"""A small process that outlives this one by a moment, and removes what it could not.

    this process   =====================x killed; the pipe to the janitor closes
    workers        each leaves a note with its number and start time in the scratch folder
    janitor        . . . . waits . . . . SIGKILL to those, rm -r folder, end

A kernel that is killed runs no handler: its temporary folder would stay, and a worker finds out
only when a task that holds Python's interpreter lock lets it look.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

NOTES = "workers"            # folder of the notes, in the scratch folder
PREFIX = "labkit-"
WAIT = """
import os, shutil, signal, sys
sys.stdin.read()
notes = os.path.join(sys.argv[1], sys.argv[2])
for pid in os.listdir(notes) if os.path.isdir(notes) else ():
    try:
        started = open(f"/proc/{pid}/stat").read().rpartition(")")[2].split()[19]
        if open(os.path.join(notes, pid)).read() == started:     # not another one of that number
            os.kill(int(pid), signal.SIGKILL)
    except OSError:
        pass
shutil.rmtree(sys.argv[1], ignore_errors=True)
"""


@contextlib.contextmanager
def scratch_folder():
    """Make a temporary folder that is removed at the end, however this process ends."""
    folder = tempfile.mkdtemp(prefix=PREFIX)
    janitor = subprocess.Popen([sys.executable, "-I", "-S", "-c", WAIT, folder, NOTES],
                               stdin=subprocess.PIPE, start_new_session=True)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        with contextlib.suppress(OSError):
            janitor.stdin.close()
        janitor.wait()


def leave_note(local_directory):
    """Write down this worker's process, for the janitor of its scratch folder."""
    stat = Path("/proc/self/stat")               # elsewhere than on Linux nobody is ended
    folders = [folder for folder in Path(local_directory).parents if
               folder.name.startswith(PREFIX)]
    if folders and stat.exists():
        notes = folders[0] / NOTES
        notes.mkdir(exist_ok=True)
        (notes / str(os.getpid())).write_text(stat.read_text().rpartition(")")[2].split()[19])
