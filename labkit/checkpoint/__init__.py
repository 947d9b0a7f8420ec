"""Checkpoints on disk: what was committed last, whole, or the one before, and never a pickle.

    step-000120.npz     step-000120.json      an older generation, kept in case
    step-000123.npz     step-000123.json      arrays, and the manifest that vouches for them
    step-000126.npz.5f3a90c1.part             its writer was killed; swept by the next save

    write .npz.part and .json.part, fsync both -> rename .npz -> rename .json
                                                                 ^ from here on it counts

A generation is there once its manifest is. A writer that is killed earlier leaves the generations
before as they were. The reader trusts nothing: the manifest has a digest of itself, and the
SHA-256 of the .npz. Only a save under a number that is there already has a gap, between its two
renames: then the generation before counts.

    keeping      Checkpoints: when to save, and how many generations stay
    generation   the two files of one: written, read, named
    manifest     what the second says of the first

Sources: Pillai et al., "All file systems are not created equal", OSDI 2014, for the order of
writes; Daly, FGCS 22, 2006, for how often.
"""

from labkit.checkpoint.generation import Saved
from labkit.checkpoint.keeping import Checkpoints, CheckpointWarning

__all__ = ["CheckpointWarning", "Checkpoints", "Saved"]
