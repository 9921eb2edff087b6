"""Which object each of gunicorn's names means here, "module:attribute"; and what to use instead of those that are not.

Where an object here has another shape than there, the name means an adapter of a few lines, in this package.
"""

from typing import Final

from corral.config.classes import LATER


def same(module: str, names: str) -> dict[str, str]:
    """Names that are the same there and here."""
    return {name: f"{module}:{name}" for name in names.split()}


def all_of(target: str, names: str) -> dict[str, str]:
    """Many names there for one object here."""
    return dict.fromkeys(names.split(), target)


PEER_ERRORS: Final = """
    ParseException NoMoreData InvalidRequestLine InvalidRequestMethod InvalidHTTPVersion InvalidHeader InvalidHeaderName
    ObsoleteFolding UnsupportedTransferCoding InvalidChunkSize ChunkMissingTerminator LimitRequestLine
    LimitRequestHeaders InvalidProxyLine InvalidProxyHeader ForbiddenProxyRequest InvalidSchemeHeaders ExpectationFailed
"""
MODULES: Final[dict[str, dict[str, str]]] = {
    "gunicorn": same("corral.names.about", "__version__ version_info SERVER SERVER_SOFTWARE"),
    "gunicorn.app": {},
    "gunicorn.app.base": same("corral.application", "BaseApplication Application"),
    "gunicorn.app.wsgiapp": same("corral.application", "WSGIApplication") | same("corral.cli", "run"),
    "gunicorn.app.pasterapp": same("corral.paste", "serve"),
    "gunicorn.arbiter": {"Arbiter": "corral.server.master:Master"},
    "gunicorn.config": {
        "Config": "corral.config.draft:Draft",
        "Setting": "corral.config.draft:Option",
        **same("corral.config.draft", "make_settings"),
        **same("corral.names.config", "KNOWN_SETTINGS get_default_config_file validate_callable validate_class"),
        "validate_bool": "corral.config.values:flag",
        "validate_pos_int": "corral.config.values:count",
        "validate_string": "corral.config.values:optional_text",
        "validate_list_string": "corral.config.values:names",
        "validate_string_to_list": "corral.config.values:names",
        "validate_string_to_addr_list": "corral.config.values:networks",
        "validate_dict": "corral.config.values:table",
        "validate_user": "corral.config.values:owner",
        "validate_group": "corral.config.values:owner",
    },
    "gunicorn.debug": same("corral.names.debug", "spew unspew"),
    "gunicorn.errors": {
        "HaltServer": "corral.names.halting:HaltServer",
        "ConfigError": "corral.errors:ConfigError",
        "AppImportError": "corral.errors:AppLoadError",
    },
    "gunicorn.glogging": {
        **same("corral.report.logger", "Logger"),
        **same("corral.report.atoms", "SafeAtoms"),
        **same("corral.report.configure", "CONFIG_DEFAULTS"),
        "SYSLOG_FACILITIES": "corral.report.syslog:FACILITIES",
    },
    "gunicorn.http": {},
    "gunicorn.http.errors": {
        **all_of("corral.errors:PeerError", PEER_ERRORS), "ConfigurationProblem": "corral.errors:ConfigError",
    },
    "gunicorn.http.message": same("corral.gateway.views", "Request"),
    "gunicorn.http.wsgi": {
        **same("corral.gateway.views", "Response"),
        **same("corral.gateway.wsgi", "FileWrapper"),
        "WSGIErrorsWrapper": "corral.gateway.wsgi:Errors",
    },
    "gunicorn.instrument": {},
    "gunicorn.instrument.statsd": same("corral.report.statsd", "Statsd"),
    "gunicorn.pidfile": same("corral.names.files", "Pidfile"),
    "gunicorn.reloader": {
        **all_of("corral.worker.reloader:Reloader", "Reloader InotifyReloader ReloaderBase preferred_reloader"),
        **same("corral.names.reloader", "has_inotify reloader_engines"),
    },
    "gunicorn.sock": {
        **all_of("corral.net.listener:Listener", "BaseSocket TCPSocket TCP6Socket UnixSocket"),
        **same("corral.names.sockets", "create_sockets close_sockets ssl_context ssl_wrap_socket"),
    },
    "gunicorn.util": {
        **same("corral.names.util", """
            import_app load_class parse_address is_ipv6 is_hoppish http_date close_on_exec set_non_blocking getcwd
            set_owner_process chown close unlink write write_nonblock write_chunk write_error daemonize to_bytestring
            bytes_to_str reraise has_fileno
        """),
        "_setproctitle": "corral.names.util:set_process_title",
    },
    "gunicorn.workers": same("corral.names.about", "SUPPORTED_WORKERS"),
    "gunicorn.workers.base": same("corral.worker.base", "Worker"),
    "gunicorn.workers.sync": same("corral.worker.sync", "SyncWorker"),
    "gunicorn.workers.gthread": {"ThreadWorker": "corral.worker.sync:SyncWorker"},
    "gunicorn.workers.workertmp": same("corral.names.files", "WorkerTmp"),
}  # fmt: skip

PARSER: Final = "what parses requests here is corral.http, which has no sockets"
ABSENT: Final[dict[str, str]] = {
    "gunicorn.config.validate_file_exists": "a missing file is found when it is opened; check with os.path.isfile",
    "gunicorn.config.validate_hostport": "corral.config.address.parse_address checks addresses",
    "gunicorn.ctl": "`corral ctl` commands a server, as does any HTTP client on its control_socket",
    "gunicorn.dirty": "there are no dirty workers; long work belongs in a task queue with processes of its own",
    "gunicorn.http.RequestParser": PARSER,
    "gunicorn.http.get_parser": PARSER,
    "gunicorn.http.Message": PARSER,
    "gunicorn.http.Request": "it is gunicorn.http.message.Request",
    "gunicorn.http.body": PARSER,
    "gunicorn.http.parser": PARSER,
    "gunicorn.http.unreader": PARSER,
    "gunicorn.http.message.Message": PARSER,
    "gunicorn.http.wsgi.create": "corral.gateway.wsgi.run calls an application",
    "gunicorn.http.wsgi.base_environ": "corral.gateway.wsgi.base_environ is made once a connection",
    "gunicorn.http.wsgi.default_environ": "corral.gateway.wsgi.base_environ is made once a connection",
    "gunicorn.systemd": "descriptors of systemd's are taken by themselves; sd_notify is one datagram to $NOTIFY_SOCKET",
    "gunicorn.workers.base_async": LATER,
    "gunicorn.workers.gasgi": 'the worker of ASGI applications is worker_class = "asgi", corral.worker.aio',
    "gunicorn.workers.geventlet": "gunicorn itself has dropped eventlet",
    "gunicorn.workers.ggevent": LATER,
    "gunicorn.workers.gtornado": LATER,
}
