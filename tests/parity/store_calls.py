"""Calls that the stores of both libraries must answer alike: `python -m` writes PyTorch's."""

import datetime
import pickle
import sys
from pathlib import Path

SHORT = datetime.timedelta(milliseconds=20)


def tcp(dist, path):
    return dist.TCPStore("localhost", 0, 1, True)


def file(dist, path):
    return dist.FileStore(str(path / dist.__name__), 1)


def hashed(dist, path):
    return dist.HashStore()


def prefixed(dist, path):
    return dist.PrefixStore("outer", dist.PrefixStore("in/ner", dist.HashStore()))


KINDS = [tcp, file, hashed, prefixed]

# Each on a store of its own; a list is done one after another, and all answers count.
CALLS = """
s.set('k', 'text'); s.get('k')
s.set('k', b'\\x00\\xff\\n'); s.get('k')
s.set('k', ''); s.get('k'); s.check(['k'])
s.set('', 'empty name'); s.get('')
s.set('ключ', 'значение'); s.get('ключ')
s.set(b'bytes', 'v'); s.get('bytes'); s.get(b'bytes')
s.set(b'\\xff\\xfe', 'v'); s.get(b'\\xff\\xfe'); s.check([b'\\xff\\xfe'])
s.set('k', 'a'); s.set('k', 'b'); s.get('k')
s.set('k', 5)
s.set(5, 'k')
s.get(5)
s.set('k', None)
s.set('big', b'x' * 10_000_000); len(s.get('big'))
s.get('missing')
s.wait(['missing'])
s.wait(['missing'], short)
s.wait([b'\\xff'], short)
s.wait([b'\\xff'])
s.wait([])
s.wait('k')
s.set('k', ''); s.wait(['k']); s.wait(['k'], short); s.wait(['k', 'l'], short)
s.add('n', 1); s.add('n', 41); s.add('n', -50); s.get('n'); s.add('n', 0)
s.add('n', 2**62); s.add('n', 1)
s.add('n', 1.5)
s.add('n', '1')
s.set('n', '12'); s.add('n', 1)
s.set('n', 'text'); s.add('n', 1)
s.add('n', 2**63)
s.delete_key('k'); s.set('k', ''); s.delete_key('k'); s.check(['k']); s.delete_key('k')
s.add('n', 3); s.delete_key('n'); s.add('n', 1)
s.check(['k']); s.check([]); s.set('k', ''); s.check(['k']); s.check(['k', 'l'])
s.num_keys(); s.set('k', ''); s.set('l', ''); s.set('k', 'x'); s.delete_key('l'); s.num_keys()
s.compare_set('k', '', 'a'); s.get('k')
s.compare_set('k', 'x', 'a'); s.check(['k'])
s.set('k', 'x'); s.compare_set('k', 'x', 'a'); s.get('k')
s.set('k', 'x'); s.compare_set('k', 'y', 'a'); s.get('k')
s.set('k', 'x'); s.compare_set('k', '', 'a'); s.get('k')
s.set('k', ''); s.compare_set('k', '', 'a'); s.get('k')
s.compare_set('k', '', 'a' * 100_000); len(s.compare_set('k', 'a' * 100_000, 'b' * 200_000))
s.append('k', 'a'); s.append('k', b'b'); s.get('k'); s.append('k', ''); s.get('k')
s.append('n', '4'); s.append('n', '2'); s.add('n', 0)
s.multi_set(['a', 'b'], ['1', '2']); s.multi_get(['b', 'a']); s.multi_get([])
s.multi_set(['a'], ['1', '2'])
s.multi_get(['a', 'missing'])
s.has_extended_api()
s.timeout
s.set_timeout(short); s.timeout
s.queue_push('q', 'a'); s.queue_push('q', 'b'); s.queue_len('q'); s.queue_pop('q'); s.queue_len('q')
s.queue_push('q', b'\\x00'); s.queue_pop('q', False); s.queue_len('q'); s.check(['q'])
s.queue_pop('q', False)
s.queue_len('q')
s.queue_pop('q')
s.queue_push('q', 'a'); s.check(['q']); s.wait(['q'], short)
d.PrefixStore('p', s).set('k', '1'); s.get('p/k'); d.PrefixStore('p', s).get('k')
d.PrefixStore('', s).set('k', '1'); s.get('/k'); s.check(['k'])
d.PrefixStore('p', d.PrefixStore('q', s)).set('k', '1'); s.get('q/p/k')
d.PrefixStore('p', s).add('n', 2); s.get('p/n'); d.PrefixStore('p', s).delete_key('n')
d.PrefixStore('p', s).compare_set('k', '', 'x'); s.get('p/k')
d.PrefixStore('p', s).append('k', 'x'); d.PrefixStore('p', s).append('k', 'y'); s.get('p/k')
d.PrefixStore('p', s).multi_set(['a'], ['x']); s.get('p/a'); d.PrefixStore('p', s).multi_get(['a'])
d.PrefixStore('p', s).wait(['missing'], short)
d.PrefixStore('p', s).get('missing')
d.PrefixStore('p', s).timeout == s.timeout
s.set_timeout(short * 3); d.PrefixStore('p', s).timeout
d.PrefixStore('p', s).set_timeout(short * 3); s.timeout
d.PrefixStore('p', s).clone().set_timeout(short * 3); s.timeout
s.clone().set_timeout(short * 3); s.timeout
d.PrefixStore('p', s).num_keys() == s.num_keys()
d.PrefixStore('p', s).set(b'\\xff', '1'); s.get(b'p/\\xff')
d.PrefixStore('p', s).underlying_store.set('k', '1'); s.get('k')
d.PrefixStore('p', 5)
d.PrefixStore(5, s)
"""
LINES = [line for line in CALLS.split("\n") if line]


def answers(dist, store, line):
    """The value of each call of a line, or the kinds of the error that ends it."""
    store.set_timeout(SHORT)
    space = {"s": store, "d": dist, "short": SHORT}
    values = []
    for call in line.split("; "):
        try:
            value = eval(call, space)
        except Exception as error:
            values.append({"raises": [kind.__name__ for kind in type(error).__mro__]})
            break
        values.append(None if isinstance(value, dist.Store) else value)
    return values


def lines_of(kind):
    """The lines that are asked of a kind of store; PyTorch's need long to serve at a port."""
    return LINES[::5] if kind is tcp else LINES


def all_answers(dist, folder):
    """For each kind of store and each line what `answers` gives, each on a store of its own."""
    found = {}
    for kind in KINDS:
        for number, line in enumerate(lines_of(kind)):
            own = folder / f"{kind.__name__} {number}"
            own.mkdir()
            found[kind.__name__, line] = answers(dist, kind(dist, own), line)
    return found


if __name__ == "__main__":
    import torch

    Path(sys.argv[2]).write_bytes(pickle.dumps(all_answers(torch.distributed, Path(sys.argv[1]))))
