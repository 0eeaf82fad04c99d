"""REST: the routes and forms that scripts rely on."""

from __future__ import annotations

import csv
import io
import json

import pytest

from .conftest import TRACE_ID, Running


def test_lists_are_objects(server: Running) -> None:
    hosts = server.get("/api/v1/hosts").json()
    assert [row["host"] for row in hosts["hosts"]] == ["web-1"]
    assert hosts["totals"]["hosts"] == 1
    traces = server.get("/api/v1/traces").json()
    assert [row["trace_id"] for row in traces["traces"]] == [TRACE_ID]


def test_one_host_now_and_what_is_stored_of_it(server: Running) -> None:
    plain = server.get("/api/v1/hosts/web-1").json()
    assert plain["host"] == "web-1"
    assert "stored" not in plain
    counted = server.get("/api/v1/hosts/web-1?stored=true").json()["stored"]
    assert counted == {"points": 61 * 8, "series": 8, "processes": 0}


def test_metrics_of_a_host(server: Running) -> None:
    found = server.get("/api/v1/hosts/web-1/metrics?metrics=cpu,memory&range=1h").json()
    by_name = {row["signal"]: row for row in found["metrics"]}
    assert by_name["cpu_busy_ratio"]["avg"] == pytest.approx(0.375, rel=0.01)
    assert not [name for name in by_name if name.startswith("load_")]
    assert server.get("/api/v1/hosts/web-1/metrics?metrics=cpu&metrics=memory").json()["metrics"] == found["metrics"]


def test_a_trace_and_its_verdict(server: Running) -> None:
    assert server.get(f"/api/v1/traces/{TRACE_ID}").json()["trace_id"] == TRACE_ID
    assert server.get(f"/api/v1/traces/{TRACE_ID[:8]}").json()["trace_id"] == TRACE_ID
    verdict = server.get(f"/api/v1/traces/{TRACE_ID}/was-it-the-box").json()
    assert verdict["verdict"] in ("yes", "partly", "no", "cannot_tell")
    assert next(iter(verdict)) == "summary"


def test_the_verdict_without_a_trace_id(server: Running) -> None:
    for wanted in ("service=reports", "host=web-1"):
        found = server.get(f"/api/v1/was-it-the-box?{wanted}&at=now-2m").json()
        assert found["service"] == "reports"
        assert found["verdict"] in ("yes", "partly", "no", "cannot_tell")
    by_id = server.get(f"/api/v1/was-it-the-box?trace_id={TRACE_ID}").json()
    assert by_id["trace_id"] == TRACE_ID


def test_sql_as_json_lines_and_csv(server: Running) -> None:
    body = {"sql": "select 1 as one, 'a,b' as two union all select 2, null"}
    found = server.request("POST", "/api/v1/query", body).json()
    assert (found["columns"], found["rows"], found["truncated"]) == (["one", "two"], [[1, "a,b"], [2, None]], False)
    lines = server.request("POST", "/api/v1/query", body, Accept="application/x-ndjson")
    assert [json.loads(line) for line in lines.body.splitlines()] == [{"one": 1, "two": "a,b"}, {"one": 2, "two": None}]
    table = server.request("POST", "/api/v1/query", body, Accept="text/csv;q=0.9, text/html")
    assert list(csv.reader(io.StringIO(table.body.decode()))) == [["one", "two"], ["1", "a,b"], ["2", ""]]
    assert table.headers["Hosts-Mcp-Truncated"] == "false"


def test_the_same_answer_as_text(server: Running) -> None:
    reply = server.get("/api/v1/hosts", Accept="text/plain")
    assert reply.headers.get_content_type() == "text/plain"
    assert b"web-1" in reply.body


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "code"),
    [("GET", "/api/v1/hosts/nobody", None, 404, "no_such_host"),
     ("GET", "/api/v1/hosts/nobody?stored=true", None, 404, "no_such_host"),
     ("GET", "/api/v1/hosts/web-1?stored=maybe", None, 400, "bad_argument"),
     ("GET", "/api/v1/traces/ffffffffffffffffffffffffffffffff", None, 404, "no_such_trace"),
     ("GET", "/api/v1/traces/ffffffffffffffffffffffffffffffff/was-it-the-box", None, 404, "no_such_trace"),
     ("GET", "/api/v1/blame-report?limit=0", None, 400, "bad_argument"),
     ("GET", "/api/v1/blame-report?service=nobody", None, 404, "no_such_service"),
     ("GET", "/api/v1/was-it-the-box", None, 400, "bad_argument"),
     ("GET", "/api/v1/was-it-the-box?service=reports&host=web-1", None, 400, "bad_argument"),
     ("GET", "/api/v1/was-it-the-box?service=nobody", None, 404, "no_such_service"),
     ("GET", f"/api/v1/traces/{TRACE_ID}/was-it-the-box?host=web-1", None, 400, "bad_argument"),
     ("GET", "/api/v1/hosts/web-1/metrics?range=yesterday-ish", None, 400, "bad_range"),
     ("GET", "/api/v1/hosts?cursor=nonsense", None, 400, "bad_cursor"),
     ("GET", "/api/v1/hosts?limit=-1", None, 400, "bad_argument"),
     ("GET", "/api/v1/traces?hots=web-1", None, 400, "bad_argument"),
     ("POST", "/api/v1/query", {"sql": "drop table host"}, 400, "bad_query"),
     ("POST", "/api/v1/query", {"sql": "selec"}, 400, "bad_query"),
     ("POST", "/api/v1/query", [], 400, "bad_argument"),
     ("POST", "/api/v1/query", {"sql": "x" * 300_000}, 400, "bad_argument"),
     ("GET", "/api/v1/query", None, 405, "method_not_allowed"),
     ("POST", "/api/v1/hosts", {}, 405, "method_not_allowed"),
     ("GET", "/api/v2", None, 404, "no_such_route")],
)  # fmt: skip
def test_errors_are_problem_details(
    server: Running, method: str, path: str, body: object, status: int, code: str
) -> None:
    reply = server.request(method, path, body)
    found = reply.json()
    assert (reply.status, found["status"], found["code"]) == (status, status, code)
    assert reply.headers.get_content_type() == "application/problem+json"
    assert {"type", "title", "detail"} <= set(found)
    assert "Traceback" not in found["detail"]


def test_the_openapi_document_describes_every_route_with_its_model(server: Running) -> None:
    document = server.get("/openapi.json").json()
    assert document["openapi"].startswith("3.1")
    assert set(document["paths"]) == {
        "/api/v1/hosts", "/api/v1/hosts/{host}", "/api/v1/hosts/{host}/metrics", "/api/v1/traces",
        "/api/v1/traces/{trace_id}", "/api/v1/traces/{trace_id}/was-it-the-box", "/api/v1/was-it-the-box",
        "/api/v1/blame-report", "/api/v1/query",
    }  # fmt: skip
    schemas = document["components"]["schemas"]
    for path in document["paths"].values():
        for operation in path.values():
            assert operation["responses"]["200"]["content"]["application/json"]["schema"]
    references = set(_references(document))
    assert references
    assert {r.removeprefix("#/components/schemas/") for r in references if "/schemas/" in r} <= set(schemas)


def test_the_page_lists_hosts_and_runs_nothing(server: Running) -> None:
    page = server.get("/")
    assert page.status == 200
    assert b"web-1" in page.body
    assert b"<script" not in page.body
    assert "default-src 'none'" in page.headers["Content-Security-Policy"]


def _references(node: object) -> list[str]:
    if isinstance(node, dict):
        here = [node["$ref"]] if isinstance(node.get("$ref"), str) else []
        return here + [r for value in node.values() for r in _references(value)]
    return [r for value in node for r in _references(value)] if isinstance(node, list) else []
