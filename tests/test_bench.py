"""The benchmarks' own arithmetic: what wrk's report says, what a ratio is of, and when a criterion is met."""

import sys
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from random import Random

import pytest

sys.path.append(str(Path(__file__).parents[1] / "bench"))
echo = import_module("echo")
figures = import_module("figures")
mixed = import_module("mixed")
report = import_module("report")
run = import_module("run")
running = import_module("running")
scenario = import_module("scenario")
servers = import_module("servers")
wrk = import_module("wrk")

GOOD = """Running 2s test @ http://127.0.0.1:18000/
  1 threads and 64 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency     0.89ms  527.07us   5.30ms   78.04%
    Req/Sec    22.43k     1.37k   23.61k    80.00%
  Latency Distribution
     50%  870.00us
     75%    1.01ms
     90%    1.52ms
     99%    1.20s
  22336 requests in 1.00s, 1.66MB read
Requests/sec:  22303.26
Transfer/sec:      1.66MB
"""


def with_lines(*lines: str) -> str:
    return GOOD.replace("Requests/sec", "".join(f"  {line}\n" for line in lines) + "Requests/sec")


LATENCY = report.Latency(mean=0.89, p50=0.87, p90=1.52, p99=1200.0, max=5.3)


def sample(
    server: str,
    number: int,
    cpu: float,
    name: str = "bare",
    rate: float = 1000.0,
    pss: float = 10.0,
    latency: object = LATENCY,
) -> object:
    return figures.Sample(scenario=name, server=server, round=number, cpu=cpu, rate=rate, pss=pss, latency=latency)


def test_a_report_without_errors_passes() -> None:
    parsed = wrk.parse(GOOD)
    assert parsed == report.Report(requests=22336, rate=22303.26, latency=LATENCY)
    parsed.check()


@pytest.mark.parametrize(
    ("line", "message"),
    [
        pytest.param("Socket errors: connect 3, read 0, write 0, timeout 0", "3 connect errors", id="refused"),
        pytest.param("Socket errors: connect 0, read 4, write 0, timeout 0", "4 read errors", id="reset"),
        pytest.param("Socket errors: connect 0, read 0, write 5, timeout 0", "5 write errors", id="broken pipe"),
        pytest.param("Socket errors: connect 0, read 0, write 0, timeout 6", "6 time-outs", id="no answer in time"),
        pytest.param("Non-2xx or 3xx responses: 7", "7 answers that aren't 2xx or 3xx", id="a status of failure"),
    ],
)
def test_every_error_of_a_report_is_fatal(line: str, message: str) -> None:
    with pytest.raises(report.LoadFailed, match=message):
        wrk.parse(with_lines(line)).check()


def test_a_report_tells_all_its_errors() -> None:
    text = with_lines("Socket errors: connect 1, read 2, write 3, timeout 4", "Non-2xx or 3xx responses: 5")
    assert wrk.parse(text) == report.Report(
        requests=22336,
        rate=22303.26,
        latency=LATENCY,
        connect_errors=1,
        read_errors=2,
        write_errors=3,
        timeouts=4,
        bad_statuses=5,
    )


@pytest.mark.parametrize(
    "text",
    [
        "",
        "unable to connect to 127.0.0.1:18000 Connection refused",
        GOOD.replace("99%", "98%"),
        GOOD.replace("ms", "d"),
    ],
)
def test_what_is_no_report_is_refused(text: str) -> None:
    with pytest.raises(report.LoadFailed, match="isn't understood"):
        wrk.parse(text)


def test_no_request_at_all_is_a_failure() -> None:
    with pytest.raises(report.LoadFailed, match="no answer at all"):
        report.Report(requests=0, rate=0.0, latency=LATENCY).check()


def test_a_known_unannounced_close_is_one_read_error_a_request_and_no_more() -> None:
    known = report.Report(requests=100, rate=100.0, latency=LATENCY, read_errors=100)
    known.check(unannounced_close=True)
    with pytest.raises(report.LoadFailed, match="101 read errors"):
        replace(known, read_errors=101).check(unannounced_close=True)


@pytest.mark.parametrize(
    ("server", "name", "expected"),
    [
        pytest.param("uwsgi", "bare", True, id="a server without keep-alive that never says so"),
        pytest.param("uwsgi-router", "bare", False, id="a router that keeps connections must not lose one"),
        pytest.param("uwsgi-router", "connect", True, id="a router that was asked to close needn't say so"),
        pytest.param("corral", "connect", False, id="Corral always announces it"),
        pytest.param("gunicorn", "bare", False, id="gunicorn always announces it"),
    ],
)
def test_which_closes_are_known(server: str, name: str, expected: bool) -> None:
    row = next(row for row in servers.SERVERS if row.name == server)
    asked = next(row for row in scenario.SCENARIOS if row.name == name)
    assert run.closes_unannounced(row, asked) is expected


def test_a_ratio_is_the_median_of_the_ratios_within_each_round() -> None:
    # The machine is ten times slower in round 1, for both. Medians over all rounds would compare 20 with 30.
    rounds = [("corral", 0, 10.0), ("granian", 0, 20.0), ("corral", 1, 100.0), ("granian", 1, 200.0)]
    samples = [sample(*row) for row in [*rounds, ("corral", 2, 20.0), ("granian", 2, 30.0)]]
    assert figures.ratio(samples, "bare", figures.CPU, "granian") == 0.5


def test_a_round_that_lacks_one_of_the_two_is_left_out() -> None:
    samples = [sample("corral", 0, 10.0), sample("corral", 1, 30.0), sample("granian", 1, 20.0)]
    assert figures.ratio(samples, "bare", figures.CPU, "granian") == 1.5


def test_there_is_no_ratio_without_a_common_round() -> None:
    samples = [sample("corral", 0, 10.0), sample("granian", 0, 10.0, name="browser")]
    assert figures.ratio(samples, "bare", figures.CPU, "granian") is None


@pytest.mark.parametrize(
    ("criterion", "ours", "theirs", "expected"),
    [
        pytest.param(("AtMostRatio", "bare", "granian", 0.75), 75.0, 100.0, True, id="exactly the limit is met"),
        pytest.param(("AtMostRatio", "bare", "granian", 0.75), 76.0, 100.0, False, id="above the limit falls short"),
        pytest.param(("AtMostMore", "bare", "corral+log", 4.0), 10.0, 14.0, True, id="a log for 4 µs is met"),
        pytest.param(("AtMostMore", "bare", "corral+log", 4.0), 10.0, 14.5, False, id="a log for 4.5 µs falls short"),
    ],
)
def test_when_a_criterion_is_met(
    criterion: tuple[str, str, str, float], ours: float, theirs: float, expected: bool
) -> None:
    kind, name, peer, limit = criterion
    samples = [sample("corral", 0, ours), sample(peer, 0, theirs)]
    assert figures.met(getattr(figures, kind)(name, peer, limit), samples) is expected


@pytest.mark.parametrize(
    ("criterion", "ours", "expected"),
    [
        pytest.param(figures.AtLeast("bare", 760, figures.RATE), {"rate": 760.0}, True, id="exactly the rate is met"),
        pytest.param(figures.AtLeast("bare", 760, figures.RATE), {"rate": 759.9}, False, id="a lower rate falls short"),
        pytest.param(
            figures.AtLeastRatio("bare", "uvicorn", 1.25, figures.PER_CPU_SECOND),
            {"cpu": 80.0},
            True,
            id="a fifth less CPU is a quarter more messages a CPU-second",
        ),
        pytest.param(
            figures.AtLeastRatio("bare", "uvicorn", 1.25, figures.PER_CPU_SECOND),
            {"cpu": 81.0},
            False,
            id="and less than a fifth falls short",
        ),
        pytest.param(
            figures.AtMostRatio("bare", "uvicorn", 0.5, figures.P99),
            {"latency": replace(LATENCY, p99=600.0)},
            True,
            id="half of the p99 is met",
        ),
        pytest.param(
            figures.AtMostRatio("bare", "uvicorn", 0.5, figures.MEAN),
            {"latency": replace(LATENCY, p99=600.0)},
            False,
            id="and says nothing of the mean",
        ),
    ],
)
def test_a_criterion_may_be_of_any_figure(criterion: object, ours: dict[str, object], expected: bool) -> None:
    theirs = sample("uvicorn", 0, 100.0)
    assert figures.met(criterion, [replace(theirs, server="corral", **ours), theirs]) is expected


def test_what_was_not_measured_is_neither_met_nor_short() -> None:
    text = figures.verdicts([])
    assert text.count("not measured") == len(figures.CRITERIA)
    assert "pass" not in text
    assert "fall short" not in text


def test_every_criterion_names_a_scenario_and_servers_that_exist() -> None:
    for criterion in figures.CRITERIA:
        assert criterion.scenario in {row.name for row in scenario.SCENARIOS}
        assert set(criterion.servers) <= {row.name for row in servers.SERVERS}
        for row in servers.SERVERS:
            if row.name in criterion.servers:
                asked = next(asked for asked in scenario.SCENARIOS if asked.name == criterion.scenario)
                assert row in run.taking_part(asked, run.parse([]))


def test_the_table_has_medians_and_corrals_ratios() -> None:
    samples = [sample("corral", 0, 12.0, rate=50000.0), sample("gunicorn", 0, 240.0, rate=5000.0, pss=40.0)]
    assert figures.table(samples, "bare", (figures.CPU, figures.RATE, figures.PSS)).splitlines() == [
        "          CPU µs/request  ratio  requests/s   ratio  PSS MiB  ratio",
        "corral              12.0      –      50,000       –     10.0      –",
        "gunicorn           240.0  0.050       5,000  10.000     40.0  0.250",
    ]


def test_a_table_shows_what_its_scenario_is_about() -> None:
    samples = [sample("corral", 0, 12.0), sample("granian", 0, 12.0, latency=replace(LATENCY, p99=2400.0))]
    assert figures.table(samples, "bare", (figures.P90, figures.P99)).splitlines() == [
        "         p90 ms  ratio    p99 ms  ratio",
        "corral     1.52      –  1,200.00      –",
        "granian    1.52  1.000  2,400.00  0.500",
    ]


def test_percentiles_are_times_that_were_measured() -> None:
    seconds = [number / 1000 for number in range(200, 0, -1)]
    latency = report.Latency.of(seconds)
    assert (latency.mean, latency.p50, latency.p90) == pytest.approx((100.5, 100.0, 180.0))
    assert (latency.p99, latency.max) == pytest.approx((198.0, 200.0))


@pytest.mark.parametrize(
    ("count", "share", "expected"), [(1, 0.5, 1), (1, 0.99, 1), (99, 0.99, 99), (100, 0.99, 99), (101, 0.99, 100)]
)
def test_a_percentile_is_the_first_time_that_enough_stay_within(count: int, share: float, expected: int) -> None:
    assert report.percentile(range(1, count + 1), share) == expected


def test_no_time_has_no_latency() -> None:
    with pytest.raises(report.LoadFailed, match="no answer was timed"):
        report.Latency.of([])


def test_a_client_of_a_mixed_load_thinks_no_longer_than_the_load_and_does_the_same_for_all() -> None:
    plan = mixed.turns(Random(1), 600.0)
    assert plan == mixed.turns(Random(1), 600.0) != mixed.turns(Random(2), 600.0)
    assert 590.0 < sum(turn.thinking for turn in plan) < 600.0
    assert len(plan) == pytest.approx(6000, rel=0.05)
    assert sum(turn.slow for turn in plan) == pytest.approx(300, rel=0.2)


@pytest.mark.parametrize(
    ("head", "expected"),
    [
        pytest.param(b"HTTP/1.1 200 OK\r\nContent-Length: 13\r\n\r\n", (13, False), id="kept open"),
        pytest.param(b"HTTP/1.1 200 OK\r\ncontent-length:2\r\nConnection: Close\r\n\r\n", (2, True), id="closed"),
    ],
)
def test_what_a_mixed_load_reads_of_a_head(head: bytes, expected: tuple[int, bool]) -> None:
    assert mixed.Head.parse(head) == mixed.Head(*expected)


@pytest.mark.parametrize(
    ("head", "message"),
    [
        pytest.param(b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n", "not 200", id="a status of failure"),
        pytest.param(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", "no content length", id="chunked"),
        pytest.param(b"\r\n\r\n", "not 200", id="nothing"),
    ],
)
def test_a_head_that_is_not_the_applications_is_a_failure(head: bytes, message: str) -> None:
    with pytest.raises(mixed.WrongResponse, match=message):
        mixed.Head.parse(head)


def test_a_frame_is_as_the_rfc_has_it() -> None:
    """Section 5.7's masked "Hello", but for the length, which a message from 126 bytes on tells in two bytes."""
    mask, message = bytes.fromhex("37fa213d"), b"Hello" * 40
    assert echo.asked(message, mask)[:13] == bytes.fromhex("81fe00c8 37fa213d 7f9f4d5158")
    assert echo.answered(message) == bytes.fromhex("817e00c8") + message
    assert len(echo.asked(message, mask)) == len(message) + 8


def test_the_key_is_accepted_as_in_the_rfc() -> None:
    assert echo.ACCEPTED == b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo="


def test_a_stat_line_is_read_past_a_name_with_parentheses_and_spaces() -> None:
    line = "17 (a) b (c) S 1 17 16 0 -1 4194560 1 2 3 4 100 20 3 7 20 0 1 0 99 1 1\n"
    ticks = running.TICKS
    assert running.ProcessStat.parse(line) == running.ProcessStat(session=16, seconds=130 / ticks)


@pytest.mark.parametrize(
    ("status", "headers", "body", "message"),
    [
        pytest.param(500, {"Content-Type": "text/plain"}, b"Hello, World!", "status 500", id="another status"),
        pytest.param(200, {"Content-Type": "text/html"}, b"Hello, World!", "content type", id="another type"),
        pytest.param(200, {}, b"Hello, World!", "content type none", id="no type"),
        pytest.param(200, {"Content-Type": "text/plain"}, b"Hello", "another body of 5 bytes", id="another body"),
        pytest.param(
            200,
            {"content-type": "text/plain", "content-length": "5"},
            b"Hello, World!",
            "content length 5",
            id="a length",
        ),
    ],
)
def test_a_wrong_answer_is_told(status: int, headers: dict[str, str], body: bytes, message: str) -> None:
    with pytest.raises(scenario.WrongAnswer, match=message):
        scenario.check_answer(scenario.SCENARIOS[0], status, headers, body)


def test_json_is_compared_by_value() -> None:
    flask = next(row for row in scenario.SCENARIOS if row.name == "flask")
    body = b'{"tags": ["a","b"], "currency":"CHF", "name":"item 42","number":42}'
    scenario.check_answer(flask, 200, {"Content-Type": "application/json; charset=utf-8"}, body)


def test_every_script_of_a_scenario_exists() -> None:
    for row in scenario.SCENARIOS:
        assert row.script is None or (scenario.SCRIPTS / row.script).is_file()


@pytest.mark.parametrize(
    "argv",
    [
        pytest.param(["--rounds", "0"], id="no round"),
        pytest.param(["--rounds", "51"], id="too many rounds"),
        pytest.param(["--clients", "0"], id="no client"),
        pytest.param(["--seconds", "nan"], id="seconds that aren't a number"),
        pytest.param(["--only", "bear"], id="an unknown scenario"),
        pytest.param(["--servers", "unicorn"], id="an unknown server"),
    ],
)
def test_wrong_arguments_are_refused(argv: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        run.parse(argv)
    assert argv[0] in capsys.readouterr().err


def test_scenarios_and_servers_can_be_chosen() -> None:
    options = run.parse(["--only", "browser,bare", "--servers", "corral"])
    assert [row.name for row in options.only] == ["bare", "browser"]
    assert [row.name for row in options.servers] == ["corral"]


def test_the_number_of_clients_can_be_chosen() -> None:
    own = {row.name: row.clients for row in run.parse(["--only", "bare,mixed-sleep"]).only}
    assert own == {"bare": 64, "mixed-sleep": 40}
    assert {row.clients for row in run.parse(["--only", "bare,mixed-sleep", "--clients", "20"]).only} == {20}


def test_a_scenario_may_need_more_time_than_was_asked_for() -> None:
    options = run.parse(["--only", "bare,mixed-sleep", "--seconds", "1"])
    assert [run.seconds_of(row, options) for row in options.only] == [1.0, 6.0]
    assert run.seconds_of(options.only[1], run.parse(["--seconds", "10"])) == 10.0


def test_a_server_is_told_its_workers_and_threads() -> None:
    rows = {row.name: row for row in servers.SERVERS}
    filled = {"port": 18000, "app": "apps:slow", "directory": "bench", "log": "log", "workers": 4, "threads": 8}
    assert " ".join(rows["corral"].arguments(**filled)) == (
        "corral --bind 127.0.0.1:18000 --workers 4 --chdir bench --threads 8 apps:slow"
    )
    assert rows["corral"].can_have(workers=4, threads=8)
    assert not rows["uvicorn"].can_have(workers=4, threads=1)
    assert not rows["gunicorn-gthread"].can_have(workers=4, threads=8)


@pytest.mark.parametrize(
    ("argv", "name", "expected"),
    [
        pytest.param(
            ["--servers", "corral,corral+log"], "bare", ["corral", "corral+log"], id="the log's variant, bare"
        ),
        pytest.param(["--servers", "corral,corral+log"], "flask", ["corral"], id="the log's variant nowhere else"),
        pytest.param(["--criteria"], "flask", ["corral", "gunicorn"], id="for the criteria, whom they compare"),
        pytest.param(["--criteria"], "django", [], id="no criterion, no server"),
        pytest.param(["--criteria"], "threads-sleep", ["corral", "granian"], id="a criterion of Corral alone, too"),
        pytest.param([], "threads-bare", ["corral", "gunicorn", "granian"], id="with threads, who can be told"),
        pytest.param(
            [],
            "websocket",
            ["corral", "corral-asyncio", "uvicorn", "granian-websocket"],
            id="by WebSocket, who speaks it",
        ),
    ],
)
def test_who_takes_part(argv: list[str], name: str, expected: list[str]) -> None:
    asked = next(row for row in scenario.SCENARIOS if row.name == name)
    assert [server.name for server in run.taking_part(asked, run.parse(argv))] == expected
