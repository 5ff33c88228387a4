"""When Training Goes Wrong, as chapters/trouble.md teaches it.

Made from that chapter by `make lib`: edit the chapter, not this file.
"""
# ruff: noqa: I001
# fmt: off
# Its text below this line has the SHA-256 2ca8b914156da4db.

import logging
import math
from d2l_gan.support import checks
from mxnet import autograd, np
from tqdm import tqdm

__all__ = [
    'LateLosses',
    'mean_opinion',
    'note_spread',
    'spread',
    'troubles',
    'warn',
]


def spread(X):
    """Tell how far examples lie from their mean, as a root mean square.

    Of each channel of an image its mean over the pixels is taken out, so that
    channels that are constant, such as label maps, have no say.

    Args:
        X: examples, shape (n, ...); an array of MXNet or NumPy.

    Returns:
        float: at least 0.

    Taught in chapters/trouble.md, "Three Things to Look At".
    """
    X = checks.to_numpy(X)
    if X.ndim == 4:
        X = X - X.mean(axis=(2, 3), keepdims=True)
    return math.sqrt(X.reshape(len(X), -1).var(axis=0).sum())


def mean_opinion(X, net_D, loss):
    """Give the mean probability of "real" that a discriminator gives.

    It is asked as in training: batch normalisation takes the statistics of
    these examples (and does not keep them), and dropout is on.

    Args:
        X: examples, shape (n, ...), all real or all fake.
        net_D: the discriminator.
        loss: a cross-entropy; maps what `net_D` gives, and labels, to one
            loss an example.

    Returns:
        float: in [0, 1].

    Taught in chapters/trouble.md, "Three Things to Look At".
    """
    with autograd.train_mode():
        losses = loss(net_D(X), np.ones((len(X),), ctx=X.ctx))
    return float(np.exp(-losses).mean())


def note_spread(history, X, Z, net_D, net_G, loss, opinions=False):
    """Note in a history how far the samples spread, at the end of an epoch.

    Args:
        history: of `train`. Its lists get one more number: `spread`, that of
            the fakes divided by that of the real examples (NaN if the latter
            is 0); and, with `opinions`, `D_real` and `D_fake`, the
            `mean_opinion` of either.
        X, Z: a minibatch, as in `adversarial_step`.
        net_D, net_G, loss: as in `adversarial_step`.
        opinions: whether to ask the discriminator too.

    Taught in chapters/trouble.md, "Three Things to Look At".
    """
    fake_X = net_G(Z)
    found = {'spread': spread(fake_X) / (spread(X) or math.nan)}
    if opinions:
        found['D_real'] = mean_opinion(X, net_D, loss)
        found['D_fake'] = mean_opinion(fake_X, net_D, loss)
    for name, value in found.items():
        history.setdefault(name, []).append(value)


def troubles(history, num_minibatches):
    """Tell what is wrong in the last epoch of a history.

    Args:
        history: of `train`, with `loss_D` and `spread`.
        num_minibatches: of an epoch.

    Returns:
        list: sentences that say what it is, and what to try.

    Taught in chapters/trouble.md, "Saying So".
    """
    found = []
    if 0 <= history['loss_D'][-1] < 0.01:
        found.append(
            'the discriminator has won, its loss is below 0.01. Try a smaller '
            'lr_D, dropout or fewer units in net_D, or more data; if the '
            'spread is near 0 too, a smaller lr_G')
    num_steps = num_minibatches * len(history['spread'])
    if history['spread'][-1] < 0.05 and num_steps >= 300:
        found.append(
            'the samples are nearly all alike, they spread less than 5 % as '
            'far as the data. Try a smaller lr_G, beta1=0.5 or another '
            'net_G; or patience, if the generator has hardly begun')
    return found


def warn(history, num_minibatches):
    """Warn of the troubles of the last epoch, once of each.

    The warnings go to the log, and to `history['warnings']`.

    Args:
        history, num_minibatches: as in `troubles`.

    Taught in chapters/trouble.md, "Saying So".
    """
    for trouble in troubles(history, num_minibatches):
        if not any(trouble in warning for warning in history['warnings']):
            warning = f'epoch {len(history["loss_D"])}: {trouble}'
            history['warnings'].append(warning)
            with tqdm.external_write_mode():  # no progress bar in its way
                logging.getLogger(__name__).warning(warning)


class LateLosses:
    """The losses of an epoch's minibatches, read when they are not new.

    When `max_unread` pairs have not been read, the older half is. The engine
    has the other half to work on meanwhile, and never more minibatches.

    Args:
        epoch: its number.
        data_iter: that of `train`.
        last_good: the checkpoint to name when a loss is no number, if there
            is one.

    Taught in chapters/trouble.md, "Numbers That Are None".
    """
    max_unread = 20

    def __init__(self, epoch, data_iter, last_good=None):
        self.where = epoch, data_iter, last_good
        self.pairs, self.num_read = [], 0

    def __len__(self):
        return len(self.pairs)

    def append(self, pair):
        """Take the losses (loss_D, loss_G) of the next minibatch.

        Raises:
            FloatingPointError: if losses of an older one are NaN or infinite.
        """
        self.pairs.append(pair)
        if len(self) - self.num_read == self.max_unread:
            self._read(self.num_read + self.max_unread // 2)

    def read(self):
        """Read all that are left.

        Returns:
            list: the pairs of all minibatches, as floats.

        Raises:
            FloatingPointError: if one is NaN or infinite.
            ValueError: if there are none.
        """
        epoch, *_ = self.where
        checks.check_not_empty(len(self), epoch)
        self._read(len(self))
        return self.pairs

    def _read(self, end):
        epoch, data_iter, last_good = self.where
        for i in range(self.num_read, end):
            self.pairs[i] = tuple(map(float, self.pairs[i]))
            checks.check_loss(self.pairs[i], epoch, i + 1, data_iter,
                              last_good)
        self.num_read = end
