"""What the commands do.

Each takes the options that `parse` gives, and returns the exit status.
"""

import pathlib
import sys

from d2l_gan.app.animator import save_samples
from d2l_gan.app.folder import RunFolder, check_free, describe, resolve
from d2l_gan.app.options import unknown
from d2l_gan.data import some_of
from d2l_gan.evaluate import Judge
from d2l_gan.parallel import join_workers
from d2l_gan.support.files import write_json
from d2l_gan.systems import POINT_SYSTEMS, SYSTEMS, System, judge_points
from d2l_gan.train import set_seed

__all__ = ['COMMANDS']

# Samples are drawn from random numbers that no epoch of a training draws from.
DRAWING = (0, 0, 1)
# Precision and recall need three neighbours, and halves need two images.
MIN_IMAGES = 4
# More real images than these make a verdict no better, but slow.
MAX_IMAGES = 20_000
# The options of `train` that are no settings of a run, and those that say
# something about images
NO_SETTINGS = ('command', 'error', 'out', 'resume', 'lr')
IMAGES_ONLY = ('data', 'size', 'fit', 'mirror', 'skip_damaged')
# The columns of a list, by the settings in them
COLUMNS = {
    'batch_size': 'minibatch',
    'num_minibatches': 'minibatches',
    'lr_D': '  lr_D',
    'lr_G': '  lr_G',
    'beta1': 'beta1',
    'latent_dim': 'latent',
}
# What each number of an evaluation means
MEANINGS = {
    'distance': 'Fréchet, squared; 0 is best',
    'floor': 'the distance of real examples, as many',
    'precision': 'generated images that are like real ones; 1 is best',
    'recall': 'real images that are like generated ones; 1 is best',
    'copying': '0.5 for honest new images, 1 for copies',
    'patch_distance': 'of small pieces, over all scales; 0 is best',
    'patch_floor': 'the same of real images, as many',
    'discriminator': 'how often a fresh one is right; 0.5 is best',
    'discriminator_error': 'by how much a coin in its place is off',
    'rarest_class': 'the share of the class that is drawn least',
    'inception_score': 'from 1 to the number of classes, which is best',
    'modified_inception_score': 'variety inside the classes, at least 1',
    'obedience': 'images that are of the class asked for; 1 is best',
    'accuracy': 'of the judge, on real images it did not learn from',
    'num_images': 'generated for this',
}


def _list(options):
    print(f'{"":18}', *COLUMNS.values())
    for name in SYSTEMS:
        # The settings are the same for all shapes and numbers of classes.
        shape = (2,) if name in POINT_SYSTEMS else (1, 16, 16)
        settings = describe(System(name, shape, 10))
        row = [
            f'{settings.pop(key):>{len(title)}}'
            for key, title in COLUMNS.items()
        ]
        row += [f' {key} {value}' for key, value in settings.items()]
        print(f'{name:18}', *row)
    print(
        '\nSizes of a minibatch; how many the chapter trains with, which '
        '`d2l-gan train`\nrounds up to whole epochs; the learning rates and '
        "momentum of both networks'\nAdam; the length of a latent vector; "
        'and what else differs from the plain GAN.'
    )
    return 0


def _train(options):
    run = _begin(options)
    num_epochs, folder = run.settings['num_epochs'], run.folder
    is_done = run.num_epochs_done >= num_epochs
    kvstore = join_workers()  # They all have seen the folder as it was.
    is_first = kvstore is None or kvstore.rank == 0
    if is_first and not is_done:
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
    if is_first and is_done:
        print(
            f'the run in {folder} has its {num_epochs} epochs; a larger '
            '--epochs makes it longer'
        )
    elif is_first:
        print(
            f'see {folder / "samples.png"} and {folder / "losses.png"}; to '
            f'go on:\n  d2l-gan sample {folder} --out grid.png\n'
            f'  d2l-gan evaluate {folder}\n  d2l-gan train {options.system} '
            f'--out {folder} --resume --epochs {2 * num_epochs}'
        )
    return 0


def _begin(options):
    """Give the run that the options ask for, a new one or one to go on with.

    One goes on if it was begun with all the settings that are given.
    """
    if options.system not in SYSTEMS:
        options.error(unknown('system', options.system, SYSTEMS))
    given = {k: v for k, v in vars(options).items() if v is not None}
    if options.lr:
        given = {'lr_D': options.lr, 'lr_G': options.lr, **given}
    asked = {k: v for k, v in given.items() if k not in NO_SETTINGS}
    for name in IMAGES_ONLY:
        if options.system in POINT_SYSTEMS and name in asked:
            options.error(
                f'{options.system} learns from points that it draws itself: '
                f'leave out --{name.replace("_", "-")}'
            )
    folder = options.out or pathlib.Path(
        'runs', f'{options.system}-{options.seed or 0}'
    )
    if not options.resume:
        return RunFolder.create(folder, **asked)
    run = RunFolder.open(folder)
    kept = {**describe(run.system), **run.settings['changes'], **run.settings}
    num_epochs = asked.pop('num_epochs', run.settings['num_epochs'])
    for name, value in asked.items():
        value = resolve(value) if name == 'data' else value
        if value != kept.get(name):
            options.error(
                f'the run in {folder} was begun with the {name} '
                f'{kept.get(name)!r}, not {value!r}: keep it, or name another '
                'folder by --out'
            )
    run.settings['num_epochs'] = num_epochs
    return run


def _sample(options):
    run = RunFolder.open(options.folder)
    system, names = run.system, run.settings['classes']
    classes = None
    if options.wanted is not None:
        if not system.takes_orders:
            options.error(
                f'{run.settings["system"]} cannot be asked for a class: '
                'leave out --class, or train conditional-dcgan'
            )
        numbers = {str(k): k for k in range(system.num_classes)}
        numbers.update({name: k for k, name in enumerate(names)})
        if options.wanted not in numbers:
            options.error(unknown('class', options.wanted, names))
        classes = [numbers[options.wanted]] * options.n
    path = options.out or options.folder / 'sample.png'
    one_picture = path.suffix.lower() == '.png'
    if not one_picture:
        if len(system.shape) == 1:
            options.error('points go into one picture: let --out end in .png')
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
        kind = '' if asked is None else f'-{names[asked[i]]}'
        save_samples(path / f'{i:0{digits}}{kind}.png', examples[i : i + 1])
    print(f'wrote {options.n} images into {path}')
    return 0


def _evaluate(options):
    run = RunFolder.open(options.folder)
    num_epochs = run.load_generator()['epoch']
    examples, labels = run.data
    if len(run.system.shape) == 1:
        latent_dim = run.system.settings['latent_dim']
        verdict = judge_points(run.system.generator, examples, latent_dim)
    else:
        examples, labels = some_of(examples, labels, MAX_IMAGES)
        size = len(examples)
        n = options.n or max(MIN_IMAGES, min(size // 2, 5000))
        if not MIN_IMAGES <= n <= size - 2:
            raise ValueError(
                f'n is {n}, and there are {size} real images: the judge wants '
                f'{MIN_IMAGES} generated images or more, and two real ones '
                'more than these'
            )
        set_seed(options.seed, *DRAWING)
        verdict = _judge_images(examples, labels, *run.system.sample(n))
    write_json(options.folder / 'evaluation.json', verdict)
    print(
        f'{run.settings["system"]} in {options.folder}, number of epochs: '
        f'{num_epochs}'
    )
    for name, meaning in MEANINGS.items():
        if name in verdict:
            print(f'  {name:24} {verdict[name]:8.4g}  {meaning}')
    return 0


def _judge_images(images, labels, fakes, asked):
    judge = Judge(images, labels)
    verdict = {
        **judge.summary(fakes, asked),
        'floor': judge.floor(len(fakes)),
        'patch_floor': judge.patch_floor(len(fakes)),
        'accuracy': judge.accuracy,
        'num_images': len(fakes),
    }
    if asked is not None:
        verdict['obedience'] = float((judge.classes(fakes) == asked).mean())
    return verdict


COMMANDS = {f.__name__[1:]: f for f in (_list, _train, _sample, _evaluate)}
