"""Training without Waste, as chapters/performance.md teaches it.

Made from that chapter by `make lib`: edit the chapter, not this file.
"""
# ruff: noqa: I001
# fmt: off
# Its text below this line has the SHA-256 f56be8c9489e73df.

import functools
import logging
import math
import mxnet as mx
import numpy
from mxnet import autograd, gluon, np

__all__ = [
    'BoundStep',
    'FusedStep',
    'LeanUpdate',
    'bind',
    'trace_step',
    'warn_once',
]


def trace_step(net_D, net_G, loss):
    """Write down the three computations of an adversarial step as symbols.

    Args:
        net_D, net_G: the discriminator and the generator.
        loss: maps logits and labels to one loss an example.

    Returns:
        tuple: the symbols of the fakes, computed from `Z`; of the
        discriminator's loss, computed from `X`, `fake_X`, `ones` and `zeros`;
        and of the generator's loss, computed from `fake_X` and `ones`.
        Losses are summed over the examples.

    Raises:
        ValueError: if that cannot be done, naming the reason.

    Taught in chapters/performance.md, "One Graph Instead of Many Calls".
    """
    for name, block in (('net_D', net_D), ('net_G', net_G), ('loss', loss)):
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
            loss_D = (loss(net_D(X), ones) + loss(net_D(fake_X), zeros)) / 2
            loss_G = loss(net_D(fake_X), ones)
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


def bind(symbol, arrays, gradients, ctx):
    """Tie a symbol to the arrays that it reads, and those that it writes.

    Args:
        symbol: the computation.
        arrays: by name, the arrays for its inputs and parameters.
        gradients: by name, the arrays for the gradients that are wanted.
        ctx: the device.

    Returns:
        mx.executor.Executor

    Taught in chapters/performance.md, "One Graph Instead of Many Calls".
    """
    names = symbol.list_arguments()
    wanted = {name: gradients[name] for name in names if name in gradients}
    return symbol.bind(
        ctx, [arrays[name] for name in names], wanted,
        {name: 'write' if name in wanted else 'null' for name in names},
        [arrays[name] for name in symbol.list_auxiliary_states()])


class LeanUpdate:
    """Let a trainer take its steps, and if they are Adam's, without detours.

    A `gluon.Trainer` asks the same questions about every parameter in every
    step. Here they are asked once. The optimizer's states and counters stay
    where the trainer has them, so that these steps and `trainer.step` can
    take turns. Where the optimizer is not Adam, or somebody else updates the
    parameters, each step is `trainer.step`.

    Args:
        trainer: a `gluon.Trainer`.
        ctx: the device of its parameters.

    Taught in chapters/performance.md, "Updates without Detours".
    """
    def __init__(self, trainer, ctx):
        self.trainer, self.ctx, self.states = trainer, ctx, None
        self.params = {i: parameter
                       for i, parameter in enumerate(trainer._params)
                       if parameter.grad_req != 'null'}

    def step(self, batch_size):
        """Update the parameters; called as `trainer.step` is."""
        if self.states is not self.trainer._updaters[0].states:
            # The first step makes the states, or they were loaded anew.
            for parameter in self.params.values():
                parameter.data(self.ctx)._fresh_grad = True
            self.trainer.step(batch_size)
            if self._is_adam():
                self._collect()
            return
        self.trainer.allreduce_grads()  # if there are other machines
        adam = self.trainer.optimizer
        indices = list(self.params)
        adam._update_count(indices)
        for arrays, lr, wd, t in zip(
                self.arrays, adam._get_lrs(indices), adam._get_wds(indices),
                map(adam._index_update_count.get, indices)):
            lr *= math.sqrt(1 - adam.beta2 ** t) / (1 - adam.beta1 ** t)
            mx.nd.adam_update(
                *arrays, out=arrays[0], lr=lr, wd=wd, beta1=adam.beta1,
                beta2=adam.beta2, epsilon=adam.epsilon,
                rescale_grad=self.trainer._scale / batch_size,
                clip_gradient=adam.clip_gradient or -1)

    def _is_adam(self):
        adam = self.trainer.optimizer
        return (type(adam) is mx.optimizer.Adam
                and not self.trainer._update_on_kvstore
                and len(self.trainer._updaters) == 1
                and all(numpy.dtype(parameter.dtype) == 'float32'
                        for parameter in self.params.values()))

    def _collect(self):
        self.states = self.trainer._updaters[0].states
        self.arrays = [
            [array.as_nd_ndarray() for array in (
                parameter.data(self.ctx), parameter.grad(self.ctx),
                *self.states[i])]
            for i, parameter in self.params.items()]


class BoundStep:
    """An adversarial step on minibatches of one shape.

    Args:
        symbols: what `trace_step` gives.
        X, Z: a minibatch, as in `adversarial_step`.
        net_D, net_G: the networks that were traced.
        trainer_D, trainer_G: their trainers.

    Raises:
        ValueError: if fakes and real examples differ in shape.

    Taught in chapters/performance.md, "The Step".
    """
    def __init__(self, symbols, X, Z, net_D, net_G, trainer_D, trainer_G):
        ctx, self.X, self.Z = X.ctx, X.copy(), Z.copy()
        params_D, params_G = net_D.collect_params(), net_G.collect_params()
        self.data = [(parameter, parameter.data(ctx))
                     for params in (params_D, params_G)
                     for parameter in params.values()]
        arrays = {parameter.name: data for parameter, data in self.data}
        arrays.update(X=self.X, Z=self.Z, ones=np.ones(len(X), ctx=ctx),
                      zeros=np.zeros(len(X), ctx=ctx))
        gradients_D, gradients_G = (
            {name: parameter.grad(ctx) for name, parameter in params.items()
             if parameter.grad_req != 'null'}
            for params in (params_D, params_G))
        sym_fake_X, sym_loss_D, sym_loss_G = symbols
        self.generate = bind(sym_fake_X, arrays, gradients_G, ctx)
        arrays['fake_X'] = self.generate.outputs[0].as_np_ndarray()
        if arrays['fake_X'].shape != X.shape:
            raise ValueError(
                f'net_G made fakes of shape {arrays["fake_X"].shape} for '
                f'real examples of shape {X.shape}')
        self.slope = np.zeros_like(X)
        self.judge = bind(sym_loss_D, arrays, gradients_D, ctx)
        self.teach = bind(sym_loss_G, arrays, {'fake_X': self.slope}, ctx)
        self.one = np.ones((), ctx=ctx)
        self.update_D = LeanUpdate(trainer_D, ctx)
        self.update_G = LeanUpdate(trainer_G, ctx)

    def is_current(self, trainer_D, trainer_G):
        """Tell whether it is still tied to the parameters' own arrays."""
        ctx = self.X.ctx
        return (self.update_D.trainer is trainer_D
                and self.update_G.trainer is trainer_G
                and all(parameter.data(ctx) is data
                        for parameter, data in self.data))

    def __call__(self, X, Z):
        """Take the step; gives the summed losses, as `adversarial_step`."""
        X.copyto(self.X), Z.copyto(self.Z)
        self.generate.forward(is_train=True)
        loss_D, = self.judge.forward(is_train=True)
        # The executor will write to its output again; the caller's stays.
        loss_D = loss_D.as_np_ndarray().copy()
        self.judge.backward(self.one)
        self.update_D.step(len(X))
        loss_G, = self.teach.forward(is_train=True)
        loss_G = loss_G.as_np_ndarray().copy()
        self.teach.backward(self.one)
        self.generate.backward(self.slope)
        self.update_G.step(len(X))
        return loss_D, loss_G


@functools.cache
def warn_once(message):
    """Write a warning into the log, unless it was written before.

    Taught in chapters/performance.md, "The Step".
    """
    logging.getLogger(__name__).warning(message)


class FusedStep:
    """An adversarial step without waste, to be handed to `train`.

    It computes what `adversarial_step` does, but runs the generator once, and
    computes no gradients that nobody needs. A generator's dropout is drawn
    once for both updates. Its batch normalisation sees no difference: MXNet
    moves the running statistics in the backward pass, which happens once in
    either step.

    Args:
        otherwise: the step to take, called as `adversarial_step` is, if the
            networks or the loss cannot be hybridized. A warning in the log
            says so, once.

    Taught in chapters/performance.md, "The Step".
    """
    def __init__(self, otherwise):
        self.otherwise, self.traced, self.bound = otherwise, None, {}

    def __call__(self, X, Z, net_D, net_G, loss, trainer_D, trainer_G):
        if self.traced != (net_D, net_G, loss):
            self._trace(X, Z, net_D, net_G, loss)
        if self.symbols is None:
            return self.otherwise(X, Z, net_D, net_G, loss, trainer_D,
                                  trainer_G)
        key = X.shape, Z.shape, X.ctx
        step = self.bound.get(key)
        if step is None or not step.is_current(trainer_D, trainer_G):
            step = self.bound[key] = BoundStep(
                self.symbols, X, Z, net_D, net_G, trainer_D, trainer_G)
        return step(X, Z)

    def _trace(self, X, Z, net_D, net_G, loss):
        self.traced, self.bound = (net_D, net_G, loss), {}
        try:
            self.symbols = trace_step(net_D, net_G, loss)
        except ValueError as error:
            self.symbols = None
            warn_once(f'training takes the plain steps: {error}')
            return
        for net, inputs in ((net_D, X), (net_G, Z)):
            try:
                for parameter in net.collect_params().values():
                    parameter.data(X.ctx)
            except gluon.parameter.DeferredInitializationError:
                net(inputs)
