"""The command line: `d2l-gan`, or `python -m d2l_gan`.

MXNet takes seconds to import, so it is imported where it is needed, and
`--help` answers at once.
"""

import argparse
import difflib
import importlib
import json
import os
import pathlib
import sys

import d2l_gan
from d2l_gan.cluster import peers

__all__ = ['main']

# Commands with a command line of their own: the module whose `main` takes it,
# and the name it has here; and what it does
DELEGATED = {
    'book': ('d2l_gan.book.__main__', 'make the library and the pages'),
    'launch': (
        'd2l_gan.cluster.launch',
        'train on several processes, here or on other machines',
    ),
}

EXAMPLES = """\
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

TRAIN_EXAMPLES = """\
What comes out goes to the run's folder: settings.json, history.json (losses,
spread and speed of every epoch, and warnings), losses.png, samples.png (and
samples/, with those of earlier epochs), checkpoints/, and in the end
generator-symbol.json and generator-0000.params, which MXNet can load without
this library.

A run that was stopped, by Ctrl-C or otherwise, loses the epoch that it was in.
With --resume it ends as if it had never stopped, bit for bit.

examples:
  d2l-gan train gaussian
  d2l-gan train dcgan --average --out runs/averaged
  d2l-gan train dcgan --data fashion_mnist --epochs 5 --out runs/fashion
  d2l-gan train dcgan --out runs/fashion --epochs 10 --resume
"""

SAMPLE_EXAMPLES = """\
examples:
  d2l-gan sample runs/dcgan-0                     # runs/dcgan-0/sample.png
  d2l-gan sample runs/dcgan-0 -n 900 --out images # images/000.png and so on
  d2l-gan sample runs/conditional-dcgan-0 --class 7 --out sevens.png
"""

EVALUATE_TEXT = """\
Images come before the book's judge, a classifier of the real ones (it is
trained once for a data set, and kept). The points of a linear generator need
no judge: the distance to their Gaussian is computed exactly. The verdict is
printed, and written to evaluation.json in the run's folder.

example:
  d2l-gan evaluate runs/dcgan-0
"""

# Samples are drawn from random numbers that no epoch of a training draws from.
DRAWING = (0, 0, 1)
# What each number of an evaluation means
MEANINGS = {
    'distance': 'Fréchet, squared; 0 is best',
    'floor': 'the distance of real examples, as many',
    'precision': 'generated images that are like real ones; 1 is best',
    'recall': 'real images that are like generated ones; 1 is best',
    'copying': '0.5 for honest new images, 1 for copies',
    'rarest_class': 'the share of the class that is drawn least',
    'inception_score': 'from 1 to the number of classes, which is best',
    'modified_inception_score': 'variety inside the classes, at least 1',
    'obedience': 'images that are of the class asked for; 1 is best',
    'accuracy': 'of the judge, on real images it did not learn from',
    'num_images': 'generated for this',
}


def main(arguments=None):
    """Run the command line.

    Args:
        arguments: a list of strings; those of the process if `None`.

    Returns:
        int: the exit status.

    Raises:
        SystemExit: with 2 if the arguments are wrong, with 0 after `--help`.
    """
    arguments = sys.argv[1:] if arguments is None else arguments
    parser, commands = _parser()
    command = arguments[0] if arguments else ''
    if command in DELEGATED:
        module = importlib.import_module(DELEGATED[command][0])
        return module.main(arguments[1:], f'd2l-gan {command}')
    if command and command[0] != '-' and command not in commands:
        parser.error(_unknown('command', command, commands))
    options = parser.parse_args(arguments)
    try:
        status = options.run(options)
        peers.end()  # This process has done its part in a distributed run.
        sys.stdout.flush()
        return status
    except BrokenPipeError:  # as by `| head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except KeyboardInterrupt:
        print('\ninterrupted', file=sys.stderr)
        return 130
    # What users can mend is raised as one of these, with a message for them.
    except (OSError, ValueError, FloatingPointError) as error:
        text = str(error)
        if isinstance(error, OSError) and error.strerror:
            where = f': {error.filename}' if error.filename else ''
            text = f'{error.strerror}{where}'
        print(f'd2l-gan: error: {text}', file=sys.stderr)
        return 1


def _parser():
    """The parser, and the commands' own ones by name."""
    parser = argparse.ArgumentParser(
        prog='d2l-gan',
        description='Trains the systems of the book, draws from them, and '
        'judges them.',
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        '--version', action='version', version=d2l_gan.__version__
    )
    subparsers = parser.add_subparsers(required=True, metavar='COMMAND')

    def add(name, run, help_, epilog=None):
        command = subparsers.add_parser(
            name,
            help=help_,
            description=f'{help_[0].upper()}{help_[1:]}.',
            epilog=epilog,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        command.set_defaults(run=run, parser=command)
        return command

    add('list', _list, "list the book's systems with their settings")

    train = add(
        'train', _train, 'train a system into a folder', TRAIN_EXAMPLES
    )
    train.add_argument(
        'system', metavar='SYSTEM', help='a name that `d2l-gan list` shows'
    )
    train.add_argument(
        '--data',
        help='digits, mnist, fashion_mnist, pokemon, or a folder of PNG and '
        'JPEG files (default: $DATA, or else digits)',
    )
    train.add_argument(
        '--size',
        type=_at_least(1),
        metavar='PIXELS',
        help='scale the images to this height and width (default: their own, '
        'scaled up to the next power of two, at least 16)',
    )
    train.add_argument(
        '--epochs',
        type=_at_least(1),
        metavar='N',
        help="passes over the data (default: as many as make the system's "
        'number of minibatches; see `d2l-gan list`)',
    )
    train.add_argument(
        '--seed',
        type=_at_least(0),
        metavar='N',
        help='of all that is random: the same seed gives the same run '
        '(default: 0)',
    )
    train.add_argument(
        '--average',
        type=_decay,
        nargs='?',
        const=0.999,
        metavar='DECAY',
        help='keep a moving average of the generator too, and draw from it, '
        'judge and save it instead of the last state; DECAY of it is kept in '
        'each minibatch (default: no average; without a DECAY 0.999)',
    )
    train.add_argument(
        '--out',
        type=pathlib.Path,
        metavar='FOLDER',
        help='where the run is kept; must not hold anything yet (default: '
        'runs/SYSTEM-SEED)',
    )
    train.add_argument(
        '--resume',
        action='store_true',
        help='go on with the run in the folder, with its settings; --epochs '
        'can make it longer',
    )

    sample = add(
        'sample',
        _sample,
        'draw from the generator of a run',
        SAMPLE_EXAMPLES,
    )
    _add_run(sample)
    sample.add_argument(
        '-n',
        type=_at_least(1),
        default=50,
        metavar='N',
        help='how many images or points (default: 50)',
    )
    sample.add_argument(
        '--out',
        type=pathlib.Path,
        metavar='PATH',
        help='a name that ends in .png, for one picture of all; or else a '
        'folder, for one PNG file an image (default: sample.png in the '
        "run's folder)",
    )
    sample.add_argument(
        '--class',
        type=_at_least(0),
        dest='wanted',
        metavar='K',
        help='ask for images of class K; only of a conditional system '
        '(default: any)',
    )

    evaluate = add('evaluate', _evaluate, 'judge a run', EVALUATE_TEXT)
    _add_run(evaluate)
    evaluate.add_argument(
        '-n',
        type=_at_least(2),
        metavar='N',
        help='how many images to generate; distances of different numbers '
        'cannot be compared (default: half as many as there are real ones, '
        'at most 5000)',
    )

    for name, (_, help_) in DELEGATED.items():
        subparsers.add_parser(name, help=help_)
    return parser, subparsers.choices


def _add_run(parser):
    parser.add_argument(
        'folder',
        type=pathlib.Path,
        metavar='RUN',
        help='the folder of a run, such as runs/dcgan-0',
    )
    parser.add_argument(
        '--seed',
        type=_at_least(0),
        default=0,
        metavar='N',
        help='of what is drawn (default: 0)',
    )


def _at_least(low):
    def integer(text):
        if not text.isdecimal() or not low <= int(text) < 2**32:
            raise argparse.ArgumentTypeError(
                f'{text!r} is not an integer from {low} to 2**32 - 1'
            )
        return int(text)

    return integer


def _decay(text):
    try:
        decay = float(text)
    except ValueError:
        decay = -1
    if not 0 <= decay < 1:
        raise argparse.ArgumentTypeError(
            f'{text!r} is not a number from 0 to below 1; to leave the number '
            'out, write --average behind SYSTEM'
        )
    return decay


def _unknown(kind, name, names):
    near = difflib.get_close_matches(
        name.lower().replace('_', '-').replace(' ', '-'), names, 1
    )
    return f'there is no {kind} {name!r}: ' + (
        f'did you mean {near[0]!r}?' if near else f'only {", ".join(names)}'
    )


def _list(options):
    from d2l_gan.app.folder import describe
    from d2l_gan.systems import POINT_SYSTEMS, SYSTEMS, System

    columns = {
        'batch_size': 'minibatch',
        'num_minibatches': 'minibatches',
        'lr_D': '  lr_D',
        'lr_G': '  lr_G',
        'beta1': 'beta1',
        'latent_dim': 'latent',
    }
    print(f'{"":18}', *columns.values())
    for name in SYSTEMS:
        # The settings are the same for all shapes and numbers of classes.
        shape = (2,) if name in POINT_SYSTEMS else (1, 16, 16)
        settings = describe(System(name, shape, 10))
        print(
            f'{name:18}',
            *(
                f'{settings.pop(key):>{len(title)}}'
                for key, title in columns.items()
            ),
            *(f' {key} {value}' for key, value in settings.items()),
        )
    print(
        '\nSizes of a minibatch; how many the chapter trains with, which '
        '`d2l-gan train`\nrounds up to whole epochs; the learning rates and '
        "momentum of both networks'\nAdam; the length of a latent vector; "
        'and what else differs from the plain GAN.'
    )
    return 0


def _train(options):
    from d2l_gan.app.folder import RunFolder
    from d2l_gan.parallel import join_workers
    from d2l_gan.systems import POINT_SYSTEMS, SYSTEMS

    if options.system not in SYSTEMS:
        options.parser.error(_unknown('system', options.system, SYSTEMS))
    for name in ('data', 'size'):
        if options.system in POINT_SYSTEMS and getattr(options, name):
            options.parser.error(
                f'{options.system} learns from points that it draws itself: '
                f'leave out --{name}'
            )
    folder = options.out or pathlib.Path(
        'runs', f'{options.system}-{options.seed or 0}'
    )
    if options.resume:
        run = _resume(options, folder)
    else:
        run = RunFolder.create(
            folder,
            options.system,
            options.data,
            options.size,
            options.seed or 0,
            options.epochs,
            options.average,
        )
    num_epochs = run.settings['num_epochs']
    if run.num_epochs_done >= num_epochs:
        print(
            f'the run in {folder} has its {num_epochs} epochs; a larger '
            '--epochs makes it longer'
        )
        return 0
    kvstore = join_workers()  # They all have seen the folder as it was.
    is_first = kvstore is None or kvstore.rank == 0
    if is_first:
        what = run.settings['data'] or 'points'
        print(
            f'{options.system} on {what}, number of epochs: {num_epochs}, '
            f'into {folder}'
        )
    try:
        run.train(kvstore)
    except KeyboardInterrupt:
        if is_first:
            launch = f'launch -n {kvstore.num_workers} ' if kvstore else ''
            print(
                f'\ninterrupted after {run.num_epochs_done} of {num_epochs} '
                f'epochs; to go on: d2l-gan {launch}train {options.system} '
                f'--out {folder} --resume',
                file=sys.stderr,
            )
        return 130
    except OSError as error:
        # A full disk does not say whose it is.
        error.filename = error.filename or folder
        raise
    if is_first:
        print(f'see {folder / "samples.png"} and {folder / "losses.png"}')
    return 0


def _resume(options, folder):
    """Open a run, if the options are those that it was begun with."""
    from d2l_gan.app.folder import RunFolder, resolve

    run = RunFolder.open(folder)
    for name in ('system', 'data', 'size', 'seed', 'average'):
        given, kept = getattr(options, name), run.settings[name]
        if name == 'data' and given is not None:
            given = resolve(given)
        if given is not None and given != kept:
            options.parser.error(
                f'the run in {folder} was begun with the {name} {kept!r}, not '
                f'{given!r}: keep it, or name another folder by --out'
            )
    if options.epochs is not None:
        run.settings['num_epochs'] = options.epochs
    return run


def _sample(options):
    from d2l_gan.app.animator import save_samples
    from d2l_gan.app.folder import RunFolder, check_free
    from d2l_gan.train import set_seed

    run = RunFolder.open(options.folder)
    system, classes = run.system, None
    if options.wanted is not None:
        if not system.takes_orders:
            options.parser.error(
                f'{run.settings["system"]} cannot be asked for a class: '
                'leave out --class, or train conditional-dcgan'
            )
        if options.wanted >= system.num_classes:
            options.parser.error(
                f'class {options.wanted}: there are only 0 to '
                f'{system.num_classes - 1}'
            )
        classes = [options.wanted] * options.n
    path = options.out or options.folder / 'sample.png'
    one_picture = path.suffix.lower() == '.png'
    if not one_picture:
        if len(system.shape) == 1:
            options.parser.error('points go into one picture: let --out end '
                                 'in .png')  # fmt: skip
        check_free(path)
    run.load_generator()
    set_seed(options.seed, *DRAWING)
    examples, asked = system.sample(options.n, classes)
    if one_picture:
        save_samples(path, examples)
        print(f'wrote {path}')
        return 0
    digits = len(str(options.n - 1))
    for i in range(options.n):
        kind = '' if asked is None else f'-class{asked[i]}'
        save_samples(path / f'{i:0{digits}}{kind}.png', examples[i : i + 1])
    print(f'wrote {options.n} images into {path}')
    return 0


def _evaluate(options):
    from d2l_gan.app.folder import RunFolder
    from d2l_gan.support.files import write_text
    from d2l_gan.train import set_seed

    run = RunFolder.open(options.folder)
    num_epochs = run.load_generator()
    examples, labels = run.data
    if len(run.system.shape) == 1:
        verdict = _judge_points(run.system.generator, examples)
    else:
        n = options.n or min(len(examples) // 2, 5000)
        set_seed(options.seed, *DRAWING)
        verdict = _judge_images(examples, labels, *run.system.sample(n))
    write_text(
        options.folder / 'evaluation.json', json.dumps(verdict, indent=2)
    )
    print(
        f'{run.settings["system"]} in {options.folder}, number of epochs: '
        f'{num_epochs}'
    )
    for name, meaning in MEANINGS.items():
        if name in verdict:
            print(f'  {name:24} {verdict[name]:8.4g}  {meaning}')
    return 0


def _judge_points(net_G, points):
    """The exact distance of a linear generator, and that of its data."""
    import numpy

    from d2l_gan.evaluate import frechet_distance
    from d2l_gan.train import GAUSSIAN

    A, b = numpy.array(GAUSSIAN['A']), numpy.array(GAUSSIAN['b'])
    W, b_G = (
        net_G[0].params.get(name).data().asnumpy()
        for name in ('weight', 'bias')
    )
    return {
        'distance': frechet_distance(b_G, W @ W.T, b, A.T @ A),
        'floor': frechet_distance(
            points.mean(axis=0), numpy.cov(points.T), b, A.T @ A
        ),
    }


def _judge_images(images, labels, fakes, asked):
    from d2l_gan.evaluate import Judge

    judge = Judge(images, labels)
    verdict = {
        **judge.summary(fakes, asked),
        'floor': judge.floor(len(fakes)),
        'accuracy': judge.accuracy,
        'num_images': len(fakes),
    }
    if asked is not None:
        verdict['obedience'] = float((judge.classes(fakes) == asked).mean())
    return verdict
