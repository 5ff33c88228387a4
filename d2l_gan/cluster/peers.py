"""Ends every process of a distributed run as soon as one of them is lost.

MXNet's processes wait for each other in silence: if a worker dies, the others
hang in their next `pull`, and nothing tells them. So each server and worker
keeps a connection open to the process of the scheduler, at the port after
the scheduler's own. A process that dies closes it, however it died, and then
the scheduler tells all others, which say why and exit with `STATUS`.

`watch` is called when `d2l_gan` is imported in a process that has a role
(DMLC_ROLE); see `d2l_gan.cluster` for the environment variables that it
reads.
"""

import atexit
import contextlib
import os
import selectors
import socket
import sys
import threading
import time
import types

__all__ = ['STATUS', 'begin', 'end', 'leave', 'port_in_use', 'watch']

# The exit status of a process that cannot go on without the others
STATUS = os.EX_UNAVAILABLE

ALONE = 'a worker goes on, but another one has left'

# A machine that lost its power does not close its connections: the kernel
# asks after 15 seconds of silence, and gives up half a minute after the last
# sign of life.
KEEPALIVE = {
    socket.TCP_KEEPIDLE: 15,
    socket.TCP_KEEPINTVL: 5,
    socket.TCP_KEEPCNT: 3,
}


def watch():
    """Start to watch over the other processes, in a thread.

    A process that finds a port in use, or cannot reach the scheduler, says so
    and exits with `STATUS`.
    """
    role = os.environ['DMLC_ROLE']
    host = os.environ.get('DMLC_PS_ROOT_URI', '127.0.0.1')
    root = int(os.environ.get('DMLC_PS_ROOT_PORT', 0))
    port = int(os.environ.get('D2L_GAN_WATCH_PORT', root + 1))
    if not port:
        return
    patience = float(os.environ.get('D2L_GAN_JOIN_SECONDS', 120))
    if role == 'scheduler':
        for name, number in (
            ('DMLC_PS_ROOT_PORT', root),
            ('D2L_GAN_WATCH_PORT', port),
        ):
            if port_in_use(number):
                _exit(
                    f'port {number} is in use on this machine: end the run '
                    f'that has it, or choose another {name}'
                )
        _start(_Scheduler(port, patience).run)
    else:
        global _peer
        _peer = _Peer(role, host, port, patience)
        _start(_peer.run)
        atexit.register(leave)


def begin(rank=''):
    """Tell that this worker trains, and must not leave before `end`.

    Args:
        rank: its number, for messages, if it is known.
    """
    if _peer:
        _peer.begin(rank)


def end():
    """Tell that this worker has trained, and depends on nobody any more."""
    if _peer:
        _peer.end()


def leave():
    """Tell that this process exits, which ends all others if it trains."""
    if _peer:
        _peer.leave()


def port_in_use(port):
    """Tell whether a port of this machine is taken."""
    with socket.socket() as probe:
        # As MXNet binds: what a finished run leaves behind is no obstacle.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(('', port))
        except OSError:
            return True
    return False


_peer = None


def _start(function):
    threading.Thread(target=function, daemon=True).start()


def _exit(message, status=STATUS):
    """End the process, whatever its main thread is waiting for."""
    if message:
        role = os.environ['DMLC_ROLE']
        sys.stderr.write(f'd2l_gan ({role}): {message}\n')
    sys.stdout.flush(), sys.stderr.flush()
    os._exit(status)


class _Peer:
    """A server's or worker's end of the connection."""

    def __init__(self, role, host, port, patience):
        self.role, self.address, self.patience = role, (host, port), patience
        self.connection, self.lost = None, None
        self.busy, self.trains = True, False
        self.connected = threading.Event()

    def run(self):
        self._connect()
        lines = self.connection.makefile(encoding='utf-8')
        try:
            message = lines.readline().strip()
        except OSError:
            message = ''
        if message == 'done':
            _exit('', 0)
        host, port = self.address
        self.lost = message or f'the scheduler at {host}:{port - 1} is gone'
        if self.busy:
            _exit(self.lost)

    def _connect(self):
        last = time.monotonic() + self.patience
        while True:
            try:
                self.connection = socket.create_connection(self.address, 5)
                break
            except OSError as error:
                if time.monotonic() > last:
                    host, port = self.address
                    _exit(
                        f'no scheduler answered at {host}:{port} for '
                        f'{self.patience:g} s ({error}): is it started, '
                        'and is DMLC_PS_ROOT_URI its machine?'
                    )
                time.sleep(0.2)
        self.connection.settimeout(None)
        _keep_alive(self.connection)
        # A data loader's processes must not keep it open for a dead worker.
        os.register_at_fork(after_in_child=self.connection.close)
        self._send(f'{self.role} {socket.gethostname()} {os.getpid()}')
        self.connected.set()

    def _send(self, line):
        with contextlib.suppress(OSError):  # `run` meets it too
            self.connection.sendall(f'{line}\n'.encode())

    def begin(self, rank):
        self.busy = self.trains = True
        if self.lost:
            _exit(self.lost)
        self.connected.wait()
        self._send(f'begin {rank}')

    def end(self):
        self.busy = self.trains = False
        self.connected.wait()
        self._send('end')

    def leave(self):
        if self.trains:
            # An error ends this process. Left alone, MXNet would now wait for
            # the others, and they for this one's gradients.
            _exit('left before the training was over', 1)


class _Scheduler:
    """The scheduler's ends of all connections."""

    def __init__(self, port, patience):
        self.patience = patience
        self.expected = {
            role: int(os.environ[f'DMLC_NUM_{role.upper()}'])
            for role in ('worker', 'server')
        }
        self.came = dict.fromkeys(self.expected, 0)
        self.peers = {}  # by their connections
        self.listener = socket.create_server(('', port))
        self.selector = selectors.DefaultSelector()
        self.selector.register(self.listener, selectors.EVENT_READ)

    def run(self):
        last = time.monotonic() + self.patience
        while True:
            for key, _ in self.selector.select(timeout=1):
                if key.fileobj is self.listener:
                    connection, _ = self.listener.accept()
                    _keep_alive(connection)
                    self.selector.register(
                        connection, selectors.EVENT_READ, data=[b'']
                    )
                else:
                    self._read(key.fileobj, key.data)
            if self._all_came():
                if not self._num_workers():
                    self._tell('done')
                    _exit('', 0)
            elif time.monotonic() > last:
                came = ' and '.join(
                    f'{self.came[role]} of {number} {role}s'
                    for role, number in self.expected.items()
                )
                self._fail(f'only {came} came within {self.patience:g} s')

    def _read(self, connection, rest):
        try:
            received = connection.recv(4096)
        except OSError:
            received = b''
        *lines, rest[0] = (rest[0] + received).split(b'\n')
        for line in lines:
            self._hear(connection, line.decode(errors='replace').split())
        if not received:
            self.selector.unregister(connection)
            connection.close()
            if connection in self.peers:
                self._lose(self.peers.pop(connection))

    def _hear(self, connection, words):
        peer = self.peers.get(connection)
        if peer is None:
            if len(words) == 3 and words[0] in self.came:
                role, host, process = words
                self.came[role] += 1
                self.peers[connection] = types.SimpleNamespace(
                    role=role,
                    rank='',
                    place=f'on {host}, process {process},',
                    busy=role == 'worker',
                    begun=0,
                )
        elif words[:1] == ['begin']:
            peer.busy, peer.rank = True, ' '.join(['', *words[1:]])
            peer.begun += 1
            few = self._num_workers() < self.expected['worker']
            if few and self._all_came():
                self._fail(ALONE)
        else:
            peer.busy = False

    def _all_came(self):
        # A worker's own children may come too, if they import this library.
        return all(
            self.came[role] >= self.expected[role] for role in self.came
        )

    def _num_workers(self):
        return sum(peer.role == 'worker' for peer in self.peers.values())

    def _lose(self, lost):
        needed = not self._all_came() or any(
            peer.busy for peer in self.peers.values()
        )
        if lost.busy or (lost.role == 'server' and needed):
            self._fail(f'{lost.role}{lost.rank} {lost.place} is gone')
        if lost.role == 'worker' and any(
            peer.begun > lost.begun for peer in self.peers.values()
        ):
            self._fail(ALONE)

    def _tell(self, message):
        for connection in self.peers:
            with contextlib.suppress(OSError):
                connection.sendall(f'{message}\n'.encode())

    def _fail(self, message):
        self._tell(message)
        time.sleep(0.5)  # for the message not to be lost with the connection
        _exit(message)


def _keep_alive(connection):
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in KEEPALIVE.items():
        connection.setsockopt(socket.IPPROTO_TCP, option, value)
