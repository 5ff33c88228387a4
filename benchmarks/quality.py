"""How good does each system of the book become in the same time?

Trains every system on one core for as many seconds as the others, on several
seeds, and judges what it makes. Every run is kept in _build/quality, with a
grid of its images, so an interrupted benchmark goes on where it was.
"""

import argparse
import concurrent.futures
import multiprocessing
import os
import pathlib
import re
import statistics
import time

# Runs share the machine, each on one core. MXNet reads this at its import.
os.environ['OMP_NUM_THREADS'] = '1'

# Before MXNet, so that it finds the NumPy that it needs
import d2l_gan  # noqa: F401 isort: skip
import mxnet as mx
import numpy
from mxnet import npx
from tqdm import tqdm

from d2l_gan.animator import save_images
from d2l_gan.data import load_images, read_images
from d2l_gan.dcgan import (
    dcgan_discriminator,
    dcgan_generator,
    tanh_discriminator,
    tanh_generator,
)
from d2l_gan.evaluate import Judge
from d2l_gan.files import replacing
from d2l_gan.mlp import RECIPES, mlp_discriminator, mlp_generator
from d2l_gan.train import normal_latent, set_seed, train

npx.set_np()

OUT = pathlib.Path('_build/quality')
NUM_FAKES = 10_000


def mlp(name, **changes):
    """A recipe of the chapter on fully connected GANs."""
    recipe = RECIPES[name]
    return {
        'batch_size': recipe['batch_size'],
        'nets': lambda shape: (
            mlp_discriminator(**recipe['net_D']),
            mlp_generator(shape, **recipe['net_G']),
        ),
        'train': {**recipe['train'], **changes},
    }


def convolutional(net_D, net_G):
    """Networks with the paper's settings of Adam and half its width."""
    return {
        'batch_size': 64,
        'nets': lambda shape: (net_D(shape, 32), net_G(shape, 32)),
        'train': {'lr_D': 2e-4, 'lr_G': 2e-4, 'latent_dim': 100, 'beta1': 0.5},
    }


SYSTEMS = {
    'MLP, small': mlp('small'),
    'MLP, logits': mlp('logits'),
    'MLP, deep': mlp('deep'),
    'MLP, logits, beta1 0.5': mlp('logits', beta1=0.5),
    'DCGAN': convolutional(dcgan_discriminator, dcgan_generator),
    'tanh, dropout, pooling': convolutional(
        lambda shape, n: tanh_discriminator(n), tanh_generator
    ),
}


class ForSeconds:
    """Minibatches, over and over, until the time is up.

    The time is that of the processor, so that other work on the machine does
    not count. The networks' work counts: every minibatch waits for it.
    """

    def __init__(self, data_iter, seconds):
        self.data_iter, self.seconds = data_iter, seconds
        self.num_minibatches = 0

    def __iter__(self):
        start = time.process_time()
        while True:
            for minibatch in self.data_iter:
                mx.nd.waitall()
                if time.process_time() - start >= self.seconds:
                    return
                self.num_minibatches += 1
                yield minibatch


def run(name, seed, data, size, seconds, path):
    """Train one system on one seed, and write images that it makes."""
    system = SYSTEMS[name]
    set_seed(seed)
    data_iter = load_images(system['batch_size'], data, size)
    X, *_ = next(iter(data_iter))
    net_D, net_G = system['nets'](X.shape[1:])
    net_D.hybridize(), net_G.hybridize()
    data_iter = ForSeconds(data_iter, seconds)
    train(
        net_D, net_G, data_iter, 1, data=X[:1], animator=False,
        **system['train'],
    )  # fmt: skip
    draw = system['train'].get('latent', normal_latent)
    Z = draw(NUM_FAKES, system['train']['latent_dim'], mx.cpu())
    fakes = numpy.concatenate(
        [net_G(Z[i : i + 500]).asnumpy() for i in range(0, NUM_FAKES, 500)]
    )
    save_images(path.with_suffix('.png'), fakes[:32])
    with replacing(path) as draft, draft.open('wb') as file:
        pixels = numpy.rint((fakes + 1) * 127.5).astype('uint8')
        numpy.savez(file, fakes=pixels, minibatches=data_iter.num_minibatches)


def report(paths, data, size):
    """Print a table in markdown, a line for each system."""
    images, labels = read_images(data, size)
    judge = Judge(images, labels)
    # A distance depends on the number of images.
    num_fakes = min(NUM_FAKES, len(images) // 2)
    floor = judge.floor(num_fakes)
    print(
        f'Accuracy of the judge: {judge.accuracy:.1%}; distance between real '
        f'images: {floor:.2f}\n\n'
        '| | minibatches | distance, median | worst | rarest class, worst |\n'
        '| --- | --- | --- | --- | --- |'
    )
    for name in SYSTEMS:
        runs = [numpy.load(path) for path in paths[name]]
        fakes = [run['fakes'][:num_fakes] for run in runs]
        distances = [judge.distance(images) for images in fakes]
        rarest = min(judge.class_shares(images).min() for images in fakes)
        minibatches = int(
            statistics.median(run['minibatches'] for run in runs)
        )
        print(
            f'| {name} | {minibatches} | {statistics.median(distances):.2f} | '
            f'{max(distances):.2f} | {rarest:.1%} |'
        )


def main():
    parser = argparse.ArgumentParser(
        description=__doc__.split('\n\n')[0],
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument(
        '--data',
        default=os.environ.get('DATA') or 'digits',
        help='a data set, or a folder of images',
    )
    parser.add_argument('--size', type=int, default=32, help='of the images')
    parser.add_argument('--seconds', type=int, default=300, help='a run')
    parser.add_argument('--seeds', type=int, default=3, help='runs a system')
    parser.add_argument(
        '--jobs',
        type=int,
        default=len(os.sched_getaffinity(0)),
        help='runs at a time',
    )
    args = parser.parse_args()
    folder = (
        OUT / f'{pathlib.Path(args.data).name}-{args.size}-{args.seconds}s'
    )
    paths = {
        name: [
            folder / f'{re.sub("[^a-z0-9.]+", "-", name.lower())}-{seed}.npz'
            for seed in range(args.seeds)
        ]
        for name in SYSTEMS
    }
    # Before the first run, which would have to fetch them otherwise
    read_images(args.data, args.size)
    with concurrent.futures.ProcessPoolExecutor(
        args.jobs, multiprocessing.get_context('spawn')
    ) as pool:
        futures = [
            pool.submit(
                run, name, seed, args.data, args.size, args.seconds, path
            )
            for name in SYSTEMS
            for seed, path in enumerate(paths[name])
            if not path.exists()
        ]
        for future in tqdm(
            concurrent.futures.as_completed(futures),
            f'Runs of {args.seconds} s, {args.jobs} at a time',
            len(futures),
        ):
            future.result()
    report(paths, args.data, args.size)


if __name__ == '__main__':
    main()
