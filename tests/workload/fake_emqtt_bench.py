#!/usr/bin/env python3
"""Stands for emqtt_bench, which cannot be installed everywhere: takes its options, makes no connection, and prints and
serves what emqtt-bench 0.6.2 would in its formats (`print_stats` in emqtt_bench.erl; Prometheus' text format).

`FAKE_EMQTT_BENCH` in the environment makes it misbehave: `die`, `refused`, `lose`, `no-metrics`.
"""

import getopt
import http.server
import os
import sys
import threading
import time

ASKED = os.environ.get("FAKE_EMQTT_BENCH", "")
LONG = ["prefix=", "payload-hdrs=", "prometheus", "restapi="]
BOUNDS = [1, 5, 10, 25, 50, 100, 500, 1000, 2000, 3000, 4000, 5000, 7500, 10000, 15000, 20000, 25000, 30000]


BEGAN = time.monotonic()


class Tool:
    """One process's options and counters."""

    def __init__(self, argv: list[str]) -> None:
        self.kind = argv[0]
        known = "h:p:V:c:i:t:q:u:" + ("C:x:" if self.kind == "sub" else "s:I:F:w")
        options, rest = getopt.gnu_getopt(argv[1:], known, LONG)
        assert not rest, rest
        self.given = dict(options)
        self.count = int(self.given["-c"])

    def counters(self) -> dict[str, int]:
        elapsed = time.monotonic() - BEGAN
        if self.kind == "sub":
            made = {"sub": self.count, "connect_succ": self.count}
            return {"recv": int(1000 * elapsed), "publish_latency": int(3000 * elapsed)} | made
        per_message = 2 if self.given["-q"] == "0" else 1
        interval = int(self.given["-I"]) or 1
        return {"pub": int(per_message * elapsed * 1000 / interval) * self.count, "connect_succ": self.count}

    def metrics(self) -> str:
        now = self.counters()
        lines = []
        for name, value in now.items():
            lines += [f"# TYPE {name} counter", f"# HELP {name} {name}", f"{name} {value}"]
        if self.kind == "sub":  # a tenth takes 4 ms, the rest 8 ms
            lines += ["# TYPE e2e_latency histogram", "# HELP e2e_latency End-to-end latency (ms)"]
            for bound in BOUNDS:
                within = 0 if bound < 5 else now["recv"] // 10 if bound < 10 else now["recv"]
                lines.append(f'e2e_latency_bucket{{le="{bound}"}} {within}')
            lines.append(f'e2e_latency_bucket{{le="+Inf"}} {now["recv"]}')
            lines += [f"e2e_latency_count {now['recv']}", f"e2e_latency_sum {8.0 * now['recv']}"]
        return "\n".join(lines)

    def serve(self) -> None:
        tool = self

        class Answer(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                body = tool.metrics().encode()
                self.send_response(200)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: object) -> None:
                pass

        host, port = self.given["--restapi"].split(":")
        server = http.server.HTTPServer((host, int(port)), Answer)
        threading.Thread(target=server.serve_forever, daemon=True).start()

    def print_stats(self, last: dict[str, int]) -> None:
        seconds = int(time.monotonic() - BEGAN)
        stamp = "" if not seconds else f"{seconds}s" if seconds < 60 else f"{seconds // 60}m{seconds % 60}s"
        for name, total in self.counters().items():
            before = last.get(name, 0)
            if total == before:
                continue
            figures = "avg=3ms" if name == "publish_latency" else f"total={total} rate={total - before:.2f}/sec"
            print(f"\r{stamp} {name} {figures}\n", end="", flush=True)
            last[name] = total


def main() -> None:
    tool = Tool(sys.argv[1:])
    print("Start with 2 workers, addrs pool size: 1 and req interval: 20 ms \n", flush=True)
    if ASKED == "die":
        sys.exit("Error: no Erlang")
    if ASKED == "refused":
        for number in range(1, tool.count + 1):
            print(f"client({number}): connect error - econnrefused", flush=True)
        time.sleep(60)
    if ASKED != "no-metrics":
        tool.serve()
    last: dict[str, int] = {}
    while True:
        tool.print_stats(last)
        if ASKED == "lose" and time.monotonic() - BEGAN > 1:
            print("client(1): EXIT for {shutdown,tcp_closed}", flush=True)
            time.sleep(60)
        time.sleep(0.25)  # the real one prints once a second


main()
