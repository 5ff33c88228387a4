"""How many threads MXNet computes with.

Left alone, MXNet takes half of the processors, as if each core showed up as
two. Convolutions want all cores. Small networks want one thread, since they
wait for a second one longer than they compute. So this package asks for all
cores before MXNet starts, and `train` goes down to one thread where that is
faster. (The other way round would not do: a convolution keeps the number of
threads of its first time.)

Threads wait for one another, and where another process has a core they wait
for that, too: two threads on two cores, one of them taken, are slower than
one. So a training may look how many cores are free, and go on with as many.

Where somebody else has set OMP_NUM_THREADS, that number stays.
"""

import contextlib
import ctypes
import math
import os
import pathlib
import sys
import time
import warnings

__all__ = [
    'adapt', 'all_cores_again', 'choose', 'cores', 'fewer', 'one_thread',
    'prepare',
]  # fmt: skip

# Networks that compute fewer numbers than these in a forward pass, counting
# all layers' outputs, train with one thread. The smaller ones lose by a second
# one; the larger would gain if Python's own thread did not need a core beside
# them. (Measured on two cores.)
FEW_NUMBERS = 2**21

_OURS = 'D2L_GAN_NUM_THREADS'

# The cores that MXNet was told to take, or 1 if the number is not ours.
_cores = 1
# The threads that suit the networks in training, those that the engine has,
# and those that it has since other processes keep cores busy, else `None`
_most, _now, _fewer = 1, None, None
# So many seconds lie between two looks at the cores.
BETWEEN_LOOKS = 1
# What the last look found, and when `adapt` was called last
_seen, _called = None, 0


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
    elif cores > max(1, len(_processors()) // 2):
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


def fewer():
    """The threads while other processes have cores; `None` while none has."""
    return _fewer


def choose(net_D, net_G, X, Z):
    """Let MXNet compute with the number of threads that suits the networks.

    Args:
        net_D, net_G: the discriminator and the generator, with parameters of
            known shapes.
        X, Z: a minibatch of what they take.
    """
    global _most, _fewer, _seen, _called
    _most, _fewer = 1, None
    if _cores > 1:
        try:
            numbers = _numbers(net_D, X) + _numbers(net_G, Z)
        except Exception:  # A network that is no symbol may be anything
            return
        _most = 1 if numbers < FEW_NUMBERS else _cores
        _seen, _called = _look(), time.monotonic()
        _set(_most)


def adapt(first=False):
    """Go on with a thread a free core, once in a while.

    There are no more than `choose` chose. A step finds the number in `fewer`,
    and has to bind its computations anew when it changes.

    Args:
        first: whether an epoch begins. If there was a pause before it, nothing
            is concluded from what others did in that time.
    """
    global _fewer, _seen, _called
    now = time.monotonic()
    paused, _called = first and now - _called > BETWEEN_LOOKS, now
    if _most == 1 or now - _seen[0] < BETWEEN_LOOKS:
        return
    before, _seen = _seen, _look()
    if paused:
        return
    # Somebody who keeps less than 0.4 of a core busy is no reason.
    number = math.floor(_free_cores(before, _seen) + 0.4)
    number = max(1, min(_most, number))
    _fewer = number if number < _most else None
    if number != _now:
        _set(number)


def _look():
    """Look at the clocks.

    Returns:
        tuple: a time; how long the processors that this process may use have
        been busy in all; and how long with this process. In seconds.
    """
    ticks, processors = 0, {f'cpu{i}' for i in _processors()}
    with contextlib.suppress(OSError):  # Not on Linux: nobody is busy
        for line in pathlib.Path('/proc/stat').read_text().splitlines():
            name, *numbers = line.split()
            if name in processors:
                # All but idle and waiting for a disk; guests count as users.
                ticks += sum(map(int, numbers[:3] + numbers[5:8]))
    busy = ticks / os.sysconf('SC_CLK_TCK')
    return time.monotonic(), busy, time.process_time()


def _processors():
    """Give the numbers of the processors that this process may use."""
    if hasattr(os, 'sched_getaffinity'):
        return os.sched_getaffinity(0)
    return range(os.cpu_count())


def _free_cores(before, after):
    """Tell how many cores others have left free between two looks."""
    seconds, busy, own = (b - a for a, b in zip(before, after))
    return len(_processors()) - max(busy - own, 0) / seconds


@contextlib.contextmanager
def all_cores_again():
    """Take all cores again when the block, or the decorated function, ends."""
    global _most, _fewer
    try:
        yield
    finally:
        if _cores > 1:
            _most, _fewer = 1, None
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
    global _now
    _now = num_threads
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
