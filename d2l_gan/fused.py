"""Training without Waste, as chapters/performance.md teaches it.

Made from that chapter by `make lib`: edit the chapter, not this file.
"""
# ruff: noqa: I001
# fmt: off
# Its text below this line has the SHA-256 5e1fb0e513b89681.

import functools
import json
import logging
import math
import mxnet as mx
import numpy
import pathlib
from d2l_gan.parallel import DataParallel
from d2l_gan.support import memory, threads
from mxnet import autograd, gluon, np, npx

__all__ = [
    'BFLOAT16',
    'BoundStep',
    'FusedStep',
    'Game',
    'LeanUpdate',
    'PlainStep',
    'bind',
    'convert',
    'has_bfloat16',
    'in_bfloat16',
    'in_threads',
    'is_rounded',
    'round_products',
    'side_by_side',
    'stays_bfloat16',
    'trace_step',
    'warn_once',
]


class Game:
    """The game of `adversarial_step`: what both players want, and when.

    What they want may be told in arrays or in symbols. The arguments of both
    losses are examples `X` and `fake_X`, as many `ones` and `zeros`, and
    `net_D` and `loss` as in `adversarial_step`; they give one loss an example.
    The generator's may read parameters of the generator, too.

    Attributes:
        looks: how many minibatches `net_D` judges for `loss_D`, and how many
            for `loss_G`.
        makes: how many minibatches `net_G` makes.

    Taught in chapters/performance.md, "One Graph Instead of Many Calls".
    """
    looks, makes = (2, 1), 1

    def loss_D(self, net_D, loss, X, fake_X, ones, zeros):
        """Give what the discriminator minimises."""
        return (loss(net_D(X), ones) + loss(net_D(fake_X), zeros)) / 2

    def loss_G(self, net_D, loss, X, fake_X, ones, zeros):
        """Give what the generator minimises."""
        return loss(net_D(fake_X), ones)

    def play(self, step):
        """Let the players look and learn.

        Args:
            step: theirs on a minibatch, such as a `PlainStep`.

        Returns:
            tuple: the losses of discriminator and generator, as of
            `adversarial_step`.
        """
        loss_D = step.look_D()
        step.learn_D()
        loss_G = step.look_G()
        step.learn_G()
        return loss_D, loss_G


class PlainStep:
    """A step on a minibatch, for a `Game` to be played by plain calls.

    Args:
        game: a `Game`.
        X, Z, net_D, net_G, loss, trainer_D, trainer_G: as in
            `adversarial_step`.

    Taught in chapters/performance.md, "One Graph Instead of Many Calls".
    """
    def __init__(self, game, X, Z, net_D, net_G, loss, trainer_D, trainer_G):
        self.game, self.X, self.Z, self.net_G = game, X, Z, net_G
        self.others = net_D, loss
        self.ones = np.ones((len(X),), ctx=X.ctx)
        self.trainer_D, self.trainer_G = trainer_D, trainer_G

    def draw(self, Z):
        """Let the generator go on with other latent vectors."""
        self.Z = Z

    def look_D(self):
        """Give the discriminator's loss, summed over the examples."""
        with autograd.record():
            fake_X = self.net_G(self.Z).detach()
            self.loss_D = self.game.loss_D(*self.others, self.X, fake_X,
                                           self.ones, self.ones - 1)
        return self.loss_D.sum()

    def learn_D(self):
        """Update the discriminator, which was the last to look."""
        self.loss_D.backward()
        self.trainer_D.step(len(self.X))

    def look_G(self):
        """Give the generator's loss, summed over the examples."""
        with autograd.record():
            fake_X = self.net_G(self.Z)
            self.loss_G = self.game.loss_G(*self.others, self.X, fake_X,
                                           self.ones, self.ones - 1)
        return self.loss_G.sum()

    def learn_G(self):
        """Update the generator, which was the last to look."""
        self.loss_G.backward()
        self.trainer_G.step(len(self.X))


def trace_step(net_D, net_G, loss, game):
    """Write down the three computations of an adversarial step as symbols.

    Args:
        net_D, net_G: the discriminator and the generator.
        loss: maps logits and labels to one loss an example.
        game: what both want, a `Game`.

    Returns:
        tuple: the symbols of the fakes, computed from `Z`; of the
        discriminator's loss, and of the generator's, both computed from `X`,
        `fake_X`, `ones` and `zeros`, or some of these. Losses are summed over
        the examples.

    Raises:
        ValueError: if that cannot be done, naming the reason.

    Taught in chapters/performance.md, "One Graph Instead of Many Calls".
    """
    for name, block in (('net_D', net_D), ('net_G', net_G), ('loss', loss)):
        if isinstance(block, DataParallel):
            raise ValueError('several devices share out the minibatches')
        if not isinstance(block, gluon.HybridBlock):
            raise ValueError(f'{name} is no HybridBlock')
    params_D, params_G = net_D.collect_params(), net_G.collect_params()
    if set(params_D.values()) & set(params_G.values()):
        raise ValueError('the networks have parameters in common')
    if any(parameter.grad_req == 'add' for params in (params_D, params_G)
           for parameter in params.values()):
        raise ValueError("a parameter's gradients are to be added up")
    X, fake_X, Z, ones, zeros = (
        mx.sym.var(name).as_np_ndarray()
        for name in ('X', 'fake_X', 'Z', 'ones', 'zeros'))
    try:
        with autograd.train_mode():
            loss_D = game.loss_D(net_D, loss, X, fake_X, ones, zeros)
            loss_G = game.loss_G(net_D, loss, X, fake_X, ones, zeros)
            symbols = net_G(Z), loss_D.sum(), loss_G.sum()
    except Exception as error:  # A block may do anything to symbols
        raise ValueError('a network or the loss cannot be hybridized: '
                         f'{error!r}') from error
    known = {'X', 'fake_X', 'Z', 'ones', 'zeros', *params_D, *params_G}
    for symbol in symbols:
        for name in symbol.list_inputs():
            if name not in known:
                raise ValueError(f'nobody trains the parameter {name}')
    return symbols


def bind(symbol, arrays, gradients, ctx, memory_of=None):
    """Tie a symbol to the arrays that it reads, and those that it writes.

    Args:
        symbol: the computation.
        arrays: by name, the arrays for its inputs and parameters.
        gradients: by name, the arrays for the gradients that are wanted.
        ctx: the device.
        memory_of: an executor whose memory for everything in between it may
            use as well. Then only the one that ran forward last can run
            backward.

    Returns:
        mx.executor.Executor

    Taught in chapters/performance.md, "One Graph Instead of Many Calls".
    """
    names = symbol.list_arguments()
    wanted = {name: gradients[name] for name in names if name in gradients}
    return symbol.bind(
        ctx, [arrays[name] for name in names], wanted,
        {name: 'write' if name in wanted else 'null' for name in names},
        [arrays[name] for name in symbol.list_auxiliary_states()],
        shared_exec=memory_of)


def side_by_side(arrays):
    """Copy arrays into one, of which each becomes a piece.

    Args:
        arrays: of `mx.nd`, on one device, of any shapes.

    Returns:
        tuple: the long array, and a list of its pieces, of the same shapes
        and values as `arrays`. They share its memory.

    Taught in chapters/performance.md, "Updates without Detours".
    """
    whole = mx.nd.concat(*(array.reshape(-1) for array in arrays), dim=0)
    ends = numpy.cumsum([array.size for array in arrays]).tolist()
    return whole, [whole[end - array.size:end].reshape(array.shape)
                   for array, end in zip(arrays, ends)]


class LeanUpdate:
    """Let a trainer take its steps, and if they are Adam's, without detours.

    A `gluon.Trainer` asks the same questions about every parameter in every
    step, and updates each by a call of its own. Here they are asked once, and
    one call updates all parameters with at most two axes, which `prepare`
    moves into one array. (Arrays that were taken from them by `data` and
    `grad` before are theirs no more.) The optimizer's states and counters
    stay where the trainer has them, so that these steps and `trainer.step`
    can take turns. Where the optimizer is not Adam, or somebody else updates
    the parameters, each step is `trainer.step`.

    Args:
        trainer: a `gluon.Trainer`.

    Taught in chapters/performance.md, "Updates without Detours".
    """
    def __init__(self, trainer):
        self.trainer, self.states, self.is_lean = trainer, None, False
        # The small ones first
        self.params = dict(sorted(
            ((i, parameter) for i, parameter in enumerate(trainer._params)
             if parameter.grad_req != 'null'),
            key=lambda item: len(item[1].shape) > 2))

    def prepare(self):
        """Get ready for the first step, or for states that were loaded."""
        trainer = self.trainer
        if self.states is not trainer._updaters[0].states:
            if not trainer._kv_initialized:
                trainer._init_kvstore()
            if trainer._params_to_init:
                trainer._init_params()
            self.states, self.is_lean = trainer._updaters[0].states, False
            if self._is_adam():
                self._collect()
                self.is_lean = True

    def step(self, batch_size):
        """Update the parameters; called as `trainer.step` is."""
        if not self.is_lean:
            for parameter in self.params.values():
                for array in parameter.list_data():
                    array._fresh_grad = True
            self.trainer.step(batch_size)
            return
        self._add_up()
        adam = self.trainer.optimizer
        indices = list(self.params)
        adam._update_count(indices)
        rates = list(zip(adam._get_lrs(indices), adam._get_wds(indices),
                         map(adam._index_update_count.get, indices)))
        together = len(set(rates)) == 1
        for arrays, (lr, wd, t) in zip(
                self.together if together else self.apart, rates):
            lr *= math.sqrt(1 - adam.beta2 ** t) / (1 - adam.beta1 ** t)
            mx.nd.adam_update(
                *arrays, out=arrays[0], lr=lr, wd=wd, beta1=adam.beta1,
                beta2=adam.beta2, epsilon=adam.epsilon,
                rescale_grad=self.trainer._scale / batch_size,
                clip_gradient=adam.clip_gradient or -1)

    def _add_up(self):
        """Add the other machines' gradients, if there are any."""
        if self.trainer._kvstore is not None:
            for i, (_, gradient, *_) in enumerate(self.together):
                self.trainer._kvstore.pushpull(f'together {i}', gradient,
                                               priority=-i)

    def _is_adam(self):
        adam = self.trainer.optimizer
        return (type(adam) is mx.optimizer.Adam
                and not self.trainer._update_on_kvstore
                and len(self.trainer._updaters) == 1
                and all(numpy.dtype(parameter.dtype) == 'float32'
                        for parameter in self.params.values()))

    def _collect(self):
        adam = self.trainer.optimizer
        for i, parameter in self.params.items():
            if i not in self.states:
                self.states[i] = adam.create_state(i, parameter.data())
                self.trainer._updaters[0].states_synced[i] = True
                adam._index_update_count[i] = adam.begin_num_update
        self.apart = [
            [array.as_nd_ndarray() for array in (
                *parameter.list_data(), *parameter.list_grad(),
                *self.states[i])]
            for i, parameter in self.params.items()]
        n = sum(len(parameter.shape) <= 2
                for parameter in self.params.values())
        self.together = self.apart[n:]
        if n == 0:
            return
        wholes, pieces = zip(*map(side_by_side, zip(*self.apart[:n])))
        self.together.insert(0, wholes)
        self.apart[:n] = zip(*pieces)
        for (i, parameter), arrays in zip(self.params.items(), self.apart[:n]):
            data, grad, *states = arrays
            self.states[i] = tuple(states)
            parameter._data = [data.as_np_ndarray()]
            parameter._grad = [grad.as_np_ndarray()]
            autograd.mark_variables(parameter._data, parameter._grad,
                                    parameter.grad_req)


# NumPy knows no such numbers, so MXNet describes them to it by their bits.
BFLOAT16 = numpy.dtype([('bfloat16', numpy.uint16)])


def has_bfloat16():
    """Tell whether this processor computes in bfloat16 by itself.

    Taught in chapters/performance.md, "Fewer Digits".
    """
    try:
        flags = pathlib.Path('/proc/cpuinfo').read_text().split()
    except OSError:  # Not on Linux
        return False
    return not {'avx512_bf16', 'amx_bf16'}.isdisjoint(flags)


def is_rounded(node, nodes, params):
    """Tell whether a node of a symbol's graph is a product to be rounded.

    These are dense layers and convolutions of images, transposed ones too, if
    the channels on both sides are multiples of 16.

    Args:
        node: one of `nodes`.
        nodes: those of the graph, as `Symbol.tojson` lists them.
        params: by name, the `gluon.Parameter`s that the symbol may read.

    Taught in chapters/performance.md, "Fewer Digits".
    """
    if node['op'] not in ('Convolution', 'Deconvolution', 'FullyConnected'):
        return False
    weight = nodes[node['inputs'][1][0]]['name']
    shape = params[weight].shape if weight in params else ()
    return len(shape) in (2, 4) and shape[0] % 16 == shape[1] % 16 == 0


def stays_bfloat16(node):
    """Tell whether a node behind a convolution can stay in bfloat16.

    Taught in chapters/performance.md, "Fewer Digits".
    """
    op, attrs = node['op'], node.get('attrs', {})
    return (op in ('Activation', 'elemwise_add')
            or (op == 'BatchNorm' and attrs.get('axis', '1') == '1')
            or (op == 'LeakyReLU' and attrs.get('act_type') == 'leaky'))


def round_products(symbol, params):
    """Let the large products of a symbol be computed in bfloat16.

    Args:
        symbol: a computation in float32.
        params: by name, the `gluon.Parameter`s that it may read.

    Returns:
        tuple: the symbol of the same computation, but products of which
        `is_rounded` says so read bfloat16 numbers and give them, and batch
        normalisation and activations behind a convolution go on with these;
        and the set of the names of parameters that have to be bound to arrays
        of bfloat16 numbers.

    Taught in chapters/performance.md, "Fewer Digits".
    """
    graph = json.loads(symbol.tojson(remove_amp_cast=False))
    nodes, places, casts, narrow, names = [], [], {}, set(), set()

    def add(node, inputs):
        nodes.append({**node, 'inputs': [[*place, 0] for place in inputs]})
        return len(nodes) - 1, 0

    def cast(place, dtype):
        if (place in narrow) == (dtype == 'bfloat16'):
            return place
        if place not in casts:
            casts[place] = add({'op': 'amp_cast', 'name': f'cast{len(casts)}',
                                'attrs': {'dtype': dtype}}, [place])
        return casts[place]

    for node in graph['nodes']:
        inputs = [(places[i][0], k) for i, k, _ in node['inputs']]
        rounded = is_rounded(node, graph['nodes'], params)
        if rounded:
            for place in inputs[1:]:
                variable = nodes[place[0]]
                variable['attrs']['__dtype__'] = '12'  # MXNet's bfloat16
                names.add(variable['name'])
                narrow.add(place)
            inputs[0] = cast(inputs[0], 'bfloat16')
        elif stays_bfloat16(node) and inputs[0] in narrow:
            rounded = True
            if node['op'] == 'elemwise_add':
                inputs = [cast(place, 'bfloat16') for place in inputs]
        else:
            inputs = [cast(place, 'float32') for place in inputs]
        places.append(add(node, inputs))
        if rounded:
            narrow.add(places[-1])
        if node['op'] == 'FullyConnected':
            places[-1] = cast(places[-1], 'float32')
    heads = [cast((places[i][0], k), 'float32')
             for i, k, _ in graph['heads']]
    return mx.sym.load_json(json.dumps({
        'nodes': nodes, 'heads': [[*place, 0] for place in heads],
        'arg_nodes': [i for i, node in enumerate(nodes)
                      if node['op'] == 'null'],
        'attrs': graph['attrs']})).as_np_ndarray(), names


def in_bfloat16(arrays, names):
    """Copy some of several arrays, as bfloat16.

    Args:
        arrays: by name, arrays of float32.
        names: which ones to copy.

    Returns:
        tuple: `arrays` with the copies in the place of what they are copies
        of, and the list of pairs of an original and its copy.

    Taught in chapters/performance.md, "Fewer Digits".
    """
    pairs = {name: (array, mx.nd.amp_cast(
        array.as_nd_ndarray(), dtype=BFLOAT16).as_np_ndarray())
        for name, array in arrays.items() if name in names}
    copies = {name: copy for name, (_, copy) in pairs.items()}
    return {**arrays, **copies}, [*pairs.values()]


def convert(pairs):
    """Write the first array of each pair into the second, as its type.

    Taught in chapters/performance.md, "Fewer Digits".
    """
    for source, target in pairs:
        mx.nd.amp_cast(source.as_nd_ndarray(), dtype=target.dtype,
                       out=target.as_nd_ndarray())


class BoundStep:
    """A step on minibatches of one shape, with the methods of a `PlainStep`.

    Args:
        symbols: what `trace_step` gives.
        X, Z: a minibatch, as in `adversarial_step`.
        net_D, net_G: the networks that were traced.
        update_D, update_G: what updates them, each a `LeanUpdate`.
        rounded: the names of the parameters that `symbols` read as bfloat16.

    Raises:
        ValueError: if fakes and real examples differ in shape.

    Taught in chapters/performance.md, "The Step".
    """
    def __init__(self, symbols, X, Z, net_D, net_G, update_D, update_G,
                 rounded=frozenset()):
        ctx, self.X, self.Z = X.ctx, X.copy(), Z.copy()
        self.data = [(parameter, parameter.data(ctx))
                     for net in (net_D, net_G)
                     for parameter in net.collect_params().values()]
        arrays = {'X': self.X, 'Z': self.Z, 'ones': np.ones(len(X), ctx=ctx),
                  'zeros': np.zeros(len(X), ctx=ctx)}
        gradients, self.to_round, self.to_widen = [], [], []
        for net in (net_D, net_G):
            params = net.collect_params()
            data, pairs = in_bfloat16(
                {name: parameter.data(ctx)
                 for name, parameter in params.items()}, rounded)
            arrays.update(data)
            self.to_round.append(pairs)
            wanted, pairs = in_bfloat16(
                {name: parameter.grad(ctx)
                 for name, parameter in params.items()
                 if parameter.grad_req != 'null'}, rounded)
            gradients.append(wanted)
            self.to_widen.append([pair[::-1] for pair in pairs])
        gradients_D, gradients_G = gradients
        sym_fake_X, sym_loss_D, sym_loss_G = symbols
        self.generate = bind(sym_fake_X, arrays, gradients_G, ctx)
        arrays['fake_X'] = self.generate.outputs[0].as_np_ndarray()
        if arrays['fake_X'].shape != X.shape:
            raise ValueError(
                f'net_G made fakes of shape {arrays["fake_X"].shape} for '
                f'real examples of shape {X.shape}')
        self.slope = np.zeros_like(X)
        self.judge = bind(sym_loss_D, arrays, gradients_D, ctx)
        # The loss may lead to the generator's parameters past the fakes, too.
        short = {name: np.zeros_like(gradients_G[name])
                 for name in sym_loss_G.list_arguments()
                 if name in gradients_G}
        self.to_add = [(short[name], gradients_G[name]) for name in short]
        self.teach = bind(sym_loss_G, arrays,
                          {**short, 'fake_X': self.slope}, ctx, self.judge)
        self.one, self.made = np.ones((), ctx=ctx), False
        self.update_D, self.update_G = update_D, update_G

    def is_current(self):
        """Tell whether it is still tied to the parameters' own arrays."""
        ctx = self.X.ctx
        return all(parameter.data(ctx) is data
                   for parameter, data in self.data)

    def begin(self, X, Z):
        """Take a minibatch."""
        X.copyto(self.X)
        self.draw(Z)

    def draw(self, Z):
        """Let the generator go on with other latent vectors."""
        Z.copyto(self.Z)
        self.made = False

    def look_D(self):
        """Give the discriminator's loss, summed over the examples."""
        return self._look(self.judge)

    def learn_D(self):
        """Update the discriminator, which was the last to look."""
        self.judge.backward(self.one)
        self._learn(self.update_D, self.to_widen[0], self.judge)

    def look_G(self):
        """Give the generator's loss, summed over the examples."""
        return self._look(self.teach)

    def learn_G(self):
        """Update the generator, which was the last to look."""
        self.teach.backward(self.one)
        self.generate.backward(self.slope)
        for part, gradient in self.to_add:
            gradient += part
        self._learn(self.update_G, self.to_widen[1], self.teach,
                    self.generate)
        self.made = False

    def _look(self, executor):
        to_round_D, to_round_G = self.to_round
        if not self.made:
            convert(to_round_G)
            self.generate.forward(is_train=True)
            self.made = True
        convert(to_round_D)
        loss, = executor.forward(is_train=True)
        # The executor will write to its output again; the caller's stays.
        return loss.as_np_ndarray().copy()

    def _learn(self, update, to_widen, *executors):
        convert(to_widen)
        for executor in executors:
            for array in executor.aux_arrays:
                # Executors move these without the engine's knowledge. A write
                # that changes nothing lets all who read them wait for that.
                array = array.as_nd_ndarray()
                mx.nd.identity(array, out=array)
        update.step(len(self.X))


def in_threads(symbol, num_threads):
    """Let the convolutions of a symbol be prepared for a number of threads.

    Args:
        symbol: a computation.
        num_threads: how many the engine has been told to take; `None` if that
            never changed.

    Returns:
        The symbol of the same computation.

    Taught in chapters/performance.md, "The Step".
    """
    if num_threads is None:
        return symbol
    graph = json.loads(symbol.tojson(remove_amp_cast=False))
    for node in graph['nodes']:
        if node['op'] in ('Convolution', 'Deconvolution'):
            node['attrs']['workspace'] = str(num_threads)
    return mx.sym.load_json(json.dumps(graph)).as_np_ndarray()


@functools.cache
def warn_once(message):
    """Write a warning into the log, unless it was written before.

    Taught in chapters/performance.md, "The Step".
    """
    logging.getLogger(__name__).warning(message)


class FusedStep:
    """A step that plays a game without waste, to be handed to `train`.

    It computes what `PlainStep`s do, but runs the generator once for both
    players, and computes no gradients that nobody needs. A generator's dropout
    is drawn once for both updates. Its batch normalisation sees no difference:
    MXNet moves the running statistics in the backward pass, which happens once
    in either step.

    If the networks or the loss cannot be hybridized, or several devices share
    out the minibatches, the steps are plain. A warning in the log says so,
    once.

    Args:
        game: what both networks want, and when; that of `adversarial_step` if
            `None`.
        dtype: 'float32', or 'bfloat16' for rounded products; see
            `round_products`. Then nothing else can be done in its place.

    Raises:
        TypeError: if `game` is no `Game`.
        ValueError: if there is no such type, or the processor or the networks
            do not allow it.

    Taught in chapters/performance.md, "The Step".
    """
    max_bound = 2

    def __init__(self, game=None, dtype='float32'):
        self.game, self.dtype = game or Game(), dtype
        if not isinstance(self.game, Game):
            raise TypeError(f'game is {game!r}, but has to be a Game')
        if dtype not in ('float32', 'bfloat16'):
            raise ValueError(f"dtype is {dtype!r}, but has to be 'float32' or "
                             "'bfloat16'")
        if dtype == 'bfloat16' and not has_bfloat16():
            raise ValueError(
                'this processor does not compute in bfloat16 (it has neither '
                "avx512_bf16 nor amx_bf16): leave dtype at 'float32'")
        self.traced, self.updates, self.rounded = None, (), frozenset()
        self.num_threads = None
        if hasattr(self.game, 'state_dict'):  # What it keeps, the step keeps
            self.state_dict = self.game.state_dict
            self.load_state_dict = self.game.load_state_dict

    def __call__(self, X, Z, net_D, net_G, loss, trainer_D, trainer_G):
        if self.traced != (net_D, net_G, loss):
            self._trace(X, Z, net_D, net_G, loss)
        if self.symbols is None:
            return self.game.play(PlainStep(self.game, X, Z, net_D, net_G,
                                            loss, trainer_D, trainer_G))
        trainers = [trainer_D, trainer_G]
        if [update.trainer for update in self.updates] != trainers:
            self.updates, self.bound = [*map(LeanUpdate, trainers)], {}
        for update in self.updates:
            update.prepare()  # This may move what is to be bound
        if self.num_threads != threads.fewer():
            self.num_threads, self.bound = threads.fewer(), {}
        key = X.shape, Z.shape, X.ctx
        bound = self.bound.pop(key, None)
        if not (bound and bound.is_current()):
            bound = None  # Its memory can be used again
            for oldest in list(self.bound)[:1 - self.max_bound]:
                del self.bound[oldest]
                npx.waitall()  # It may be at work with it
                memory.give_back()
            symbols = [in_threads(symbol, self.num_threads)
                       for symbol in self.symbols]
            bound = BoundStep(symbols, X, Z, net_D, net_G, *self.updates,
                              self.rounded)
        self.bound[key] = bound  # The one used last comes last
        bound.begin(X, Z)
        return self.game.play(bound)

    def _trace(self, X, Z, net_D, net_G, loss):
        self.traced, self.updates = (net_D, net_G, loss), ()
        try:
            self.symbols = trace_step(net_D, net_G, loss, self.game)
        except ValueError as error:
            if self.dtype != 'float32':
                raise ValueError(
                    f'plain steps cannot compute in {self.dtype}, and no '
                    f'other ones can be taken: {error}') from error
            self.symbols = None
            warn_once(f'training takes the plain steps: {error}')
            return
        params = {}
        for net, inputs in ((net_D, X), (net_G, Z)):
            params.update(net.collect_params())
            try:
                for parameter in net.collect_params().values():
                    parameter.data(X.ctx)
            except gluon.parameter.DeferredInitializationError:
                net(inputs)
        if self.dtype == 'bfloat16':
            self.symbols, rounded = zip(*(
                round_products(symbol, params) for symbol in self.symbols))
            self.rounded = set().union(*rounded)
