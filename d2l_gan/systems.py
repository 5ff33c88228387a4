"""One Table, as chapters/comparison.md teaches it.

Made from that chapter by `make lib`: edit the chapter, not this file.
"""
# ruff: noqa: I001
# fmt: off
# Its text below this line has the SHA-256 e97fd31bc03b492b.

import mxnet as mx
import numpy
import time
from d2l_gan.conditional import (
    ConditionalDiscriminator,
    ConditionalGenerator,
    FakeClassLoss,
    LabelledImages,
    labelled_latent,
)
from d2l_gan.data import load_images, normalize, read_images
from d2l_gan.dcgan import (
    dcgan_discriminator,
    dcgan_generator,
    tanh_discriminator,
    tanh_generator,
)
from d2l_gan.deligan import MixtureLatent, RegularizedUpdate, alternate
from d2l_gan.mlp import RECIPES, mlp_discriminator, mlp_generator
from d2l_gan.train import normal_latent, set_seed, train
from mxnet import init
from mxnet.gluon import nn

__all__ = [
    'DCGAN_SETTINGS',
    'SYSTEMS',
    'ForSeconds',
    'conditional_system',
    'dcgan_system',
    'deligan_system',
    'mlp_system',
    'tanh_system',
    'train_system',
]


def mlp_system(image_shape, num_classes, recipe, **changes):
    """A recipe of the chapter on fully connected GANs.

    Args:
        image_shape, num_classes: of the data.
        recipe: a name from `RECIPES`.
        changes: of the arguments of `train`.

    Returns:
        dict: `net_D`, `net_G`, `batch_size`, and arguments of `train`.

    Taught in chapters/comparison.md, "The Systems".
    """
    recipe = RECIPES[recipe]
    return {'net_D': mlp_discriminator(**recipe['net_D']),
            'net_G': mlp_generator(image_shape, **recipe['net_G']),
            'batch_size': recipe['batch_size'], **recipe['train'], **changes}


DCGAN_SETTINGS = {'batch_size': 64, 'lr_D': 2e-4, 'lr_G': 2e-4, 'beta1': 0.5,
                  'latent_dim': 100}


def dcgan_system(image_shape, num_classes):
    """A DCGAN; see `mlp_system`.

    Taught in chapters/comparison.md, "The Systems".
    """
    n = image_shape[-1]
    return {'net_D': dcgan_discriminator(image_shape, n),
            'net_G': dcgan_generator(image_shape, n), **DCGAN_SETTINGS}


def tanh_system(image_shape, num_classes):
    """The one that breaks the rules of the DCGAN; see `mlp_system`.

    Taught in chapters/comparison.md, "The Systems".
    """
    n = image_shape[-1]
    return {'net_D': tanh_discriminator(n),
            'net_G': tanh_generator(image_shape, n), **DCGAN_SETTINGS}


def conditional_system(image_shape, num_classes):
    """A conditional DCGAN; see `mlp_system`.

    Taught in chapters/comparison.md, "The Systems".
    """
    n = image_shape[-1]
    net_G = dcgan_generator(image_shape, n)
    return {'net_D': ConditionalDiscriminator(image_shape, num_classes, n),
            'net_G': ConditionalGenerator(net_G, num_classes),
            'loss': FakeClassLoss(), 'latent': labelled_latent(num_classes),
            **DCGAN_SETTINGS}


def deligan_system(image_shape, num_classes):
    """A fully connected GAN with a latent mixture; see `mlp_system`.

    Taught in chapters/comparison.md, "The Systems".
    """
    mixture, net_G = MixtureLatent(50, 30), nn.HybridSequential()
    net_G.add(mixture, mlp_generator(image_shape, (256,)))
    return {'net_D': mlp_discriminator((256,), leak=0.2), 'net_G': net_G,
            'batch_size': 50, 'lr_D': 1e-3, 'lr_G': 1e-3, 'latent_dim': 30,
            'beta1': 0.5, 'initializer': init.Xavier('gaussian', 'in', 2),
            'step': alternate(RegularizedUpdate(mixture, 1 / 3))}


SYSTEMS = {
    'MLP, small': lambda *args: mlp_system(*args, 'small'),
    'MLP, logits': lambda *args: mlp_system(*args, 'logits'),
    'MLP, deep': lambda *args: mlp_system(*args, 'deep'),
    'MLP, beta1 0.5': lambda *args: mlp_system(*args, 'logits', beta1=0.5),
    'DeLiGAN': deligan_system,
    'DCGAN': dcgan_system,
    'tanh, dropout': tanh_system,
    'conditional DCGAN': conditional_system}


class ForSeconds:
    """Minibatches, over and over, until the processor's time is up.

    The work of the networks counts, since each minibatch waits for the one
    before.

    Args:
        data_iter: gives minibatches, every epoch anew.
        seconds: of this process's time on the processor, all threads added;
            above 0.

    Attributes:
        num_minibatches: how many there were.

    Raises:
        ValueError: if `seconds` is not above 0.

    Taught in chapters/comparison.md, "The Same Time for Everyone".
    """
    def __init__(self, data_iter, seconds):
        if not seconds > 0:
            raise ValueError(f'seconds is {seconds}, but has to be above 0')
        self.data_iter, self.seconds = data_iter, seconds
        self.num_minibatches = 0

    def __iter__(self):
        end = time.process_time() + self.seconds
        while True:
            for minibatch in self.data_iter:
                mx.nd.waitall()
                if self.num_minibatches and time.process_time() >= end:
                    return
                self.num_minibatches += 1
                yield minibatch


def train_system(name, seconds, data=None, size=None, labels=None, seed=0):
    """Train one of the `SYSTEMS` for a time.

    Args:
        name: which one.
        seconds: the processor's time, as for `ForSeconds`.
        data, size: which images, as `name` and `size` for `load_images`.
        labels: in the place of those of the data set, shape (n,); integers
            from 0 to num_classes - 1.
        seed: of all that is random.

    Returns:
        dict: `sample`, a function of n that gives n generated images, a
        numpy.ndarray (n, channels, height, width) in [-1, 1], and the n
        classes that were asked for, or `None` if the generator takes no
        orders; and `num_minibatches` and `num_parameters`, the latter of both
        networks together.

    Raises:
        ValueError: if there is no such system, or labels or size do not suit
            the data or the networks.

    Taught in chapters/comparison.md, "The Same Time for Everyone".
    """
    if name not in SYSTEMS:
        raise ValueError(f'there is no system {name!r}, only '
                         f'{", ".join(SYSTEMS)}')
    set_seed(seed)
    images, own_labels = read_images(data, size)
    labels = own_labels if labels is None else labels
    num_classes = 0 if labels is None else int(labels.max()) + 1
    channels, examples = images.shape[1], normalize(images[:2])
    system = SYSTEMS[name](images.shape[1:], num_classes)
    net_D, net_G = system.pop('net_D'), system.pop('net_G')
    net_D.hybridize(), net_G.hybridize()
    data_iter = load_images(system.pop('batch_size'), data, size,
                            labels=labels)
    takes_orders = isinstance(net_G, ConditionalGenerator)
    if takes_orders:
        data_iter = LabelledImages(data_iter, num_classes)
        examples = next(iter(data_iter))
    data_iter = ForSeconds(data_iter, seconds)
    train(net_D, net_G, data_iter, 1, data=examples, animator=False, **system)

    def sample(n):
        latent = system.get('latent', normal_latent)
        Z = latent(n, system['latent_dim'], mx.cpu())
        X = numpy.concatenate([net_G(Z[i:i + 500]).asnumpy()
                               for i in range(0, n, 500)])
        asked = X[:, channels:, 0, 0].argmax(axis=1) if takes_orders else None
        return X[:, :channels], asked

    num_parameters = sum(p.data().size for net in (net_D, net_G)
                         for p in net.collect_params().values())
    return {'sample': sample, 'num_parameters': num_parameters,
            'num_minibatches': data_iter.num_minibatches}
