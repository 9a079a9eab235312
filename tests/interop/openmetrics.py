# SPDX-License-Identifier: MIT
"""A strict reader of OpenMetrics text, version 1.0.0: whatever the specification says MUST of an exposition of counters,
gauges, histograms and infos, and of their names, units and labels, is an error when it is not so."""
import math
import re
import urllib.request

NAME = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")
LABEL = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")
NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?|[+-]?Inf|NaN")
SUFFIXES = {"counter": ("_total", "_created"), "gauge": ("",), "info": ("_info",), "unknown": ("",),
            "histogram": ("_bucket", "_sum", "_count", "_created"), "summary": ("", "_sum", "_count", "_created"),
            "stateset": ("",), "gaugehistogram": ("_bucket", "_gsum", "_gcount")}
CONTENT_TYPE = "application/openmetrics-text; version=1.0.0; charset=utf-8"


class Wrong(Exception):
    """What is wrong, and in which line."""


class Family:
    def __init__(self, name):
        self.name, self.type, self.unit, self.help = name, None, None, None
        self.samples = []  # (name, labels as a tuple of pairs, value)


def need(condition, line, what):
    if not condition:
        raise Wrong("%s: %r" % (what, line))


def unescape(text, line):
    out, at = [], 0
    while at < len(text):
        if text[at] == "\\":
            need(at + 1 < len(text) and text[at + 1] in '\\n"', line, "an escape that there is not")
            out.append({"n": "\n"}.get(text[at + 1], text[at + 1]))
            at += 2
        else:
            need(text[at] not in '"\n', line, "a character that must be escaped")
            out.append(text[at])
            at += 1
    return "".join(out)


def labels_of(text, line):
    """`a="b",c="d"` as pairs."""
    pairs, at = [], 0
    while at < len(text):
        m = re.match(r'([^=,{}" ]+)="((?:\\.|[^"\\])*)"', text[at:])
        need(m, line, "not a label")
        need(LABEL.fullmatch(m.group(1)) and not m.group(1).startswith("__"), line, "not the name of a label")
        pairs.append((m.group(1), unescape(m.group(2), line)))
        at += m.end()
        if at < len(text):
            need(text[at] == "," and at + 1 < len(text), line, "labels are separated by commas, with none at the end")
            at += 1
    need(len({k for k, _ in pairs}) == len(pairs), line, "a label twice")
    return tuple(pairs)


def describe(families, family, line):
    """A line that begins with `#`. The family it is about."""
    m = re.fullmatch(r"# (TYPE|UNIT|HELP) (\S+) (.*)", line)
    need(m, line, "not a description")
    what, name, value = m.groups()
    need(NAME.fullmatch(name), line, "not a name")
    if family is None or family.name != name:
        need(name not in families, line, "a family that is not in one piece")
        family = families[name] = Family(name)
    need(not family.samples, line, "a description behind its samples")
    if what == "TYPE":
        need(family.type is None and value in SUFFIXES, line, "not a type, or twice")
        family.type = value
    elif what == "UNIT":
        need(family.unit is None and re.fullmatch("[a-z]+", value) and name.endswith("_" + value), line, "not the unit that the name ends in")
        family.unit = value
    else:
        need(family.help is None, line, "twice")
        family.help = unescape(value.replace('"', '\\"'), line)
    return family


def sample(family, line):
    m = re.fullmatch(r"([^ {]+)(?:\{(.*)\})? ([^ ]+)", line)  # neither timestamps nor exemplars: nothing here needs them
    need(m, line, "not a sample")
    name, labels, value = m.groups()
    need(NAME.fullmatch(name) and NUMBER.fullmatch(value), line, "not a name, or not a number")
    need(family and name.startswith(family.name) and name[len(family.name):] in SUFFIXES[family.type or "unknown"], line,
         "not of the family described before it")
    pairs = labels_of(labels or "", line)
    value = float(value.replace("Inf", "inf"))
    if family.type in ("counter", "histogram"):
        need(value >= 0 and not math.isnan(value), line, "counters are never less than nothing")
    if family.type == "info":
        need(value == 1, line, "an info is 1")
    key = (name, tuple(sorted(pairs)))
    need(key not in [(n, tuple(sorted(p))) for n, p, _ in family.samples], line, "twice")
    family.samples.append((name, pairs, value))


def judge_histogram(family):
    groups = {}
    for name, pairs, value in family.samples:
        rest = tuple(p for p in pairs if p[0] != "le")
        group = groups.setdefault(rest, {"buckets": []})
        if name.endswith("_bucket"):
            bound = dict(pairs).get("le")
            need(bound is not None, name, "a bucket without its bound")
            group["buckets"].append((float(bound.replace("Inf", "inf")), value))
        else:
            group[name[len(family.name):]] = value
    for rest, group in groups.items():
        bounds, counts = [b for b, _ in group["buckets"]], [c for _, c in group["buckets"]]
        need(bounds == sorted(set(bounds)) and bounds and bounds[-1] == math.inf, rest, "buckets in order, the last is +Inf")
        need(counts == sorted(counts), rest, "buckets are cumulative")
        need("_count" in group and "_sum" in group and group["_count"] == counts[-1], rest, "count is that of +Inf")


def parse(text):
    """Families by name. Wrong where it is not OpenMetrics."""
    need("\r" not in text and text.endswith("# EOF\n"), text[-20:], "lines end with LF, and the last is # EOF")
    families, family = {}, None
    for line in text[:-len("# EOF\n")].split("\n")[:-1]:
        need(line and line != "# EOF", line, "an empty line, or another end")
        if line.startswith("#"):
            family = describe(families, family, line)
        else:
            sample(family, line)
    for f in families.values():
        if f.type == "histogram":
            judge_histogram(f)
        need(not f.type == "counter" or not f.name.endswith("_total"), f.name, "a counter's family has no _total")
        same = {tuple(sorted(k for k, _ in p if k != "le")) for _, p, _ in f.samples}
        need(len(same) <= 1, f.name, "all of a family have the same labels")
    names = [n for f in families.values() for n in {s[0] for s in f.samples}]
    need(len(names) == len(set(names)), names, "two families with a sample of one name")
    return families


def fetch(address, path="/metrics"):
    """From an address with its port: families. It is what it says that it is."""
    with urllib.request.urlopen("http://%s%s" % (address, path), timeout=20) as r:
        need(r.headers["Content-Type"] == CONTENT_TYPE, r.headers["Content-Type"], "not its content type")
        body = r.read()
    need(int(r.headers["Content-Length"]) == len(body), len(body), "not its length")
    return parse(body.decode("utf-8"))


def value(families, name, **labels):
    """The sum of all samples of that name that have these labels; None when there is none."""
    found = [v for f in families.values() for n, pairs, v in f.samples
             if n == name and all(dict(pairs).get(k) == w for k, w in labels.items())]
    return sum(found) if found else None
