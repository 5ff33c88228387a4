"""A generator by itself, for those who have MXNet alone."""

import json
import os

import mxnet as mx
from mxnet import gluon, npx
from mxnet.gluon.parameter import DeferredInitializationError

from d2l_gan.support.files import replacing, write_text


def save_generator(net_G, path):
    """Save a generator so that MXNet alone can load it.

    Makes `<path>-symbol.json` and `<path>-0000.params`, as Gluon's `export`
    does. `gluon.SymbolBlock.imports(f'{path}-symbol.json', ['data'],
    f'{path}-0000.params')` gives the generator back, also where this library
    is not installed. Equal generators make equal files, in any process.

    Args:
        net_G: maps latent vectors to examples; one that can be hybridized,
            and whose weights are there.
        path: where to, as a name without the endings; its folder is made if
            need be.

    Raises:
        ValueError: if it cannot be hybridized.
        OSError: if a file cannot be written, naming it.
    """
    if not isinstance(net_G, gluon.HybridBlock):
        raise ValueError(
            'net_G is no HybridBlock, and only those can be saved without '
            f'their code: {net_G!r}'
        )
    symbol = net_G(mx.sym.var('data').as_np_ndarray())
    parameters = net_G._collect_params_with_prefix()
    # Gluon's names count the layers that a process has made.
    names = {parameter.name: name for name, parameter in parameters.items()}
    auxiliary = set(symbol.list_auxiliary_states())
    graph, arrays = json.loads(symbol.tojson()), {}
    for i, node in enumerate(graph['nodes']):
        # Gluon counts how often statistics have been written to, too.
        node['inputs'] = [[*source[:2], 0] for source in node['inputs']]
        if node['name'] in names:
            kind = 'aux' if node['name'] in auxiliary else 'arg'
            node['name'] = name = names[node['name']]
            array = arrays[f'{kind}:{name}'] = _array(parameters[name])
            # Which was perhaps not known when the network was first used
            node['attrs']['__shape__'] = str(array.shape)
        elif node['name'] != 'data':
            node['name'] = f'{node["op"]}{i}'
    with replacing(f'{path}-0000.params') as draft, draft.open('wb') as file:
        file.write(_params(arrays))
    write_text(f'{path}-symbol.json', json.dumps(graph, indent=2))


def _array(parameter):
    try:
        return parameter.list_data()[0]
    except (RuntimeError, DeferredInitializationError) as error:
        raise ValueError(
            f'net_G has no weights yet: train it first ({error})'
        ) from error


def _params(arrays):
    """What MXNet writes to a file, by way of one in memory.

    MXNet makes a crash of a full disk, or does not notice it.
    """
    memory = os.memfd_create('params')
    with open(memory, 'rb') as file:
        npx.save(f'/proc/self/fd/{memory}', arrays)
        return file.read()
