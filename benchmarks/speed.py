"""How fast does each way to train a GAN learn, and what does it need?

Trains the same networks with d2l's MXNet code, with ours, and with PyTorch as
d2l uses it. Each runs in a process of its own, with the threads that it takes
by itself. They take turns, never two at once, so that whatever else the
machine does meets all of them. Tables, plots and raw figures go to
_build/bench.
"""

import argparse
import contextlib
import datetime
import importlib.metadata
import json
import os
import pathlib
import platform
import re
import subprocess
import sys
import tempfile

from report import CONTESTANTS, plot_growth, plot_speed, report
from tqdm import tqdm

from d2l_gan.fused import has_bfloat16
from d2l_gan.support.files import replacing, write_text

HERE = pathlib.Path(__file__).parent
OUT = pathlib.Path('_build/bench')
TORCH = pathlib.Path('.venv-torch/bin/python')


def workload(
    kind, shape, n, batch_size, num_examples, per_turn, beside_busy=False
):
    """Say what is trained, and on how many minibatches in a turn.

    With `beside_busy`, another process keeps a core busy all the time.
    """
    return locals()


# A turn is an epoch. Its end costs `train` a look at the generator, so that a
# turn of very few minibatches would not be like an epoch.
WORKLOADS = {
    'Gaussian demo': workload('gaussian', (2,), 0, 8, 1000, 1000),
    'MLP 28x28': workload('mlp', (1, 28, 28), 128, 128, 1280, 100),
    'DCGAN 32x32 grey': workload('dcgan', (1, 32, 32), 64, 64, 256, 10),
    'DCGAN 64x64 RGB': workload('dcgan', (3, 64, 64), 64, 64, 256, 6),
    'conditional 32x32': workload('conditional', (1, 32, 32), 64, 64, 256, 10),
    'DCGAN 32x32, busy': workload('dcgan', (1, 32, 32), 64, 64, 256, 10, True),
}
# Keeps a core busy for as long as the process lives that started it.
BUSY = 'import os; parent = os.getppid()\nwhile os.getppid() == parent: pass'
# How the cost grows when one thing about a small DCGAN is changed
SMALL = workload('dcgan', (1, 32, 32), 32, 64, 1024, 4)
GROWTH = {
    'batch size': {b: {**SMALL, 'batch_size': b} for b in (16, 64, 256)},
    'image size': {s: {**SMALL, 'shape': (1, s, s)} for s in (16, 32, 64)},
    'width n': {n: {**SMALL, 'n': n} for n in (16, 32, 64)},
    'data-set size': {
        m: {**SMALL, 'num_examples': m} for m in (1024, 8192, 32768)
    },
}
# Whole epochs, to see whether memory grows with them
EPOCHS = {**SMALL, 'n': 16, 'num_examples': 512, 'per_turn': 8}
NUM_EPOCHS = 10
# Workers get none of these settings, neither the user's nor those that this
# process has made when it imported d2l_gan.
FOREIGN = (
    'D2L_GAN_', 'DNNL_', 'GOMP_', 'KMP_', 'MKL_', 'MXNET_', 'OMP_',
    'OPENBLAS_',
)  # fmt: skip


class Worker:
    """A process that trains as one contestant does, a turn at a time."""

    def __init__(self, contestant, settings, torch):
        family = contestant.split('-')[0]
        script = family if family in ('d2l', 'limit', 'torch') else 'mxnet'
        settings = {k: v for k, v in settings.items() if k != 'beside_busy'}
        self.log = tempfile.TemporaryFile('w+')  # noqa: SIM115
        self.process = subprocess.Popen(
            [
                torch if family == 'torch' else sys.executable,
                HERE / f'{script}_worker.py',
                json.dumps({'contestant': contestant, **settings}),
            ],
            env={
                **{
                    name: value
                    for name, value in os.environ.items()
                    if not name.startswith(FOREIGN)
                },
                **({'OMP_NUM_THREADS': '1'} if family == 'one' else {}),
            },
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.log,
            text=True,
        )

    def turn(self):
        """Let it have a turn.

        Returns:
            dict: what it answers.

        Raises:
            ChildProcessError: with its last words, if it ended.
        """
        with contextlib.suppress(BrokenPipeError):  # it left an explanation
            print(file=self.process.stdin, flush=True)
        answer = self.process.stdout.readline()
        if not answer:
            code = self.process.wait()
            self.log.seek(0)
            words = [line for line in self.log if line.strip()]
            raise ChildProcessError(
                words[-1].strip() if words else f'it ended with {code}'
            )
        return json.loads(answer)

    def close(self):
        self.process.kill()
        self.process.communicate()
        self.log.close()


def obstacle(contestant, kind, torch):
    """Say why a contestant does not take part; an empty string if it does."""
    convolutional = kind in ('dcgan', 'conditional')
    if not convolutional and re.search('bfloat16|channels', contestant):
        return '—'
    if 'bfloat16' in contestant and not has_bfloat16():
        return 'no bfloat16: the processor has no avx512_bf16 and no amx_bf16'
    if contestant.startswith('torch') and not torch:
        return 'no PyTorch: `make torch`, or `make bench TORCH=python`'
    return ''


def measure(settings, contestants, processes, turns, torch, bar):
    """Let contestants take turns with one workload.

    Where a process finds its memory can make it 5 % faster or slower for as
    long as it lives, so each contestant has several, one after the other.

    Args:
        settings: a workload.
        contestants: their names.
        processes: how many for each contestant.
        turns: how many count in each process. Two more do not: one to get
            ready, one to warm up.
        torch: a Python that has PyTorch, if there is one.
        bar: told about each turn.

    Returns:
        dict: for each of them its `turns`, as its worker reports them, and
        the `obstacle`, empty if there was none.
    """
    results = {
        name: {
            'obstacle': obstacle(name, settings['kind'], torch),
            'turns': [],
        }
        for name in contestants
    }
    for _ in range(processes):
        with contextlib.ExitStack() as stack:
            if settings['beside_busy']:
                busy = subprocess.Popen([sys.executable, '-c', BUSY])
                stack.callback(busy.wait)
                stack.callback(busy.kill)
            workers = {}
            for name, result in results.items():
                if not result['obstacle']:
                    workers[name] = Worker(name, settings, torch)
                    stack.callback(workers[name].close)
            for number in range(-2, turns):
                for name, result in results.items():
                    if not result['obstacle']:
                        try:
                            answer = workers[name].turn()
                        except ChildProcessError as error:
                            result.update(
                                obstacle=f'failed: {error}', turns=[]
                            )
                        else:
                            if number >= 0:
                                result['turns'].append(answer)
                    bar.update()
    return results


def measure_all(arguments):
    """Measure all that was asked for; gives a dict that is fit for JSON."""
    processes, contestants = arguments.processes, arguments.contestants
    pair = [name for name in ('d2l', 'fast') if name in contestants]
    growth = {} if arguments.quick or not pair else GROWTH
    # The small DCGAN itself is a point of every axis.
    points = {
        json.dumps(settings): settings
        for axis in growth.values()
        for settings in axis.values()
    }
    total = len(arguments.workloads) * len(contestants) * processes * 4
    if growth:
        total += len(pair) * (8 * len(points) + NUM_EPOCHS + 2)
    results = {'processes': processes}
    with tqdm(total=total, unit=' turns', leave=False, disable=None) as bar:

        def run(description, settings, names, processes, turns=2):
            bar.set_description(description)
            return measure(
                settings, names, processes, turns, arguments.torch, bar
            )

        results['workloads'] = {
            name: run(name, WORKLOADS[name], contestants, processes)
            for name in arguments.workloads
        }
        if growth:
            measured = {
                key: run('How the cost grows', settings, pair, 2)
                for key, settings in points.items()
            }
            results['growth'] = {
                axis: [
                    [value, measured[json.dumps(settings)]]
                    for value, settings in values.items()
                ]
                for axis, values in growth.items()
            }
            results['epochs'] = run('Epochs', EPOCHS, pair, 1, NUM_EPOCHS)
    return results


def machine(torch):
    """Give the machine, the date and the versions in a line."""
    model = re.search(
        r'model name\s*: (.*)', pathlib.Path('/proc/cpuinfo').read_text()
    )
    versions = [f'Python {platform.python_version()}'] + [
        f'{name} {importlib.metadata.version(name)}'
        for name in ('mxnet', 'd2l', 'numpy')
    ]
    if torch:
        versions.append(f'torch {torch_version(torch)}')
    return (
        f'{model[1] if model else platform.machine()}, '
        f'{len(os.sched_getaffinity(0))} cores, load {os.getloadavg()[0]:.1f} '
        f'before; {datetime.date.today():%d %B %Y}; {", ".join(versions)}'
    )


def torch_version(python):
    """Ask a Python for its PyTorch's version.

    Raises:
        ValueError: if it has none, or is none.
    """
    try:
        return subprocess.run(
            [python, '-c', 'import torch; print(torch.__version__)'],
            check=True,
            capture_output=True,
            text=True,
        ).stdout.strip()
    except (OSError, subprocess.CalledProcessError) as error:
        raise ValueError(
            f'{python} is no Python that can import torch'
        ) from error


def save(figure, path):
    with replacing(path) as draft:
        figure.savefig(draft, format='png', dpi=150)


def main():
    parser = argparse.ArgumentParser(
        description=__doc__.split('\n\n')[1],
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    add = parser.add_argument
    add('--workloads', nargs='+', choices=WORKLOADS, metavar='NAME',
        default=list(WORKLOADS), help='which ones')  # fmt: skip
    add('--contestants', nargs='+', choices=CONTESTANTS, metavar='NAME',
        default=list(CONTESTANTS),
        help='which ones; all are compared with the first')  # fmt: skip
    add('--processes', type=int, default=3,
        help='how many for each of them, one after the other; 2 turns of '
        'each count')  # fmt: skip
    add('--quick', action='store_true',
        help='one process, and nothing about how the cost grows')  # fmt: skip
    add('--torch', metavar='PYTHON',
        default=os.environ.get('D2L_GAN_TORCH')
        or (TORCH if TORCH.exists() else None),
        help='a Python that has PyTorch')  # fmt: skip
    arguments = parser.parse_args()
    if arguments.quick:
        arguments.processes = 1
    if arguments.processes < 1:
        parser.error(
            f'--processes is {arguments.processes}, but must be above 0'
        )
    try:
        conditions = machine(arguments.torch)
    except ValueError as error:
        parser.error(str(error))
    load = os.getloadavg()[0]
    if load > 1:
        print(
            f'The load is {load:.1f}: other work slows down most who use '
            'several threads, so that these figures will mean little.',
            file=sys.stderr,
        )
    results = {'machine': conditions, **measure_all(arguments)}
    write_text(OUT / 'speed.json', json.dumps(results, indent=1))
    text = report(results)
    write_text(OUT / 'speed.txt', text)
    save(plot_speed(results['workloads']), OUT / 'speed.png')
    if 'growth' in results:
        save(plot_growth(results['growth']), OUT / 'growth.png')
    print(f'{text}\nIn {OUT}/ with its plots and raw figures.')
    if 'failed: ' in text:
        sys.exit(1)


if __name__ == '__main__':
    main()
