#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Compares uapi/regionfs.yaml with uapi/linux/regionfs.h: names, numbers, types and limits. Prints TAP.

The header is the contract; the yaml says the same to the kernel's ynl tool, whose rules for numbers are followed:
operations and attributes count from 1, an enum from value-start or 0, flags are bits from 0 on.
"""
import os
import re
import sys

try:
    import yaml
except ImportError:
    print('1..0 # SKIP python3-yaml is not installed')
    sys.exit(4)

TOP = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
UAPI = os.path.join(TOP, 'uapi')


class Tap:
    """Counts checks, and what failed of them."""

    def __init__(self):
        self.count = self.failed = 0

    def ok(self, good, what, *notes):
        self.count += 1
        self.failed += not good
        print(f'{"ok" if good else "not ok"} {self.count} - {what}')
        for note in () if good else notes:
            print(f'#   {note}')

    def same(self, header, spec, what):
        """Two dictionaries: each difference is told."""
        names = sorted(set(header) | set(spec), key=str)
        notes = [f'{n}: {header.get(n, "not there")} in the header, {spec.get(n, "not there")} in the yaml'
                 for n in names if header.get(n) != spec.get(n)]
        self.ok(not notes and header, f'{what} ({len(header)})', *(notes or ['the header has none']))

    def end(self):
        print(f'1..{self.count}')
        return 1 if self.failed else 0


class Header:
    """What regionfs.h defines."""

    def __init__(self, path):
        with open(path, encoding='utf-8') as file:
            self.text = file.read()
        self.bare = re.sub(r'/\*.*?\*/', '', self.text, flags=re.S)

    def enum(self, tag, prefix):
        """Names without the prefix, and their numbers; without what only bounds or fills an enum."""
        body = re.search(rf'enum {tag} \{{(.*?)\}};', self.bare, re.S).group(1)
        value, found = -1, {}
        for entry in filter(None, (e.strip() for e in body.split(','))):
            name, _, number = (part.strip() for part in entry.partition('='))
            value = int(number, 0) if number else value + 1
            if name.startswith(prefix) and not name.endswith('_UNSPEC'):
                found[name[len(prefix):]] = value
        return found

    def flags(self, prefix):
        found = re.findall(rf'#define {prefix}(\w+)\s+\(1u << (\d+)\)', self.bare)
        return {name: 1 << int(bit) for name, bit in found}

    def define(self, name):
        return re.search(rf'#define {name}\s+(\S+)', self.bare).group(1).strip('"')

    def types(self, tag, prefix):
        """The first word of the comment behind each name of an enum is its type."""
        body = re.search(rf'enum {tag} \{{(.*?)\n\}};', self.text, re.S).group(1)
        return dict(re.findall(rf'^\t{prefix}(\w+),\s*/\* (\w+)', body, re.M))

    def members(self, tag):
        body = re.search(rf'struct {tag} \{{(.*?)\}};', self.bare, re.S).group(1)
        return re.findall(r'__(\w+) (\w+);', body)


def upper(name):
    return name.replace('-', '_').upper()


def numbered(entries, first):
    """Names and numbers of a list of entries, each of which may have a value."""
    value, found = first - 1, {}
    for entry in entries:
        entry = entry if isinstance(entry, dict) else {'name': entry}
        value = entry.get('value', value + 1)
        found[upper(entry['name'])] = value
    return found


def by_name(entries):
    return {entry['name']: entry for entry in entries}


def compare_numbers(tap, header, spec):
    sets, definitions = by_name(spec['attribute-sets']), by_name(spec['definitions'])
    event, flags = definitions['event'], definitions['region-flags']
    found = numbered(flags['entries'], flags.get('value-start', 0))

    tap.same(header.enum('regionfs_cmd', 'REGIONFS_CMD_'), numbered(spec['operations']['list'], 1), 'commands')
    tap.same(header.enum('regionfs_attr', 'REGIONFS_A_'), numbered(sets['main']['attributes'], 1), 'attributes')
    tap.same(header.enum('regionfs_stat', 'REGIONFS_STAT_'), numbered(sets['stats']['attributes'], 1), 'statistics')
    tap.same(header.enum('regionfs_event', 'REGIONFS_EVENT_'),
             numbered(event['entries'], event.get('value-start', 0)), 'events')
    tap.same(header.flags('REGIONFS_REGION_'), {name: 1 << bit for name, bit in found.items()}, 'flags of a region')


def compare_prefixes(tap, spec):
    sets, definitions = by_name(spec['attribute-sets']), by_name(spec['definitions'])

    tap.same({'commands': 'regionfs-cmd-', 'attributes': 'regionfs-a-', 'statistics': 'regionfs-stat-',
              'events': 'regionfs-event-', 'flags': 'regionfs-region-'},
             {'commands': spec['operations']['name-prefix'], 'attributes': sets['main']['name-prefix'],
              'statistics': sets['stats']['name-prefix'], 'events': definitions['event']['name-prefix'],
              'flags': definitions['region-flags']['name-prefix']}, 'prefixes of names')


def compare_types(tap, header, spec):
    sets = by_name(spec['attribute-sets'])
    types = {upper(a['name']): a['type'] for a in sets['main']['attributes'] if a['type'] != 'pad'}
    stats = {upper(a['name']): a['type'] for a in sets['stats']['attributes'] if a['type'] != 'pad'}
    names = header.enum('regionfs_stat', 'REGIONFS_STAT_')
    members = by_name(spec['definitions'])['range']['members']

    tap.same(header.types('regionfs_attr', 'REGIONFS_A_'), types, 'types of attributes')
    tap.same({name: 'u64' for name in names if name != 'PAD'}, stats, 'types of statistics')
    tap.same(dict(enumerate(header.members('regionfs_range'))),
             dict(enumerate((m['type'], m['name']) for m in members)), 'members of a range')


def compare_limits(tap, header, spec):
    attributes = by_name(by_name(spec['attribute-sets'])['main']['attributes'])
    limits = {'instance': 'REGIONFS_NAME_MAX', 'path': 'REGIONFS_PATH_MAX', 'source': 'REGIONFS_SOURCE_MAX'}

    tap.same({name: int(header.define(limit)) for name, limit in limits.items()},
             {name: a['checks']['max-len'] for name, a in attributes.items() if 'max-len' in a.get('checks', {})},
             'lengths of strings')


def compare_family(tap, header, spec):
    tap.same({'name': header.define('REGIONFS_GENL_NAME'), 'version': int(header.define('REGIONFS_GENL_VERSION')),
              'groups': [header.define('REGIONFS_GENL_MCGRP_EVENTS')]},
             {'name': spec['name'], 'version': spec['version'],
              'groups': [group['name'] for group in spec['mcast-groups']['list']]}, 'the family')


def references(value):
    """What the yaml's operations name as attributes."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from inner if key == 'attributes' else references(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from references(inner)


def check_references(tap, spec):
    known = by_name(by_name(spec['attribute-sets'])['main']['attributes'])
    unknown = sorted(set(references(spec['operations']['list'])) - set(known))

    tap.ok(not unknown, 'operations name attributes that there are', *unknown)


def main():
    tap = Tap()
    header = Header(os.path.join(UAPI, 'linux', 'regionfs.h'))
    with open(os.path.join(UAPI, 'regionfs.yaml'), encoding='utf-8') as file:
        spec = yaml.safe_load(file)

    compare_family(tap, header, spec)
    compare_numbers(tap, header, spec)
    compare_prefixes(tap, spec)
    compare_types(tap, header, spec)
    compare_limits(tap, header, spec)
    check_references(tap, spec)
    return tap.end()


sys.exit(main())
