"""What can be said on the command line, and what `--help` says about it.

Nothing here imports MXNet, which takes seconds: `--help` answers at once.
"""

import argparse
import functools
import inspect

import d2l_gan
from d2l_gan.support.files import expand
from d2l_gan.support.names import suggestion

__all__ = ['DELEGATED', 'parse', 'unknown']

# Commands with a command line of their own: the module whose `main` takes it,
# and what it does
DELEGATED = {
    'book': ('d2l_gan.book.__main__', 'Make the library and the pages.'),
    'launch': (
        'd2l_gan.cluster.launch',
        'Train on several processes, here or on other machines.',
    ),
}


def parse(arguments):
    """Read the arguments of `d2l-gan`.

    Args:
        arguments: a list of strings, which does not begin with one of
            `DELEGATED`.

    Returns:
        argparse.Namespace: `command`, the name; `error`, to be called with a
        message if the options turn out to be wrong; and the options.

    Raises:
        SystemExit: with 2 if the arguments are wrong, with 0 after `--help`.
    """
    parser = argparse.ArgumentParser(prog='d2l-gan', **_texts(_top))
    _top(parser.add_argument)
    commands = parser.add_subparsers(required=True, metavar='COMMAND')
    for add_options in (_list, _train, _sample, _evaluate):
        name, texts = add_options.__name__[1:], _texts(add_options)
        command = commands.add_parser(name, help=texts['description'], **texts)
        command.set_defaults(command=name, error=command.error)
        add_options(command.add_argument)
    for name, (_, summary) in DELEGATED.items():
        commands.add_parser(name, help=summary)
    first = arguments[0] if arguments else '-'
    if first not in commands.choices and not first.startswith('-'):
        parser.error(unknown('command', first, commands.choices))
    return parser.parse_args(arguments)


def _texts(add_options):
    """Make a docstring the text of `--help`.

    Its first line comes before the options, and the others behind them.
    """
    summary, _, more = (inspect.getdoc(add_options) or '').partition('\n\n')
    return {
        'description': summary,
        'epilog': more,
        'formatter_class': argparse.RawDescriptionHelpFormatter,
    }


def unknown(kind, name, names):
    """Give a message: there is no such thing, but perhaps one named alike."""
    plain = name.lower().replace('_', '-').replace(' ', '-')
    cure = suggestion(plain, names, f'only {", ".join(names)}')
    return f'there is no {kind} {name!r}: {cure}'


def _top(option):
    """Train the systems of the book, draw from them, and judge them.

    examples:
      d2l-gan list
      d2l-gan train dcgan                          # into runs/dcgan-0
      d2l-gan train dcgan --seed 1 --epochs 100    # into runs/dcgan-1
      d2l-gan train mlp-small --data mnist --size 28 --out runs/mnist
      d2l-gan train dcgan --data path/to/images --size 64 --out runs/mine
      d2l-gan sample runs/dcgan-0 --out grid.png
      d2l-gan evaluate runs/dcgan-0

    `d2l-gan COMMAND --help` tells more. Exit status: 0 if all went well, 1 if
    something failed, 2 if the command line is wrong, 130 after Ctrl-C.
    """
    option('--version', action='version', version=d2l_gan.__version__)


def _list(option):
    """List the book's systems with their settings."""


def _train(option):
    """Train a system into a folder.

    What comes out goes to the run's folder: settings.json, history.json
    (losses, spread and speed of every epoch, and warnings), losses.png,
    samples.png (and samples/, with those of earlier epochs), checkpoints/, and
    in the end generator-symbol.json and generator-0000.params, which MXNet can
    load without this library.

    A run that was stopped, by Ctrl-C or otherwise, loses the epoch that it was
    in. With --resume it ends as if it had never stopped, bit for bit.

    examples:
      d2l-gan train gaussian
      d2l-gan train dcgan --average --out runs/averaged
      d2l-gan train dcgan --data fashion_mnist --epochs 5 --out runs/fashion
      d2l-gan train dcgan --out runs/fashion --epochs 10 --resume
      d2l-gan train dcgan --data my/pictures --size 64 --mirror
      d2l-gan train conditional-dcgan --data my/classes --batch-size 32

    Pictures of classes lie in a folder for each class, such as
    my/classes/cat/1.jpg; the conditional system needs them so.
    """
    # None where one is left out, as the other options are
    switch = functools.partial(option, action='store_true', default=None)
    option('system', metavar='SYSTEM', help='a name that `d2l-gan list` shows')
    option(
        '--data',
        help='digits, mnist, fashion_mnist, pokemon, or a folder of pictures '
        '(default: $D2L_GAN_DATASET, or else digits)',
    )
    option(
        '--size',
        type=_at_least(1),
        metavar='PIXELS',
        help='scale the images to this height and width (default: their own, '
        'scaled up to the next power of two, at least 16; 64 for a folder)',
    )
    option(
        '--fit',
        choices=('crop', 'pad', 'stretch'),
        help='make pictures square: cut out the middle, add white, or distort '
        'them (default: crop)',
    )
    switch(
        '--mirror',
        help='mirror every other image at random, where left and right can '
        'change places',
    )
    switch('--skip-damaged', help='go on without pictures that cannot be read')
    option(
        '--epochs',
        dest='num_epochs',
        type=_at_least(1),
        metavar='N',
        help="passes over the data (default: as many as make the system's "
        'number of minibatches; see `d2l-gan list`)',
    )
    option(
        '--seed',
        type=_at_least(0),
        help='of all that is random: the same seed gives the same run '
        '(default: 0)',
    )
    for flag, name, kind, text in (
        ('--batch-size', 'batch_size', _COUNT, 'examples in a minibatch'),
        ('--width', 'n', _COUNT, 'channels of a convolutional system'),
        ('--latent', 'latent_dim', _COUNT, 'the length of a latent vector'),
        ('--lr', 'lr', _RATE, 'learning rate of both networks'),
        ('--lr-D', 'lr_D', _RATE, 'that of the discriminator'),
        ('--lr-G', 'lr_G', _RATE, 'that of the generator'),
        ('--beta1', 'beta1', _DECAY, "Adam's memory of the gradients"),
    ):
        text += " (default: the system's own)"
        option(flag, dest=name, type=kind, metavar='N', help=text)
    option(
        '--average',
        type=_DECAY,
        nargs='?',
        const=0.999,
        metavar='DECAY',
        help='keep a moving average of the generator too, and draw from it, '
        'judge and save it instead of the last state; DECAY of it is kept in '
        'each minibatch (default: no average; without a DECAY 0.999)',
    )
    option(
        '--out',
        type=expand,
        metavar='FOLDER',
        help='where the run is kept; must not hold anything yet (default: '
        'runs/SYSTEM-SEED)',
    )
    switch(
        '--resume',
        help='go on with the run in the folder, with its settings; --epochs '
        'can make it longer',
    )


def _sample(option):
    """Draw from the generator of a run.

    examples:
      d2l-gan sample runs/dcgan-0                     # runs/dcgan-0/sample.png
      d2l-gan sample runs/dcgan-0 -n 900 --out images # images/000.png, ...
      d2l-gan sample runs/conditional-dcgan-0 --class 7 --out sevens.png
      d2l-gan sample runs/mine --class cat --out cats
    """
    _run_and_seed(option)
    option(
        '-n',
        type=_at_least(1),
        default=50,
        help='how many images or points (default: 50)',
    )
    option(
        '--out',
        type=expand,
        metavar='PATH',
        help='a name that ends in .png, for one picture of all; or else a '
        'folder, for one PNG file an image (default: sample.png in the '
        "run's folder)",
    )
    option(
        '--class',
        dest='wanted',
        metavar='CLASS',
        help='ask for images of a class, by the name of its folder or by its '
        'number from 0; only of a conditional system (default: any)',
    )


def _evaluate(option):
    """Judge a run.

    Images come before the book's judge, a classifier of the real ones (it is
    trained once for a data set, and kept). The points of a linear generator
    need no judge: the distance to their Gaussian is computed exactly. The
    verdict is printed, and written to evaluation.json in the run's folder.

    example:
      d2l-gan evaluate runs/dcgan-0
    """
    _run_and_seed(option)
    option(
        '-n',
        type=_at_least(4),
        help='how many images to generate, at least 4; distances of different '
        'numbers cannot be compared (default: half as many as there are real '
        'ones, at most 5000)',
    )


def _run_and_seed(option):
    option(
        'folder',
        type=expand,
        metavar='RUN',
        help='the folder of a run, such as runs/dcgan-0',
    )
    option(
        '--seed',
        type=_at_least(0),
        default=0,
        help='of what is drawn (default: 0)',
    )


def _number(kind, low, high, told):
    """Give a reader of numbers from `low` (0 or more) to below `high`."""

    def number(text):
        try:
            value = kind(text)
        except ValueError:
            value = -1
        if not low <= value < high:
            raise argparse.ArgumentTypeError(f'{text!r} is not {told}')
        return value

    return number


def _at_least(low, high=2**32 - 1):
    return _number(int, low, high + 1, f'an integer from {low} to {high}')


def _fraction(low, bound):
    told = f'a number {bound} to below 1; if none is meant, write the option'
    return _number(float, low, 1, f'{told} behind SYSTEM')


_COUNT = _at_least(1, 4096)
_RATE = _fraction(1e-9, 'above 0')
_DECAY = _fraction(0, 'from 0')
