"""How far a training has come, and how it goes on from there."""

import copy
import os
from contextlib import nullcontext

import numpy

from d2l_gan.checkpoint.folder import FORMAT, Checkpoint
from d2l_gan.checkpoint.state import (
    load_network,
    load_trainer,
    network_state,
    same_shape,
    state_of,
    trainer_state,
)
from d2l_gan.support.files import owned

# For those who would go on with a run as another one
CURE = 'go on with what it was made with, or take another folder'


class Progress:
    """What `train` has to keep, so that it can go on as if never stopped.

    Args:
        checkpoint: a `Checkpoint`, or its folder; with `None`, this does
            nothing.
        seed: as `train` has it.
        settings: numbers and strings by name, which have to be the same when
            the run goes on; see `check_setting` for those known later.
        history: of the run; what was kept of it is put there.
        nets, trainers: pairs, the discriminator's first. What was kept of
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
        self, checkpoint, seed, settings, history, nets, trainers,
        writes=True, **others,
    ):  # fmt: skip
        if isinstance(checkpoint, (str, os.PathLike)):
            checkpoint = Checkpoint(checkpoint)
        self.checkpoint, self.writes = checkpoint, writes
        self.seed = None if seed is None else int(seed)
        self.settings, self.history, self.epoch = settings, history, 0
        self.nets = dict(zip(('net_D', 'net_G'), nets))
        self.trainers = dict(
            zip(('trainer_D', 'trainer_G'), zip(trainers, nets))
        )
        self.others = {
            name: other
            for name, other in others.items()
            if hasattr(other, 'state_dict')
        }
        self._unwritten = None
        self._found = checkpoint and checkpoint.epochs()
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

    def check_setting(self, name, value):
        """Keep a setting that is known late, or see that it is what was kept.

        Raises:
            ValueError: if it is not.
        """
        kept = self.settings.setdefault(name, value)
        _require_same(self.last, name, kept, value)

    def epochs(self, num_epochs):
        """Give the numbers of the epochs to come, and keep what they reach.

        However the loop over them is left, by Ctrl-C too, the last whole epoch
        is kept, and what came after it is not.

        Raises:
            OSError: if that cannot be written, or another process owns the
                folder.
            ValueError: if one has trained into it since this was made.
            FloatingPointError: if a network is not finite after an epoch.
        """
        writes = self.writes and self.checkpoint is not None
        alone = owned(self.checkpoint.folder) if writes else nullcontext()
        with alone:
            if writes and self.checkpoint.epochs() != self._found:
                raise ValueError(
                    'another process has just trained into the folder '
                    f'{self.checkpoint.folder}: start again, to go on from '
                    'there, or take another folder'
                )
            try:
                for epoch in range(self.epoch + 1, num_epochs + 1):
                    yield epoch
                    if writes:
                        self._unwritten = epoch, *self._snapshot(epoch)
                    self.epoch = epoch
                    if writes and epoch % self.checkpoint.every == 0:
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
        states = [
            *((name, network_state(net)) for name, net in self.nets.items()),
            *((name, trainer_state(*x)) for name, x in self.trainers.items()),
            *((name, x.state_dict()) for name, x in self.others.items()),
        ]
        arrays = {}
        for part, state in states:
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
        try:
            for name, net in self.nets.items():
                load_network(net, state_of(name, arrays))
            for name, pair in self.trainers.items():
                load_trainer(*pair, state_of(name, arrays))
            for name, other in self.others.items():
                other.load_state_dict(
                    {
                        key: array if array.ndim else array.item()
                        for key, array in state_of(name, arrays).items()
                    }
                )
        except Exception as error:  # A state may be loaded in any way.
            raise ValueError(
                f'the checkpoint {path} holds states that do not fit '
                f'({error!r:.200}): {CURE}'
            ) from error
        self.history.update(facts['history'])
        self.settings.update(facts['settings'])
        self.epoch, self.seed = facts['epoch'], facts['seed']

    def _compare(self, path, facts, arrays):
        """See that what was kept fits what is here, before anything moves."""
        here = {'seed': self.seed, **self.settings}
        for name, kept in {**facts['settings'], 'seed': facts['seed']}.items():
            _require_same(path, name, kept, here.get(name))
        for part, net in self.nets.items():
            parameters = net._collect_params_with_prefix().items()
            here = {f'{part}/{name}': p.shape for name, p in parameters}
            kept = {
                name: array.shape
                for name, array in arrays.items()
                if name.startswith(f'{part}/')
            }
            for name in sorted({*here, *kept}):
                if not same_shape(here.get(name, ()), kept.get(name)):
                    raise ValueError(
                        f'the checkpoint {path} is of other networks: '
                        f'there {name:.60} has shape '
                        f'{kept.get(name, "none")}, but here '
                        f'{here.get(name, "none")}: {CURE}'
                    )
        if facts['states'] != sorted(self.others):
            raise ValueError(
                f'the checkpoint {path} holds states of '
                f'{facts["states"] or "nothing"}, but here there are '
                f'{sorted(self.others) or "none"}: {CURE}'
            )


def _require_same(path, name, kept, here):
    if here not in (kept, None):
        raise ValueError(
            f'the checkpoint {path} is of a run with {name} = {kept}, but '
            f'here it is {here}: {CURE}'
        )
