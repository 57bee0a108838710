"""Drives a node with nothing but the .proto files, as an nCEN installation in another language would.

usage: drive.py PROTO_FOLDER GENERATED_FOLDER SOCKET PEER
Prints one JSON object with what it found; any failure is an exception and a non-zero exit.
"""

import json
import os
import sys
import threading

import grpc
import grpc_tools
from google.protobuf.descriptor_pool import DescriptorPool
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase
from grpc_tools import protoc

TIMEOUT = 20


def generate(protos, out):
    """Makes the client from the .proto files, as protoc's users do."""
    files = ["icomm/v1/" + name + ".proto" for name in ("sensitivity", "record", "node")]
    well_known = os.path.join(os.path.dirname(grpc_tools.__file__), "_proto")
    arguments = ["protoc", "-I", protos, "-I", well_known, "--python_out", out, "--grpc_python_out", out, *files]
    if protoc.main(arguments) != 0:
        raise RuntimeError("protoc refused the .proto files")
    sys.path.insert(0, out)
    from icomm.v1 import node_pb2, node_pb2_grpc, record_pb2

    return node_pb2, node_pb2_grpc, record_pb2


def seizure(record_pb2, kind="cocaine", country="ES"):
    """A small case in the short form, with a person in it."""
    draft = record_pb2.Draft(kind=record_pb2.RECORD_KIND_SEIZURE)
    case = draft.case
    case.short_form = True
    case_class = getattr(case, "class")
    case_class.report_type = "seizure"
    case_class.handling_code = "H0"
    case_class.seizure_country = country
    case.validation_status = "validated"
    case.conveyance_type = "commercial-air"
    case.goods.add(category="drugs", kind=kind)
    draft.exact.seizure_date = "2026-11-20"
    draft.exact.goods.add(quantity="12.5", unit="KGM")
    draft.references.national_reference = "PY-1"
    case.persons.add(role="courier", sex="X", nationality="ES")
    draft.persons.persons.add(family_name="Synth-Python", given_names="Ada")
    return draft


def main():
    protos, out, socket, peer = sys.argv[1:]
    node_pb2, node_pb2_grpc, record_pb2 = generate(protos, out)
    found = {}
    # gRPC's C core names the socket's path as the authority, with percent signs, which Rust's HTTP/2 takes for malformed.
    with grpc.insecure_channel("unix:" + socket, options=[("grpc.default_authority", "localhost")]) as channel:
        health = health_pb2_grpc.HealthStub(channel)
        for service in ("", "icomm.v1.Node"):
            answer = health.Check(health_pb2.HealthCheckRequest(service=service), timeout=TIMEOUT)
            found.setdefault("health", {})[service] = health_pb2.HealthCheckResponse.ServingStatus.Name(answer.status)

        database = ProtoReflectionDescriptorDatabase(channel)
        found["services"] = sorted(database.get_services())
        described = DescriptorPool(database).FindServiceByName("icomm.v1.Node")
        found["methods"] = sorted(method.name for method in described.methods)

        node = node_pb2_grpc.NodeStub(channel)
        status = node.Status(node_pb2.StatusRequest(), timeout=TIMEOUT)
        found["member"], found["serving"] = status.member, status.serving

        # A watch that is open before anything is submitted sees it arrive.
        watch = node.Watch(node_pb2.WatchRequest(), timeout=60)
        seen, arrived = [], threading.Event()

        def look():
            try:
                for entry in watch:
                    seen.append(entry.record_id)
                    arrived.set()
            except grpc.RpcError as error:
                if error.code() != grpc.StatusCode.CANCELLED:
                    raise

        watcher = threading.Thread(target=look, daemon=True)
        watcher.start()
        watch_started = threading.Event()
        watch_started.wait(0.5)

        key = bytes(range(16))
        request = node_pb2.SubmitRequest(draft=seizure(record_pb2), key=key)
        first = node.Submit(request, timeout=TIMEOUT).outcome
        again = node.Submit(request, timeout=TIMEOUT).outcome
        result = node_pb2.Outcome.Result.Name
        found["first"], found["again"] = result(first.result), result(again.result)
        found["same_record"] = first.record_id == again.record_id

        bad = node.Submit(node_pb2.SubmitRequest(draft=seizure(record_pb2, country="QQ")), timeout=TIMEOUT).outcome
        found["bad"] = result(bad.result)
        found["bad_errors"] = [
            {"field": error.field, "value": error.value, "list": error.list} for error in bad.errors
        ]

        rows = [
            node_pb2.ImportRow(key=bytes([n]) * 16, draft=seizure(record_pb2, kind="heroin")) for n in range(100, 130)
        ]
        batches = [node_pb2.ImportRequest(rows=rows[at : at + 10]) for at in range(0, len(rows), 10)]
        outcomes = [
            outcome.result for reply in node.Import(iter(batches), timeout=60) for outcome in reply.outcomes
        ]
        found["imported"] = sum(outcome == node_pb2.Outcome.RESULT_ISSUED for outcome in outcomes)

        found["watched"] = arrived.wait(TIMEOUT) and first.record_id in seen
        watch.cancel()

        entries = node.Get(node_pb2.GetRequest(record_id=first.record_id), timeout=TIMEOUT).entries
        found["held"] = [list(entry.sections) for entry in entries]
        found["verified"] = [entry.verified for entry in entries]
        found["name"] = entries[0].record.persons.persons[0].family_name
        found["month"] = entries[0].record.case.seizure_month

        page = node.List(node_pb2.ListRequest(limit=10), timeout=TIMEOUT)
        found["page"], found["next"], found["end"] = len(page.entries), page.next, page.end

        explained = node.Explain(node_pb2.ExplainRequest(record_id=first.record_id, peer=peer), timeout=TIMEOUT)
        found["explained"] = {"permitted": explained.permitted, "sections": list(explained.sections)}

        try:
            node.Get(node_pb2.GetRequest(record_id="no id"), timeout=TIMEOUT)
        except grpc.RpcError as error:
            found["refused"] = error.code().name
    json.dump(found, sys.stdout)


main()
