#!/usr/bin/env python3
"""A producer and a reader: sends impressions and clicks, then reads what was learned from them.

Needs grpcio and grpcio-tools, and the stubs, made once in the repository's root:

    mkdir -p build/stubs
    python -m grpc_tools.protoc -I proto --python_out=build/stubs --grpc_python_out=build/stubs proto/tidemill/v1/*.proto

Then, with a server that serves examples/quickstart.yaml:

    PYTHONPATH=build/stubs python examples/client.py 127.0.0.1:7070
"""

import queue
import sys
import time

import grpc
from tidemill.v1 import events_pb2 as ev
from tidemill.v1 import events_pb2_grpc, parameters_pb2, parameters_pb2_grpc

DOCS = ["d1", "d2", "d3", "d4"]


def make_events(run, shown_at):
    """100 impressions, 1 ms apart, 25 of each document: of d1 every second is clicked, of d4 every fifth."""
    for n in range(100):
        key = {"request": f"{run}-{n}", "doc": DOCS[n // 25]}
        yield ev.Event(stream="impressions", version="A", time=shown_at + n, **key)
        if n % (2 + n // 25) == 0:
            yield ev.Event(stream="clicks", time=shown_at + n + 500, event=f"click-{run}-{n}", **key)
        # To take a click back, send it once more with withdraw=True: the same request, doc and event id.


def produce(channel):
    """Send one batch and say that time went on. Returns the position behind that, and the newest impression's time."""
    requests = queue.SimpleQueue()
    replies = events_pb2_grpc.EventsStub(channel).Ingest(iter(requests.get, None))

    # Who sends. Keep the instance across restarts to go on where the server was; a new one begins at sequence 1.
    instance = str(time.time_ns())
    streams = ["impressions", "clicks"]
    requests.put(ev.IngestRequest(open=ev.Open(client="example", instance=instance, streams=streams)))
    opened = next(replies).opened

    # Sequences go on from last_sequence. Keep each batch until its ack: after a lost connection open again, and send
    # what lies behind the last_sequence you then get. Many batches may be under way; each should have 100 events or
    # more, because each has a cost of its own. An ack means: synced to disk. It names the events that were refused.
    now = time.time_ns() // 1_000_000
    shown_at = now - opened.window_ms - 10_000  # so long ago that the window is over
    packed = [e.SerializeToString() for e in make_events(instance, shown_at)]
    requests.put(ev.IngestRequest(batch=ev.Batch(sequence=opened.last_sequence + 1, events=packed)))
    ack = next(replies).ack
    for r in ack.rejected:
        print(f"event {r.index}: {r.field}: {r.message}", file=sys.stderr)

    # "I have sent everything up to now": optional. Without it time is measured from the events, minus the stream's
    # out_of_orderness, and then a stream that falls silent holds all decisions back until it speaks again.
    for stream in streams:
        requests.put(ev.IngestRequest(watermark=ev.Watermark(stream=stream, time=now)))

    # Watermarks have no answer of their own; the ack of a batch behind them, here an empty one, stands for both.
    requests.put(ev.IngestRequest(batch=ev.Batch(sequence=ack.sequence + 1)))
    position = next(replies).ack.position
    requests.put(ev.IngestRequest(leave=ev.Leave()))  # a producer that is done holds nobody back
    requests.put(None)
    for _ in replies:  # until the server has taken that and ends the call
        pass
    return position, shown_at + 99


def main(server):
    with grpc.insecure_channel(server) as channel:
        position, newest = produce(channel)
        # at_least waits until everything before the position is applied. Applied is not decided: an impression is
        # in the parameters once as_of, which is event time, has passed it.
        request = parameters_pb2.PullRequest(version="A", docs=DOCS, at_least=position, statistics=True)
        reply = parameters_pb2_grpc.ParametersStub(channel).Pull(request, timeout=10)
        print(f"decided up to {reply.as_of}, our newest impression was shown at {newest}")
        if reply.as_of < newest:
            print("not all of ours is decided yet: another producer holds time back; `tidemill status` names it")
        for doc, n, mean, low, high in zip(DOCS, reply.n, reply.mean, reply.lower, reply.upper):
            print(f"{doc}  learned from {n:3d}  mean {mean:.4f}  95 % in [{low:.4f}, {high:.4f}]")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: client.py SERVER, like 127.0.0.1:7070")
    try:
        main(sys.argv[1])
    except grpc.RpcError as error:  # refused, unreachable, or interrupted: a producer would open again, see above
        sys.exit(f"{sys.argv[1]}: {error.code().name}: {error.details()}")
