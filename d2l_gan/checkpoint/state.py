"""What a network, a trainer or a step has to keep, as arrays by name."""

import numpy
from mxnet import np


def network_state(net):
    return {
        name: parameter.list_data()[0].asnumpy()
        for name, parameter in net._collect_params_with_prefix().items()
    }


def state_of(part, arrays):
    """Take the state of one part out of a checkpoint.

    Args:
        part: such as 'net_G' or 'step'.
        arrays: by name, as `Checkpoint.load` gives them.

    Returns:
        dict: what the part was kept as, numpy.ndarrays by name.
    """
    return {
        name[len(part) + 1 :]: array
        for name, array in arrays.items()
        if name.startswith(f'{part}/')
    }


def inner_state(step):
    """Give the state of a step inside another one, for that one's state.

    Args:
        step: called as `d2l_gan.train.adversarial_step` is.

    Returns:
        dict: what its `state_dict` gives, with `step.` before the names;
        empty if it has none.
    """
    state = getattr(step, 'state_dict', dict)()
    return {f'step.{name}': value for name, value in state.items()}


def load_inner_state(step, state):
    """Let a step inside another one go on from what `inner_state` gave.

    Args:
        step: the step inside.
        state: of the step around it.

    Returns:
        dict: the rest of `state`, which is the outer step's own.
    """
    own, inner = {}, {}
    for name, value in state.items():
        if name.startswith('step.'):
            inner[name[len('step.') :]] = value
        else:
            own[name] = value
    if inner:
        step.load_state_dict(inner)
    return own


def load_network(net, state):
    """Put weights into a network that is initialised.

    Args:
        net: the network.
        state: numpy.ndarrays by the parameters' names in its structure, as
            `state_of` gives them.

    Raises:
        KeyError, AssertionError, ValueError: if they are of another network.
    """
    for name, parameter in net._collect_params_with_prefix().items():
        array = state[name]
        _check_array(name, array, parameter)
        parameter.set_data(np.array(array, dtype=array.dtype))
        # If its shape was not known, MXNet would wait for the first minibatch.
        parameter._finish_deferred_init()


def _check_array(name, array, parameter):
    if array.dtype != numpy.dtype(parameter.dtype) or not same_shape(
        parameter.shape, array.shape
    ):
        raise ValueError(
            f'for {name} there is {array.dtype} of shape {array.shape}'
        )


def same_shape(here, kept):
    """Whether shapes are the same; a size of 0 or -1 is not known yet."""
    if here is None or kept is None or len(here) != len(kept):
        return here is None and kept is not None
    return all(a in (0, -1, b) for a, b in zip(here, kept))


# `Trainer.save_states` would pickle. Like the names of networks' parameters,
# the names here are those of the structure: Gluon's own, such as
# dense3_weight, count the layers that a process has made.


def trainer_state(trainer, net):
    """The learning rate, and Adam's count and two means of each parameter."""
    if trainer._update_on_kvstore:
        raise ValueError(
            'the state of Adam is kept by the KVStore, where a checkpoint '
            'cannot reach it: make the trainers with update_on_kvstore=False'
        )
    state = {'learning_rate': trainer.learning_rate}
    means = trainer._updaters[0].states
    for name, parameter in net._collect_params_with_prefix().items():
        i = trainer._param2idx[parameter.name]
        if i in means:  # which are made at its first update
            count = trainer.optimizer._index_update_count[i]
            state[f'{name}.count'] = count
            for key, mean in zip(('mean', 'var'), means[i]):
                state[f'{name}.{key}'] = mean.asnumpy()
    return state


def load_trainer(trainer, net, state):
    trainer.set_learning_rate(float(state['learning_rate']))
    counts, means = {}, {}
    for name, parameter in net._collect_params_with_prefix().items():
        if f'{name}.count' in state:
            i = trainer._param2idx[parameter.name]
            counts[i] = int(state[f'{name}.count'])
            if counts[i] < 0:
                raise ValueError(f'{name} has been updated {counts[i]} times')
            means[i] = state[f'{name}.mean'], state[f'{name}.var']
            for mean in means[i]:
                _check_array(name, mean, parameter)
    adam = trainer.optimizer
    adam.num_update = max(counts.values(), default=0)
    for updater, ctx in zip(trainer._updaters, trainer._contexts):
        adam._all_index_update_counts[ctx.device_id] = dict(counts)
        # A new dictionary, by which a fused step knows of it
        updater.states = {
            i: tuple(
                np.array(mean, mean.dtype, ctx=ctx).as_nd_ndarray()
                for mean in pair
            )
            for i, pair in means.items()
        }
        updater.states_synced = dict.fromkeys(means, True)
    adam._set_current_context(trainer._contexts[0].device_id)
