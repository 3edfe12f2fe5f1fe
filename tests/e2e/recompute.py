#!/usr/bin/env python3
"""The samples that events should have made, worked out again from the files they came from: a third opinion, beside the
server's and that of `tidemill samples verify --recompute`. It shares no code with either.

    python3 tests/e2e/recompute.py impressions.jsonl clicks.jsonl --config tidemill.yaml -o expected.jsonl
    tidemill samples verify --against expected.jsonl

The rules. Files are merged by time, as `tidemill ingest` merges them, and records with items are cut. Events of blocked
users and of robots (`users`) are left out; of allowed ones never. `filters` drop events, or mend their numbers, but for
withdrawals. The first impression of a key makes one sample, further ones are repetitions. An action belongs to the
impression of its key, before or after it, unless it names another version, comes more than `within` behind it, or lies
more than `before` or `allowed_lateness` in front of it. One of a stream with a key of its own belongs to the last, the
first or all of the impressions under that key that are no more than `within` before it. An action that was sent before
(same event id, or without one the same fields) counts once, and of one stream and join key the first 16 count. An action
that is withdrawn while its sample can be corrected does not count. The first labels fold the actions up to `window` behind the
impression, the final ones all. Of a sample with an action of its label a filter of `sample_filters` may make a label 0;
one that is dropped is a sample all the same. Rows of tables decide no label.

It takes for granted what `docs/operating.md` says of `--recompute`. A negative that sampling may leave out is written with
its `keep_probability`. Needs PyYAML.
"""

import argparse
import datetime
import heapq
import json
import struct
import sys

import yaml

ACTIONS_MAX = 16  # of one stream and key
POSITION_MAX = 999_999_999  # a rule of sampling up to it has no end
USER_PANES = 8  # a window of users.per slides by such a part of it
UNITS_MS = {"ms": 1, "s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
DEFAULT_STREAMS = [{"name": "impressions", "kind": "impression"}, {"name": "clicks", "kind": "action"}]
DEFAULT_LABELS = [{"name": "click", "stream": "clicks"}]


class Refused(Exception):
    """What is wrong, in words for whoever started this."""


# ---- the configuration ----


def milliseconds(text):
    """"90s" -> 90000"""
    text = str(text)
    number = text.rstrip("mshd")
    unit = text[len(number) :]
    if text == "0":
        return 0
    if not number.isdigit() or unit not in UNITS_MS:
        raise Refused(f'a duration like 30s or 24h was expected, not "{text}"')
    return int(number) * UNITS_MS[unit]


def ids_of(path):
    """A file of users, one a line."""
    if not path:
        return set()
    with open(path, encoding="utf-8") as lines:
        return {line.rstrip("\r\n") for line in lines} - {""}


class Config:
    """What the join needs to know of a server's configuration."""

    def __init__(self, text):
        tree = yaml.safe_load(text) or {}
        join = tree.get("join") or {}
        self.key = join.get("key", ["request", "doc"])
        self.window = milliseconds(join.get("window", "60s"))
        lateness = milliseconds(join.get("allowed_lateness", "24h"))
        self.impressions, self.tables, self.within, self.before, self.own_key, self.attribute = set(), set(), {}, {}, {}, {}
        for stream in tree.get("streams", DEFAULT_STREAMS):
            name = stream["name"]
            if stream["kind"] == "impression":
                self.impressions.add(name)
            if stream["kind"] == "table":
                self.tables.add(name)
            if stream["kind"] == "action":
                self.within[name] = milliseconds(stream["within"]) if "within" in stream else lateness
                self.before[name] = min(milliseconds(stream.get("before", "0s")) or lateness, lateness)
                if sorted(stream.get("key", self.key)) != sorted(self.key):
                    self.own_key[name] = sorted(stream["key"])
                    self.attribute[name] = stream.get("attribute", "last")
        self.reach = max(lateness, *self.within.values())  # so long can a sample be corrected
        self.labels = tree.get("labels", DEFAULT_LABELS)
        for label in self.labels:
            if label.get("aggregate", "exists") not in AGGREGATES:
                raise Refused(f"label {label['name']}: aggregate {label['aggregate']} is not known here")
        self.filters = tree.get("filters") or []
        self.sample_filters = tree.get("sample_filters") or []
        users = tree.get("users") or {}
        self.blocked, self.allowed = ids_of(users.get("block")), ids_of(users.get("allow"))
        self.max_events = users.get("max_events", 0)
        self.pane = max(1, milliseconds(users.get("per", "1m")) // USER_PANES)
        self.sampling = tree.get("sampling") or []


# ---- the events ----


def time_of(event):
    """ms since 1970; a fraction of a millisecond is cut off"""
    time = event["time"]
    if isinstance(time, int):
        return time
    moment = datetime.datetime.fromisoformat(time.upper().replace("Z", "+00:00"))
    return (moment - datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc)) // datetime.timedelta(milliseconds=1)


FLOATS = ("weight", "score", "propensity")  # as they travel; a weight is kept as one, too


def as_float(number):
    return struct.unpack("f", struct.pack("f", number))[0]


def read_file(path):
    """Its events, each with its time in ms; lines that no server would take are skipped and told."""
    with sys.stdin if path == "-" else open(path, encoding="utf-8") as lines:
        for number, line in enumerate(lines, 1):
            if not line.strip():
                continue
            try:
                event = json.loads(line)
                event["time"] = time_of(event)
                for single in cut(event):
                    single.update({field: as_float(single[field]) for field in FLOATS if single.get(field) is not None})
                    yield single
            except (ValueError, KeyError, TypeError, OverflowError) as problem:
                print(f"{path}:{number}: skipped: {problem!r}", file=sys.stderr)


def cut(event):
    """One event for each item; numbers that an item has are its own."""
    items = event.pop("items", None)
    return [event] if items is None else [{**event, **item} for item in items]


def merged(paths):
    """All files by time; at equal times the file named first comes first, and within a file the order is kept."""
    return heapq.merge(*(read_file(path) for path in paths), key=lambda event: event["time"])


def identity(event):
    """Equal for an event that was sent again."""
    if event.get("event"):
        return event["event"]
    return tuple(event.get(field) for field in ("request", "doc", "user", "time")) + (event.get("value", 1),)


# ---- filters ----


def mend(event, rule):
    """One rule. False: it excludes the event."""
    field, number = rule["field"], event.get(rule["field"])
    least, most = rule.get("min", -1e300), rule.get("max", 1e300)
    action = rule.get("do", "drop")
    if action == "default":
        event[field] = rule.get("to", 0) if number is None else number
    elif number is not None and not least <= number <= most:
        if action == "drop":
            return False
        event[field] = min(max(number, least), most)
    if field == "weight" and event.get(field) is not None:
        event[field] = as_float(event[field])
    return True


def welcome(events, config):
    """Those that are of no blocked user and of no robot: of nobody with more events in his window, this one included.
    What lies behind the window of a user's newest event is not counted."""
    panes, newest = {}, {}
    for event in events:
        user, pane = event.get("user"), event["time"] // config.pane
        if user and user not in config.allowed and event["stream"] not in config.tables:
            if user in config.blocked:
                continue
            newest[user] = max(pane, newest.get(user, pane))
            if config.max_events and pane > newest[user] - USER_PANES:
                panes.setdefault(user, []).append(pane)
                window = [p for p in panes[user] if newest[user] - USER_PANES < p <= pane]
                if len(window) > config.max_events and not event.get("withdraw"):
                    continue
        yield event


def filtered(events, config):
    """Those that no rule excludes, with their numbers mended. Who is the same event as who, what was sent says."""
    for event in welcome(events, config):
        event["identity"] = identity(event)
        rules = [rule for rule in config.filters if rule["stream"] == event["stream"]]
        if event.get("withdraw") or all(mend(event, rule) for rule in rules):
            yield event


# ---- the join ----


def gather(events, config):
    """key -> its first impression; stream -> key of the stream -> its actions in the order in which they came"""
    impressions, actions = {}, {}
    for event in filtered(events, config):
        stream = event["stream"]
        if stream in config.impressions:
            impressions.setdefault(key_of(event, config.key), event)
        elif stream in config.within:
            key = key_of(event, config.own_key.get(stream, config.key))
            actions.setdefault(stream, {}).setdefault(key, []).append(event)
    return impressions, actions


def key_of(event, fields):
    return tuple(event.get(field) for field in fields)


def fits(impression, action, config):
    """In time, and not of another version."""
    stream, delay = action["stream"], action["time"] - impression["time"]
    if action.get("version", impression["version"]) != impression["version"]:
        return False
    earliest = 0 if stream in config.own_key else -config.before[stream]
    return earliest <= delay <= config.within[stream]


def fitting(impressions, actions, config):
    """Those that fit an impression, each once, and with the join key the first 16 of them."""
    taken, seen = [], set()
    for action in actions:
        if action["identity"] in seen or not any(fits(i, action, config) for i in impressions):
            continue
        if len(taken) == ACTIONS_MAX and action["stream"] not in config.own_key:
            break
        seen.add(action["identity"])
        taken.append(action)
    return taken


def accepted(impressions, events, config):
    """The actions of one stream and key that count, each with the time at which it is withdrawn, or None."""
    actions = fitting(impressions, [e for e in events if not e.get("withdraw")], config)
    withdrawn = {e["event"]: e["time"] for e in fitting(impressions, [e for e in events if e.get("withdraw")], config)}
    return [(action, withdrawn.get(action.get("event"))) for action in actions]


def holders(impressions, action, config):
    """Which of the impressions, in the order of time, it counts for."""
    found = [i for i in impressions if fits(i, action, config)]
    rule = config.attribute.get(action["stream"], "all")
    return {"last": found[-1:], "first": found[:1], "all": found}[rule]


def attributed(impressions, actions, config):
    """id of an impression -> stream -> the actions that count for it, with their parts of the value"""
    held = {}
    for stream, by_key in actions.items():
        fields, shown = config.own_key.get(stream, config.key), {}
        for impression in sorted(impressions.values(), key=lambda i: i["time"]):
            shown.setdefault(key_of(impression, fields), []).append(impression)
        for key, events in by_key.items():
            under = shown.get(key, [])
            for action, withdrawn in accepted(under, events, config):
                whose = holders(under, action, config)
                share = {**action, "value": action.get("value", 1) / len(whose)}
                for impression in whose:
                    if withdrawn is None or withdrawn > impression["time"] + config.reach:  # too late for it
                        held.setdefault(id(impression), {}).setdefault(stream, []).append(share)
    return held


def keep_probability(impression, sampling):
    """With which it is kept as a negative: what the first rule says that is for its place."""
    for rule in sampling:
        first = rule.get("from_position", 0) or float("-inf")
        last = rule.get("to_position", POSITION_MAX)
        last = float("inf") if last == POSITION_MAX else last
        place = impression.get("position")
        everywhere = (first, last) == (float("-inf"), float("inf"))
        if everywhere if place is None else first <= place <= last:
            return rule["keep"]
    return 1


def values(actions):
    return [action.get("value", 1) for action in actions]


def total(numbers):
    """One after the other; beyond the range of a double it stays at its end."""
    so_far = 0
    for number in numbers:
        so_far = min(max(so_far + number, -sys.float_info.max), sys.float_info.max)
    return so_far


# Of at least one action, by time, so that the last one is the last that happened.
AGGREGATES = {
    "exists": lambda actions, shown: 1,
    "count": lambda actions, shown: len(actions),
    "sum": lambda actions, shown: total(values(actions)),
    "mean": lambda actions, shown: total(values(actions)) / len(actions),
    "max": lambda actions, shown: max(values(actions)),
    "last": lambda actions, shown: values(actions)[-1],
    "first_delay": lambda actions, shown: max(0, actions[0]["time"] - shown) / 1000,
}


def fold(label, actions, shown):
    """One label: 0 without an action, else the aggregate, then its cap, then its threshold."""
    if not actions:
        return 0
    value = AGGREGATES[label.get("aggregate", "exists")](actions, shown)
    if "cap" in label:
        value = min(value, label["cap"])
    if "threshold" in label:
        value = 1 if value >= label["threshold"] else 0
    return value


def labels_of(taken, config, shown, until):
    """label -> its value, of the actions up to a time"""
    labels, counted = {}, {}
    for label in config.labels:
        actions = [action for action in taken.get(label["stream"], []) if action["time"] <= until]
        counted[label["name"]] = sorted(actions, key=lambda action: action["time"])
        labels[label["name"]] = fold(label, counted[label["name"]], shown)
    for rule in config.sample_filters:
        clean(rule, labels, counted, shown)
    return labels


def clean(rule, labels, counted, shown):
    """One filter of samples; those that drop change no label."""
    actions = counted[rule["label"]]
    if not actions or rule.get("do", "drop") != "zero":
        return
    number = max(0, actions[0]["time"] - shown) / 1000 if rule.get("by") == "delay" else labels[rule["label"]]
    if not rule.get("min", -1e300) <= number <= rule.get("max", 1e300):
        name = rule.get("zero", rule["label"])
        labels[name], counted[name] = 0, []


def samples(events, config, first=False):
    """One for each key that was shown, in the order of the impressions' time."""
    impressions, actions = gather(events, config)
    held = attributed(impressions, actions, config)
    for impression in sorted(impressions.values(), key=lambda i: i["time"]):
        taken = held.get(id(impression), {})
        until = impression["time"] + config.window if first else float("inf")
        sample = {field: impression[field] for field in ("version", "request", "doc") if field in impression}
        if "user" in config.key:
            sample["user"] = impression["user"]
        sample["impression_time"] = impression["time"]
        sample["labels"] = labels_of(taken, config, impression["time"], until)
        sample["weight"] = impression.get("weight", 1)
        keep = keep_probability(impression, config.sampling)
        if keep < 1 and not any(sample["labels"].values()):
            sample["keep_probability"] = keep
        yield sample


# ---- the command ----


def main(arguments=None):
    parser = argparse.ArgumentParser(description="Work out from event files which samples they should have made.")
    parser.add_argument("events", nargs="+", metavar="EVENTS", help="JSON lines, as tidemill ingest reads them")
    parser.add_argument("--config", required=True, metavar="FILE", help="the server's configuration")
    parser.add_argument("-o", "--output", metavar="FILE", help="where to write (default: standard output)")
    parser.add_argument("--first", action="store_true", help="the first labels, not those behind all corrections")
    a = parser.parse_args(arguments)
    try:
        with open(a.config, encoding="utf-8") as f:
            config = Config(f.read())
        with open(a.output, "w", encoding="utf-8") if a.output else sys.stdout as out:
            count = 0
            for sample in samples(merged(a.events), config, a.first):
                out.write(json.dumps(sample, ensure_ascii=False) + "\n")
                count += 1
    except (OSError, Refused) as problem:
        print(f"recompute: {problem}", file=sys.stderr)
        return 2
    print(f"{count} samples", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
