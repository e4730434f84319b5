#!/usr/bin/env python3
"""Computes verdicts from zone files and a query log, plainly and independently of the crate `catalogue`.

    verdicts_oracle.py DIRECTORY

All files are tab-separated; `-` stands for "none". Times are Unix milliseconds.

    zones.tsv        from_ms view apex file servers others_serve_it others_waived
                     (later rows of the same view and apex are newer versions, loaded at from_ms)
    queries.tsv      time_ms server name type
    servers.tsv      server reported_until_ms
    missing.tsv      view apex server from_ms to_ms     (view and apex `-`: all zones)
    facts.tsv        view apex owner type created_ms largest_ttl
    rules.tsv        owner types data
    overrides.tsv    view apex owner type protect|allow
    window.tsv       name value                         (fields of `verdict::Window`)

Writes, for every RRset of the newest zones: view apex owner type verdict quiet_for_s referrer last_use_ms
"""

import collections
import pathlib
import re
import sys

import dns.name
import dns.rdatatype
import dns.zone
from dns.rdatatype import A, AAAA, ANY, CNAME, DNAME, DS, HTTPS, MX, NAPTR, NS, NSEC, PTR, RRSIG, SOA, SRV, SVCB, TXT

STRUCTURAL = {"SOA", "RRSIG", "NSEC", "DNSKEY", "NSEC3", "NSEC3PARAM", "CDS", "CDNSKEY", "CSYNC", "ZONEMD"}
META = {0, 41, *range(249, 255)}
DAY_MS = 86_400_000


def rows(folder, file):
    path = folder / file
    lines = path.read_text().splitlines() if path.exists() else []
    return [line.split("\t") for line in lines if line]


def number(text):
    return None if text == "-" else int(text)


def name_of(text):
    return dns.name.from_text(text.lower())


class Zone:
    """One version of a zone: a dictionary of RRsets by owner and type."""

    def __init__(self, row, folder):
        self.from_ms, self.view, self.apex = int(row[0]), row[1], name_of(row[2])
        self.servers = [] if row[4] == "-" else row[4].split(",")
        self.hidden = not self.servers or (row[5] == "1" and row[6] != "1")
        read = dns.zone.from_file(str(folder / row[3]), self.apex, relativize=False, check_origin=False)
        self.sets = collections.defaultdict(dict)
        self.exists = {self.apex}
        for owner, node in read.items():
            owner = dns.name.Name(label.lower() for label in owner.labels)
            for rdataset in node:
                self.sets[owner][rdataset.rdtype] = rdataset
            while owner != self.apex:
                self.exists.add(owner)
                owner = owner.parent()

    def at(self, owner):
        return self.sets.get(owner, {})

    def source(self, name):
        """The name itself or, if it does not exist, the wildcard at its closest encloser."""
        encloser = name
        while encloser not in self.exists:
            encloser = encloser.parent()
        return name if encloser == name else dns.name.Name((b"*",) + encloser.labels)


def lower(name):
    return dns.name.Name(label.lower() for label in name.labels)


def lookup(zone, name, rtype):
    """RFC 1034 section 4.3.2. Returns what is used, as {(owner, type): is_denial}, and where the chain continues."""
    used = {}
    seen = set()

    def use(owner, rtype, denial=False):
        if rtype in zone.at(owner):
            used[owner, rtype] = used.get((owner, rtype), True) and denial

    while name.is_subdomain(zone.apex):
        if name in seen:
            return used, None
        seen.add(name)
        path = [name]
        while path[-1] != zone.apex:
            path.append(path[-1].parent())
        for owner in reversed(path):
            here = zone.at(owner)
            if NS in here and owner != zone.apex and not (owner == name and rtype == DS):
                use(owner, NS)
                use(owner, DS)
                for ns in here[NS]:
                    host = lower(ns.target)
                    if host.is_subdomain(zone.apex):
                        use(zone.source(host), A)
                        use(zone.source(host), AAAA)
                return used, (name if len(seen) > 1 else None)
            if DNAME in here and owner != name:
                use(owner, DNAME)
                try:
                    name = name.relativize(owner).derelativize(lower(here[DNAME][0].target))
                except dns.name.NameTooLong:
                    return used, None
                if rtype == CNAME:
                    # Answered by the synthesised CNAME.
                    return used, None
                break
        else:
            source = zone.source(name)
            if source != name:
                if source not in zone.exists:
                    use(zone.apex, SOA, True)
                    return used, None
                use(source, NS)
            here = zone.at(source)
            if CNAME in here and rtype not in (ANY, CNAME, RRSIG, NSEC):
                use(source, CNAME)
                name = lower(here[CNAME][0].target)
                continue
            types = [other for other in here if rtype in (ANY, other)]
            for other in types:
                use(source, other)
            if not types:
                use(zone.apex, SOA, True)
            return used, None
    return used, name


class Zones:
    """The zones at one time."""

    def __init__(self, zones):
        self.zones = zones

    def enclosing(self, name, rtype):
        zones = sorted((z for z in self.zones if name.is_subdomain(z.apex)), key=lambda z: -len(z.apex))
        if rtype == DS:
            zones.sort(key=lambda z: z.apex == name)
        return zones

    def starts(self, server, name, rtype):
        zones = self.enclosing(name, rtype)
        zones = [z for z in zones if server in z.servers] or zones
        lowest = {}
        for zone in zones:
            lowest.setdefault(zone.view, zone)
        return list(lowest.values())

    def targets(self, view, name, rtype):
        lowest = {}
        for zone in self.enclosing(name, rtype):
            lowest.setdefault(zone.view, zone)
        return [lowest[view]] if view in lowest else list(lowest.values())

    def follow(self, start, name, rtype):
        """Everything that a lookup uses, over all zones, as {(view, apex, owner, type): is_denial}."""
        todo = [(start, name)]
        found = {}
        for zone, name in todo:
            used, rest = lookup(zone, name, rtype)
            for (owner, other), denial in used.items():
                key = zone.view, zone.apex, owner, other
                found[key] = found.get(key, True) and denial
            if rest is not None:
                for other in self.targets(zone.view, rest, rtype):
                    if (other, rest) not in todo and len(todo) < 16:
                        todo.append((other, rest))
        return found


def references(zones):
    """The references of every RRset, as {key: set of keys}."""
    graph = {}
    cache = {}

    def resolve(view, name, types):
        for rtype in types:
            key = view, name, rtype
            if key not in cache:
                cache[key] = set()
                for zone in zones.targets(view, name, rtype):
                    found = zones.follow(zone, name, rtype)
                    cache[key].update(key for key, denial in found.items() if not denial)
            yield from cache[key]

    for zone in zones.zones:
        for owner, sets in zone.sets.items():
            for rtype, rdataset in sets.items():
                to = set()
                for rdata in rdataset:
                    for name, types in targets(owner, rtype, rdata):
                        to.update(resolve(zone.view, name, types))
                        if rtype == NS:
                            to.update((zone.view, zone.apex, name, t) for t in (A, AAAA, CNAME) if t in zone.at(name))
                        if rtype == DNAME:
                            to.update(subtree(zones, zone.view, name))
                if rtype == NS and owner == zone.apex:
                    above = [z for z in zones.enclosing(owner, DS) if z.view == zone.view]
                    if above[0] is not zone:
                        to.update((zone.view, above[0].apex, owner, t) for t in (NS, DS) if t in above[0].at(owner))
                elif rtype == NS and DS in sets:
                    to.add((zone.view, zone.apex, owner, DS))
                key = zone.view, zone.apex, owner, rtype
                to.discard(key)
                graph[key] = to
    return graph


def targets(owner, rtype, rdata):
    root = dns.name.root
    reverse = any(owner.is_subdomain(name_of(tree)) for tree in ("in-addr.arpa.", "ip6.arpa."))
    if rtype in (CNAME, DNAME):
        found = lower(rdata.target), [ANY]
    elif rtype == PTR:
        found = lower(rdata.target), [A, AAAA] if reverse else [ANY]
    elif rtype == MX:
        found = lower(rdata.exchange), [A, AAAA]
    elif rtype in (NS, SRV):
        found = lower(rdata.target), [A, AAAA]
    elif rtype in (SVCB, HTTPS):
        name = lower(rdata.target)
        if rdata.priority == 0:
            found = name, [A, AAAA, rtype]
        else:
            found = owner if name == root else name, [A, AAAA]
    elif rtype == NAPTR:
        types = {b"S": [SRV], b"A": [A, AAAA], b"U": [], b"": [NAPTR]}.get(rdata.flags.upper(), [ANY])
        found = lower(rdata.replacement), types
    else:
        return []
    return [] if found[0] == root else [found]


def subtree(zones, view, name):
    inside = zones.targets(view, name, A)
    for zone in zones.zones:
        if zone in inside or (zone.view == view and zone.apex.is_subdomain(name)):
            for owner, sets in zone.sets.items():
                if owner.is_subdomain(name):
                    for rtype in sets:
                        yield zone.view, zone.apex, owner, rtype


def reach(graph, roots, slot):
    """For every RRset that another root leads to: (distance, slot of the referrer), from one search per root."""
    best = {}
    for root in roots:
        distance = {root: 0}
        level = [root]
        while level:
            following = []
            for key in level:
                for to in graph[key]:
                    if to not in distance:
                        distance[to] = distance[key] + 1
                        following.append(to)
                    if to != root and distance[to] == distance[key] + 1:
                        best[to] = min(best.get(to, (1 << 60, 0)), (distance[to], slot[key]))
            level = following
    return best


def protected(rules, owner, rtype, rdataset):
    for pattern, types, data in rules:
        if types and dns.rdatatype.to_text(rtype) not in types:
            continue
        if pattern.fullmatch(owner.to_text()) and any(has(data, rtype, rdata) for rdata in rdataset):
            return True
    return False


def pattern_of(text):
    """A regular expression for the text of an owner."""
    if text == "":
        return re.compile(".*")
    free = "" if text.endswith(".") else r"([^.]+\.)*"
    labels = text.removesuffix(".").split(".")
    start = ""
    if labels[0] == "**":
        start = r"([^.]+\.)*"
        labels = labels[1:]
    body = "".join("".join("[^.]+" if label == "*" else "[^.]*".join(map(re.escape, label.split("*")))) + r"\."
                   for label in labels)
    return re.compile(start + body + free)


def has(data, rtype, rdata):
    kind, _, value = data.partition(":")
    if kind == "":
        return True
    if kind == "text":
        if rtype != TXT:
            return False
        text = b"".join(rdata.strings).decode("latin-1").lower()
        value = value.lower()
        if value.startswith("*"):
            return re.match("[a-z0-9_.-]+" + re.escape(value[1:]), text) is not None
        return text.startswith(value)
    target = {MX: "exchange", SRV: "target", NS: "target", CNAME: "target", PTR: "target", DNAME: "target"}.get(rtype)
    if target is None:
        return False
    target = lower(getattr(rdata, target))
    return target == dns.name.root if kind == "nothing" else target.is_subdomain(name_of(value))


def main(folder):
    window = {key: int(value) for key, value in rows(folder, "window.tsv")}
    now = window["now_ms"]
    start = now - window["length_ms"]
    versions = [Zone(row, folder) for row in rows(folder, "zones.tsv")]
    history = {}
    for zone in versions:
        history.setdefault((zone.view, zone.apex), []).append(zone)
    changes = sorted({zone.from_ms for zone in versions})
    snapshots = {}

    def at(time):
        key = max((change for change in changes if change <= time), default=changes[0])
        if key not in snapshots:
            zones = [[z for z in zones if z.from_ms <= key] for zones in history.values()]
            snapshots[key] = Zones([z[-1] for z in zones if z])
        return snapshots[key]

    newest = at(1 << 60)
    last_use = {}
    cache = {}
    for time, server, name, rtype in rows(folder, "queries.tsv"):
        time, name, rtype = int(time), name_of(name), dns.rdatatype.from_text(rtype)
        if rtype in META:
            continue
        zones = at(time)
        question = id(zones), server, name, rtype
        if question not in cache:
            cache[question] = set()
            for zone in zones.starts(server, name, rtype):
                cache[question].update(zones.follow(zone, name, rtype))
        for key in cache[question]:
            last_use[key] = max(last_use.get(key, time), time)

    facts = {(row[0], name_of(row[1]), name_of(row[2]), dns.rdatatype.from_text(row[3])): (number(row[4]), int(row[5]))
             for row in rows(folder, "facts.tsv")}
    overrides = {(row[0], name_of(row[1]), name_of(row[2]), dns.rdatatype.from_text(row[3])): row[4]
                 for row in rows(folder, "overrides.tsv")}
    rules = [(pattern_of(row[0]), row[1].split(), row[2]) for row in rows(folder, "rules.tsv")]
    reported = {server: number(until) for server, until in rows(folder, "servers.tsv")}
    missing = rows(folder, "missing.tsv")

    keys = [(zone.view, zone.apex, owner, rtype) for zone in newest.zones
            for owner, sets in sorted(zone.sets.items()) for rtype in sorted(sets)]
    slot = {key: position for position, key in enumerate(keys)}
    by_zone = {(zone.view, zone.apex): zone for zone in newest.zones}

    def structural(key):
        return dns.rdatatype.to_text(key[3]) in STRUCTURAL or (key[3] == NS and key[1] == key[2])

    def is_protected(key):
        if key in overrides:
            return overrides[key] == "protect"
        return protected(rules, key[2], key[3], by_zone[key[:2]].at(key[2])[key[3]])

    is_protected = {key: is_protected(key) for key in keys}
    used = {key for key in keys if last_use.get(key, -(1 << 60)) >= start}
    roots = [key for key in keys if structural(key) or is_protected[key] or key in used]
    reached = reach(references(newest), roots, slot)

    for key in keys:
        zone = by_zone[key[:2]]
        created, largest = facts.get(key, (None, 0))
        ttl = min(max(zone.at(key[2])[key[3]].ttl, largest), window["ttl_cap_s"]) * 1000
        begin = start if created is None else max(start, created)
        end, gaps = now, []
        for server in zone.servers:
            until = reported.get(server)
            if until is not None and now - until <= window["lag_ms"]:
                end = min(end, until)
            else:
                gaps.append((-(1 << 60) if until is None else until, now))
        for view, apex, server, first, last in missing:
            if server in zone.servers and (view == "-" or (view, name_of(apex)) == (zone.view, zone.apex)):
                gaps.append((int(first), int(last)))
        in_window = [(max(first, start), min(last, now)) for first, last in gaps]
        in_window = [(first, last) for first, last in in_window if first < last]
        incomplete = any(last > begin for _, last in in_window)
        last = last_use.get(key)
        if structural(key) or key in reached:
            verdict = "needed"
        elif is_protected[key]:
            verdict = "protected"
        elif key in used:
            verdict = "used"
        elif created is not None and created > now - window["grace_ms"]:
            verdict = "new"
        elif zone.hidden or incomplete or now - begin < ttl + window["margin_ms"]:
            verdict = "unobserved"
        elif last is not None:
            verdict = "unused"
        else:
            verdict = "never_used"
        quiet = 0
        if not zone.hidden:
            quiet_since = max([begin] + [last for _, last in in_window] + ([] if last is None else [last]))
            quiet = max(0, end - quiet_since - ttl) // 1000
        referrer = "-"
        if key in reached and not structural(key):
            by = keys[reached[key][1]]
            referrer = f"{by[2]} {dns.rdatatype.to_text(by[3])}"
        print(key[0], key[1], key[2], dns.rdatatype.to_text(key[3]), verdict, quiet, referrer,
              "-" if last is None else last, sep="\t")


main(pathlib.Path(sys.argv[1]))
