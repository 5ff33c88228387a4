"""A training run, and the folder that keeps what was asked and what came.

The folder holds

- `settings.json`: all that `RunFolder` needs to build the system again,
- `history.json`: what `train` returns, as far as it has come,
- `checkpoints/`: what it goes on from,
- `losses.png`, `samples.png` and `samples/epoch-0010.png` and so on,
- `generator-symbol.json` and `generator-0000.params` once it is done; see
  `d2l_gan.checkpoint.save_generator`.
"""

import difflib
import functools
import inspect
import json
import math
import os

from mxnet import init, npx

import d2l_gan
from d2l_gan.app.animator import RunAnimator
from d2l_gan.checkpoint import Checkpoint, save_generator
from d2l_gan.data import class_names
from d2l_gan.data.published import NAMES
from d2l_gan.support.files import expand, write_json
from d2l_gan.systems import POINT_SYSTEMS, System, count_classes, read_examples
from d2l_gan.train import set_seed, train

__all__ = ['RunFolder', 'check_free', 'describe', 'resolve']

# What a settings.json must have, and of which types
SETTINGS = {
    'system': str,
    'data': (str, type(None)),
    'size': (int, type(None)),
    'num_epochs': int,
    'seed': int,
    'shape': list,
    'num_classes': int,
    'classes': list,
    'fit': str,
    'mirror': bool,
    'skip_damaged': bool,
    'changes': dict,
    'average': (int, float, type(None)),
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
        self.checkpoint = RunCheckpoint(self.folder / 'checkpoints')
        self.system = System(
            *(
                settings[name]
                for name in ('system', 'shape', 'num_classes', 'average')
            ),
            **settings['changes'],
        )

    @classmethod
    def create(
        cls,
        folder,
        system,
        data=None,
        size=None,
        seed=0,
        num_epochs=None,
        average=None,
        fit='crop',
        mirror=False,
        skip_damaged=False,
        **changes,
    ):
        """Begin a run. Nothing is written before it trains.

        Args:
            folder: must not be there yet, or be empty.
            system: one of `SYSTEMS`.
            data, size: as in `read_examples`.
            seed: of all that is random.
            num_epochs: as many as the system's chapter takes if `None`.
            fit, skip_damaged: as in `d2l_gan.data.read_images`.
            mirror: as in `d2l_gan.data.load_images`.
            average, changes: as in `System`.

        Raises:
            FileExistsError: if something is in the folder.
            ValueError: if the system wants labels and there are none.
            ValueError, OSError: as `read_examples` and `System` do.
        """
        check_free(folder)
        npx.set_np()
        # Reading and scaling may take long: what does not suit the system is
        # refused before.
        points = system in POINT_SYSTEMS
        shape = (2,) if points else (1, size or 16, size or 16)
        trial = System(system, shape, 1, average, **changes)
        names = [] if points else class_names(data)
        if trial.takes_orders and not names:
            raise ValueError(
                f'{system} needs labels, and {resolve(data)} has no labels: '
                'put the pictures of each class into a folder of its own, '
                f'such as {resolve(data)}/cat/1.png'
            )
        set_seed(seed)
        examples, labels = read_examples(
            system,
            data,
            size,
            in_memory=None,
            fit=fit,
            skip_damaged=skip_damaged,
        )
        settings = {
            'system': system,
            'data': None if points else resolve(data),
            'size': size,
            'num_epochs': num_epochs,
            'seed': seed,
            'shape': list(examples.shape[1:]),
            'num_classes': count_classes(labels),
            'classes': names,
            'fit': fit,
            'mirror': mirror,
            'skip_damaged': skip_damaged,
            'changes': changes,
            'average': average,
        }
        run = cls(folder, settings)
        run.data = examples, labels
        if num_epochs is None:
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
            settings = json.loads(path.read_text(encoding='utf-8'))
            for name, kind in SETTINGS.items():
                if not isinstance(settings[name], kind):
                    raise TypeError(f'{name} is {settings[name]!r}')
            return cls(folder, settings)
        except (FileNotFoundError, NotADirectoryError):
            runs = folder.parent.glob('*/settings.json')
            near = difflib.get_close_matches(
                folder.name, [path.parent.name for path in runs], 1
            )
            raise FileNotFoundError(
                f'there is no run in {folder}: '
                + (
                    f'did you mean {folder.parent / near[0]}?'
                    if near
                    else 'check the path, or train a system first'
                )
            ) from None
        except (ValueError, TypeError, KeyError) as error:
            raise ValueError(
                f'{path} is not as training wrote it ({error!r}): put it '
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
        set_seed(self.settings['seed'])
        examples, labels = read_examples(
            *(self.settings[name] for name in ('system', 'data', 'size')),
            in_memory=None,
            fit=self.settings['fit'],
            skip_damaged=self.settings['skip_damaged'],
        )
        found = list(examples.shape[1:]), count_classes(labels)
        kept = self.settings['shape'], self.settings['num_classes']
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
        write_json(self.folder / 'settings.json', settings)

    @property
    def num_epochs_done(self):
        """How many epochs it has behind it."""
        return max(self.checkpoint.epochs(), default=0)

    def train(self, kvstore=None):
        """Train the system, from where it is, and write down what happens.

        Args:
            kvstore: as in `d2l_gan.train.train`. Each worker trains with its
                own share of the data; only the first one writes.

        Raises:
            ValueError, FloatingPointError: as `d2l_gan.train.train` does.
            OSError: if a file cannot be written.
        """
        data_iter = self.system.minibatches(
            *self.data, kvstore=kvstore, mirror=self.settings['mirror']
        )
        shown = next(iter(self.system.minibatches(*self.data, NUM_SHOWN)))
        options = {
            'seed': self.settings['seed'],
            'checkpoint': self.checkpoint,
            'kvstore': kvstore,
        }
        num_epochs = self.settings['num_epochs']
        if kvstore is not None and kvstore.rank > 0:
            self.system.train(data_iter, num_epochs, shown, **options)
            return
        self.save_settings()
        animator = RunAnimator(self)
        try:
            self.system.train(
                animator.follow(data_iter),
                num_epochs,
                shown,
                animator=animator,
                **options,
            )
        except BaseException:
            animator.close()
            raise
        save_generator(self.system.generator, self.folder / 'generator')

    def load_generator(self):
        """Read the generator, so that one can draw samples.

        Returns:
            int: how many epochs it has been trained for.

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
        except (KeyError, AssertionError, ValueError) as error:
            raise ValueError(
                f'{path} is of another system than '
                f'{self.settings["system"]}: put back the settings.json that '
                'belongs to it'
            ) from error
        return facts['epoch']


class RunCheckpoint(Checkpoint):
    """A `Checkpoint` with the history beside its folder, for people to read.

    So history.json is as long as what a run goes on from, and holds all that
    `train` returns, also where the run was stopped.
    """

    def save(self, epoch, facts, arrays):
        """Write the file of an epoch, and history.json."""
        super().save(epoch, facts, arrays)
        write_json(self.folder.parent / 'history.json', facts['history'])


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
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise FileExistsError(
            f'{folder} is there, and is not an empty folder: name another '
            'one by --out'
        )


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
    return {name: _in_words(value) for name, value in settings.items()}


def _in_words(value):
    if isinstance(value, (int, float)):
        return value
    if isinstance(value, init.Initializer):
        kind, arguments = json.loads(value.dumps())
        return f'{kind}({", ".join(map(str, arguments.values()))})'
    # A function, what a function made, or an object
    return getattr(value, '__qualname__', type(value).__name__).split('.')[0]
