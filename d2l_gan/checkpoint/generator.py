"""A generator by itself, for those who have MXNet alone."""

import mxnet as mx
from mxnet import gluon, npx
from mxnet.gluon.parameter import DeferredInitializationError

from d2l_gan.support.files import replacing


def save_generator(net_G, path):
    """Save a generator so that MXNet alone can load it.

    Makes `<path>-symbol.json` and `<path>-0000.params`, as Gluon's `export`
    does. `gluon.SymbolBlock.imports(f'{path}-symbol.json', ['data'],
    f'{path}-0000.params')` gives the generator back, also where this library
    is not installed.

    Args:
        net_G: maps latent vectors to examples; one that can be hybridized,
            and whose weights are there.
        path: where to, as a name without the endings; its folder is made if
            need be.

    Raises:
        ValueError: if it cannot be hybridized.
    """
    if not isinstance(net_G, gluon.HybridBlock):
        raise ValueError(
            'net_G is no HybridBlock, and only those can be saved without '
            f'their code: {net_G!r}'
        )
    symbol = net_G(mx.sym.var('data').as_np_ndarray())
    parameters, arrays = net_G.collect_params(), {}
    for kind, names in (
        ('arg', symbol.list_arguments()),
        ('aux', symbol.list_auxiliary_states()),
    ):
        for name in set(names) & set(parameters):
            try:
                array = parameters[name].list_data()[0]
            except (RuntimeError, DeferredInitializationError) as error:
                raise ValueError(
                    f'net_G has no weights yet: train it first ({error})'
                ) from error
            arrays[f'{kind}:{name}'] = array
    with (
        replacing(f'{path}-0000.params') as params,
        replacing(f'{path}-symbol.json') as graph,
    ):
        npx.save(str(params), arrays)
        symbol.save(str(graph))
