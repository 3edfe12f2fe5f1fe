"""What the server says about itself: reflection, the methods it declares, and the page made from them."""

import itertools
import re
import subprocess
import sys
import time

import grpc
import pytest
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from grpc_reflection.v1alpha import reflection_pb2
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase

import harness

SERVICES = {
    "grpc.health.v1.Health",
    "grpc.reflection.v1.ServerReflection",
    "grpc.reflection.v1alpha.ServerReflection",
    "tidemill.v1.Admin",
    "tidemill.v1.Events",
    "tidemill.v1.Parameters",
    "tidemill.v1.Ranking",
}
CALLS_MAX = 64  # REFLECTION_CALLS_MAX
Request = reflection_pb2.ServerReflectionRequest
NOT_FOUND = grpc.StatusCode.NOT_FOUND.value[0]


@pytest.fixture
def channel(server):
    with server.channel() as channel:
        yield channel


@pytest.fixture
def database(channel):
    return ProtoReflectionDescriptorDatabase(channel)


def reflect(channel, requests, version="v1", timeout=10):
    """A reflection call; the two versions differ in the name of their package alone."""
    return channel.stream_stream(
        f"/grpc.reflection.{version}.ServerReflection/ServerReflectionInfo",
        request_serializer=lambda r: r if isinstance(r, bytes) else r.SerializeToString(),
        response_deserializer=reflection_pb2.ServerReflectionResponse.FromString,
    )(iter(requests), timeout=timeout)


def call_raw(channel, path, request=b""):
    """The first reply as bytes, None when there is none, or the error: of any shape of method."""
    call = channel.stream_stream(path)(iter([request]), timeout=10)
    try:
        return next(call, None)
    except grpc.RpcError as error:
        return error
    finally:
        call.cancel()


def all_methods(database):
    pool = descriptor_pool.DescriptorPool(database)
    for service in database.get_services():
        for method in pool.FindServiceByName(service).methods:
            yield f"/{service}/{method.name}"


# ---- reflection ----


@pytest.mark.parametrize("version", ["v1", "v1alpha"])
def test_services_are_listed(channel, version):
    (reply,) = reflect(channel, [Request(host="h", list_services="")], version)
    assert reply.valid_host == "h" and reply.original_request == Request(host="h", list_services="")
    assert {s.name for s in reply.list_services_response.service} == SERVICES


def test_a_pull_through_messages_that_only_the_server_knew(channel, database):
    pool = descriptor_pool.DescriptorPool(database)
    method = pool.FindServiceByName("tidemill.v1.Parameters").FindMethodByName("Pull")
    request = message_factory.GetMessageClass(method.input_type)(version="B", docs=["d1"], statistics=True)
    reply = message_factory.GetMessageClass(method.output_type).FromString(
        call_raw(channel, "/tidemill.v1.Parameters/Pull", request.SerializeToString())
    )
    assert (reply.version, list(reply.names), list(reply.values)) == ("B", ["alpha", "beta"], [1, 20])


@pytest.mark.parametrize(
    "symbol, file",
    [
        ("tidemill.v1.Events", "tidemill/v1/events.proto"),
        ("tidemill.v1.Events.Ingest", "tidemill/v1/events.proto"),
        ("tidemill.v1.WatchReply", "tidemill/v1/watch.proto"),
        ("tidemill.v1.Source", "tidemill/v1/parameters.proto"),
        ("grpc.health.v1.HealthCheckResponse.ServingStatus", "grpc/health/v1/health.proto"),
    ],
)
def test_a_symbol_leads_to_its_file(database, symbol, file):
    assert database.FindFileContainingSymbol(symbol).name == file


def test_a_file_comes_with_what_it_imports(channel):
    (reply,) = reflect(channel, [Request(file_by_filename="tidemill/v1/snapshots.proto")])
    files = reply.file_descriptor_response.file_descriptor_proto
    names = [descriptor_pb2.FileDescriptorProto.FromString(f).name for f in files]
    assert names[0] == "tidemill/v1/snapshots.proto"
    assert set(names[1:]) == {"tidemill/v1/rewind.proto", "tidemill/v1/progress.proto"}


def test_what_is_not_there_is_an_answer_and_not_the_end(channel):
    extension = {"containing_type": "tidemill.v1.Event", "extension_number": 100}
    missing = [
        Request(file_by_filename="tidemill/v1/control.proto"),  # never leaves the disk
        Request(file_containing_symbol="tidemill.v1.Control"),
        Request(file_containing_symbol="tidemill.v1"),
        Request(file_containing_symbol=""),
        Request(file_containing_extension=extension),
        Request(all_extension_numbers_of_type="tidemill.v1.Events"),
    ]
    there = Request(all_extension_numbers_of_type="tidemill.v1.Event")
    *replies, last = reflect(channel, [*missing, there])
    assert [r.error_response.error_code for r in replies] == [NOT_FOUND] * len(missing)
    assert all(r.error_response.error_message for r in replies)
    assert last.all_extension_numbers_response.base_type_name == "tidemill.v1.Event"
    assert not last.all_extension_numbers_response.extension_number


@pytest.mark.parametrize(
    "request_bytes, code",
    [
        (b"", grpc.StatusCode.INVALID_ARGUMENT),
        (b"\x1a\x05ab", grpc.StatusCode.INVALID_ARGUMENT),
        (Request(file_by_filename="x" * 5000).SerializeToString(), grpc.StatusCode.RESOURCE_EXHAUSTED),
    ],
)
def test_what_is_no_question_ends_the_call(channel, request_bytes, code):
    with pytest.raises(grpc.RpcError) as failed:
        list(reflect(channel, [request_bytes]))
    assert failed.value.code() == code and "expected" in failed.value.details()


def endless(channel):
    """A call that asks once and then stays open."""
    release = iter(lambda: time.sleep(0.05) or Request(list_services=""), None)
    call = reflect(channel, itertools.chain([Request(list_services="")], itertools.islice(release, 600)), timeout=60)
    next(call)
    return call


def endless_at_last(channel):
    """The server needs a moment to notice that a call is over."""
    for _ in range(100):
        try:
            return endless(channel)
        except grpc.RpcError:
            time.sleep(0.05)
    raise AssertionError("the place of a cancelled call stays taken")


def test_calls_are_bounded_and_end_with_the_server(server, channel):
    calls = [endless(channel) for _ in range(CALLS_MAX)]
    with pytest.raises(grpc.RpcError) as refused:
        list(reflect(channel, [Request(list_services="")]))
    assert refused.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
    calls.pop().cancel()
    calls.append(endless_at_last(channel))
    began = time.monotonic()
    server.term()
    assert time.monotonic() - began < 3
    for call in calls:
        with pytest.raises(grpc.RpcError) as ended:
            list(call)
        assert ended.value.code() == grpc.StatusCode.UNAVAILABLE


# ---- methods ----


def test_every_method_is_answered_and_the_page_says_which_are_built(channel, database):
    page = (harness.ROOT / "docs/api.md").read_text()
    told = {name: "not built yet" in line for name, line in re.findall(r"^#### (\w+\.\w+)\n\n(.*)$", page, re.M)}
    unbuilt = {}
    for path in all_methods(database):
        answer = call_raw(channel, path)
        refused = isinstance(answer, grpc.RpcError) and answer.code() == grpc.StatusCode.UNIMPLEMENTED
        if refused:
            assert answer.details().startswith("not built yet: "), (path, answer.details())
        if path.startswith("/tidemill.v1."):
            unbuilt[path.removeprefix("/tidemill.v1.").replace("/", ".")] = refused
    assert not unbuilt["Events.Ingest"] and not unbuilt["Parameters.Pull"] and not unbuilt["Admin.Status"]
    assert unbuilt == told


@pytest.mark.parametrize(
    "path",
    [
        "/tidemill.v1.Parameters/Nope",
        "/tidemill.v1.Nope/Pull",
        "/tidemill.v1/Parameters.Pull",
        "/tidemill.v1.PullRequest/Pull",
        "/Nope",
        "/" + "x" * 2000,
    ],
)
def test_a_method_nobody_declared(channel, path):
    answer = call_raw(channel, path)
    assert answer.code() == grpc.StatusCode.UNIMPLEMENTED
    assert answer.details().endswith("no such method")


def test_the_page_is_what_the_protos_say():
    made = subprocess.run([sys.executable, harness.ROOT / "tools/api_reference"], capture_output=True, check=True)
    written = (harness.ROOT / "docs/api.md").read_bytes()
    assert made.stdout == written, "docs/api.md is not what its sources say; ./run docs writes it"
