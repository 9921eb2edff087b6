"""gunicorn's settings and hooks that this version lacks, so that nobody takes silence for an effect."""

OPTIONS = """
threads                             --threads N
worker_connections                  --worker-connections N
max_requests                        --max-requests N
max_requests_jitter                 --max-requests-jitter N
reload                              --reload
reload_engine                       --reload-engine ENGINE
reload_extra_files                  --reload-extra-file FILE
spew                                --spew
check_config
print_config
worker_tmp_dir                      --worker-tmp-dir DIRECTORY
tmp_upload_dir
paste                               --paste --paster FILE
raw_paste_global_conf               --paste-global NAME=VALUE
proxy_protocol                      --proxy-protocol [MODE]
proxy_allow_ips                     --proxy-allow-from ADDRESSES
protocol                            --protocol NAME
uwsgi_allow_ips                     --uwsgi-allow-from ADDRESSES
permit_obsolete_folding             --permit-obsolete-folding
strip_header_spaces                 --strip-header-spaces
permit_unconventional_http_method   --permit-unconventional-http-method
permit_unconventional_http_version  --permit-unconventional-http-version
casefold_http_method                --casefold-http-method
root_path                           --root-path PATH
disable_redirect_access_to_syslog   --disable-redirect-access-to-syslog
logger_class                        --logger-class CLASS
logconfig                           --log-config FILE
logconfig_dict
logconfig_json                      --log-config-json FILE
syslog_addr                         --log-syslog-to ADDRESS
syslog                              --log-syslog
syslog_prefix                       --log-syslog-prefix TEXT
syslog_facility                     --log-syslog-facility NAME
enable_stdio_inheritance            -R --enable-stdio-inheritance
statsd_host                         --statsd-host ADDRESS
statsd_prefix                       --statsd-prefix TEXT
dogstatsd_tags                      --dogstatsd-tags TAGS
enable_backlog_metric               --enable-backlog-metric
default_proc_name
keyfile                             --keyfile FILE
certfile                            --certfile FILE
ssl_version                         --ssl-version VERSION
cert_reqs                           --cert-reqs N
ca_certs                            --ca-certs FILE
suppress_ragged_eofs                --suppress-ragged-eofs
do_handshake_on_connect             --do-handshake-on-connect
ciphers                             --ciphers CIPHERS
http_protocols                      --http-protocols NAMES
http2_cleartext                     --http2-cleartext MODE
http2_max_concurrent_streams        --http2-max-concurrent-streams N
http2_initial_window_size           --http2-initial-window-size BYTES
http2_max_frame_size                --http2-max-frame-size BYTES
http2_max_header_list_size          --http2-max-header-list-size BYTES
asgi_loop                           --asgi-loop LOOP
asgi_lifespan                       --asgi-lifespan MODE
asgi_disconnect_grace_period        --asgi-disconnect-grace-period SECONDS
websocket_max_message_size          --websocket-max-message-size BYTES
http_parser                         --http-parser NAME
dirty_apps                          --dirty-app APP
dirty_workers                       --dirty-workers N
dirty_timeout                       --dirty-timeout SECONDS
dirty_threads                       --dirty-threads N
dirty_graceful_timeout              --dirty-graceful-timeout SECONDS
control_socket                      --control-socket PATH
control_socket_mode                 --control-socket-mode MODE
control_socket_disable              --no-control-socket
"""
HOOKS = frozenset(
    """
    on_starting on_reload when_ready pre_fork post_fork post_worker_init worker_int worker_abort pre_exec pre_request
    post_request child_exit worker_exit nworkers_changed on_exit ssl_context on_dirty_starting dirty_post_fork
    dirty_worker_init dirty_worker_exit
    """.split()
)
NOT_YET = frozenset(line.split()[0] for line in OPTIONS.strip().splitlines()) | HOOKS

# Without these the server would speak another protocol than its peers, or in the clear: no warning is loud enough.
COMPULSORY = frozenset(
    "keyfile certfile ca_certs cert_reqs ssl_context proxy_protocol protocol paste strip_header_spaces".split()
)
# What they ask for is so anyway: there are no heartbeat files, there is no control socket, and one parser.
FULFILLED = frozenset(
    """
    check_config print_config worker_tmp_dir tmp_upload_dir disable_redirect_access_to_syslog default_proc_name
    ssl_version suppress_ragged_eofs do_handshake_on_connect http_parser control_socket_mode control_socket_disable
    """.split()
)
DEFAULTS = {
    "threads": "1", "dirty_threads": "1", "proxy_protocol": "off", "protocol": "http", "http_protocols": "h1",
    "http2_cleartext": "off", "reload_engine": "auto", "asgi_loop": "auto", "asgi_lifespan": "auto",
    "logger_class": "gunicorn.glogging.Logger",
}  # fmt: skip


def is_missed(name: str, value: object) -> bool:
    """Whether this server does something else than gunicorn, because it lacks a setting that has this value."""
    return not (name in FULFILLED or not value or str(value) in ("0", "false", "False", DEFAULTS.get(name)))


def flags() -> dict[str, tuple[list[str], str]]:
    """By setting: its flags, and what stands for their value, "" for none."""
    found = {}
    for line in OPTIONS.strip().splitlines():
        name, *words = line.split()
        metavars = [word for word in words if not word.startswith("-")]
        if words:
            found[name] = ([word for word in words if word.startswith("-")], "".join(metavars))
    return found
