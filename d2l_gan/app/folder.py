"""A training run, and the folder that keeps what was asked and what came.

The folder holds

- `settings.json`: all that `RunFolder` needs to build the system again,
- `history.json`: what `train` returns, as far as it has come,
- `checkpoints/`: what it goes on from,
- `losses.png`, `samples.png` and `samples/epoch-0010.png` and so on,
- `generator-symbol.json` and `generator-0000.params` once it is done; see
  `d2l_gan.checkpoint.save_generator`,
- `.owner`: a lock of the process that trains into it.
"""

import functools
import inspect
import json
import math
import os

from mxnet import init, npx

import d2l_gan
from d2l_gan.app.animator import RunAnimator, save_losses, save_samples
from d2l_gan.checkpoint import Checkpoint, save_generator
from d2l_gan.data import class_names
from d2l_gan.data.published import NAMES
from d2l_gan.fused import Game
from d2l_gan.support.checks import check_types
from d2l_gan.support.files import expand, owned, write_json, write_text
from d2l_gan.support.names import suggestion
from d2l_gan.systems import POINT_SYSTEMS, System, count_classes, read_examples
from d2l_gan.train import set_seed, train

__all__ = ['RunFolder', 'check_free', 'describe', 'resolve']

# What a settings.json must have: what it is if nobody asks for anything else,
# and of which types
SETTINGS = {
    'system': ('', str),
    'data': (None, (str, type(None))),
    'size': (None, (int, type(None))),
    'num_epochs': (None, int),
    'seed': (0, int),
    'shape': ([], list),
    'classes': ([], list),
    'fit': ('crop', str),
    'mirror': (False, bool),
    'skip_damaged': (False, bool),
    'changes': ({}, dict),
    'average': (None, (int, float, type(None))),
}
# So many samples are in a picture, which makes a whole grid of images.
NUM_SHOWN = 50


class RunFolder:
    """A system of the book, with the settings of one training.

    Args:
        folder: where it is kept; see `create` and `open`.
        settings: a dict with the names in `SETTINGS`.

    Attributes:
        folder, settings: the arguments.
        system: the `System`.
        checkpoint: the `Checkpoint` that it goes on from.

    Raises:
        ValueError: if the system does not suit the shape.
    """

    def __init__(self, folder, settings):
        npx.set_np()
        self.folder, self.settings = expand(folder), settings
        self.found = None  # the text of settings.json
        self.checkpoint = RunCheckpoint(self.folder / 'checkpoints')
        self.system = System(
            settings['system'],
            settings['shape'],
            len(settings['classes']),
            settings['average'],
            **settings['changes'],
        )

    @classmethod
    def create(cls, folder, system, data=None, size=None, **asked):
        """Begin a run. Nothing is written before it trains.

        Args:
            folder: must not be there yet, or be empty.
            system: one of `SYSTEMS`.
            data, size: as in `read_examples`.
            asked: `num_epochs`, as many as the system's chapter takes if
                `None`; `seed`, of all that is random; `fit` and
                `skip_damaged`, as in `d2l_gan.data.read_images`; `mirror`, as
                in `d2l_gan.data.load_images`; `average` and all others, as in
                `System`. Those that are left out are as `SETTINGS` says.

        Raises:
            FileExistsError: if something is in the folder.
            ValueError: if the system wants labels and there are none.
            ValueError, OSError: as `read_examples` and `System` do.
        """
        check_free(folder)
        npx.set_np()
        settings = {name: default for name, (default, _) in SETTINGS.items()}
        settings.update(asked, system=system, data=data, size=size)
        changes = {k: settings.pop(k) for k in asked if k not in SETTINGS}
        settings['changes'] = changes
        # Reading and scaling may take long: what does not suit the system is
        # refused before.
        points = system in POINT_SYSTEMS
        shape = (2,) if points else (1, size or 16, size or 16)
        trial = System(system, shape, 1, settings['average'], **changes)
        names = [] if points else class_names(data)
        if trial.takes_orders and not names:
            raise ValueError(
                f'{system} needs labels, and {resolve(data)} has no labels: '
                'put the pictures of each class into a folder of its own, '
                f'such as {resolve(data)}/cat/1.png'
            )
        examples, labels = _read(settings)
        settings.update(
            data=None if points else resolve(data),
            shape=list(examples.shape[1:]),
            classes=names[: count_classes(labels)],
        )
        run = cls(folder, settings)
        run.data = examples, labels
        if settings['num_epochs'] is None:
            settings['num_epochs'] = math.ceil(
                run.system.num_minibatches
                / len(run.system.minibatches(examples, labels))
            )
        return run

    @classmethod
    def open(cls, folder):
        """Find a run that was begun before.

        Raises:
            FileNotFoundError: if there is none, naming one that is called
                alike.
            ValueError: if its settings cannot be read.
        """
        folder = expand(folder)
        path = folder / 'settings.json'
        try:
            found = path.read_text(encoding='utf-8')
            settings = json.loads(found)
            _check_settings(settings)
            run = cls(folder, settings)
            run.found = found
            return run
        except (FileNotFoundError, NotADirectoryError):
            runs = folder.parent.glob('*/settings.json')
            cure = suggestion(
                folder.name,
                [path.parent.name for path in runs],
                'check the path, or train a system first',
            )
            raise FileNotFoundError(
                f'there is no run in {folder}: {cure}'
            ) from None
        except (
            ValueError, TypeError, KeyError, ArithmeticError, RuntimeError,
        ) as error:  # fmt: skip
            raise ValueError(
                f'{path} is not as training wrote it ({error!r:.200}): put it '
                'back, or train anew in another folder'
            ) from error

    @functools.cached_property
    def data(self):
        """The examples and labels, as `read_examples` gives them.

        Points are the same every time.

        Raises:
            ValueError: if the data have changed since the run was begun.
            ValueError, OSError: as `read_examples` does.
        """
        examples, labels = _read(self.settings)
        found = list(examples.shape[1:]), count_classes(labels)
        kept = self.settings['shape'], len(self.settings['classes'])
        if found != kept:
            raise ValueError(
                f'{self.settings["data"]} has changed since the run in '
                f'{self.folder} was begun: shape and number of classes were '
                f'{kept}, and are {found}. Put the old data back'
            )
        return examples, labels

    def save_settings(self):
        """Write settings.json, with what is good to know beside."""
        settings = {
            **self.settings,
            'train': describe(self.system),
            'd2l_gan': d2l_gan.__version__,
        }
        self.found = json.dumps(settings, indent=2)
        write_text(self.folder / 'settings.json', self.found)

    @property
    def num_epochs_done(self):
        """How many epochs it has behind it."""
        kept = self.checkpoint.load()
        return kept[1]['epoch'] if kept else 0

    def train(self, kvstore=None):
        """Train the system, from where it is, and write down what happens.

        Args:
            kvstore: as in `d2l_gan.train.train`. Each worker trains with its
                own share of the data; only the first one writes.

        Raises:
            ValueError, FloatingPointError: as `d2l_gan.train.train` does.
            OSError: if a file cannot be written, or another process owns the
                folder or has just begun a run there.
        """
        options = {}
        if self.num_epochs_done < self.settings['num_epochs']:
            # First, so that mistakes come out before anything is written
            cut = functools.partial(self.system.minibatches, *self.data)
            mirror = self.settings['mirror']
            options = {
                'data_iter': cut(kvstore=kvstore, mirror=mirror),
                'num_epochs': self.settings['num_epochs'],
                'examples': next(iter(cut(NUM_SHOWN))),
                'seed': self.settings['seed'],
                'checkpoint': self.checkpoint,
                'kvstore': kvstore,
            }
        if kvstore is not None and kvstore.rank > 0:
            if options:
                self.system.train(**options)
            return
        with owned(self.folder):
            self._check_folder()
            try:
                if options:
                    self._train(options)
            except (KeyboardInterrupt, FloatingPointError):
                self.finish()
                raise
            self.finish()

    def _train(self, options):
        self.save_settings()
        animator = RunAnimator(self)
        options['data_iter'] = animator.follow(options['data_iter'])
        try:
            self.system.train(animator=animator, **options)
        finally:
            animator.close()

    def _check_folder(self):
        """See, as its owner, that it still is what was asked for."""
        path = self.folder / 'settings.json'
        found = path.read_text(encoding='utf-8') if path.exists() else None
        if found != self.found:
            raise FileExistsError(
                f'another process has just trained into {self.folder}: '
                '--resume goes on with it, --out names another folder'
            )
        for name in ('checkpoints', 'samples'):
            if (self.folder / name).is_symlink():
                raise ValueError(
                    f'{self.folder / name} is a link, but has to be a folder: '
                    'a run is written to one place only'
                )

    def finish(self):
        """Write all that follows from the last checkpoint, if there is one.

        However often it is called, it writes the same: a run that was stopped
        after its last epoch becomes whole by it.
        """
        if not self.checkpoint.epochs():
            return
        facts = self.load_generator()
        epoch, history = facts['epoch'], facts['history']
        num_epochs = self.settings['num_epochs']
        write_json(self.folder / 'history.json', history)
        save_losses(self.folder / 'losses.png', history, num_epochs)
        self.save_samples('samples.png', epoch)
        if epoch >= num_epochs:
            save_generator(self.system.generator, self.folder / 'generator')

    def save_samples(self, name, epoch):
        """Save a picture of what the generator makes after an epoch."""
        # From random numbers that no epoch of a training draws from
        set_seed(self.settings['seed'], epoch, 0, 1)
        fake, _ = self.system.sample(NUM_SHOWN)
        real = self.data[0][:NUM_SHOWN] if fake.ndim == 2 else None
        save_samples(self.folder / name, fake, real)

    def load_generator(self):
        """Read the generator, so that one can draw samples.

        Returns:
            dict: the facts of its last checkpoint.

        Raises:
            FileNotFoundError: if the run has not ended its first epoch.
            ValueError: if what was kept is damaged, or of another system.
        """
        kept = self.checkpoint.load()
        if kept is None:
            raise FileNotFoundError(
                f'there is nothing in {self.checkpoint.folder} yet: train '
                'with --resume until the first epoch is done'
            )
        path, facts, arrays = kept
        try:
            self.system.load_generator(arrays)
        except Exception as error:  # A state may be loaded in any way.
            raise ValueError(
                f'{path} is of another system than '
                f'{self.settings["system"]}: put back the settings.json that '
                'belongs to it'
            ) from error
        return facts


class RunCheckpoint(Checkpoint):
    """A `Checkpoint` with the history beside its folder, for people to read.

    A long one is not written in every epoch, which would take ever longer.
    """

    def save(self, epoch, facts, arrays):
        """Write the file of an epoch, and history.json."""
        super().save(epoch, facts, arrays)
        if epoch % max(1, epoch // 20) == 0:
            path = self.folder.parent / 'history.json'
            write_json(path, facts['history'])


def _read(settings):
    """Read the examples and labels of a run; points are drawn by its seed."""
    set_seed(settings['seed'])
    return read_examples(
        *(settings[name] for name in ('system', 'data', 'size')),
        in_memory=None,
        **{name: settings[name] for name in ('fit', 'skip_damaged')},
    )


def resolve(data):
    """Name data in a way that holds in any folder and environment.

    Args:
        data: as `name` in `d2l_gan.data.read_images`.

    Returns:
        str: a data set's name, or an absolute path.
    """
    data = os.fspath(data or os.environ.get('D2L_GAN_DATASET') or 'digits')
    if data in NAMES:
        return data
    return str(expand(data).resolve())


def check_free(folder):
    """See that a folder can be made, or is empty.

    Raises:
        FileExistsError: naming what to do.
    """
    folder = expand(folder)
    if (folder / 'settings.json').exists():
        raise FileExistsError(
            f'there is a run in {folder}: --resume goes on with it, --out '
            'names another folder'
        )
    # A file that is hidden is a lock or a draft, which a killed run has left.
    if folder.exists() and (not folder.is_dir() or any(folder.glob('[!.]*'))):
        raise FileExistsError(
            f'{folder} is there, and is not an empty folder: name another '
            'one by --out'
        )


def _check_settings(settings):
    """See that settings are of the right types, and in range."""
    check_types(settings, {k: kind for k, (_, kind) in SETTINGS.items()})
    shape, size = settings['shape'], settings['size']
    is_square = len(shape) == 3 and shape[1] == shape[2] == (size or shape[1])
    for name, fits in {
        'num_epochs': settings['num_epochs'] >= 1,
        'seed': 0 <= settings['seed'] < 2**32,
        'shape': (shape == [2] or is_square)
        and all(isinstance(n, int) and 0 < n < 2**16 for n in shape),
    }.items():
        if not fits:
            raise ValueError(f'{name} is {settings[name]!r:.60}')


def describe(system):
    """Put the settings of a system into words and numbers.

    Args:
        system: a `System`.

    Returns:
        dict: fit for JSON.
    """
    settings = {
        'batch_size': system.batch_size,
        'num_minibatches': system.num_minibatches,
        'beta1': inspect.signature(train).parameters['beta1'].default,
        **system.settings,
    }
    # All steps are fused; what may differ is the game that they play.
    settings.pop('step', None)
    if type(system.game) is not Game:
        settings['game'] = system.game
    return {name: _in_words(value) for name, value in settings.items()}


def _in_words(value):
    if isinstance(value, (int, float)):
        return value
    if isinstance(value, init.Initializer):
        kind, arguments = json.loads(value.dumps())
        return f'{kind}({", ".join(map(str, arguments.values()))})'
    # A function, what a function made, or an object
    return getattr(value, '__qualname__', type(value).__name__).split('.')[0]
