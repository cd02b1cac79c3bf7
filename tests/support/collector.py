"""A real OTLP receiver on loopback, by HTTP or gRPC, that decodes what it is sent."""

from __future__ import annotations

import gzip
import ssl
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar, Self

import grpc
from opentelemetry.proto.collector.logs.v1 import logs_service_pb2 as logs
from opentelemetry.proto.collector.logs.v1 import logs_service_pb2_grpc as logs_grpc
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2 as metrics
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2_grpc as metrics_grpc
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2 as trace
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2_grpc as trace_grpc


@dataclass
class Received:
    """The requests that came, decoded, and the headers of each. `refusing` answers that many with an error first."""

    metrics: list[Any] = field(default_factory=list)
    traces: list[Any] = field(default_factory=list)
    logs: list[Any] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    refusing: int = 0

    def spans(self) -> list[Any]:
        return [s for r in self.traces for rs in r.resource_spans for ss in rs.scope_spans for s in ss.spans]

    def lines(self) -> list[tuple[str, Any]]:
        """(logger, record) in order."""
        scopes = (scope for r in self.logs for rl in r.resource_logs for scope in rl.scope_logs)
        return [(scope.scope.name, record) for scope in scopes for record in scope.log_records]

    def found(self, name: str) -> list[Any]:
        """Every export of the metric, oldest first."""
        scopes = (scope for r in self.metrics for rm in r.resource_metrics for scope in rm.scope_metrics)
        return [metric for scope in scopes for metric in scope.metrics if metric.name == name]

    def points(self, name: str) -> list[Any]:
        """The data points of every export of the metric."""
        return [p for metric in self.found(name) for p in getattr(metric, metric.WhichOneof("data")).data_points]

    def refuses(self) -> bool:
        self.refusing -= 1
        return self.refusing >= 0


def attributes(message: Any) -> dict[str, Any]:
    """The attributes of a span, point, record or resource."""
    return {pair.key: getattr(pair.value, pair.value.WhichOneof("value")) for pair in message.attributes}


@dataclass
class HTTPCollector(Received):
    """Answers POST /v1/traces, /v1/metrics, /v1/logs; by TLS where it is given a certificate and its key, in PEM."""

    protocol: ClassVar[str] = "http/protobuf"
    certificate: tuple[Path, Path] | None = None

    def __enter__(self) -> Self:
        received = self

        class Handler(_Handler):
            into = received

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        if self.certificate is not None:
            tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            tls.load_cert_chain(*self.certificate)
            self._server.socket = tls.wrap_socket(self._server.socket, server_side=True)
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    @property
    def endpoint(self) -> str:
        scheme = "https" if self.certificate else "http"
        return f"{scheme}://127.0.0.1:{self._server.server_address[1]}"

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()


_METRICS = metrics.ExportMetricsServiceRequest, metrics.ExportMetricsServiceResponse


class _Handler(BaseHTTPRequestHandler):
    into: ClassVar[Received]
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.headers.get("Content-Encoding") == "gzip":
            body = gzip.decompress(body)
        requests: dict[str, tuple[list[Any], Any, Any]] = {
            "/v1/traces": (self.into.traces, trace.ExportTraceServiceRequest, trace.ExportTraceServiceResponse),
            "/v1/metrics": (
                self.into.metrics,
                metrics.ExportMetricsServiceRequest,
                metrics.ExportMetricsServiceResponse,
            ),
            "/v1/logs": (self.into.logs, logs.ExportLogsServiceRequest, logs.ExportLogsServiceResponse),
        }
        into, request, response = requests[self.path]
        refused = self.into.refuses()
        if not refused:
            self.into.headers.append({name.lower(): value for name, value in self.headers.items()})
            into.append(request.FromString(body))
        answer = b"" if refused else response().SerializeToString()
        self.send_response(400 if refused else 200)
        self.send_header("Content-Type", "application/x-protobuf")
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, format: str, *args: Any) -> None:
        pass


class GRPCCollector(Received):
    """Answers the three Export services."""

    protocol = "grpc"

    def __enter__(self) -> Self:
        self._pool = ThreadPoolExecutor(4)
        self._server = grpc.server(self._pool)
        self._port = self._server.add_insecure_port("127.0.0.1:0")
        for into, answer, add in self._services():
            add(_Servicer(self, into, answer), self._server)
        self._server.start()
        return self

    def _services(self) -> Iterator[tuple[list[Any], Any, Any]]:
        yield self.traces, trace.ExportTraceServiceResponse, trace_grpc.add_TraceServiceServicer_to_server
        yield self.metrics, metrics.ExportMetricsServiceResponse, metrics_grpc.add_MetricsServiceServicer_to_server
        yield self.logs, logs.ExportLogsServiceResponse, logs_grpc.add_LogsServiceServicer_to_server

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    def __exit__(self, *_: object) -> None:
        self._server.stop(0).wait(5)
        self._pool.shutdown()


class _Servicer:
    def __init__(self, received: Received, into: list[Any], answer: Any) -> None:
        self._received = received
        self._into = into
        self._answer = answer

    def Export(self, request: Any, context: Any) -> Any:
        if self._received.refuses():
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, "refused")
        self._received.headers.append({key.lower(): str(value) for key, value in context.invocation_metadata()})
        self._into.append(request)
        return self._answer()
