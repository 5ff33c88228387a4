"""Errors that name the cause, for the mistakes that training loops meet."""

import contextlib
import math

import mxnet as mx
import numpy
from mxnet import np, npx

from d2l_gan.support.names import suggestion

__all__ = [
    'check_fit',
    'check_like',
    'check_loss',
    'check_not_empty',
    'check_numpy_mode',
    'check_settings',
    'check_types',
    'engine_left_clean',
    'finite_array',
    'real_examples',
    'refuse_unknown',
    'to_numpy',
]


def check_numpy_mode():
    """See that MXNet is in its NumPy mode.

    Raises:
        ValueError: if it is in the legacy one.
    """
    if not npx.is_np_array():
        raise ValueError(
            'MXNet is in its legacy mode, where gluon does not '
            'take NumPy arrays: call mxnet.npx.set_np() first'
        )


def check_settings(num_epochs, lr_D, lr_G, latent_dim, beta1, seed=None):
    """See that MXNet is in its NumPy mode, and the settings are in range.

    Raises:
        ValueError: naming the setting, its value and its range.
    """
    check_numpy_mode()
    for name, value, fits, range_ in (
        ('num_epochs', num_epochs, num_epochs >= 1, 'at least 1'),
        ('lr_D', lr_D, lr_D > 0, 'above 0'),
        ('lr_G', lr_G, lr_G > 0, 'above 0'),
        ('latent_dim', latent_dim, latent_dim >= 1, 'at least 1'),
        ('beta1', beta1, 0 <= beta1 < 1, 'in [0, 1)'),
        ('seed', seed, seed is None or 0 <= seed < 2**32, 'in [0, 2**32)'),
    ):
        if not fits:
            raise ValueError(f'{name} is {value}, but has to be {range_}')


def check_types(facts, kinds):
    """See that what a file holds has values of certain types.

    Args:
        facts: what should be a dictionary with certain names.
        kinds: a type, or several, for each of these.

    Raises:
        KeyError, TypeError: naming what is missing or wrong.
    """
    for name, kind in kinds.items():
        value = facts[name]
        # To Python True is an integer, to whoever wrote a file it is none.
        is_true = isinstance(value, bool) and kind is not bool
        if not isinstance(value, kind) or is_true:
            raise TypeError(f'{name} is {value!r:.60}')


def refuse_unknown(unknown, names):
    """See that no argument of `train` was misspelt.

    Args:
        unknown: a dictionary, empty if all is well.
        names: of the arguments that there are.

    Raises:
        TypeError: naming the argument, and one that is alike.
    """
    for name in unknown:
        cure = suggestion(name, names, 'see help(train)')
        raise TypeError(f'train() has no argument {name!r}: {cure}')


def real_examples(minibatch):
    """Take the examples of a minibatch, which may hold labels too.

    Args:
        minibatch: an array, or a tuple or list that begins with one.

    Returns:
        mxnet.np.ndarray

    Raises:
        ValueError: if it is, or begins with, anything else.
    """
    if isinstance(minibatch, (tuple, list)) and minibatch:
        minibatch = minibatch[0]
    if not isinstance(minibatch, np.ndarray):
        raise ValueError(
            f'the data iterator gives {type(minibatch)}; it has to give '
            'arrays of mxnet.np, as gluon.data.DataLoader does, or tuples '
            'that begin with one'
        )
    return minibatch


def check_like(X, first, where):
    """See that a minibatch is as the first one was, but for its length.

    Args:
        X: the examples, shape (batch_size, ...).
        first: shape and type of an example of the first one.
        where: its epoch and its number, from 1.

    Raises:
        ValueError: if it is empty, or of another shape or type.
    """
    shape = X.shape
    if shape[:1] in ((), (0,)) or (shape[1:], X.dtype) != first:
        raise ValueError(
            'epoch {}, minibatch {}: '.format(*where)
            + f'it has shape {shape} and type {numpy.dtype(X.dtype)}, but '
            f'must hold at least one example, of shape {first[0]} and type '
            f'{numpy.dtype(first[1])} as those of the first minibatch'
        )


@contextlib.contextmanager
def engine_left_clean():
    """Let no error in the block stay in MXNet's engine.

    There it would be raised once more, by whoever waits for the engine next.
    """
    try:
        yield
    except Exception:
        with contextlib.suppress(mx.MXNetError):
            npx.waitall()
        raise


def to_numpy(array):
    """Make a numpy.ndarray of an array of MXNet, or of anything like one."""
    if hasattr(array, 'asnumpy'):
        array = array.asnumpy()
    return numpy.asarray(array)


def finite_array(name, array, ndim=None, min_rows=0):
    """Make a float64 numpy.ndarray of an array, if it is as measures need it.

    Args:
        name: what to call it in a message.
        array: an array of MXNet or NumPy, or anything like one.
        ndim: how many axes it must have, any number if `None`.
        min_rows: how long the first axis has to be at least, if `ndim` is
            given.

    Returns:
        numpy.ndarray: of float64.

    Raises:
        ValueError: for other shapes, and for NaN or infinite numbers.
    """
    array = to_numpy(array).astype('float64')
    if ndim is not None and (array.ndim != ndim or len(array) < min_rows):
        rows = f', and at least {min_rows} rows' if min_rows else ''
        raise ValueError(
            f'{name} has shape {array.shape}, but must have {ndim} axes{rows}'
        )
    if not numpy.isfinite(array).all():
        raise ValueError(f'{name} holds NaN or infinite numbers')
    return array


def check_fit(net_D, net_G, loss, X, Z, data):
    """Run both networks once, to see that everything fits together.

    Nothing is drawn at random but the weights of layers whose input size was
    not known yet, the discriminator's first, as in the first update.

    Args:
        net_D, net_G: the discriminator and the generator.
        loss: called with (logits, labels), gives one number an example.
        X: the first minibatch of real examples, shape (batch_size, ...).
        Z: a minibatch of latent vectors, shape (batch_size, latent_dim).
        data: the real examples to be shown, shape (n, ...).

    Raises:
        ValueError: if X is not a batch, a network does not take its input, or
            the shapes of what comes out are not those expected.
    """
    if X.ndim < 2:
        raise ValueError(
            f'the minibatches have shape {X.shape}, but must be '
            '(batch_size, ...): does the data iterator batch?'
        )
    if X.dtype != 'float32':
        raise ValueError(
            f'the minibatches are of type {X.dtype}, but networks compute in '
            "float32: convert the data with .astype('float32')"
        )
    logits = _call('net_D', net_D, X, 'a minibatch of real examples')
    errors = loss(logits, np.ones((len(X),), ctx=X.ctx))
    if errors.shape != (len(X),):
        raise ValueError(
            f'net_D gives an output of shape {logits.shape} for {len(X)} '
            f'examples, which makes losses of shape {errors.shape}: there '
            'must be one loss an example'
        )
    fake_X = _call('net_G', net_G, Z, 'a minibatch of latent vectors')
    for name, real in (('the minibatches', X), ('`data`', data)):
        if fake_X.shape[1:] != real.shape[1:]:
            raise ValueError(
                f'net_G makes examples of shape {fake_X.shape[1:]}, but those '
                f'of {name} have shape {real.shape[1:]}'
            )


def check_not_empty(num_minibatches, epoch):
    """See that an epoch had minibatches.

    Raises:
        ValueError: if there were none.
    """
    if not num_minibatches:
        raise ValueError(
            f'epoch {epoch}: the data iterator gave no minibatch. Is the data '
            'set empty? Every epoch reads the iterator anew, so it must not '
            'be one that ends for good, such as a generator'
        )


def check_loss(pair, epoch, minibatch, data_iter, last_good=None):
    """See that the losses of a minibatch are numbers.

    Args:
        pair: the floats (loss_D, loss_G).
        epoch, minibatch: their numbers, for the message.
        data_iter: read again to find out whether the data are to blame.
        last_good: the checkpoint to name, if there is one.

    Raises:
        FloatingPointError: naming the epoch, the minibatch and the cause.
    """
    if all(map(math.isfinite, pair)):
        return
    if all(np.isfinite(real_examples(batch)).all() for batch in data_iter):
        cause = (
            'The data are finite, so the training diverged: try lower '
            'learning rates'
        )
    else:
        cause = 'The data hold NaN or infinite values: remove them'
    if last_good:
        cause += f'. The last good checkpoint is {last_good}'
    raise FloatingPointError(
        f'epoch {epoch}, minibatch {minibatch}: the losses became {pair[0]} '
        f'(discriminator) and {pair[1]} (generator). {cause}'
    )


def _call(name, net, inputs, kind):
    try:
        with engine_left_clean():
            outputs = net(inputs)
            # The engine reports what goes wrong when somebody waits for it.
            outputs.wait_to_read()
    except (mx.MXNetError, AssertionError, ValueError, TypeError) as error:
        if 'Failed to allocate' in str(error):
            raise
        reason = str(error).strip().splitlines()
        raise ValueError(
            f'{name} cannot take {kind} of shape {inputs.shape}: '
            f'{reason[-1] if reason else error!r}'
        ) from error
    return outputs
