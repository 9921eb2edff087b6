"""The table of settings: one field is one setting. Command line, environment, file, docs and tests are read off it.

It knows names, types, defaults and help; where values come from is load's affair, what they do is everybody else's.
"""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from corral.config import values

T = TypeVar("T")


def setting(
    default: T,
    *flags: str,
    accept: Callable[[object], T],
    help: str,  # noqa: A002
    section: str,
    env: str | None = None,
    metavar: str | None = None,
    constant: object = None,
    append: bool = False,
) -> T:
    """A row. `constant` is what a flag without a value means; an `append` flag may be given several times; `env` is a
    variable outside CORRAL_* that sets the default."""
    metadata = {
        "flags": flags, "accept": accept, "help": help, "section": section, "env": env, "metavar": metavar,
        "constant": constant, "append": append,
    }  # fmt: skip
    field: T = dataclasses.field(default=default, metadata=metadata)
    return field


SCHEMES = values.Headers({"X-FORWARDED-PROTOCOL": "ssl", "X-FORWARDED-PROTO": "https", "X-FORWARDED-SSL": "on"})
ACCESS_FORMAT = '%(h)s %(l)s %(u)s %(t)s "%(r)s" %(s)s %(b)s "%(f)s" "%(a)s"'
LEVELS = ("debug", "info", "warning", "error", "critical")
SYNC = ("sync", "egg:gunicorn#sync", "gunicorn.workers.sync.SyncWorker")
CLASSES_NOT_YET = ("gthread", "gevent", "gevent_wsgi", "gevent_pywsgi", "tornado", "asgi", "eventlet")


def worker_class(value: object) -> str:
    """What people write for gunicorn: a short name, a dotted one, egg:..., or the class itself."""
    if isinstance(value, type):
        value = f"{value.__module__}.{value.__qualname__}"
    name = values.text(value)
    if name in SYNC:
        return "sync"
    if name in CLASSES_NOT_YET or not name.isidentifier():
        raise values.BadValue("not supported yet; this version has sync")
    raise values.BadValue("must be sync, the only one of this version")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """What a server is told. Names are gunicorn's where it has them. Seconds may have fractions; 0 is no limit."""

    # -- Application --
    config: str | None = setting(
        None, "-c", "--config", accept=values.optional_text, section="Application", metavar="CONFIG",
        help="A Python file (PATH or file:PATH) or module (python:MODULE) with settings. Without it ./corral.conf.py, "
        "else ./gunicorn.conf.py.",
    )  # fmt: skip
    wsgi_app: str | None = setting(
        None, accept=values.optional_text, section="Application", metavar="APP",
        help="The application, where the command line doesn't name one: MODULE:NAME, MODULE:FACTORY('argument'), or "
        "MODULE, in which `application` or `app` is looked for.",
    )  # fmt: skip
    chdir: str | None = setting(
        None, "--chdir", accept=values.optional_text, section="Application", metavar="DIRECTORY",
        help="Change to this directory before the application is loaded; modules are found there.",
    )  # fmt: skip
    pythonpath: str | None = setting(
        None, "--pythonpath", accept=values.optional_text, section="Application", metavar="PATHS",
        help="Directories to look for modules in, separated by commas.",
    )  # fmt: skip
    raw_env: tuple[str, ...] = setting(
        (), "-e", "--env", accept=values.pairs, section="Application", metavar="NAME=VALUE", append=True,
        help="An environment variable for the application. May be given several times.",
    )  # fmt: skip
    preload_app: bool = setting(
        False, "--preload", accept=values.flag, section="Application", constant=True,
        help="Load the application once, before the workers are forked: they share its memory and start at once.",
    )  # fmt: skip
    strict_config: bool = setting(
        False, "--strict-config", accept=values.flag, section="Application", constant=True,
        help="Make every warning about names an error: those that are nearly a setting's, and those not supported yet.",
    )  # fmt: skip

    # -- Listeners --
    bind: tuple[str, ...] = setting(
        ("127.0.0.1:8000",), "-b", "--bind", accept=values.addresses, section="Listeners", metavar="ADDRESS",
        append=True, help="HOST, HOST:PORT, [IPV6]:PORT, unix:PATH or fd://N. May be given several times. With the "
        "variable PORT set, the default is 0.0.0.0:PORT.",
    )  # fmt: skip
    backlog: int = setting(
        2048, "--backlog", accept=values.count, section="Listeners", metavar="N",
        help="How many connections may wait to be accepted.",
    )  # fmt: skip
    reuse_port: bool = setting(
        False, "--reuse-port", accept=values.flag, section="Listeners", constant=True,
        help="Give each worker a listener of its own (SO_REUSEPORT).",
    )  # fmt: skip

    # -- Workers --
    workers: int = setting(
        1, "-w", "--workers", accept=values.at_least(1), section="Workers", metavar="N", env="WEB_CONCURRENCY",
        help="How many worker processes serve.",
    )  # fmt: skip
    worker_class: str = setting(
        "sync", "-k", "--worker-class", accept=worker_class, section="Workers", metavar="CLASS",
        help="How a worker serves: sync, one request at a time, with any number of waiting connections.",
    )  # fmt: skip
    sendfile: bool = setting(
        True, "--no-sendfile", accept=values.flag, section="Workers", constant=False, env="SENDFILE",
        help="Whether wsgi.file_wrapper is sent by the kernel.",
    )  # fmt: skip

    # -- Time --
    timeout: float = setting(
        30.0, "-t", "--timeout", accept=values.seconds, section="Time", metavar="SECONDS",
        help="How long a request may keep its worker busy; then the worker is killed and replaced, and the log names "
        "the request.",
    )  # fmt: skip
    graceful_timeout: float = setting(
        30.0, "--graceful-timeout", accept=values.seconds, section="Time", metavar="SECONDS",
        help="How long a worker that has been told to leave may take to finish its requests.",
    )  # fmt: skip
    boot_timeout: float = setting(
        300.0, "--boot-timeout", accept=values.seconds, section="Time", metavar="SECONDS",
        help="How long a worker may take to load the application.",
    )  # fmt: skip
    keepalive: float = setting(
        2.0, "--keep-alive", accept=values.seconds, section="Time", metavar="SECONDS",
        help="How long a connection may be silent between requests. Behind a proxy this should be longer than the "
        "proxy's own limit.",
    )  # fmt: skip
    header_timeout: float = setting(
        20.0, "--header-timeout", accept=values.seconds, section="Time", metavar="SECONDS",
        help="How long the head of a request may take, from its first byte; 408 past it.",
    )  # fmt: skip
    body_timeout: float = setting(
        30.0, "--body-timeout", accept=values.seconds, section="Time", metavar="SECONDS",
        help="How long the body of a request may make no progress; 408 past it.",
    )  # fmt: skip
    write_timeout: float = setting(
        60.0, "--write-timeout", accept=values.seconds, section="Time", metavar="SECONDS",
        help="How long a client may take nothing of its response.",
    )  # fmt: skip
    min_rate: int = setting(
        500, "--min-rate", accept=values.count, section="Time", metavar="BYTES",
        help="Bytes a second that a client must send or take on the average, past body_timeout or write_timeout.",
    )  # fmt: skip

    # -- Limits --
    limit_request_line: int = setting(
        4094, "--limit-request-line", accept=values.count, section="Limits", metavar="BYTES",
        help="The longest request line; 414 past it.",
    )  # fmt: skip
    limit_request_fields: int = setting(
        100, "--limit-request-fields", accept=values.count, section="Limits", metavar="N",
        help="The most header fields of a request; 431 past it.",
    )  # fmt: skip
    limit_request_field_size: int = setting(
        8190, "--limit-request-field_size", "--limit-request-field-size", accept=values.count, section="Limits",
        metavar="BYTES", help="The longest header field of a request; 431 past it.",
    )  # fmt: skip
    limit_request_body: int = setting(
        0, "--limit-request-body", accept=values.count, section="Limits", metavar="BYTES",
        help="The largest body of a request; 413 past it.",
    )  # fmt: skip
    request_buffering: bool = setting(
        True, "--no-request-buffering", accept=values.flag, section="Limits", constant=False,
        help="Whether a request's body is received whole before the application is called. Without, wsgi.input reads "
        "from the client, who then sets the pace.",
    )  # fmt: skip
    request_memory: int = setting(
        1 << 20, "--request-memory", accept=values.count, section="Limits", metavar="BYTES",
        help="How much of a body is kept in memory; a larger one goes to a temporary file.",
    )  # fmt: skip

    # -- Proxies --
    forwarded_allow_ips: tuple[str, ...] = setting(
        ("127.0.0.1", "::1"), "--forwarded-allow-ips", accept=values.networks, section="Proxies", metavar="ADDRESSES",
        env="FORWARDED_ALLOW_IPS",
        help="The proxies whose forwarding headers are believed: addresses and networks with commas between, or *.",
    )  # fmt: skip
    secure_scheme_headers: values.Headers = setting(
        SCHEMES, accept=values.headers, section="Proxies",
        help="Headers of trusted proxies, and the value of each that means https.",
    )  # fmt: skip
    forwarder_headers: tuple[str, ...] = setting(
        ("SCRIPT_NAME", "PATH_INFO"), "--forwarder-headers", accept=values.capitals, section="Proxies",
        metavar="NAMES", help="Header names with underscores that trusted proxies may send; * is all of them.",
    )  # fmt: skip
    header_map: str = setting(
        "drop", "--header-map", accept=values.choice("drop", "refuse", "dangerous"), section="Proxies",
        metavar="POLICY",
        help="What happens to other header names with underscores: drop them, refuse the request, or (dangerous) pass "
        "them on.",
    )  # fmt: skip

    # -- Logs --
    accesslog: str | None = setting(
        None, "--access-logfile", accept=values.optional_text, section="Logs", metavar="FILE",
        help="Where requests are logged; - is standard output.",
    )  # fmt: skip
    access_log_format: str = setting(
        ACCESS_FORMAT, "--access-logformat", accept=values.text, section="Logs", metavar="FORMAT",
        help="The line of a request, see docs/logging.md; json is an object a line.",
    )  # fmt: skip
    errorlog: str = setting(
        "-", "--error-logfile", "--log-file", accept=values.text, section="Logs", metavar="FILE",
        help="Where the server logs; - is standard error.",
    )  # fmt: skip
    loglevel: str = setting(
        "info", "--log-level", accept=values.choice(*LEVELS, also={"warn": "warning", "fatal": "critical"}),
        section="Logs", metavar="LEVEL", help="How much of it: debug, info, warning, error, critical.",
    )  # fmt: skip
    capture_output: bool = setting(
        False, "--capture-output", accept=values.flag, section="Logs", constant=True,
        help="Send what the application prints to errorlog.",
    )  # fmt: skip

    # -- Process --
    daemon: bool = setting(
        False, "-D", "--daemon", accept=values.flag, section="Process", constant=True, help="Go to the background.",
    )  # fmt: skip
    pidfile: str | None = setting(
        None, "-p", "--pid", accept=values.optional_text, section="Process", metavar="FILE",
        help="Write the arbiter's pid to this file.",
    )  # fmt: skip
    user: str | int | None = setting(
        None, "-u", "--user", accept=values.owner, section="Process", metavar="USER",
        help="Workers run as this user.",
    )  # fmt: skip
    group: str | int | None = setting(
        None, "-g", "--group", accept=values.owner, section="Process", metavar="GROUP",
        help="Workers run as this group.",
    )  # fmt: skip
    initgroups: bool = setting(
        False, "--initgroups", accept=values.flag, section="Process", constant=True,
        help="Give workers the supplementary groups of `user`.",
    )  # fmt: skip
    umask: int = setting(
        0, "-m", "--umask", accept=values.mask, section="Process", metavar="MASK",
        help="The umask of files and unix sockets: octal with a leading 0, such as 022, else decimal.",
    )  # fmt: skip
    proc_name: str | None = setting(
        None, "-n", "--name", accept=values.optional_text, section="Process", metavar="NAME",
        help="The name in process titles, which need the extra corral[setproctitle].",
    )  # fmt: skip


def rows() -> dict[str, "dataclasses.Field[Any]"]:
    """The table, by name, in its order."""
    return {field.name: field for field in dataclasses.fields(Config)}


# gunicorn's settings that this version hasn't: name, a value that asks for nothing ("any": whatever is asked for is so
# anyway, "-": none but false and empty ones), flags, and VALUE if the flags take one.
TABLE_OF_MISSING = """
threads                            1      --threads VALUE
worker_connections                 1000   --worker-connections VALUE
max_requests                       0      --max-requests VALUE
max_requests_jitter                0      --max-requests-jitter VALUE
reload                             -      --reload
reload_engine                      auto   --reload-engine VALUE
reload_extra_files                 -      --reload-extra-file VALUE
spew                               -      --spew
check_config                       any
print_config                       any
worker_tmp_dir                     any    --worker-tmp-dir VALUE
tmp_upload_dir                     any
permit_obsolete_folding            -      --permit-obsolete-folding
strip_header_spaces                -      --strip-header-spaces
permit_unconventional_http_method  -      --permit-unconventional-http-method
permit_unconventional_http_version -      --permit-unconventional-http-version
casefold_http_method               -      --casefold-http-method
root_path                          -      --root-path VALUE
proxy_protocol                     off    --proxy-protocol [VALUE]
proxy_allow_ips                    127.0.0.1,::1 --proxy-allow-from VALUE
protocol                           http   --protocol VALUE
uwsgi_allow_ips                    127.0.0.1,::1 --uwsgi-allow-from VALUE
http_parser                        any    --http-parser VALUE
paste                              -      --paste --paster VALUE
raw_paste_global_conf              -      --paste-global VALUE
default_proc_name                  any
disable_redirect_access_to_syslog  any    --disable-redirect-access-to-syslog
logger_class                       gunicorn.glogging.Logger --logger-class VALUE
logconfig                          -      --log-config VALUE
logconfig_dict                     -
logconfig_json                     -      --log-config-json VALUE
syslog                             -      --log-syslog
syslog_addr                        -      --log-syslog-to VALUE
syslog_prefix                      -      --log-syslog-prefix VALUE
syslog_facility                    user   --log-syslog-facility VALUE
enable_stdio_inheritance           -      -R --enable-stdio-inheritance
statsd_host                        -      --statsd-host VALUE
statsd_prefix                      -      --statsd-prefix VALUE
dogstatsd_tags                     -      --dogstatsd-tags VALUE
enable_backlog_metric              -      --enable-backlog-metric
keyfile                            -      --keyfile VALUE
certfile                           -      --certfile VALUE
ssl_version                        any    --ssl-version VALUE
cert_reqs                          0      --cert-reqs VALUE
ca_certs                           -      --ca-certs VALUE
suppress_ragged_eofs               any    --suppress-ragged-eofs
do_handshake_on_connect            any    --do-handshake-on-connect
ciphers                            -      --ciphers VALUE
http_protocols                     h1     --http-protocols VALUE
http2_cleartext                    off    --http2-cleartext VALUE
http2_max_concurrent_streams       100    --http2-max-concurrent-streams VALUE
http2_initial_window_size          65535  --http2-initial-window-size VALUE
http2_max_frame_size               16384  --http2-max-frame-size VALUE
http2_max_header_list_size         65536  --http2-max-header-list-size VALUE
asgi_loop                          auto   --asgi-loop VALUE
asgi_lifespan                      auto   --asgi-lifespan VALUE
asgi_disconnect_grace_period       3      --asgi-disconnect-grace-period VALUE
websocket_max_message_size         16777216 --websocket-max-message-size VALUE
dirty_apps                         -      --dirty-app VALUE
dirty_workers                      0      --dirty-workers VALUE
dirty_timeout                      300    --dirty-timeout VALUE
dirty_threads                      1      --dirty-threads VALUE
dirty_graceful_timeout             30     --dirty-graceful-timeout VALUE
control_socket                     -      --control-socket VALUE
control_socket_mode                any    --control-socket-mode VALUE
control_socket_disable             any    --no-control-socket
"""
ARGUMENTS: Mapping[str, Mapping[str, Any]] = {
    "VALUE": {"action": "append"},
    "[VALUE]": {"nargs": "?", "const": "auto", "action": "store"},
}
HOOKS = frozenset(
    """
    on_starting on_reload when_ready pre_fork post_fork post_worker_init worker_int worker_abort pre_exec pre_request
    post_request child_exit worker_exit nworkers_changed on_exit ssl_context on_dirty_starting dirty_post_fork
    dirty_worker_init dirty_worker_exit
    """.split()
)
# Without these the server would speak in the clear, or another protocol than its peers do: worse than not to start.
COMPULSORY = frozenset("keyfile certfile ca_certs cert_reqs ssl_context proxy_protocol protocol paste".split())


@dataclasses.dataclass(frozen=True, slots=True)
class Missing:
    """A setting of gunicorn's that this version doesn't have. `options` are add_argument's."""

    idle: str = "-"
    flags: tuple[str, ...] = ()
    options: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    def asks_for_something(self, value: object) -> bool:
        """Whether its absence makes a difference."""
        if self.idle == "any" or not value:
            return False
        return str(value).strip().lower() not in (self.idle.lower(), "false", "0")


def read_missing(table: str) -> dict[str, Missing]:
    found = {name: Missing() for name in HOOKS}
    for line in table.strip().splitlines():
        name, idle, *rest = line.split()
        options = ARGUMENTS.get("".join(rest[-1:]), {"action": "store_const", "const": True})
        found[name] = Missing(idle, tuple(each for each in rest if each.startswith("-")), options)
    return found


MISSING = read_missing(TABLE_OF_MISSING)
NOT_YET = frozenset(MISSING)
