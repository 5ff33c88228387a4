"""Runs that can be interrupted and taken up again, and generators kept."""

import copy
import io
import json
import logging
import os
import pathlib
import re
import tempfile
import zipfile
import zlib

import mxnet as mx
import numpy
from mxnet import gluon, np, npx
from mxnet.gluon.parameter import DeferredInitializationError

from d2l_gan.support.files import replacing

__all__ = [
    'Checkpoint',
    'Progress',
    'inner_state',
    'load_inner_state',
    'load_network',
    'save_generator',
    'state_of',
]

# Of the files. A reader refuses those of a later one.
FORMAT = 1
# For those who would go on with a run as another one
CURE = 'go on with what it was made with, or take another folder'


class Checkpoint:
    """A folder where `train` keeps how far it has come.

    The files are called `epoch-000001.npz` and so on. Each is an archive of
    NumPy that holds numbers and text only: nothing in it is ever executed.

    Args:
        folder: made if need be.
        every: so many epochs lie between two files, at least 1. The last
            epoch, and the last whole one before an interruption, are kept
            besides.
        keep: so many files stay, the newest, at least 1.

    Raises:
        ValueError: if `every` or `keep` is below 1.
    """

    def __init__(self, folder, every=1, keep=2):
        for name, value in (('every', every), ('keep', keep)):
            if value < 1:
                raise ValueError(
                    f'{name} is {value}, but has to be at least 1'
                )
        self.folder = pathlib.Path(folder)
        self.every, self.keep = every, keep

    def path(self, epoch):
        """The file of an epoch."""
        return self.folder / f'epoch-{epoch:06d}.npz'

    def epochs(self):
        """The epochs that there are files of, the newest first."""
        names = (
            re.fullmatch(r'epoch-(\d{6,})\.npz', path.name)
            for path in self.folder.glob('epoch-*.npz')
        )
        return sorted((int(name[1]) for name in names if name), reverse=True)

    def prepare(self):
        """Make the folder, and see that it takes files.

        Raises:
            OSError: naming the folder.
        """
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            tempfile.TemporaryFile(dir=self.folder).close()
        except OSError as error:
            raise OSError(
                error.errno,
                f'checkpoints cannot be written to the folder {self.folder} '
                f'({error.strerror}): allow it, or take another folder',
            ) from error

    def save(self, epoch, facts, arrays):
        """Write the file of an epoch, and remove those that are too many.

        Args:
            epoch: its number.
            facts: a dictionary that is fit for JSON.
            arrays: numpy.ndarrays by name.

        Raises:
            OSError: naming the file; then those from before are still there.
        """
        content = io.BytesIO()
        text = json.dumps(facts, default=float)
        numpy.savez(content, facts=text, **arrays)
        # A damaged file of a later epoch is no reason to remove good ones.
        path, older = self.path(epoch), [e for e in self.epochs() if e < epoch]
        try:
            with replacing(path) as draft, draft.open('wb') as file:
                file.write(content.getbuffer())
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            good = older and f'the one before, {self.path(older[0])}, is whole'
            raise OSError(
                error.errno,
                f'the checkpoint {path} could not be written '
                f'({error.strerror}; {good or "it is the first"}): make room '
                'there, and train again to go on',
            ) from error
        for other in older[self.keep - 1 :]:
            self.path(other).unlink()
        for draft in self.folder.glob('.epoch-*.npz.*'):  # after a kill
            draft.unlink()

    def load(self):
        """Read the newest file that is whole.

        Files that are damaged are passed over, and the log says so.

        Returns:
            tuple: the path, and what `save` has put into the file, `facts`
            and `arrays`. `None` if there are no files.

        Raises:
            ValueError: if there is no whole one among them, or the newest
                whole one is something else, or of a later format.
        """
        paths = [self.path(epoch) for epoch in self.epochs()]
        for path in paths:
            try:
                return path, *_read(path)
            except _DamagedError as error:
                logging.getLogger(__name__).warning(
                    'the checkpoint %s is damaged (%s): training goes on from '
                    'the one before',
                    path,
                    error,
                )
        if paths:
            raise ValueError(
                f'all checkpoints in {self.folder} are damaged: put a whole '
                'one there, or remove them, to begin anew'
            )
        return None


class Progress:
    """What `train` has to keep, so that it can go on as if never stopped.

    Args:
        checkpoint: a `Checkpoint`, or its folder; with `None`, this does
            nothing.
        seed: as `train` has it.
        settings: numbers and strings by name, which have to be the same when
            the run goes on; see `settle` for those that are not known yet.
        history: of the run; what was kept of it is put there.
        net_D, net_G, trainer_D, trainer_G: as in `train`. What was kept of
            them is put there too.
        writes: whether to keep the epochs to come.
        others: objects by name. Those with a `state_dict()`, which gives
            numbers or numpy.ndarrays by name, and a `load_state_dict(state)`
            are kept with their states.

    Attributes:
        seed: the one given, or the one that was kept, or else, with a
            checkpoint, one that is drawn.
        epoch: how many epochs are done.

    Raises:
        ValueError: as `Checkpoint.load`, and if what was kept is of other
            networks or settings.
    """

    def __init__(
        self,
        checkpoint,
        seed,
        settings,
        history,
        net_D,
        net_G,
        trainer_D,
        trainer_G,
        *,
        writes=True,
        **others,
    ):
        if isinstance(checkpoint, (str, os.PathLike)):
            checkpoint = Checkpoint(checkpoint)
        self.checkpoint, self.writes = checkpoint, writes
        self.seed = None if seed is None else int(seed)
        self.settings, self.history, self.epoch = settings, history, 0
        self.nets = {'net_D': net_D, 'net_G': net_G}
        self.trainers = {
            'trainer_D': (trainer_D, net_D),
            'trainer_G': (trainer_G, net_G),
        }
        self.others = {
            name: other
            for name, other in others.items()
            if hasattr(other, 'state_dict')
        }
        self._unwritten = None
        kept = checkpoint and checkpoint.load()
        if kept:
            self._restore(*kept)
        elif checkpoint and seed is None:
            self.seed = int(numpy.random.randint(2**32, dtype='uint32'))

    @property
    def last(self):
        """The path of the last checkpoint, `None` if there is none.

        It is there as soon as the loop over `epochs` is left.
        """
        if self.checkpoint and self.epoch:
            return self.checkpoint.path(self.epoch)
        return None

    def settle(self, name, value):
        """Keep a setting that is known late, or see that it is what was kept.

        Raises:
            ValueError: if it is not.
        """
        kept = self.settings.setdefault(name, value)
        _check_setting(self.last, name, kept, value)

    def epochs(self, num_epochs):
        """Give the numbers of the epochs to come, and keep what they reach.

        However the loop over them is left, by Ctrl-C too, the last whole epoch
        is kept, and what came after it is not.

        Raises:
            OSError: if that cannot be written.
            FloatingPointError: if a network is not finite after an epoch.
        """
        if self.checkpoint is None or not self.writes:
            for epoch in range(self.epoch + 1, num_epochs + 1):
                yield epoch
                self.epoch = epoch
            return
        self.checkpoint.prepare()
        try:
            for epoch in range(self.epoch + 1, num_epochs + 1):
                yield epoch
                self._unwritten = epoch, *self._snapshot(epoch)
                self.epoch = epoch
                if epoch % self.checkpoint.every == 0:
                    self._write()
        except (GeneratorExit, KeyboardInterrupt, FloatingPointError):
            self._write()
            raise
        self._write()

    def _write(self):
        if self._unwritten:
            self.checkpoint.save(*self._unwritten)
            self._unwritten = None

    def _snapshot(self, epoch):
        """Give the facts and the arrays of a file."""
        states = {
            **{name: _network_state(net) for name, net in self.nets.items()},
            **{
                name: _trainer_state(*pair)
                for name, pair in self.trainers.items()
            },
            **{
                name: other.state_dict() for name, other in self.others.items()
            },
        }
        arrays = {}
        for part, state in states.items():
            for key, value in state.items():
                array = arrays[f'{part}/{key}'] = numpy.array(value)
                if array.dtype.hasobject:
                    raise TypeError(
                        f'the state_dict of `{part}` gives {key!r} = '
                        f'{value!r}: only numbers and arrays can be kept'
                    )
                if part in self.nets and not numpy.isfinite(array).all():
                    raise FloatingPointError(
                        f'epoch {epoch}: in {part}, {key} became NaN or '
                        f'infinite. The last good checkpoint is {self.last}'
                    )
        facts = {
            'format': FORMAT,
            'epoch': epoch,
            'seed': self.seed,
            'history': copy.deepcopy(self.history),  # which will grow
            'settings': self.settings,
            'states': sorted(self.others),
        }
        return facts, arrays

    def _restore(self, path, facts, arrays):
        self._compare(path, facts, arrays)
        for name, net in self.nets.items():
            load_network(net, state_of(name, arrays))
        for name, pair in self.trainers.items():
            _load_trainer(*pair, state_of(name, arrays))
        for name, other in self.others.items():
            other.load_state_dict(
                {
                    key: array if array.ndim else array.item()
                    for key, array in state_of(name, arrays).items()
                }
            )
        self.history.update(facts['history'])
        self.settings.update(facts['settings'])
        self.epoch, self.seed = facts['epoch'], facts['seed']

    def _compare(self, path, facts, arrays):
        """See that what was kept fits what is here, before anything moves."""
        here = {'seed': self.seed, **self.settings}
        for name, kept in {**facts['settings'], 'seed': facts['seed']}.items():
            _check_setting(path, name, kept, here.get(name))
        for part, net in self.nets.items():
            parameters = net._collect_params_with_prefix().items()
            here = {f'{part}/{name}': p.shape for name, p in parameters}
            kept = {
                name: array.shape
                for name, array in arrays.items()
                if name.startswith(f'{part}/')
            }
            for name in sorted({*here, *kept}):
                if not _same_shape(here.get(name, ()), kept.get(name)):
                    raise ValueError(
                        f'the checkpoint {path} is of other networks: there '
                        f'{name} has shape {kept.get(name, "none")}, but here '
                        f'{here.get(name, "none")}: {CURE}'
                    )
        if facts['states'] != sorted(self.others):
            raise ValueError(
                f'the checkpoint {path} holds states of '
                f'{facts["states"] or "nothing"}, but here there are '
                f'{sorted(self.others) or "none"}: {CURE}'
            )


def save_generator(net_G, path):
    """Save a generator so that MXNet alone can load it.

    Makes `<path>-symbol.json` and `<path>-0000.params`, as Gluon's `export`
    does. `gluon.SymbolBlock.imports(f'{path}-symbol.json', ['data'],
    f'{path}-0000.params')` gives the generator back, also where this library
    is not installed.

    Args:
        net_G: maps latent vectors to examples; one that can be hybridized,
            and whose weights are there.
        path: where to, as a name without the endings; its folder is made if
            need be.

    Raises:
        ValueError: if it cannot be hybridized.
    """
    if not isinstance(net_G, gluon.HybridBlock):
        raise ValueError(
            'net_G is no HybridBlock, and only those can be saved without '
            f'their code: {net_G!r}'
        )
    symbol = net_G(mx.sym.var('data').as_np_ndarray())
    parameters, arrays = net_G.collect_params(), {}
    for kind, names in (
        ('arg', symbol.list_arguments()),
        ('aux', symbol.list_auxiliary_states()),
    ):
        for name in set(names) & set(parameters):
            try:
                array = parameters[name].list_data()[0]
            except (RuntimeError, DeferredInitializationError) as error:
                raise ValueError(
                    f'net_G has no weights yet: train it first ({error})'
                ) from error
            arrays[f'{kind}:{name}'] = array
    with (
        replacing(f'{path}-0000.params') as params,
        replacing(f'{path}-symbol.json') as graph,
    ):
        npx.save(str(params), arrays)
        symbol.save(str(graph))


class _DamagedError(Exception):
    pass


def _read(path):
    """Give the facts and the arrays of a file."""
    with path.open('rb') as file:
        foreign = not b'PK\3\4'.startswith(file.read(4))
        file.seek(0)
        try:
            if not foreign:
                with numpy.load(file, allow_pickle=False) as archive:
                    arrays = dict(archive)
                facts = json.loads(str(arrays.pop('facts', '{}')))
                foreign = 'format' not in facts
        except (EOFError, ValueError, zipfile.BadZipFile, zlib.error) as error:
            raise _DamagedError(error) from error
    if foreign:
        raise ValueError(
            f'{path} is no checkpoint of a training: remove it, or take '
            'another folder'
        )
    if facts['format'] > FORMAT:
        raise ValueError(
            f'the checkpoint {path} has format {facts["format"]}, but this '
            f'version of d2l_gan reads those up to {FORMAT}: install the one '
            'that wrote it, or a later one'
        )
    return facts, arrays


def _check_setting(path, name, kept, here):
    if here not in (kept, None):
        raise ValueError(
            f'the checkpoint {path} is of a run with {name} = {kept}, but '
            f'here it is {here}: {CURE}'
        )


def _same_shape(here, kept):
    """Whether shapes are the same; a size of 0 or -1 is not known yet."""
    if here is None or kept is None or len(here) != len(kept):
        return here is None and kept is not None
    return all(a in (0, -1, b) for a, b in zip(here, kept))


def _network_state(net):
    return {
        name: parameter.list_data()[0].asnumpy()
        for name, parameter in net._collect_params_with_prefix().items()
    }


def state_of(part, arrays):
    """Take the state of one part out of a checkpoint.

    Args:
        part: such as 'net_G' or 'step'.
        arrays: by name, as `Checkpoint.load` gives them.

    Returns:
        dict: what the part was kept as, numpy.ndarrays by name.
    """
    return {
        name[len(part) + 1 :]: array
        for name, array in arrays.items()
        if name.startswith(f'{part}/')
    }


def inner_state(step):
    """Give the state of a step inside another one, for that one's state.

    Args:
        step: called as `d2l_gan.train.adversarial_step` is.

    Returns:
        dict: what its `state_dict` gives, with `step.` before the names;
        empty if it has none.
    """
    state = getattr(step, 'state_dict', dict)()
    return {f'step.{name}': value for name, value in state.items()}


def load_inner_state(step, state):
    """Let a step inside another one go on from what `inner_state` gave.

    Args:
        step: the step inside.
        state: of the step around it.

    Returns:
        dict: the rest of `state`, which is the outer step's own.
    """
    own, inner = {}, {}
    for name, value in state.items():
        if name.startswith('step.'):
            inner[name[len('step.') :]] = value
        else:
            own[name] = value
    if inner:
        step.load_state_dict(inner)
    return own


def load_network(net, state):
    """Put weights into a network that is initialised.

    Args:
        net: the network.
        state: numpy.ndarrays by the parameters' names in its structure, as
            `state_of` gives them.

    Raises:
        KeyError, AssertionError: if they are of another network.
    """
    for name, parameter in net._collect_params_with_prefix().items():
        array = state[name]
        parameter.set_data(np.array(array, dtype=array.dtype))
        # If its shape was not known, MXNet would wait for the first minibatch.
        parameter._finish_deferred_init()


# `Trainer.save_states` would pickle. Like the names of networks' parameters,
# the names here are those of the structure: Gluon's own, such as
# dense3_weight, count the layers that a process has made.


def _trainer_state(trainer, net):
    """The learning rate, and Adam's count and two means of each parameter."""
    if trainer._update_on_kvstore:
        raise ValueError(
            'the state of Adam is kept by the KVStore, where a checkpoint '
            'cannot reach it: make the trainers with update_on_kvstore=False'
        )
    state = {'learning_rate': trainer.learning_rate}
    means = trainer._updaters[0].states
    for name, parameter in net._collect_params_with_prefix().items():
        i = trainer._param2idx[parameter.name]
        if i in means:  # which are made at its first update
            count = trainer.optimizer._index_update_count[i]
            state[f'{name}.count'] = count
            for key, mean in zip(('mean', 'var'), means[i]):
                state[f'{name}.{key}'] = mean.asnumpy()
    return state


def _load_trainer(trainer, net, state):
    trainer.set_learning_rate(float(state['learning_rate']))
    counts, means = {}, {}
    for name, parameter in net._collect_params_with_prefix().items():
        if f'{name}.count' in state:
            i = trainer._param2idx[parameter.name]
            counts[i] = int(state[f'{name}.count'])
            means[i] = state[f'{name}.mean'], state[f'{name}.var']
    adam = trainer.optimizer
    adam.num_update = max(counts.values(), default=0)
    for updater, ctx in zip(trainer._updaters, trainer._contexts):
        adam._all_index_update_counts[ctx.device_id] = dict(counts)
        # A new dictionary, by which a fused step knows of it
        updater.states = {
            i: tuple(
                np.array(mean, mean.dtype, ctx=ctx).as_nd_ndarray()
                for mean in pair
            )
            for i, pair in means.items()
        }
        updater.states_synced = dict.fromkeys(means, True)
    adam._set_current_context(trainer._contexts[0].device_id)
