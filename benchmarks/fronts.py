"""`python -m benchmarks.fronts HOW`: the OTLP fronts alone, as a reference for what stands behind them in a server.

`walk` reads every request by the ordinary walk and stores nothing; `nothing` does not even read it. Either answers as
late as a server that commits in groups. Prints its gRPC and HTTP addresses on one line, and runs until it is told to
end.
"""

from __future__ import annotations

import asyncio
import signal
import sys

import uvloop
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest

from hosts_mcp.ingest.inbox import GROUP_SECONDS
from hosts_mcp.otlp.admission import Admission
from hosts_mcp.otlp.grpc import OtlpGrpcServer
from hosts_mcp.otlp.guard import Guard
from hosts_mcp.otlp.http import OtlpHttpServer
from hosts_mcp.otlp.pace import Pace
from hosts_mcp.otlp.points import walk
from hosts_mcp.otlp.room import Room
from hosts_mcp.otlp.transport import Reply, Request
from hosts_mcp.otlp.values import Interned
from hosts_mcp.settings import Address

_MIB = 1024 * 1024


async def _serve(walks: bool) -> None:
    interned = Interned()

    async def accept(request: Request) -> Reply:
        if walks:
            walk(ExportMetricsServiceRequest.FromString(request.body), interned, Room(len(request.body)))
        await asyncio.sleep(GROUP_SECONDS)
        return Reply()

    address, admission, guard = Address("127.0.0.1", 0), Admission(32 * _MIB), Guard(lambda: None, True)
    grpc = OtlpGrpcServer(accept, admission, address, max_request_bytes=64 * _MIB, guard=guard, pace=Pace(60, 1024))
    http = OtlpHttpServer(accept, admission, address, max_request_bytes=64 * _MIB, guard=guard, pace=Pace(60, 1024))
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    print(f"127.0.0.1:{await grpc.start()} 127.0.0.1:{await http.start()}", flush=True)
    await stop.wait()
    await grpc.stop()
    await http.stop()


if __name__ == "__main__":
    uvloop.run(_serve({"walk": True, "nothing": False}[sys.argv[1]]))
