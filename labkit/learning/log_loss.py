"""The log loss of some rows and its gradient, in one pass over X.

    X (n_rows, n_features)  --weights-->  margins (n_rows, n_sets)
                                              |  compare with the true class
    gradient (n_sets, n_features + 1)  <--X-- residuals (n_rows, n_sets)

One set of weights for two classes (the margin of class 1 against class 0), or one set a class;
the intercept is the last column. A block of rows is multiplied forwards and backwards while it
is in the cache, for what a pass costs is reading X from memory.

Sources: Hastie, Tibshirani and Friedman, "The Elements of Statistical Learning", 2009, section
4.4; Blanchard, Higham and Higham, "Accurately computing the log-sum-exp and softmax functions",
IMA J. Numer. Anal. 41, 2021.
"""

from __future__ import annotations

import numpy as np
import scipy.sparse

from labkit.learning.moments import row_blocks


def loss_and_gradient(X, codes, weights):
    """Return the summed log loss and its gradient.

    Parameters
    ----------
    X : ndarray or CSR matrix, shape (n_rows, n_features)
    codes : ndarray of int, shape (n_rows,)
        Each row's class, from 0.
    weights : ndarray, shape (n_sets, n_features + 1)
        One set: two classes; else as many sets as classes. The last column is the intercept.

    Returns
    -------
    loss : float
        In nats, summed over rows.
    gradient : ndarray, shape (n_sets, n_features + 1)
    """
    W, intercept = weights[:, :-1], weights[:, -1]
    compare = binomial if len(weights) == 1 else multinomial
    loss, gradient = 0.0, np.zeros(weights.shape)
    for rows, block in _blocks(X):
        part, residuals = compare(block @ W.T + intercept, codes[rows])
        loss += part
        gradient[:, :-1] += (block.T @ residuals).T
        gradient[:, -1] += residuals.sum(axis=0)
    return loss, gradient


def _blocks(X):
    # Rows of a sparse matrix cannot be cut out without copying them.
    return [(slice(None), X)] if scipy.sparse.issparse(X) else row_blocks(X)


def binomial(margins, codes):
    """Return the summed loss, and p(class 1) minus the truth, shape (n_rows, 1)."""
    margins = margins[:, 0]
    small = np.exp(-np.abs(margins))             # never overflows, whichever side is right
    loss = np.maximum(margins, 0) - codes * margins + np.log1p(small)
    probability = np.where(margins >= 0, 1.0, small) / (1.0 + small)
    return loss.sum(), (probability - codes)[:, None]


def multinomial(margins, codes):
    """Return the summed loss, and the probabilities minus the truth, shape (n_rows, n_sets)."""
    margins = margins - margins.max(axis=1, keepdims=True)
    true = np.arange(len(codes)), codes
    loss = -margins[true].sum()
    residuals = np.exp(margins)
    totals = residuals.sum(axis=1, keepdims=True)
    residuals /= totals
    residuals[true] -= 1.0
    return loss + np.log(totals).sum(), residuals
