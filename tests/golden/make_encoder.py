"""Writes tests/golden/encoder.safetensors and encoder.txt, with numpy, the safetensors library and xxhash.

The same network as learner/encoder.h describes, written down again in float64; so what the C side computes in float32
must come near, and the name of the representation must be the same.
"""

import pathlib

import numpy as np
import xxhash
from safetensors.numpy import save_file

HERE = pathlib.Path(__file__).parent
DENSE, ROWS = 5, 40
FIELDS = [("country", "mean", 7, 3), ("tags", "sum", 11, 4)]
LAYERS = [(24, "relu"), (10, "tanh"), (6, "identity")]
ACTIVATIONS = {"relu": lambda v: np.maximum(v, 0), "tanh": np.tanh, "identity": lambda v: v}

HEAD = """# Written by make_encoder.py; read by tests/unit/encoder_test.c.
#   representation
#   rows, numbers of a row, fields, width
#   per row: its numbers; per field a count and ids; the representation"""


def name_of(data):
    return xxhash.xxh3_128_hexdigest(data)


def main():
    random = np.random.default_rng(7)
    tensors, manifest = {}, f"tidemill encoder 1\ndense {DENSE}\n"
    for name, pooling, rows, width in FIELDS:
        table = random.normal(0, 1, (rows, width)).astype(np.float32)
        tensors[f"fields.{name}.weight"] = table
        manifest += f"field {name} {pooling} {rows} {width} {name_of(table.tobytes())}\n"
    size = DENSE + sum(width for _, _, _, width in FIELDS)
    for i, (out, activation) in enumerate(LAYERS):
        weight = random.normal(0, size**-0.5, (out, size)).astype(np.float32)
        bias = random.normal(0, 0.3, out).astype(np.float32)
        tensors[f"layers.{i}.weight"], tensors[f"layers.{i}.bias"] = weight, bias
        manifest += f"layer {size} {out} {activation} {name_of(weight.tobytes())} {name_of(bias.tobytes())}\n"
        size = out
    metadata = {
        "tidemill.encoder": "1",
        "tidemill.dense": str(DENSE),
        "tidemill.fields": ",".join(f"{name}:{pooling}" for name, pooling, _, _ in FIELDS),
        "tidemill.activations": ",".join(activation for _, activation in LAYERS),
        "author": "make_encoder.py",
    }
    save_file(tensors, HERE / "encoder.safetensors", metadata)
    lines = [HEAD, name_of(manifest.encode()), f"{ROWS} {DENSE} {len(FIELDS)} {size}"]
    for _ in range(ROWS):
        x = random.normal(0, 2, DENSE).astype(np.float32)
        bags = [random.integers(0, rows, random.integers(0, 4)) for _, _, rows, _ in FIELDS]
        h = [x.astype(np.float64)]
        for (name, pooling, _, width), bag in zip(FIELDS, bags):
            rows = tensors[f"fields.{name}.weight"][bag].astype(np.float64)
            pooled = rows.sum(0) if len(bag) else np.zeros(width)
            h.append(pooled / max(len(bag), 1) if pooling == "mean" else pooled)
        h = np.concatenate(h)
        for i, (_, activation) in enumerate(LAYERS):
            weight, bias = (tensors[f"layers.{i}.{kind}"].astype(np.float64) for kind in ("weight", "bias"))
            h = ACTIVATIONS[activation](weight @ h + bias)
        lines.append(" ".join(repr(float(v)) for v in x))
        lines.append(" ".join(f"{len(bag)} " + " ".join(map(str, bag)) for bag in bags))
        lines.append(" ".join(repr(float(v)) for v in h))
    (HERE / "encoder.txt").write_text("\n".join(lines) + "\n")


main()
