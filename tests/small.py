"""Small systems of each kind, to be trained by tests in several processes.

`python small.py SEED` prints the digest of what each training comes to.
"""

import hashlib
import json
import sys

# Before MXNet, so that it finds the NumPy that it needs
import d2l_gan  # noqa: F401 isort: skip
import numpy
from d2l import mxnet as d2l
from mxnet import np, npx
from mxnet.gluon import nn

from d2l_gan.data import load_images
from d2l_gan.dcgan import dcgan_discriminator, dcgan_generator
from d2l_gan.deligan import MixtureGame, MixtureLatent, ThresholdGame
from d2l_gan.fused import FusedStep
from d2l_gan.mlp import FreshGame, mlp_discriminator, mlp_generator
from d2l_gan.systems import gaussian_system
from d2l_gan.train import train

npx.set_np()


def point_networks(*widths):
    """A discriminator of these widths and a linear generator, of points."""
    system = gaussian_system((2,), 0, widths, lr_D=0.05, beta1=0.9)
    return system['net_D'], system['net_G']


def gaussian():
    """The first chapter's system, with one layer less and on 100 points."""
    points = numpy.random.RandomState(0).normal(1, 2, (100, 2))
    data_iter = d2l.load_array((np.array(points, dtype='float32'),), 8)
    return *point_networks(5), data_iter, {'lr_D': 0.05, 'latent_dim': 2}


def mlp():
    """One with dropout, and a step that draws random numbers."""
    net_D = mlp_discriminator((32,), leak=0.2, dropout=0.3)
    return net_D, mlp_generator((1, 8, 8), (32,)), digits(), {
        'step': FusedStep(FreshGame())
    }  # fmt: skip


def dcgan():
    """One with batch normalisation, for images of 8 x 8 pixels."""
    nets = dcgan_discriminator((1, 8, 8), 4), dcgan_generator((1, 8, 8), 4)
    return *nets, digits(), {'beta1': 0.5}


def deligan():
    """A latent mixture, its regulariser, and a step with a state."""
    mixture, net_G = MixtureLatent(5, 20), nn.HybridSequential()
    net_G.add(mixture, mlp_generator((1, 8, 8), (32,)))
    game = ThresholdGame(3, MixtureGame(mixture, 0.3))
    return mlp_discriminator((32,)), net_G, digits(), {'step': FusedStep(game)}


def digits():
    """Three minibatches."""
    return load_images(600)


SYSTEMS = {f.__name__: f for f in (gaussian, mlp, dcgan, deligan)}


def weights(*nets):
    """All parameters, running statistics included, as numpy.ndarrays."""
    return [
        parameter.data().asnumpy()
        for net in nets
        for parameter in net._collect_params_with_prefix().values()
    ]


def same(arrays, others):
    """Tell whether two lists hold equal arrays."""
    return len(arrays) == len(others) and all(
        map(numpy.array_equal, arrays, others)
    )


def run(system, num_epochs=3, nets=None, **options):
    """Train a system; gives its networks and the history."""
    net_D, net_G, data_iter, settings = SYSTEMS[system]()
    net_D, net_G = nets or (net_D, net_G)
    data = next(iter(data_iter))
    history = train(
        net_D, net_G, data_iter, num_epochs,
        **{'lr_D': 1e-3, 'lr_G': 5e-3, 'latent_dim': 20,
           'data': data[0] if isinstance(data, (list, tuple)) else data,
           'animator': False, **settings, **options},
    )  # fmt: skip
    return net_D, net_G, history


def digest(net_D, net_G, history):
    """The same for the same weights and losses, to the bit."""
    losses = json.dumps([history['loss_D'], history['loss_G']])
    bits = b''.join(array.tobytes() for array in weights(net_D, net_G))
    return hashlib.sha256(losses.encode() + bits).hexdigest()


if __name__ == '__main__':
    for name in SYSTEMS:
        print(name, digest(*run(name, seed=int(sys.argv[1]))))
