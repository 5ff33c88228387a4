"""Starts the processes of a distributed run, and ends them together.

On this machine, or through ssh on others; see `d2l_gan.cluster` for all other
means, and for what the processes are.
"""

import argparse
import contextlib
import ctypes
import os
import random
import re
import shlex
import signal
import socket
import subprocess
import sys
import time

from d2l_gan.cluster import peers

__all__ = ['main']

# What a process on another machine inherits from this one
INHERITED = ('D2L_GAN_', 'MXNET_', 'OMP_', 'PS_', 'PYTHONPATH')
TUNING = 'MXNET_USE_OPERATOR_TUNING'


def main(arguments=None, prog='python -m d2l_gan.cluster.launch'):
    """Start all processes of a run, and wait for them.

    If one of them fails, all others are ended.

    Args:
        arguments: a list of strings; those of the process if `None`.
        prog: what `--help` calls this.

    Returns:
        int: the exit status: 0 if all workers have ended well; 2 if the run
        cannot be started; otherwise that of the process that failed first,
        or 128 and the number of the signal that ended it.

    Raises:
        SystemExit: with 2 if the arguments are wrong, with 0 after `--help`.
    """
    options = _parser(prog).parse_args(arguments)
    try:
        with contextlib.ExitStack() as claims:
            return _run(options, claims)
    except (ValueError, OSError, OverflowError) as error:
        print(f'd2l_gan: {error}', file=sys.stderr)
        return 2


def _parser(prog):
    parser = argparse.ArgumentParser(
        prog=prog,
        description='Train on several processes, here or on other machines.',
    )
    parser.add_argument(
        '-n',
        '--workers',
        type=_positive,
        required=True,
        metavar='N',
        help='how many processes train together',
    )
    parser.add_argument(
        '-s',
        '--servers',
        type=_positive,
        metavar='N',
        help='how many add up gradients (by default one, or one a host)',
    )
    parser.add_argument(
        '-H',
        '--hostfile',
        metavar='FILE',
        help='names of machines, one a line, each with :PORT if its ssh does '
        'not listen at 22; they need the same folders as this one (by default '
        'all processes start here)',
    )
    parser.add_argument(
        '--address',
        metavar='HOST',
        help='the name of this machine, as the other ones know it',
    )
    parser.add_argument(
        '--port',
        type=_positive,
        help="the scheduler's port; the next one has to be free too (by "
        'default any two)',
    )
    parser.add_argument(
        'command',
        nargs=argparse.REMAINDER,
        metavar='COMMAND ...',
        help='what each worker does: a command of d2l-gan, or a Python file, '
        'with its arguments',
    )
    return parser


def _run(options, claims):
    if not options.command:
        raise ValueError('what is each worker to do? Add a command')
    command = [sys.executable, *options.command]
    if not options.command[0].endswith('.py'):
        command[1:1] = ['-m', 'd2l_gan']
    hosts = [('127.0.0.1', None)]
    if options.hostfile:
        hosts = _read_hosts(options.hostfile)
    if options.port:
        for port in (options.port, options.port + 1):
            claims.enter_context(_claim(port))
    num_servers = options.servers or len(hosts)
    environment = {
        'DMLC_PS_ROOT_URI': options.address or _own_address(hosts[0][0]),
        'DMLC_PS_ROOT_PORT': options.port or _free_port(),
        'DMLC_NUM_WORKER': options.workers,
        'DMLC_NUM_SERVER': num_servers,
        # Else MXNet measures at the start which operators to share among
        # threads, and the losses differ in the eighth digit from run to run.
        TUNING: os.environ.get(TUNING, 0),
    }
    cores = os.environ.get('D2L_GAN_NUM_THREADS')
    shared = not options.hostfile
    if shared and cores == os.environ.get('OMP_NUM_THREADS', ''):
        # Nobody else has set the latter. Threads of one worker must not wait
        # for cores of another's.
        environment['OMP_NUM_THREADS'] = max(int(cores) // options.workers, 1)
    serve = [sys.executable, '-c', 'import d2l_gan, mxnet']
    children = []
    try:
        here = environment['DMLC_PS_ROOT_URI'], None
        for role, number, places, argv in (
            ('scheduler', 1, [here], serve),
            ('server', num_servers, hosts, serve),
            ('worker', options.workers, hosts, command),
        ):
            for i in range(number):
                host = places[i % len(places)]
                children.append(_Child(role, i, host, argv, environment))
        return _wait(children)
    except KeyboardInterrupt:
        for child in children:
            if child.role == 'worker':
                child.process.send_signal(signal.SIGINT)
        _leave_time(children)
        return 128 + signal.SIGINT
    finally:
        for child in children:
            child.process.kill()
        for child in children:
            child.process.wait()


class _Child:
    """A process of the run, started through ssh if it has a port for that."""

    def __init__(self, role, number, host, argv, environment):
        self.role = role
        name, port = host
        variables = {
            **{key: str(value) for key, value in environment.items()},
            'DMLC_ROLE': role,
            'DMLC_NODE_HOST': name,
        }
        if port is not None:
            inherited = {
                key: value
                for key, value in os.environ.items()
                if key.startswith(INHERITED)
            }
            words = [f'{k}={v}' for k, v in {**inherited, **variables}.items()]
            there = shlex.join(['exec', 'env', *words, *argv])
            there = f'cd {shlex.quote(os.getcwd())} && {there}'
            options = ['-o', 'BatchMode=yes', '-p', port]
            argv = ['ssh', *options, '--', name, there]
        self.process = subprocess.Popen(
            argv,
            env={**os.environ, **variables},
            stdin=subprocess.DEVNULL,
            # Ctrl-C is for the launcher, which hands it on.
            start_new_session=True,
            preexec_fn=_die_with_parent,
        )
        place = '' if port is None else f' on {name}'
        self.name = f'{role} {number}{place} (process {self.process.pid})'


def _die_with_parent():
    pr_set_pdeathsig = 1
    ctypes.CDLL(None).prctl(pr_set_pdeathsig, signal.SIGKILL)


def _wait(children):
    """Wait for the workers, or for the first process that fails."""
    while True:
        if any(c.process.poll() for c in children):
            _leave_time(children)
            failed = [c for c in children if c.process.poll()]
            # Some may have ended only because another one did.
            failed.sort(key=lambda c: c.process.returncode == peers.STATUS)
            status = failed[0].process.returncode
            how = f'ended with status {status}'
            if status < 0:
                how = f'was ended by {signal.Signals(-status).name}'
            print(
                f'd2l_gan: {failed[0].name} {how}; the run is over',
                file=sys.stderr,
            )
            return status if status > 0 else 128 - status
        if all(c.process.poll() == 0 for c in children if c.role == 'worker'):
            _leave_time(children)
            return 0
        time.sleep(0.1)


def _leave_time(children):
    """Give processes some seconds to end by themselves."""
    last = time.monotonic() + peers.GRACE
    while time.monotonic() < last and any(
        child.process.poll() is None for child in children
    ):
        time.sleep(0.1)


def _read_hosts(path):
    hosts = []
    with open(path, encoding='utf-8', errors='replace') as lines:
        for line in lines:
            words = line.partition('#')[0].split()
            if words:
                host = re.fullmatch(r'(\w[\w.-]*)(?::(\d+))?', words[0])
                if not host:
                    raise ValueError(
                        f'{path}: {words[0]!r} is no machine: write its name '
                        'or IPv4 address (MXNet knows no others), and perhaps '
                        ':PORT'
                    )
                hosts.append((host[1], host[2] or '22'))
    if not hosts:
        raise ValueError(
            f'{path} names no machine: there has to be one a line'
        )
    return hosts


def _own_address(other):
    """The address from which this machine reaches another one."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect((other, 9))  # sends nothing
        except OSError as error:
            raise ValueError(
                f'{other} cannot be found ({error.strerror}): check its name '
                'and the network'
            ) from error
        return probe.getsockname()[0]


def _claim(port):
    """Take a port before another launcher can; gives what has to stay open.

    The scheduler itself takes it a second later only.
    """
    claim = socket.socket(socket.AF_UNIX)
    try:
        claim.bind(f'\0d2l_gan {port}')  # a name that dies with this process
        if not peers.port_in_use(port):
            return claim
    except OSError:
        pass
    claim.close()
    raise ValueError(
        f'port {port} is in use on this machine: end the run that has it, or '
        'choose another --port'
    )


def _free_port():
    """A port that is free, and so is the next one."""
    while True:
        port = random.randrange(10000, 30000)
        if not peers.port_in_use(port) and not peers.port_in_use(port + 1):
            return port


def _positive(text):
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f'{text} is not above 0')
    return number


if __name__ == '__main__':
    sys.exit(main())
