"""One Table, as chapters/comparison.md teaches it.

Made from that chapter by `make lib`: edit the chapter, not this file.
"""
# ruff: noqa: I001
# fmt: off
# Its text below this line has the SHA-256 71637a12cf500b02.

import functools
import inspect
import itertools
import json
import math
import mxnet as mx
import numpy
from d2l_gan.checkpoint import load_network, state_of
from d2l_gan.conditional import (
    ConditionalDiscriminator,
    ConditionalGenerator,
    FakeClassLoss,
    LabelledImages,
    labelled_latent,
    one_hot,
)
from d2l_gan.data import load_array, loader, read_images
from d2l_gan.dcgan import (
    AveragedStep,
    dcgan_discriminator,
    dcgan_generator,
    tanh_discriminator,
    tanh_generator,
)
from d2l_gan.deligan import MixtureGame, MixtureLatent
from d2l_gan.evaluate import frechet_distance, moments
from d2l_gan.fused import FusedStep, Game
from d2l_gan.mlp import RECIPES, mlp_discriminator, mlp_generator
from d2l_gan.parallel import own_share
from d2l_gan.resting import resting_step
from d2l_gan.support import checks
from d2l_gan.train import (
    GAUSSIAN,
    draw_gaussian,
    normal_latent,
    set_seed,
    train,
)
from mxnet import init, np
from mxnet.gluon import nn

__all__ = [
    'DCGAN_SETTINGS',
    'IMAGE_SYSTEMS',
    'POINT_SYSTEMS',
    'SYSTEMS',
    'System',
    'conditional_system',
    'count_classes',
    'count_work',
    'dcgan_system',
    'deligan_system',
    'gaussian_system',
    'judge_points',
    'mlp_system',
    'read_examples',
    'resting_system',
    'step_work',
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
        dict: `net_D`, `net_G`, `batch_size`, `num_minibatches`, and arguments
        of `train`.

    Taught in chapters/comparison.md, "The Systems".
    """
    recipe = RECIPES[recipe]
    return {'net_D': mlp_discriminator(**recipe['net_D']),
            'net_G': mlp_generator(image_shape, **recipe['net_G']),
            'batch_size': recipe['batch_size'], 'num_minibatches': 1200,
            'step': FusedStep(recipe.get('game')), **recipe['train'],
            **changes}


DCGAN_SETTINGS = {'batch_size': 64, 'lr_D': 2e-4, 'lr_G': 2e-4, 'beta1': 0.5,
                  'latent_dim': 100}


def dcgan_system(image_shape, num_classes, n=None, **changes):
    """A DCGAN with `n` channels; see `mlp_system`.

    Taught in chapters/comparison.md, "The Systems".
    """
    n = n or image_shape[-1]
    return {'net_D': dcgan_discriminator(image_shape, n),
            'net_G': dcgan_generator(image_shape, n),
            'num_minibatches': 1500, **DCGAN_SETTINGS, **changes}


def tanh_system(image_shape, num_classes, n=None, **changes):
    """The one that breaks the rules of the DCGAN; see `mlp_system`.

    Taught in chapters/comparison.md, "The Systems".
    """
    n = n or image_shape[-1]
    return {'net_D': tanh_discriminator(n),
            'net_G': tanh_generator(image_shape, n),
            'num_minibatches': 400, **DCGAN_SETTINGS, **changes}


def resting_system(image_shape, num_classes, n=None, **changes):
    """A DCGAN that plays the resting game; see `mlp_system`.

    Taught in chapters/comparison.md, "The Systems".
    """
    n = n or image_shape[-1]
    return {'net_D': dcgan_discriminator(image_shape, n, batch_norm=False),
            'net_G': dcgan_generator(image_shape, n),
            'step': resting_step(), 'num_minibatches': 1000,
            **DCGAN_SETTINGS, 'lr_D': 1e-3, 'lr_G': 1e-3, 'beta1': 0,
            **changes}


def conditional_system(image_shape, num_classes, n=None, **changes):
    """A conditional DCGAN; see `mlp_system`.

    Taught in chapters/comparison.md, "The Systems".
    """
    n = n or image_shape[-1]
    net_G = dcgan_generator(image_shape, n)
    return {'net_D': ConditionalDiscriminator(image_shape, num_classes, n),
            'net_G': ConditionalGenerator(net_G, num_classes),
            'loss': FakeClassLoss(), 'latent': labelled_latent(num_classes),
            'num_minibatches': 400, **DCGAN_SETTINGS, **changes}


def deligan_system(image_shape, num_classes, latent_dim=30, **changes):
    """A fully connected GAN with a latent mixture; see `mlp_system`.

    Taught in chapters/comparison.md, "The Systems".
    """
    mixture, net_G = MixtureLatent(50, latent_dim), nn.HybridSequential()
    net_G.add(mixture, mlp_generator(image_shape, (256,)))
    return {'net_D': mlp_discriminator((256,), leak=0.2), 'net_G': net_G,
            'batch_size': 50, 'num_minibatches': 700, 'lr_D': 1e-3,
            'lr_G': 1e-3, 'latent_dim': latent_dim, 'beta1': 0.5,
            'initializer': init.Xavier('gaussian', 'in', 2),
            'step': FusedStep(MixtureGame(mixture, 1 / 3)), **changes}


IMAGE_SYSTEMS = {
    'mlp-small': functools.partial(mlp_system, recipe='small'),
    'mlp-logits': functools.partial(mlp_system, recipe='logits'),
    'mlp-deep': functools.partial(mlp_system, recipe='deep'),
    'mlp-less-momentum': functools.partial(mlp_system, recipe='logits',
                                           beta1=0.5),
    'deligan': deligan_system,
    'dcgan': dcgan_system,
    'resting-dcgan': resting_system,
    'tanh-dropout': tanh_system,
    'conditional-dcgan': conditional_system}


def gaussian_system(point_shape, num_classes, widths, **changes):
    """A linear generator of points.

    Args:
        point_shape: (2,).
        num_classes: not used; points have no labels.
        widths: of the discriminator's hidden layers.
        changes: of the arguments of `train`; `lr_D` and `beta1` at least.

    Returns:
        dict: as `mlp_system` does.

    Taught in chapters/comparison.md, "The Systems".
    """
    net_D, net_G = nn.HybridSequential(), nn.HybridSequential()
    for width in widths:
        net_D.add(nn.Dense(width, activation='tanh'))
    net_D.add(nn.Dense(1))
    net_G.add(nn.Dense(*point_shape))
    return {'net_D': net_D, 'net_G': net_G, 'batch_size': 8,
            'num_minibatches': 2500, 'lr_G': 5e-3, 'latent_dim': 2, **changes}


POINT_SYSTEMS = {
    'gaussian-published': functools.partial(gaussian_system, widths=(5, 3),
                                            lr_D=0.05, beta1=0.9),
    'gaussian': functools.partial(gaussian_system, widths=(32,), lr_D=0.02,
                                  beta1=0.5)}


def judge_points(net_G, points, latent_dim=2):
    """Compute how far a linear generator is from the Gaussian of its data.

    Args:
        net_G: maps latent vectors to points, shape (n, 2), by an affine map.
        points: real ones, a numpy.ndarray of shape (n, 2), n at least 2.
        latent_dim: the length of a latent vector.

    Returns:
        dict: `distance`, the squared Fréchet distance between what it makes
        of vectors from N(0, I) and the Gaussian of `draw_gaussian`, and
        `floor`, that between the points and the same Gaussian; floats.

    Raises:
        ValueError: for NaN or infinite numbers, or a single point.

    Taught in chapters/comparison.md, "The Systems".
    """
    mean = net_G(np.zeros((1, latent_dim))).asnumpy()
    axes = net_G(np.eye(latent_dim)).asnumpy() - mean
    A, b = numpy.array(GAUSSIAN['A']), numpy.array(GAUSSIAN['b'])
    return {'distance': frechet_distance(mean[0], axes.T @ axes, b, A.T @ A),
            'floor': frechet_distance(*moments(points), b, A.T @ A)}


SYSTEMS = {**POINT_SYSTEMS, **IMAGE_SYSTEMS}


def read_examples(name, data=None, size=None, in_memory=True, **options):
    """Read what a system learns from.

    Args:
        name: one of `SYSTEMS`.
        data, size: which images, as `name` and `size` in `read_images`; but
            without a `size` they are scaled up to one that suits the
            convolutional systems, the next power of two, at least 16.
        in_memory, options: as in `read_images`.

    Returns:
        tuple: the examples, a numpy.ndarray, uint8 of shape (n, channels,
        size, size) for images and float32 of shape (n, 2) for points, which
        are drawn anew, or `LazyImages`; and the labels, or `None`, as in
        `read_images`.

    Raises:
        ValueError, OSError: as in `read_images`.

    Taught in chapters/comparison.md, "From a Name to Images".
    """
    if name in POINT_SYSTEMS:
        return draw_gaussian().asnumpy(), None
    options['in_memory'] = in_memory
    images, labels = read_images(data, size, **options)
    suitable = max(16, 2 ** math.ceil(math.log2(images.shape[-1])))
    if size is None and images.shape[-1] != suitable:
        images, labels = read_images(data, suitable, **options)
    return images, labels


def count_classes(labels):
    """Count the classes: 0 if `labels` is `None`, else the greatest + 1.

    Taught in chapters/comparison.md, "From a Name to Images".
    """
    return 0 if labels is None else int(labels.max()) + 1


class System:
    """One of the book's systems, ready to be trained.

    Args:
        name: one of `SYSTEMS`.
        shape: of an example, (channels, height, width) or (2,).
        num_classes: how many classes there are, 0 without labels.
        average: the decay of an `AveragedStep`, which keeps an average of the
            generators; with `None` there is none.
        changes: of the settings of its chapter: `batch_size` and arguments of
            `train`, and `n` if it is convolutional.

    Attributes:
        net_D, net_G: the networks that are trained.
        generator: the one to draw from, `net_G` or the average.
        batch_size: of its minibatches.
        num_minibatches: for so many its chapter trains it.
        settings: the arguments of `train` that go with it.
        game: what its steps play, if they are `FusedStep`s, else `None`.
        takes_orders: whether one can ask it for a class.

    Raises:
        ValueError: if there is no such system, it cannot make examples of
            this shape or has no `n`, or `average` is out of range.

    Taught in chapters/comparison.md, "From a Name to Images".
    """
    def __init__(self, name, shape, num_classes=0, average=None, **changes):
        if name not in SYSTEMS:
            raise ValueError(f'there is no system {name!r}, only '
                             f'{", ".join(SYSTEMS)}')
        self.shape, self.num_classes = tuple(shape), num_classes
        make = functools.partial(SYSTEMS[name], self.shape, num_classes,
                                 **changes)
        if 'n' in changes and 'n' not in inspect.signature(make).parameters:
            raise ValueError(f'{name} has no width, only convolutional '
                             'systems have')
        self.settings = make()
        self.net_D, self.net_G, self.batch_size, self.num_minibatches = (
            self.settings.pop(key)
            for key in ('net_D', 'net_G', 'batch_size', 'num_minibatches'))
        step = self.settings.get('step', FusedStep())
        self.game = getattr(step, 'game', None)
        self.takes_orders = isinstance(self.net_G, ConditionalGenerator)
        self.generator = self.net_G
        if average is not None:
            self.generator = make()['net_G']
            self.settings['step'] = AveragedStep(self.generator, average,
                                                 self.settings.get('step'))
        for net in (self.net_D, self.net_G, self.generator):
            net.hybridize()

    def minibatches(self, examples, labels=None, batch_size=None,
                    kvstore=None, mirror=False):
        """Give examples as the minibatches that the networks expect.

        Args:
            examples, labels: as `read_examples` gives them.
            batch_size: the system's own if `None`.
            kvstore, mirror: as in `load_images`; points are not mirrored.

        Returns:
            An iterator for `train`, with a length.

        Raises:
            ValueError: if there is not a label for each example; in the loop,
                if a system that takes orders gets no labels.
        """
        batch_size = batch_size or self.batch_size
        data_iter = (loader(examples, labels, batch_size, kvstore=kvstore,
                            mirror=mirror)
                     if len(self.shape) == 3
                     else load_array((own_share(examples, kvstore),),
                                     batch_size))
        return (LabelledImages(data_iter, self.num_classes)
                if self.takes_orders else data_iter)

    def train(self, data_iter, num_epochs, examples, **options):
        """Train it.

        Args:
            data_iter, num_epochs: as in `d2l_gan.train.train`.
            examples: a minibatch, which stands for `data` there.
            options: more of its arguments.

        Returns:
            dict: the history.
        """
        return train(self.net_D, self.net_G, data_iter, num_epochs,
                     data=checks.real_examples(examples), **self.settings,
                     **options)

    def sample(self, n, classes=None):
        """Draw from the generator.

        Args:
            n: how many examples, at least 1.
            classes: what to ask for, shape (n,); integers from 0 to
                num_classes - 1. Drawn at random if `None`.

        Returns:
            tuple: the examples, a numpy.ndarray of shape (n, ...), images in
            [-1, 1]; and the classes that were asked for, or `None` if it
            takes no orders.

        Raises:
            ValueError: for other classes, or if it takes no orders.
        """
        Z = self._latent(n)
        if classes is not None:
            if not self.takes_orders:
                raise ValueError('this system cannot be asked for classes')
            Z[:, -self.num_classes:] = one_hot(classes, self.num_classes)
        X = numpy.concatenate([self.generator(Z[i:i + 500]).asnumpy()
                               for i in range(0, n, 500)])
        asked = (Z[:, -self.num_classes:].asnumpy().argmax(axis=1)
                 if self.takes_orders else None)
        return X[:, :self.shape[0]], asked

    def load_generator(self, arrays):
        """Give the generator the weights that a checkpoint holds.

        Args:
            arrays: by name, as `Checkpoint.load` gives them.

        Raises:
            KeyError, AssertionError, ValueError: if they are of another
                system.
        """
        if self.generator is self.net_G:
            self.net_G.initialize(force_reinit=True)
            load_network(self.net_G, state_of('net_G', arrays))
        else:
            self.settings['step'].load_state_dict(state_of('step', arrays))

    def work(self, X):
        """Count the operations of a step on a minibatch; see `step_work`."""
        Z = self._latent(len(X))
        return step_work(self.net_D, self.net_G, X, Z, self.game)

    def _latent(self, n):
        latent = self.settings.get('latent', normal_latent)
        return latent(n, self.settings['latent_dim'], mx.cpu())

    @property
    def num_parameters(self):
        """Those of both networks, once they are initialised."""
        return sum(p.data().size for net in (self.net_D, self.net_G)
                   for p in net.collect_params().values())


def count_work(net, shape, weights=False, inputs=False):
    """Count the operations of a network's dense layers and convolutions.

    Args:
        net: a `HybridBlock` that makes one array of one.
        shape: of the minibatch that it gets.
        weights, inputs: whether the gradients of its parameters and of the
            minibatch are computed, too.

    Returns:
        int: the multiplications and the additions.

    Raises:
        ValueError: if the network does not take such a minibatch.

    Taught in chapters/comparison.md, "The Same Work for Everyone".
    """
    nodes = net(mx.sym.var('inputs').as_np_ndarray()).get_internals()
    try:
        _, shapes, _ = nodes.infer_shape(inputs=shape)
    except mx.MXNetError as error:
        raise ValueError(f'the network takes no minibatch of shape {shape}: '
                         f'{str(error).splitlines()[-1]}') from error
    graph = json.loads(nodes.tojson())
    shapes = {(i, k): size for (i, k, _), size in zip(graph['heads'], shapes)}
    wanted = {'inputs'} if inputs else set()
    if weights:
        wanted |= {name for name, parameter in net.collect_params().items()
                   if parameter.grad_req != 'null'}
    leading, work = set(), 0
    for i, node in enumerate(graph['nodes']):
        sources = [(j, k) for j, k, _ in node['inputs']]
        if node['name'] in wanted or any(j in leading for j, _ in sources):
            leading.add(i)
        if node['op'] in ('Convolution', 'Deconvolution', 'FullyConnected'):
            counted = sources[0] if node['op'] == 'Deconvolution' else (i, 0)
            passes = 1 + sum(j in leading for j, _ in sources[:2])
            work += 2 * passes * math.prod(shapes[counted]
                                           + shapes[sources[1]][1:])
    return work


def step_work(net_D, net_G, X, Z, game):
    """Count the operations of a step that trains both networks.

    Args:
        net_D, net_G: `HybridBlock`s.
        X, Z: a minibatch and latent vectors, as in `adversarial_step`.
        game: that of a `FusedStep`, or `None` for an `adversarial_step`.

    Returns:
        int: as of `count_work`.

    Raises:
        ValueError: as `count_work` does.

    Taught in chapters/comparison.md, "The Same Work for Everyone".
    """
    fused = game is not None
    game = game or Game()
    looks_D, looks_G = game.looks
    makes = game.makes if fused else 2
    return (looks_D * count_work(net_D, X.shape, weights=True)
            + count_work(net_D, X.shape, weights=not fused, inputs=True)
            + (looks_G - 1) * count_work(net_D, X.shape)
            + count_work(net_G, Z.shape, weights=True)
            + (makes - 1) * count_work(net_G, Z.shape))


def train_system(name, work, images, labels=None, seed=0, **changes):
    """Train one of the `IMAGE_SYSTEMS` for a budget of work.

    Args:
        name: which one.
        work: how many operations the training may take, above 0, as
            `step_work` counts them; the last minibatch is taken whole.
        images: uint8, shape (n, channels, height, width).
        labels: shape (n,), integers from 0 to num_classes - 1; or `None`.
        seed: of all that is random.
        changes: `average`, and of its settings, as `System` takes them.

    Returns:
        tuple: the `System`, and the number of minibatches that it has seen.

    Raises:
        ValueError: if `work` is not above 0 or not finite, there is no such
            system, or labels or size do not suit the images or the networks.

    Taught in chapters/comparison.md, "The Same Work for Everyone".
    """
    if not 0 < work < math.inf:
        raise ValueError(f'work is {work}, but has to be above 0 and finite')
    set_seed(seed)
    system = System(name, images.shape[1:], count_classes(labels), **changes)
    data_iter = system.minibatches(images, labels)
    X = checks.real_examples(next(iter(data_iter)))
    num_epochs = work * len(X) / system.work(X) / len(images)
    num_minibatches = math.ceil(num_epochs * len(data_iter))
    again = itertools.chain.from_iterable(itertools.repeat(data_iter))
    system.train(itertools.islice(again, num_minibatches), 1, X,
                 animator=False)
    return system, num_minibatches
