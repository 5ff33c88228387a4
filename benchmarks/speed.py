"""How many examples a second does each way to take a step train?

d2l's own functions, the plain functions of the book and its fused step take
turns on the same networks and the same minibatch, so that whatever else the
machine does meets all of them. The table goes to _build/bench/speed.txt too.
"""

import argparse
import pathlib
import statistics
import time

# Before MXNet, so that it finds the NumPy that it needs
import d2l_gan  # noqa: F401 isort: skip
import mxnet as mx
import numpy
from d2l import mxnet as d2l
from mxnet import gluon, init, np, npx
from mxnet.gluon import nn
from tqdm import tqdm

from d2l_gan.conditional import (
    ConditionalDiscriminator,
    ConditionalGenerator,
    FakeClassLoss,
    JoinLabels,
    one_hot,
)
from d2l_gan.dcgan import dcgan_discriminator, dcgan_generator
from d2l_gan.files import replacing
from d2l_gan.fused import FusedStep
from d2l_gan.mlp import RECIPES, mlp_discriminator, mlp_generator
from d2l_gan.train import adversarial_step, set_seed

npx.set_np()

OUT = pathlib.Path('_build/bench/speed.txt')


def d2l_step(X, Z, net_D, net_G, loss, trainer_D, trainer_G):
    """What d2l's loop does with a minibatch."""
    return (
        d2l.update_D(X, Z, net_D, net_G, loss, trainer_D),
        d2l.update_G(Z, net_D, net_G, loss, trainer_G),
    )


STEPS = {'d2l': d2l_step, 'plain': adversarial_step, 'fused': FusedStep}


def gaussian_demo():
    net_D, net_G = nn.HybridSequential(), nn.HybridSequential()
    net_D.add(
        nn.Dense(5, activation='tanh'),
        nn.Dense(3, activation='tanh'),
        nn.Dense(1),
    )
    net_G.add(nn.Dense(2))
    return net_D, net_G


def mlp():
    recipe = RECIPES['logits']
    return (
        mlp_discriminator(**recipe['net_D']),
        mlp_generator((1, 28, 28), **recipe['net_G']),
    )


def dcgan(shape):
    return lambda: (dcgan_discriminator(shape), dcgan_generator(shape))


def conditional_dcgan():
    return (
        ConditionalDiscriminator((1, 32, 32), 10),
        ConditionalGenerator(dcgan_generator((1, 32, 32)), 10),
    )


# The networks, the shape of a minibatch, that of the latent vectors, and how
# many steps are timed at once.
WORKLOADS = {
    'Gaussian demo': (gaussian_demo, (8, 2), 2, 100),
    'MLP 28x28': (mlp, (128, 1, 28, 28), 100, 10),
    'DCGAN 32x32 grey': (dcgan((1, 32, 32)), (64, 1, 32, 32), 100, 1),
    'conditional 32x32': (conditional_dcgan, (64, 1, 32, 32), 100, 1),
    'DCGAN 64x64 RGB': (dcgan((3, 64, 64)), (64, 3, 64, 64), 100, 1),
}


def player(workload, step):
    """Give a function that takes one step, always on the same minibatch."""
    make, shape, latent_dim, _ = WORKLOADS[workload]
    set_seed(0)
    net_D, net_G = make()
    X = np.random.uniform(-1, 1, shape)
    Z = np.random.normal(0, 1, (len(X), latent_dim))
    loss = gluon.loss.SigmoidBCELoss()
    if isinstance(net_G, ConditionalGenerator):
        labels = one_hot(numpy.arange(len(X)) % 10, 10)
        X, Z = JoinLabels()(X, labels), np.concatenate([Z, labels], axis=1)
        loss = FakeClassLoss()
    trainers = []
    for net, inputs in ((net_D, X), (net_G, Z)):
        net.initialize(init.Normal(0.02))
        net(inputs)
        trainers.append(
            gluon.Trainer(
                net.collect_params(),
                'adam',
                {'learning_rate': 2e-4, 'beta1': 0.5},
            )
        )
    if step is FusedStep:
        step = FusedStep(otherwise=None)
    return lambda: step(X, Z, net_D, net_G, loss, *trainers)


def measure(workload, repeats):
    """Give examples per second, a list of them for each step."""
    players = {name: player(workload, step) for name, step in STEPS.items()}
    _, (batch_size, *_), _, steps = WORKLOADS[workload]
    rates = {name: [] for name in players}
    for repeat in range(repeats + 1):
        for name, play in players.items():
            start = time.perf_counter()
            for _ in range(steps):
                play()
            mx.npx.waitall()
            seconds = time.perf_counter() - start
            if repeat:  # the first round is for warming up
                rates[name].append(steps * batch_size / seconds)
    return rates


def row(workload, rates):
    """One line of the table: medians, and ratios with their quartiles."""
    text = f'{workload:18}'
    for name, values in rates.items():
        ratios = [a / b for a, b in zip(values, rates['d2l'])]
        low, _, high = statistics.quantiles(ratios, n=4)
        text += f' {statistics.median(values):8.1f}'
        if name != 'd2l':
            text += f' {statistics.median(ratios):6.2f} '
            text += f'{f"({low:.2f}-{high:.2f})":13}'
    return text.rstrip()


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--workloads', nargs='+', choices=WORKLOADS,
                        default=list(WORKLOADS), metavar='NAME')  # fmt: skip
    parser.add_argument('--repeats', type=int, default=9)
    arguments = parser.parse_args()
    lines = [
        'Examples per second: medians, and beside them the ratios to d2l, in '
        'the median (quartiles)',
        f'{"":18} {"d2l":>8} {"plain":>8} {"":20} {"fused":>8}',
    ]
    for workload in tqdm(arguments.workloads, leave=False):
        lines.append(row(workload, measure(workload, arguments.repeats)))
    text = '\n'.join(lines)
    with replacing(OUT) as path:
        path.write_text(text + '\n', encoding='utf-8')
    print(text)


if __name__ == '__main__':
    main()
