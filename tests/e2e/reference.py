"""What must come out: join and count of a list of events, as plainly as it can be written.

It takes for granted that no event comes behind its stream's watermark by more than the allowed lateness, and that
whatever has the same id comes close together; the generators of the tests keep to that.
"""

from collections import Counter, defaultdict


class Expected:
    """counts: (version, doc) -> [positives, negatives]; samples and corrections: per version; consumed and matched
    events: per stream. What becomes of the others may depend on the batches they came in (late, or orphaned)."""

    def __init__(self):
        self.counts = defaultdict(lambda: [0, 0])
        self.samples, self.corrections = Counter(), Counter()
        self.consumed, self.matched = Counter(), Counter()

    def version(self, name):
        return {doc: tuple(c) for (version, doc), c in self.counts.items() if version == name}


def join(events, window, within, shadows=None):
    """Events in the order in which they were sent. shadows: version -> the version whose samples it learns."""
    expected = Expected()
    impressions, clicks = {}, defaultdict(list)
    for e in events:
        key = (e["request"], e["doc"])
        expected.consumed[e["stream"]] += 1
        if e["stream"] == "clicks":
            clicks[key].append(e)
        else:
            impressions.setdefault(key, e)
    for key, impression in impressions.items():
        delays = accepted_delays(impression, clicks.get(key, ()), within)
        own = impression["version"]
        for version in [own, *(shadow for shadow, of in (shadows or {}).items() if of == own)]:
            expected.counts[version, impression["doc"]][0 if delays else 1] += 1
            expected.samples[version] += 1
            if delays and min(delays) > window:
                expected.corrections[version] += 1
        expected.matched["impressions"] += 1
        expected.matched["clicks"] += len(delays)
    return expected


def accepted_delays(impression, clicks, within):
    """How long after the impression each click came that counts."""
    version, delays = impression["version"], {}
    for c in clicks:
        delay = c["time"] - impression["time"]
        if c.get("version", version) == version and delay <= within:
            delays.setdefault(c["event"], delay)
    return list(delays.values())
