"""Optimisers of one peer: a gradient in, better parameters out.

    SGD        w <- w - rate * g
    Nesterov   v <- momentum * v + g      w <- w - rate * (g + momentum * v)
    AdamW      m, s <- running means of g and of g*g, corrected for their start at zero
               w <- w - rate * (m / (sqrt(s) + eps) + decay * w)

An optimiser remembers what it has seen: every peer, and every run, needs one of its own. Nothing
here sends a message.

Sources: Sutskever, Martens, Dahl and Hinton, "On the importance of initialization and momentum
in deep learning", ICML 2013 (Nesterov's momentum, in this form); Loshchilov and Hutter,
"Decoupled weight decay regularization", ICLR 2019 (AdamW).
"""

from __future__ import annotations

import numpy as np


class SGD:
    """Stochastic gradient descent, with Nesterov's momentum if there is one.

    Parameters
    ----------
    rate : float or callable
        The learning rate, or ``rate(step)``.
    momentum : float
        From 0 up to but without 1.
    """

    def __init__(self, rate, momentum=0.0):
        self.rate = rate
        self.momentum = momentum
        self._velocity = 0.0
        self._step = 0

    def memory(self):
        """Return what it has seen, by name: what `recall` takes."""
        return {"velocity": self._velocity, "steps": self._step}

    def recall(self, velocity, steps):
        """Be as another one was."""
        self._velocity, self._step = velocity, steps

    def step(self, w, gradient):
        """Return the new parameters; `w` stays as it is."""
        rate, self._step = rate_at(self.rate, self._step), self._step + 1
        if self.momentum:
            self._velocity = self.momentum * self._velocity + gradient
            gradient = gradient + self.momentum * self._velocity
        return w - rate * gradient


class AdamW:
    """Adam with weight decay that does not pass through the gradient.

    Parameters
    ----------
    rate : float or callable
        The learning rate, or ``rate(step)``.
    betas : tuple of float
        How much of the running means of g and g*g stays at each step.
    eps : float
        Keeps a parameter without gradients from dividing by zero.
    decay : float
        How much of w is taken away at a step, times the rate.
    """

    def __init__(self, rate=1e-3, betas=(0.9, 0.999), eps=1e-8, decay=0.01):
        self.rate = rate
        self.betas = betas
        self.eps = eps
        self.decay = decay
        self._mean = self._square = 0.0
        self._step = 0

    def memory(self):
        """Return what it has seen, by name: what `recall` takes."""
        return {"velocity": self._velocity, "steps": self._step}

    def recall(self, velocity, steps):
        """Be as another one was."""
        self._velocity, self._step = velocity, steps

    def step(self, w, gradient):
        """Return the new parameters; `w` stays as it is."""
        rate, self._step = rate_at(self.rate, self._step), self._step + 1
        first, second = self.betas
        self._mean = first * self._mean + (1 - first) * gradient
        self._square = second * self._square + (1 - second) * gradient**2
        mean = self._mean / (1 - first**self._step)
        square = self._square / (1 - second**self._step)
        return w - rate * (mean / (np.sqrt(square) + self.eps) + self.decay * w)


def rate_at(rate, step):
    """Return the learning rate of a step: `rate` itself, or ``rate(step)``."""
    return rate(step) if callable(rate) else rate
