"""An encoder as plainly as it can be written, and its file: numbers and pooled ids, then dense layers."""

import json
import random
import struct


def tensor_file(tensors, metadata):
    """A safetensors file of {name: (shape, numbers)}."""
    header, data = {"__metadata__": metadata}, b""
    for name, (shape, numbers) in tensors.items():
        begin = len(data)
        data += struct.pack(f"<{len(numbers)}f", *numbers)
        header[name] = {"dtype": "F32", "shape": list(shape), "data_offsets": [begin, len(data)]}
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text + data


class Network:
    """`dense` numbers and a field of `rows` ids, averaged; then layers with relu between them."""

    def __init__(self, seed, dense, rows, width, sizes):
        rng = random.Random(seed)
        self.dense, self.rows, self.width = dense, rows, width
        self.table = [[rng.randrange(-64, 65) / 64 for _ in range(width)] for _ in range(rows)]
        self.layers, last = [], dense + width
        for size in sizes:
            weight = [[rng.randrange(-64, 65) / 256 for _ in range(last)] for _ in range(size)]
            self.layers.append((weight, [rng.randrange(-64, 65) / 256 for _ in range(size)]))
            last = size

    def write(self, path):
        tensors = {"fields.country.weight": ((self.rows, self.width), [v for row in self.table for v in row])}
        for i, (weight, bias) in enumerate(self.layers):
            shape = (len(weight), len(weight[0]))
            tensors[f"layers.{i}.weight"] = (shape, [v for row in weight for v in row])
            tensors[f"layers.{i}.bias"] = ((len(bias),), bias)
        activations = ["relu"] * (len(self.layers) - 1) + ["identity"]
        metadata = {
            "tidemill.encoder": "1",
            "tidemill.dense": str(self.dense),
            "tidemill.fields": "country:mean",
            "tidemill.activations": ",".join(activations),
        }
        path.write_bytes(tensor_file(tensors, metadata))

    def encode(self, numbers, ids):
        pooled = [sum(self.table[i][k] for i in ids) / max(len(ids), 1) for k in range(self.width)]
        h = [*numbers, *pooled]
        for i, (weight, bias) in enumerate(self.layers):
            h = [sum(w * v for w, v in zip(row, h)) + b for row, b in zip(weight, bias)]
            h = h if i == len(self.layers) - 1 else [max(v, 0.0) for v in h]
        return h

    def raw(self, numbers, ids):
        """The features of an event: numbers, and ids behind them as ones."""
        if not ids:
            return numbers
        indices = [*range(self.dense), *(self.dense + i for i in ids)]
        return {"i": indices, "v": [*numbers, *([1.0] * len(ids))]}
