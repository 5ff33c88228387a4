"""How many threads MXNet computes with.

Left alone, MXNet takes half of the processors, as if each core showed up as
two. Convolutions want all cores. Small networks want one thread, since they
wait for a second one longer than they compute. So this package asks for all
cores before MXNet starts, and `train` goes down to one thread where that is
faster. (The other way round would not do: a convolution keeps the number of
threads of its first time.)

Where somebody else has set OMP_NUM_THREADS, that number stays.
"""

import contextlib
import ctypes
import math
import os
import sys
import warnings

__all__ = ['all_cores_again', 'choose', 'cores', 'one_thread', 'prepare']

# Networks that compute fewer numbers than these in a forward pass, counting
# all layers' outputs, train with one thread. The smaller ones lose by a second
# one; the larger would gain if Python's own thread did not need a core beside
# them. (Measured on two cores.)
FEW_NUMBERS = 2**21

_OURS = 'D2L_GAN_NUM_THREADS'

# The cores that MXNet was told to take, or 1 if the number is not ours.
_cores = 1


def prepare():
    """Ask for a thread a core; to be called before MXNet is imported.

    The cores are the physical ones that this process may use, by its affinity
    and by the limits of its container.

    Warns:
        RuntimeWarning: if MXNet was imported before, and took fewer.
    """
    global _cores
    # A process that this one starts inherits our number; it is not a user's.
    if os.environ.get('OMP_NUM_THREADS') != os.environ.get(_OURS):
        return
    import joblib  # knows about cores, affinity and containers

    with warnings.catch_warnings():
        # Where cores cannot be told from processors, the latter will do.
        warnings.simplefilter('ignore')
        cores = joblib.cpu_count(only_physical_cores=True)
    if 'mxnet' not in sys.modules:
        os.environ['OMP_NUM_THREADS'] = os.environ[_OURS] = str(cores)
        # While they wait for one another, threads spin for milliseconds, which
        # keeps the core from the very one they wait for where another process
        # runs too. A sixth of that costs little, and is enough.
        os.environ.setdefault('GOMP_SPINCOUNT', '50000')
        _cores = cores
    elif cores > max(1, len(os.sched_getaffinity(0)) // 2):
        warnings.warn(
            'MXNet was imported before d2l_gan, so it leaves half of the '
            'cores idle: import d2l_gan first, or set '
            f'OMP_NUM_THREADS={cores} before Python starts',
            RuntimeWarning,
            stacklevel=3,
        )


def cores():
    """The threads that MXNet was told to take; 1 where a user has set them."""
    return _cores


def choose(net_D, net_G, X, Z):
    """Let MXNet compute with the number of threads that suits the networks.

    Args:
        net_D, net_G: the discriminator and the generator, with parameters of
            known shapes.
        X, Z: a minibatch of what they take.
    """
    if _cores > 1:
        try:
            numbers = _numbers(net_D, X) + _numbers(net_G, Z)
        except Exception:  # A network that is no symbol may be anything
            return
        _set(1 if numbers < FEW_NUMBERS else _cores)


@contextlib.contextmanager
def all_cores_again():
    """Take all cores again when the block, or the decorated function, ends."""
    try:
        yield
    finally:
        if _cores > 1:
            _set(_cores)


@contextlib.contextmanager
def one_thread():
    """Compute with one thread in the block, or in the decorated function."""
    if _cores > 1:
        _set(1)
    with all_cores_again():
        yield


def _numbers(net, inputs):
    """Count the numbers that a forward pass computes or reads."""
    import mxnet as mx

    outputs = net(mx.sym.var('data').as_np_ndarray()).get_internals()
    _, shapes, _ = outputs.infer_shape(data=inputs.shape)
    return sum(map(math.prod, shapes))


class _Context(ctypes.Structure):
    """A device, as MXNet's C interface takes it; this one is the CPU."""

    _fields_ = [('type', ctypes.c_int), ('id', ctypes.c_int)]


@ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.py_object)
def _call(run_context, function):
    function()


def _set(num_threads):
    """Set the number, in the engine's own thread, where it counts."""
    openmp = ctypes.CDLL('libgomp.so.1')  # the one that MXNet has loaded
    _in_engine(lambda: openmp.omp_set_num_threads(num_threads))


def _in_engine(function):
    """Wait for the engine, let its thread call a function, and wait again."""
    import mxnet as mx
    from mxnet.base import _LIB, check_call

    mx.nd.waitall()
    check_call(
        _LIB.MXEnginePushSync(
            _call, ctypes.py_object(function), None,
            ctypes.byref(_Context(1, 0)),
            None, 0, None, 0, None, 0, b'function',
        )
    )  # fmt: skip
    mx.nd.waitall()
