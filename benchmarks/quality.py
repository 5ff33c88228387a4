"""How good does each system of the book become by the same work?

Trains every system with as many multiplications and additions as the others,
each run on one core and several seeds for each, and judges what it makes.
Every run is kept in _build/quality, with a grid of its images, so an
interrupted benchmark goes on where it was. One picture, grids.png, shows what
all systems draw on the first seed.
"""

import argparse
import concurrent.futures
import math
import multiprocessing
import os
import pathlib
import statistics

# Runs share the machine, each on one core. MXNet reads this at its import.
os.environ['OMP_NUM_THREADS'] = '1'

# Before MXNet, so that it finds the NumPy that it needs
import d2l_gan  # noqa: F401 isort: skip
import numpy
from matplotlib.figure import Figure
from mxnet import npx
from tqdm import tqdm

from d2l_gan.animator import save_images, tile
from d2l_gan.data import read_images
from d2l_gan.evaluate import Judge
from d2l_gan.support.files import replacing
from d2l_gan.systems import IMAGE_SYSTEMS, train_system

npx.set_np()

OUT = pathlib.Path('_build/quality')
NUM_FAKES = 10_000


def run(name, seed, data, size, work, path):
    """Train one system on one seed, and write images that it makes."""
    images, labels = read_images(data, size)
    system, num_minibatches = train_system(name, work, images, labels, seed)
    fakes, asked = system.sample(NUM_FAKES)
    save_images(path.with_suffix('.png'), fakes[:32])
    record = {
        'fakes': numpy.rint((fakes + 1) * 127.5).astype('uint8'),
        'num_minibatches': num_minibatches,
        'num_parameters': system.num_parameters,
    }
    if asked is not None:
        record['asked'] = asked
    with replacing(path) as draft, draft.open('wb') as file:
        numpy.savez(file, **record)


def show(paths, out):
    """Save a picture with a grid of images of each system's first run."""
    nrows = math.ceil(len(paths) / 2)
    fig = Figure(figsize=(9, 2.2 * nrows), layout='tight')
    for i, (name, (first, *_)) in enumerate(paths.items(), 1):
        ax = fig.add_subplot(nrows, 2, i)
        ax.set_axis_off()
        fakes = numpy.load(first)['fakes'][:60].astype('float32')
        image = tile(fakes / 127.5 - 1)
        ax.imshow(image, cmap='gray', vmin=0, vmax=1)
        ax.set_title(name, fontsize=10)
    with replacing(out) as draft:
        fig.savefig(draft, format='png', dpi=110)


def report(paths, data, size):
    """Print a table in markdown, a line for each system."""
    images, labels = read_images(data, size)
    judge = Judge(images, labels)
    # A distance depends on the number of images.
    num_fakes = min(NUM_FAKES, len(images) // 2)
    print(
        f'Accuracy of the judge: {judge.accuracy:.1%}; distance between real '
        f'images: {judge.floor(num_fakes):.2f}, of their patches: '
        f'{judge.patch_floor(num_fakes):.4f}\n\n'
        '| | minibatches | parameters | distance, median | worst | recall, '
        'median | rarest class, worst | patches, median | fresh discriminator '
        'right, median |\n' + '| --- ' * 9 + '|'
    )
    for name, names in paths.items():
        runs = [numpy.load(path) for path in names]
        fakes = [run['fakes'][:num_fakes] for run in runs]
        distances = [judge.distance(images) for images in fakes]
        recalls = [judge.precision_recall(images)[1] for images in fakes]
        patches = [judge.patch_distance(images) for images in fakes]
        answers = [judge.discriminator(images)[0] for images in fakes]
        rarest = min(judge.class_shares(images).min() for images in fakes)
        print(
            f'| {name} | {runs[0]["num_minibatches"]} | '
            f'{runs[0]["num_parameters"]} | '
            f'{statistics.median(distances):.2f} | {max(distances):.2f} | '
            f'{statistics.median(recalls):.2f} | {rarest:.1%} | '
            f'{statistics.median(patches):.4f} | '
            f'{statistics.median(answers):.1%} |'
        )
    for names in paths.values():
        for path in names:
            record = numpy.load(path)
            if 'asked' in record:
                right = judge.classes(record['fakes']) == record['asked']
                shares = [
                    right[record['asked'] == k].mean()
                    for k in range(judge.num_classes)
                ]
                print(
                    f'\n{path.stem}: of the class asked for '
                    f'{right.mean():.1%}, each class '
                    + ' '.join(f'{share:.1%}' for share in shares)
                )


def main():
    parser = argparse.ArgumentParser(
        description=__doc__.split('\n\n')[0],
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument(
        '--data',
        default=os.environ.get('D2L_GAN_DATASET') or 'digits',
        help='a data set, or a folder of images',
    )
    parser.add_argument('--size', type=int, default=32, help='of the images')
    parser.add_argument(
        '--systems',
        nargs='+',
        choices=IMAGE_SYSTEMS,
        metavar='SYSTEM',
        default=list(IMAGE_SYSTEMS),
        help='which ones',
    )
    parser.add_argument(
        '--work',
        type=float,
        default=20,
        help='a run, in 10^12 multiplications and additions; 20 take a core '
        'some minutes',
    )
    parser.add_argument('--seeds', type=int, default=3, help='runs a system')
    parser.add_argument(
        '--jobs',
        type=int,
        default=len(os.sched_getaffinity(0)),
        help='runs at a time',
    )
    args = parser.parse_args()
    if not 0 < args.work < math.inf:
        parser.error('--work has to be above 0 and finite')
    folder = (
        OUT / f'{pathlib.Path(args.data).name}-{args.size}-{args.work:g}e12'
    )
    paths = {
        name: [folder / f'{name}-{seed}.npz' for seed in range(args.seeds)]
        for name in args.systems
    }
    # Before the first run, which would have to fetch them otherwise
    read_images(args.data, args.size)
    with concurrent.futures.ProcessPoolExecutor(
        args.jobs, multiprocessing.get_context('spawn')
    ) as pool:
        futures = [
            pool.submit(
                run,
                name,
                seed,
                args.data,
                args.size,
                args.work * 1e12,
                path,
            )
            for name, names in paths.items()
            for seed, path in enumerate(names)
            if not path.exists()
        ]
        for future in tqdm(
            concurrent.futures.as_completed(futures),
            f'Runs, {args.jobs} at a time',
            len(futures),
        ):
            future.result()
    show(paths, folder / 'grids.png')
    report(paths, args.data, args.size)


if __name__ == '__main__':
    main()
