"""The small real data sets that scikit-learn carries, as dask arrays."""

from __future__ import annotations

import dask.array as da

from labkit.datasets.chunks import split_rows


def digits(chunk_rows=None):
    """Handwritten digits, 0 to 9, as images of 8 x 8 pixels.

    Parameters
    ----------
    chunk_rows : int, optional
        Rows a chunk; by default there are about 8 chunks.

    Returns
    -------
    X : dask.array.Array, shape (1797, 64), float64
        Pixels row by row; 0 is white and 16 is black.
    y : dask.array.Array, shape (1797,), int64
        The digit.

    Raises
    ------
    ConfigurationError
        For a `chunk_rows` that is not a whole number, 1 or more.

    References
    ----------
    E. Alpaydin and C. Kaynak, Optical Recognition of Handwritten Digits, UCI Machine
    Learning Repository, 1998 (its test set).
    """
    # Importing scikit-learn takes a second, so only those who ask for its data wait.
    from sklearn.datasets import load_digits

    return _chunked(*load_digits(return_X_y=True), chunk_rows)


def breast_cancer(chunk_rows=None):
    """Cell nuclei of breast tumours, measured in images: malignant (0) or benign (1).

    Parameters
    ----------
    chunk_rows : int, optional
        Rows a chunk; by default there are about 8 chunks.

    Returns
    -------
    X : dask.array.Array, shape (569, 30), float64
        Mean, standard error and worst value of ten measures, such as the radius. Their
        scales differ a thousandfold: standardise before a gradient method.
    y : dask.array.Array, shape (569,), int64
        0 for malignant, 1 for benign.

    Raises
    ------
    ConfigurationError
        For a `chunk_rows` that is not a whole number, 1 or more.

    References
    ----------
    W. Wolberg, O. Mangasarian, N. Street and W. Street, Breast Cancer Wisconsin
    (Diagnostic), UCI Machine Learning Repository, 1993.
    """
    from sklearn.datasets import load_breast_cancer

    return _chunked(*load_breast_cancer(return_X_y=True), chunk_rows)


def _chunked(X, y, chunk_rows):
    rows = split_rows(len(X), chunk_rows, X[0].nbytes)
    return (da.from_array(X, chunks=(rows, X.shape[1])),
            da.from_array(y.astype("int64"), chunks=(rows,)))
