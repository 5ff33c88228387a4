"""Ends every process of a distributed run as soon as one of them is lost.

MXNet's processes wait for each other in silence: if a worker dies, the others
hang in their next `pull`, and nothing tells them. So each server and worker
keeps a connection open to the process of the scheduler, at the port after
the scheduler's own. A process that dies closes it, however it died, and then
the scheduler tells all others, which say why and exit with `STATUS`. So that
a process that is stopped, or cut off, is missed too, a thread of each gives a
sign of life every second, however long a step of its main thread takes.

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

__all__ = ['GRACE', 'STATUS', 'begin', 'end', 'leave', 'port_in_use', 'watch']

# The exit status of a process that cannot go on without the others
STATUS = os.EX_UNAVAILABLE

ALONE = 'a worker goes on, but another one has left'

# The last words about a worker after Ctrl-C
INTERRUPTED = 'was interrupted'
# Seconds that processes have to end by themselves when one of them is lost
GRACE = 3
# Seconds between two signs of life
BEAT = 1


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
    silence = float(os.environ.get('D2L_GAN_SILENCE_SECONDS', 60))
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
        _start(_Scheduler(port, patience, silence).run)
    else:
        global _peer
        _peer = _Peer(role, host, port, patience, silence)
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


def leave(status=None):
    """Tell that this process exits, which ends all others if it trains.

    Args:
        status: with which; if `None`, 1, or 130 after Ctrl-C.
    """
    if _peer:
        last = getattr(sys, 'last_type', None)
        _peer.leave(status or (130 if last is KeyboardInterrupt else 1))


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

    def __init__(self, role, host, port, patience, silence):
        self.role, self.address = role, (host, port)
        self.patience, self.silence = patience, silence
        self.connection, self.lost = None, None
        self.busy, self.trains = True, False
        self.connected = threading.Event()

    def run(self):
        self._connect()
        message = self._listen()
        if message == 'done':
            _exit('', 0)
        host, port = self.address
        self.lost = message or f'the scheduler at {host}:{port - 1} is gone'
        if self.lost.endswith(INTERRUPTED):
            # So may this one be, which then still has to keep its work.
            time.sleep(GRACE)
        if self.busy:
            _exit(self.lost)

    def _listen(self):
        """Give signs of life until a message comes, or no sign any more."""
        received, silent = b'', 0
        self.connection.settimeout(BEAT)
        while b'\n' not in received and silent < self.silence:
            self._send('')
            try:
                news = self.connection.recv(4096)
            except socket.timeout:
                # Once only, if this process itself was stopped meanwhile
                silent += BEAT
                continue
            except OSError:
                break
            if not news:
                break
            received, silent = (received + news).lstrip(b'\n'), 0
        return received.decode(errors='replace').strip()

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

    def leave(self, status):
        if self.trains:
            if status == 130:
                self._send('interrupted')
            # An error ends this process. Left alone, MXNet would now wait for
            # the others, and they for this one's gradients.
            _exit('left before the training was over', status)


class _Scheduler:
    """The scheduler's ends of all connections."""

    def __init__(self, port, patience, silence):
        self.patience, self.silence = patience, silence
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
        beat = time.monotonic()
        last = beat + self.patience
        while True:
            for key, _ in self.selector.select(timeout=BEAT):
                if key.fileobj is self.listener:
                    connection, _ = self.listener.accept()
                    self.selector.register(
                        connection, selectors.EVENT_READ, data=[b'']
                    )
                else:
                    self._read(key.fileobj, key.data)
            # After what was received, if this process itself was stopped
            if time.monotonic() >= beat:
                beat = time.monotonic() + BEAT
                self._beat()
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
            self._close(connection, 'is gone')

    def _beat(self):
        self._tell('')
        for connection, peer in list(self.peers.items()):
            peer.silent += BEAT
            if peer.silent > self.silence:
                fate = f'has given no sign of life for {self.silence:g} s'
                self._close(connection, fate)

    def _close(self, connection, fate):
        self.selector.unregister(connection)
        connection.close()
        if connection in self.peers:
            self._lose(self.peers.pop(connection), fate)

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
                    silent=0,
                    fate=None,
                )
            return
        peer.silent = 0
        if words[:1] == ['begin']:
            peer.busy, peer.rank = True, ' '.join(['', *words[1:]])
            peer.begun += 1
            few = self._num_workers() < self.expected['worker']
            if few and self._all_came():
                self._fail(ALONE)
        elif words == ['interrupted']:
            peer.fate = INTERRUPTED
        elif words:
            peer.busy = False

    def _all_came(self):
        # A worker's own children may come too, if they import this library.
        return all(
            self.came[role] >= self.expected[role] for role in self.came
        )

    def _num_workers(self):
        return sum(peer.role == 'worker' for peer in self.peers.values())

    def _lose(self, lost, fate):
        needed = not self._all_came() or any(
            peer.busy for peer in self.peers.values()
        )
        if lost.busy or (lost.role == 'server' and needed):
            fate = lost.fate or fate
            self._fail(f'{lost.role}{lost.rank} {lost.place} {fate}')
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
