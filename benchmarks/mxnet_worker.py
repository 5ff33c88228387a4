"""Our rows of `speed.py`, and what MXNet's other rows share with them."""

import json
import pathlib
import sys
import tempfile

# Before MXNet, since it sees to what MXNet finds
import d2l_gan  # noqa: F401 isort: skip
import numpy
import PIL.Image
from d2l import mxnet as d2l
from mxnet import gluon, np, npx
from mxnet.gluon import nn
from turns import Minibatches, Turns

from d2l_gan.conditional import (
    ConditionalDiscriminator,
    ConditionalGenerator,
    FakeClassLoss,
    LabelledImages,
    labelled_latent,
)
from d2l_gan.data import load_array, load_images
from d2l_gan.dcgan import dcgan_discriminator, dcgan_generator
from d2l_gan.fused import FusedStep
from d2l_gan.mlp import mlp_discriminator, mlp_generator
from d2l_gan.support.checks import real_examples
from d2l_gan.systems import DCGAN_SETTINGS, SYSTEMS
from d2l_gan.train import adversarial_step, normal_latent, train

npx.set_np()


def system(kind, shape, n):
    """Give the networks of a workload, and arguments of `train`, by name.

    Those of the Gaussian demo and the DCGAN have d2l's layers, but that ours
    are dense where the DCGAN's convolutions have nothing to slide over.
    """
    if kind == 'gaussian':
        return SYSTEMS['gaussian-published'](shape, 0)
    if kind == 'mlp':
        net_D, net_G = mlp_discriminator((n,)), mlp_generator(shape, (n,))
    elif kind == 'conditional':
        net_D = ConditionalDiscriminator(shape, 10, n)
        net_G = ConditionalGenerator(dcgan_generator(shape, n), 10)
    else:
        net_D = dcgan_discriminator(shape, n, first_batch_norm=True)
        net_G = dcgan_generator(shape, n)
    return {'net_D': net_D, 'net_G': net_G, **DCGAN_SETTINGS}


def as_published(net_D, net_G):
    """Give the DCGAN's dense layers back as the convolutions of d2l."""
    first, _, *others = net_G
    published_D, published_G = nn.HybridSequential(), nn.HybridSequential()
    published_D.add(*net_D[:-1], nn.Conv2D(1, 4, use_bias=False), nn.Flatten())
    published_G.add(
        nn.HybridLambda(lambda F, Z: F.npx.reshape(Z, (-2, -2, 1, 1))),
        nn.Conv2DTranspose(first._units // 16, 4, use_bias=False),
        *others,
    )
    return published_D, published_G


def minibatches(contestant, kind, shape, batch_size, num_examples):
    """Give minibatches of noise, loaded as the contestant's readers do it.

    d2l's image loader decodes a file for every example. Ours has decoded
    them before; to be fair, d2l's gets them from memory here too.
    """
    labels = numpy.arange(num_examples) % 10
    if kind == 'gaussian':
        data = np.random.normal(0, 1, (num_examples, *shape))
        load = d2l.load_array if contestant == 'd2l' else load_array
        return load((data,), batch_size)
    if contestant == 'd2l':
        images = np.random.uniform(-1, 1, (num_examples, *shape))
        data_iter = d2l.load_array((images, np.array(labels)), batch_size)
    else:
        with tempfile.TemporaryDirectory() as folder:
            for i in range(num_examples):
                pixels = numpy.random.randint(256, size=shape, dtype='uint8')
                pixels = pixels[0] if len(pixels) == 1 else pixels.T
                PIL.Image.fromarray(pixels).save(
                    pathlib.Path(folder) / f'{i}.png', compress_level=0
                )
            data_iter = load_images(
                batch_size, folder, shape[-1], labels=labels
            )
    return (
        LabelledImages(data_iter, 10) if kind == 'conditional' else data_iter
    )


def main(loop, contestant, kind, shape, n, batch_size, num_examples, per_turn):
    """Take turns with a loop that is called as `train` is."""
    given = system(kind, shape, n)
    data_iter = minibatches(contestant, kind, shape, batch_size, num_examples)
    if contestant == 'd2l' and kind == 'dcgan':
        networks = as_published(given['net_D'], given['net_G'])
        given['net_D'], given['net_G'] = networks
    conditional = kind == 'conditional'
    step = adversarial_step if contestant == 'plain' else None
    if contestant == 'bfloat16':
        step = FusedStep(dtype='bfloat16')
    loop(
        given['net_D'],
        given['net_G'],
        Minibatches(Turns(), data_iter, per_turn),
        sys.maxsize,
        given['lr_D'],
        given['lr_G'],
        given['latent_dim'],
        real_examples(next(iter(data_iter))),
        beta1=given['beta1'],
        loss=FakeClassLoss() if conditional else gluon.loss.SigmoidBCELoss(),
        latent=labelled_latent(10) if conditional else normal_latent,
        step=step,
        animator=False,
    )


if __name__ == '__main__':
    main(train, **json.loads(sys.argv[1]))
