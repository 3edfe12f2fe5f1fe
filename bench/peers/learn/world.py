"""Made-up examples that all learners read, the same for the same seed.

An example has a document (Zipf over DOCUMENTS), FEATURES uniform features of variance 1, and a label that is drawn from
the logistic of the document's own weights: they lie around common ones, `common` and `own` say how much of each.

Files  examples.bin: per example u32 document, u32 label, FEATURES f32, in the machine's order, for ours and River;
       examples.vw: the same numbers as Vowpal Wabbit's text, features with three decimals.
"""

import os

import numpy

EXAMPLES, DOCUMENTS, FEATURES = 500_000, 500, 32
RECORD = numpy.dtype([("document", "=u4"), ("label", "=u4"), ("x", "=f4", FEATURES)])
THOUSANDTHS = 1732  # of the largest feature: variance 1


def make(common, own, seed=1):
    """Standard deviations of the common weights, and of a document's around them."""
    random = numpy.random.default_rng(seed)
    frequency = 1 / numpy.arange(1, DOCUMENTS + 1)
    records = numpy.empty(EXAMPLES, RECORD)
    records["document"] = random.choice(DOCUMENTS, EXAMPLES, p=frequency / frequency.sum())
    thousandths = random.integers(-THOUSANDTHS, THOUSANDTHS + 1, (EXAMPLES, FEATURES))
    records["x"] = thousandths / 1000
    weights = random.normal(0, common, FEATURES) + random.normal(0, own, (DOCUMENTS, FEATURES))
    intercepts = random.normal(-2, 0.5, DOCUMENTS)
    document = records["document"]
    score = intercepts[document] + numpy.einsum("ij,ij->i", records["x"], weights[document])
    records["label"] = random.random(EXAMPLES) < 1 / (1 + numpy.exp(-score))
    return records


def write(records, folder):
    """Both files; returns their paths."""
    binary, text = os.path.join(folder, "examples.bin"), os.path.join(folder, "examples.vw")
    records.tofile(binary)
    number = {i: f"{i / 1000:.3f}" for i in range(-THOUSANDTHS, THOUSANDTHS + 1)}
    with open(text, "w") as f:
        for record in records:
            thousandths = numpy.rint(record["x"] * 1000).astype(int).tolist()
            features = " ".join(f"{i}:{number[k]}" for i, k in enumerate(thousandths))
            f.write(f"{1 if record['label'] else -1} |f {features} |d d{record['document']}\n")
    return binary, text
