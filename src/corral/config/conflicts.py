"""Settings that contradict each other, or that do nothing without another: a predicate and a sentence each."""

from collections.abc import Callable, Iterator
from typing import NamedTuple

from corral.config.settings import NO_HOOK, Config


class Conflict(NamedTuple):
    """`fatal`: the server wouldn't start."""

    holds: Callable[[Config], bool]
    sentence: str
    fatal: bool = False


CONFLICTS = (
    Conflict(
        lambda c: bool(c.timeout) and c.graceful_timeout > c.timeout,
        "graceful_timeout is longer than timeout: a request is killed at timeout, draining or not",
    ),
    Conflict(
        lambda c: c.threads > 1 and c.worker_class not in ("sync", "gthread"),
        "threads is for the worker classes sync and gthread; this one makes its own",
    ),
    Conflict(
        lambda c: c.preload_app and c.reload,
        "reload with preload_app: what was loaded before the fork stays as it is until HUP: changes aren't seen",
    ),
    Conflict(
        lambda c: bool(c.reload_extra_files) and not c.reload,
        "reload_extra_files without reload: nothing is watched",
    ),
    Conflict(
        lambda c: bool(c.max_requests_jitter) and not c.max_requests,
        "max_requests_jitter without max_requests: no worker is replaced",
    ),
    Conflict(
        lambda c: bool(c.wsgi_app) and bool(c.paste),
        "paste with an APP: the application is loaded from the file, APP is only its name",
    ),
    Conflict(
        lambda c: bool(c.raw_paste_global_conf) and not c.paste,
        "raw_paste_global_conf without paste: there is no file that it is for",
    ),
    Conflict(
        lambda c: bool(c.keyfile) and not c.certfile,
        "keyfile without certfile: TLS needs the certificate too",
        fatal=True,
    ),
    Conflict(
        lambda c: bool(c.certfile) and not c.keyfile and c.ssl_context is NO_HOOK,
        "certfile without keyfile: the key must stand in certfile as well",
    ),
    Conflict(
        lambda c: bool(c.ca_certs or c.cert_reqs or c.ciphers or c.ssl_context is not NO_HOOK) and not c.is_ssl,
        "ca_certs, cert_reqs, ciphers and ssl_context without certfile: the listeners don't speak TLS",
    ),
    Conflict(
        lambda c: bool(c.ca_certs) and not c.cert_reqs and c.ssl_context is NO_HOOK,
        "ca_certs without cert_reqs: clients aren't asked for a certificate",
    ),
    Conflict(
        lambda c: c.is_ssl and c.cert_reqs > 0 and not c.ca_certs and c.ssl_context is NO_HOOK,
        "cert_reqs without ca_certs: clients are asked for certificates, and nobody says whose are good",
        fatal=True,
    ),
    Conflict(
        lambda c: bool(c.statsd_prefix or c.dogstatsd_tags or c.enable_backlog_metric) and not c.statsd_host,
        "statsd_prefix, dogstatsd_tags and enable_backlog_metric without statsd_host: no metrics are sent",
    ),
    Conflict(
        lambda c: bool(c.syslog_prefix or c.disable_redirect_access_to_syslog) and not c.syslog,
        "syslog_prefix and disable_redirect_access_to_syslog without syslog: nothing goes to syslog",
    ),
    Conflict(
        lambda c: sum(map(bool, (c.logconfig, c.logconfig_json, c.logconfig_dict))) > 1,
        "only one of logconfig_dict, logconfig_json and logconfig is used, the first of them in this order",
    ),
    Conflict(
        lambda c: c.capture_output and c.errorlog == "-",
        "capture_output with errorlog '-': what the application prints goes there anyway",
    ),
    Conflict(
        lambda c: c.enable_stdio_inheritance and not c.daemon,
        "enable_stdio_inheritance without daemon: standard output and standard error stay what they are",
    ),
    Conflict(
        lambda c: c.initgroups and c.user is None,
        "initgroups without user: the workers' groups stay what they are",
    ),
    Conflict(
        lambda c: c.reuse_port and all(text.startswith(("unix:", "fd://")) for text in c.bind),
        "reuse_port is for TCP; no address of bind is one",
    ),
)


def conflicts_of(config: Config) -> Iterator[Conflict]:
    return (conflict for conflict in CONFLICTS if conflict.holds(config))
