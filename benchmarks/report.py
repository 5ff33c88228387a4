"""Tables and plots of what `speed.py` has measured."""

import statistics

from matplotlib.figure import Figure

CONTESTANTS = {
    'd2l': "d2l's MXNet code",
    'plain': 'ours, plain functions',
    'fast': 'ours, fast step',
    'one-thread': 'ours, one thread',
    'bfloat16': 'ours, bfloat16',
    'torch': 'PyTorch as in d2l',
    'torch-channels-last': 'PyTorch, channels-last',
    'torch-bfloat16': 'PyTorch, bfloat16',
    'limit': 'limit, float32',
}


def rates(result):
    """Give examples per second, a list with a number for each turn."""
    return [turn['examples'] / turn['seconds'] for turn in result['turns']]


def spread(values):
    """Give the median, and how far the quartiles are from it on average."""
    low, median, high = statistics.quantiles(values, n=4, method='inclusive')
    return median, (high - low) / 2


def number(value):
    return f'{value:.0f}' if value >= 100 else f'{value:.3g}'


def speed_cell(result, reference):
    if not result['turns']:
        return result['obstacle'].split(':')[0]
    rate, half = spread(rates(result))
    if result is reference or not reference['turns']:
        return f'{number(rate)} ±{number(half)}'
    pairs = zip(rates(result), rates(reference))
    ratio, half = spread([a / b for a, b in pairs])
    return f'{number(rate)} ({ratio:.2f} ±{half:.2f})'


def peak(result):
    """Give the peak memory in MB, as text."""
    turns = result['turns']
    return f'{turns[-1]["peak"] / 1e6:.0f}' if turns else '—'


def cores(result):
    """Give how many cores were busy in the median of the turns, as text."""
    busy = [turn['cores'] for turn in result['turns']]
    return f'{statistics.median(busy):.2f}' if busy else '—'


def markdown(header, rows):
    """Lay out a table in markdown, its columns aligned."""
    rows = [header, ['---'] * len(header), *rows]
    widths = [max(map(len, column)) for column in zip(*rows)]
    return '\n'.join(
        f'| {" | ".join(map(str.ljust, row, widths))} |' for row in rows
    )


def report(results):
    """Write the tables, and what one has to know beside them."""
    workloads = results['workloads']
    names = list(next(iter(workloads.values())))
    reference = names[0]

    def table(cell, names):
        return markdown(
            ['', *workloads],
            [
                [CONTESTANTS[name]]
                + [cell(runs, name) for runs in workloads.values()]
                for name in names
            ],
        )

    real = [name for name in names if name != 'limit']
    blocks = [
        results['machine'],
        f'Examples a second, in the median of two turns each of '
        f'{results["processes"]} processes. In '
        'brackets: how many times as many as those of the first row, turn by '
        'turn. After ±: half the distance between the quartiles.',
        table(lambda r, name: speed_cell(r[name], r[reference]), names),
        'Busy: beside a process that keeps one core busy.',
        *notes(workloads),
        'Peak memory in MB:',
        table(lambda r, name: peak(r[name]), real),
        'Cores kept busy. Fewer than on a quiet machine mean that other work '
        'held them, and that the speeds are not to be compared:',
        table(lambda r, name: cores(r[name]), real),
    ]
    if 'growth' in results:
        blocks += growth_report(results['growth'], results['epochs'])
    return '\n\n'.join(blocks) + '\n'


def notes(workloads):
    """Say where the limits come from, and why there are gaps."""
    limits, reasons = [], {}
    for workload, runs in workloads.items():
        for name, result in runs.items():
            if result['obstacle'] not in ('', '—'):
                rows = reasons.setdefault(result['obstacle'], {})
                rows[CONTESTANTS[name]] = None
            elif name == 'limit':
                limits.append(f'{workload}: {explain_limit(result["turns"])}')
    if limits:
        yield 'What the limits are made of: ' + '; '.join(limits) + '.'
    for reason, rows in reasons.items():
        yield f'{" and ".join(rows)}: {reason}.'


def explain_limit(turns):
    flop, flops, calls = (
        statistics.median(turn[key] for turn in turns)
        for key in ('flop', 'flops', 'calls')
    )
    if turns[0]['examples'] * flop / flops < calls:
        return f'the bare calls of a step, {calls * 1e6:.0f} µs'
    return f'{flop / 1e9:.2g} GFLOP an example at {flops / 1e9:.0f} GFLOP/s'


def growth_report(growth, epochs):
    """Write what an example costs while one thing grows."""
    names = list(epochs)
    rows = []
    for axis, points in growth.items():
        for value, runs in points:
            results = [runs[name] for name in names]
            times = [
                number(1e3 / spread(rates(result))[0])
                if result['turns']
                else 'failed'
                for result in results
            ]
            rows.append([f'{axis} {value}', *times, *map(peak, results)])
    yield 'A small DCGAN, in which one thing is changed at a time:'
    yield markdown(
        [
            '',
            *(
                f'{CONTESTANTS[name]}, {unit}'
                for unit in ('ms an example', 'peak MB')
                for name in names
            ),
        ],
        rows,
    )
    for name, result in epochs.items():
        resident = [turn['resident'] / 1e6 for turn in result['turns']]
        if resident:
            yield (
                f'{CONTESTANTS[name]}, {len(resident)} epochs: memory grows '
                f'by {resident[-1] - resident[0]:.1f} MB.'
            )


def color(name):
    family = 'torch' if name.startswith('torch') else name
    return {'d2l': 'C1', 'torch': 'C2', 'limit': '0.7'}.get(family, 'C0')


def plot_speed(workloads):
    """Draw a panel of bars for each workload."""
    figure = Figure((3 * len(workloads) + 1.5, 2.8), layout='constrained')
    panels = figure.subplots(1, len(workloads), squeeze=False)[0]
    for panel, (title, runs) in zip(panels, workloads.items()):
        for name, result in runs.items():
            rate, half = spread(rates(result)) if result['turns'] else (0, 0)
            panel.barh(CONTESTANTS[name], rate, xerr=half, color=color(name))
        panel.invert_yaxis()
        panel.set_title(title)
        panel.set_xlabel('examples per second')
        if panel is not panels[0]:
            panel.set_yticklabels([])
    return figure


def plot_growth(growth):
    """Draw the time and the memory over each thing that grows."""
    figure = Figure((3 * len(growth), 4.8), layout='constrained')
    panels = figure.subplots(2, len(growth), sharex='col', sharey='row')
    for (top, bottom), (axis, points) in zip(panels.T, growth.items()):
        for name in points[0][1]:
            done = [(v, r[name]) for v, r in points if r[name]['turns']]
            x = [value for value, _ in done]
            times = [1e3 / spread(rates(result))[0] for _, result in done]
            memory = [result['turns'][-1]['peak'] / 1e6 for _, result in done]
            style = {'color': color(name), 'label': CONTESTANTS[name]}
            top.plot(x, times, 'o-', **style)
            bottom.plot(x, memory, 'o-', **style)
        top.set(xscale='log', yscale='log')
        bottom.set(xscale='log', xlabel=axis)
        bottom.set_xticks(x, map(str, x))
        bottom.minorticks_off()
    # At the end, when the panels that share it have all that they show
    panels[1, 0].set_ylim(0)
    panels[0, 0].set_ylabel('ms an example')
    panels[1, 0].set_ylabel('peak memory, MB')
    panels[0, 0].legend()
    return figure
