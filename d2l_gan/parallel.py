"""Several Devices, Several Machines, as chapters/parallel.md teaches it.

Made from that chapter by `make lib`: edit the chapter, not this file.
"""
# ruff: noqa: I001
# fmt: off
# Its text below this line has the SHA-256 f7e50edbe62cd82c.

import atexit
import itertools
import mxnet as mx
import numpy
import os
from d2l_gan.cluster import peers
from mxnet import gluon, np
from mxnet.base import _LIB, check_call

__all__ = [
    'DataParallel',
    'OwnKeys',
    'Workers',
    'device_list',
    'join_workers',
    'leave_workers',
    'own_share',
]


class DataParallel(gluon.Block):
    """A network that shares out its minibatches among devices.

    Args:
        net: the network; maps a minibatch to a minibatch, row by row. It has
            its parameters on all the devices.
        devices: a list of them; the first one gets the outputs.

    Taught in chapters/parallel.md, "Several Devices".
    """
    def __init__(self, net, devices):
        super().__init__()
        self.net, self.devices = net, devices

    def forward(self, X):
        """Map a minibatch, part by part; the parts differ by a row at most."""
        num_devices, too_few = len(self.devices), len(X) < len(self.devices)
        rows = np.concatenate([X] * num_devices) if too_few else X
        parts = gluon.utils.split_and_load(rows, self.devices,
                                           even_split=False)
        Y = np.concatenate([self.net(part).as_in_ctx(X.ctx)
                            for part in parts])
        return Y[:len(X)] if too_few else Y


def device_list(device):
    """Make a list of devices: of one, of many, or MXNet's current one.

    Raises:
        ValueError: if there is none, or one comes twice.

    Taught in chapters/parallel.md, "Several Devices".
    """
    if not isinstance(device, (list, tuple)):
        return [device or mx.context.current_context()]
    if not device or len(set(device)) < len(device):
        raise ValueError(f'device is {device}, but has to be one or more '
                         'different devices')
    return list(device)


class OwnKeys(mx.kvstore.KVStoreBase):
    """A part of a KVStore whose keys nobody else uses.

    Trainers number their parameters from 0 on, so that two of them must not
    use the same `KVStore` as it is.

    Args:
        kvstore: a `KVStore`.

    Taught in chapters/parallel.md, "Several Machines".
    """
    count = itertools.count()

    def __init__(self, kvstore):
        self.kvstore, self.number = kvstore, next(OwnKeys.count)
        self.known = set()

    def broadcast(self, key, value, out, priority=0):
        """Give everyone the first worker's value, before anyone goes on."""
        # A copy, for MXNet may keep a layer's weights in a layout of their
        # own, which a KVStore does not take
        plain = mx.nd.array(value.asnumpy(), dtype=value.dtype)
        self.known.add(key)
        self.kvstore.broadcast(f'{self.number}.{key}', plain, plain, priority)
        # Else gradients that are pushed next can overtake it.
        plain.wait_to_read()
        for array in out if isinstance(out, list) else [out]:
            plain.as_np_ndarray().copyto(array)

    def pushpull(self, key, value, out=None, priority=0):
        """Add up the workers' values, and give everyone the sum."""
        if key not in self.known:
            self.broadcast(key, value, [])
        self.kvstore.pushpull(f'{self.number}.{key}', value, out, priority)

    def is_capable(self, capability):
        """Tell a trainer to update parameters itself."""
        return False

    @property
    def type(self):
        """The type of the `KVStore`."""
        return self.kvstore.type


class Workers:
    """The processes that train together.

    From here on each of them draws other latent vectors, even if all were
    seeded alike.

    Args:
        kvstore: what connects them, a `KVStore` of type 'dist_sync' or
            'dist_device_sync'; if `None`, this process is alone.

    Attributes:
        rank: the number of this one, from 0 on.
        num_workers: how many there are.

    Raises:
        ValueError: if `kvstore` does not keep workers in step.

    Taught in chapters/parallel.md, "Several Machines".
    """
    def __init__(self, kvstore):
        self.kvstore, self.rank, self.num_workers = kvstore, 0, 1
        if kvstore is None:
            return
        if not isinstance(kvstore, mx.kvstore.KVStoreBase) or (
                'async' in kvstore.type):
            raise ValueError(
                f'kvstore is {getattr(kvstore, "type", kvstore)!r}, but has '
                "to be what mx.kv.create('dist_sync') gives")
        self.rank, self.num_workers = kvstore.rank, kvstore.num_workers
        mx.random.seed(numpy.random.randint(2 ** 30) + self.rank)

    def trainer(self, params, optimizer, settings):
        """Make a trainer that takes the mean of all workers' gradients.

        Args:
            params, optimizer, settings: as the first three for
                `gluon.Trainer`.

        Returns:
            gluon.Trainer: its `step` wants the number of examples of one
            worker, which has to be the same for all.
        """
        if self.kvstore is None:
            return gluon.Trainer(params, optimizer, settings,
                                 update_on_kvstore=False)
        return gluon.Trainer(
            params, optimizer,
            {**settings, 'rescale_grad': 1 / self.num_workers},
            OwnKeys(self.kvstore), update_on_kvstore=False)

    def same_epoch_and_seed(self, progress):
        """See that all go on from the same epoch, with the first one's seed.

        Args:
            progress: a `d2l_gan.checkpoint.Progress`.

        Raises:
            ValueError: if this worker has another checkpoint than the first.
        """
        if self.kvstore is None:
            return
        seed = -1 if progress.seed is None else progress.seed
        first = np.array([progress.epoch, seed], dtype='float64')
        OwnKeys(self.kvstore).broadcast('progress', first, first)
        epoch, seed = map(int, first.tolist())
        if epoch != progress.epoch:
            raise ValueError(
                f'worker {self.rank} has a checkpoint of epoch '
                f'{progress.epoch}, but the first one has that of epoch '
                f'{epoch}: all of them have to read the same folder')
        if seed >= 0:
            progress.seed = seed

    def start(self, *trainers):
        """Begin to train, all from the first worker's parameters.

        If one of them is lost before `finish`, all others end.

        Args:
            trainers: made by `trainer`; their parameters are initialised.
        """
        if self.kvstore is None:
            return
        peers.begin(self.rank)
        # Who has finished need not wait for the others to exit.
        check_call(_LIB.MXKVStoreSetBarrierBeforeExit(self.kvstore.handle, 0))
        for trainer in trainers:
            trainer.allreduce_grads()  # gives out the parameters, at first

    def sum(self, *numbers):
        """Add up numbers over all workers: give everyone the sums."""
        if self.kvstore is None:
            return numbers
        sums = np.array(numbers, dtype='float64')
        OwnKeys(self.kvstore).pushpull('sums', sums)
        return sums.tolist()

    def finish(self):
        """End to train: from here on no worker needs the others."""
        if self.kvstore is not None:
            mx.nd.waitall()
            peers.end()


def own_share(examples, kvstore=None):
    """Take every n-th of the examples, for one of n workers.

    Args:
        examples: any sequence that can be sliced; or `None`.
        kvstore: what connects the workers; if `None`, there is one.

    Returns:
        The share of this worker, as long as everyone else's: fewer than n
        examples at the end are left out.

    Raises:
        ValueError: if there are fewer examples than workers.

    Taught in chapters/parallel.md, "Several Machines".
    """
    if kvstore is None or examples is None:
        return examples
    length = len(examples) // kvstore.num_workers
    if not length:
        raise ValueError(f'{len(examples)} examples do not go round among '
                         f'{kvstore.num_workers} workers')
    return examples[kvstore.rank::kvstore.num_workers][:length]


def join_workers():
    """Join the workers that were started together with this process.

    Returns:
        mx.kvstore.KVStore: of type 'dist_sync', as soon as all are there;
        `None` if this process was started alone, without the environment
        variable DMLC_ROLE.

    Taught in chapters/parallel.md, "Several Machines".
    """
    if 'DMLC_ROLE' not in os.environ:
        return None
    peers.begin()
    kvstore = mx.kv.create('dist_sync')
    atexit.register(leave_workers, kvstore)
    return kvstore


def leave_workers(kvstore):
    """Close a connection to other workers, at the end of the process.

    Whoever still held it then would have it closed after MXNet's own end,
    which the process does not survive.

    Taught in chapters/parallel.md, "Several Machines".
    """
    peers.leave()
    check_call(_LIB.MXKVStoreFree(kvstore.handle))
    kvstore.handle = None
