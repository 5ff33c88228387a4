"""The worker's half of `speed.py`: training loops that take turns.

This needs nothing but Python, since PyTorch's worker runs in an environment
of its own.
"""

import itertools
import json
import os
import pathlib
import re
import sys
import time


def memory():
    """Give this process's peak memory, and what it has now, in bytes."""
    status = pathlib.Path('/proc/self/status').read_text()
    return {
        name: int(re.search(rf'{key}:\s*(\d+) kB', status)[1]) * 1024
        for name, key in (('peak', 'VmHWM'), ('resident', 'VmRSS'))
    }


class Turns:
    """Takes turns on command, and answers what each of them took.

    Commands are lines on the standard input, at whose end the process ends;
    answers are lines of JSON on the standard output. The first turn is for
    getting ready.
    """

    def __init__(self):
        # Whatever else is printed must not get between the answers.
        self.answers = os.fdopen(os.dup(1), 'w')
        os.dup2(2, 1)
        self.wait()
        self.answer()

    def answer(self, **values):
        print(json.dumps(values), file=self.answers, flush=True)

    def wait(self):
        """Wait for the next turn."""
        if not sys.stdin.readline():
            sys.exit()


class Minibatches:
    """Minibatches for a training loop that takes turns, an epoch a turn.

    A loop calls nobody but its data iterator, so this is where it waits. The
    time of a turn ends when the loop comes for the next epoch, after all that
    it does at the end of one.

    Args:
        turns: a `Turns`.
        data_iter: gives minibatches, every epoch anew.
        per_turn: how many of them make up a turn.
    """

    def __init__(self, turns, data_iter, per_turn):
        self.turns, self.per_turn = turns, per_turn
        self.endless = itertools.chain.from_iterable(
            itertools.repeat(data_iter)
        )
        self.started = None

    def __iter__(self):
        if self.started:
            wall, cpu = self.started
            seconds = time.perf_counter() - wall
            self.turns.answer(
                seconds=seconds,
                examples=self.num_examples,
                cores=(time.process_time() - cpu) / seconds,
                **memory(),
            )
        self.turns.wait()
        self.num_examples = 0
        self.started = time.perf_counter(), time.process_time()
        for minibatch in itertools.islice(self.endless, self.per_turn):
            labelled = isinstance(minibatch, (tuple, list))
            self.num_examples += len(minibatch[0] if labelled else minibatch)
            yield minibatch
