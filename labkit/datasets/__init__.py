"""Data to learn from, as dask arrays chunked by rows.

    load_libsvm, sample_libsvm      a file in libsvm format, each bad line named
    digits, breast_cancer           the sets that scikit-learn carries
    classification, uniform         seeded, of any size, made chunk by chunk
    published                       rows of published measurements, to hold laws against

The other loaders and `classification` return ``X, y``: ``X`` of shape (n_rows, n_features)
and ``y`` of shape (n_rows,), with the same chunks of rows. Each chunk is one task's
output, so ``X.to_delayed()`` or ``X.map_blocks(...)`` hands a worker a whole shard.
"""

from labkit.datasets.generators import classification, true_coefficients, uniform
from labkit.datasets.libsvm import load_libsvm, sample_libsvm
from labkit.datasets.published import published
from labkit.datasets.toy import breast_cancer, digits

__all__ = ["breast_cancer", "classification", "digits", "load_libsvm", "published",
           "sample_libsvm", "true_coefficients", "uniform"]
