"""TLS: the context of a generation, and a stream that reads and writes a descriptor as os.read and os.write do.

It knows OpenSSL and nothing of HTTP. Importing it imports ssl, 2 MiB: only who has certificates does so.

A stream keeps sealed bytes in memory between OpenSSL and the descriptor. OpenSSL can use the descriptor itself, and was
measured to be as fast so (two calls of recv a record make up for the copy), but then a read may have to wait until it
can write, and a write until it can read. This way a read waits for bytes, a write for room, and nothing else.
"""

import errno
import os
import ssl
from collections.abc import Callable
from typing import Any, Final, NoReturn

from corral.config.settings import NO_HOOK, Config
from corral.errors import ConfigError, PeerError
from corral.net.descriptor import PeerSocket, half_close

READ_SIZE: Final = 32768  # sealed; OpenSSL's buffers keep the size that they once had
PIECE: Final = 32768  # sealed at a time, two records
MOST: Final = 1 << 20  # taken of one answer before the others have their turn, however fast its reader is
MOST_SEALED: Final = 1 << 17  # that a peer hasn't taken: more is nothing but answers to renewed keys
PROTOCOLS: Final = ["http/1.1"]
IN_THE_CLEAR: Final = "a client spoke HTTP in the clear; this is an HTTPS port, use https://"

ContextFactory = Callable[[], ssl.SSLContext]


# -- contexts


def prepare_context(config: Config) -> ContextFactory:
    """Read the files, once for a generation and before its workers are born; what makes a context of them.

    Workers that inherit one context take each other's session tickets, and need no right to read the key. Raises
    ConfigError; with a hook not before the hook asks for the context, since it may do without these files.
    """
    try:
        context = load_context(config)
    except ConfigError as error:
        if config.ssl_context is NO_HOOK:
            raise
        message = str(error)

        def fail() -> NoReturn:
            raise ConfigError(message)

        return fail
    return lambda: context


def make_context(config: Config, default: ContextFactory | None = None) -> ssl.SSLContext:
    """The context of a worker: the default one, or the hook's. Raises ConfigError, and whatever the hook raises."""
    default = default or prepare_context(config)
    if config.ssl_context is NO_HOOK:
        return default()
    context = config.ssl_context(config, default)
    if not isinstance(context, ssl.SSLContext):
        raise ConfigError(f"ssl_context must return an ssl.SSLContext, it returned {context!r}")
    return context


def load_context(config: Config) -> ssl.SSLContext:
    certfile, keyfile, cert_reqs = config.certfile, config.keyfile, int(config.cert_reqs)
    if not certfile:
        raise ConfigError("keyfile is set and certfile isn't: a key needs its certificate")
    # As Python makes it: TLS 1.2 at least, no compression, the server's order of ciphers.
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_COMPRESSION
    context.set_alpn_protocols(PROTOCOLS)
    load_certificate(context, certfile, keyfile)
    if config.ciphers:
        try:
            context.set_ciphers(config.ciphers)
        except ssl.SSLError:
            raise ConfigError(f"ciphers {config.ciphers!r}: OpenSSL knows none of them") from None
    if config.ca_certs:
        load_authorities(context, config.ca_certs)
    elif cert_reqs and config.ssl_context is NO_HOOK:
        raise ConfigError("cert_reqs asks for client certificates, and ca_certs doesn't say whose are good")
    context.verify_mode = ssl.VerifyMode(cert_reqs)
    return context


def load_certificate(context: ssl.SSLContext, certfile: str, keyfile: str | None) -> None:
    certificate = read_file("certfile", certfile)
    key = read_file("keyfile", keyfile) if keyfile else certificate
    where = f"keyfile {keyfile!r}" if keyfile else f"certfile {certfile!r}"
    if b"CERTIFICATE-----" not in certificate:
        raise ConfigError(f"certfile {certfile!r} holds no certificate in PEM")
    if b"PRIVATE KEY-----" not in key:
        raise ConfigError(f"{where} holds no private key in PEM" + ("" if keyfile else ", and keyfile isn't set"))
    try:
        # Without a callback OpenSSL would ask for the password on the terminal, and wait.
        context.load_cert_chain(certfile, keyfile, refuse_password)
    except PasswordNeeded:
        raise ConfigError(f"{where} needs a password: give a key without one, or the hook ssl_context") from None
    except ssl.SSLError as error:
        if error.reason == "KEY_VALUES_MISMATCH":
            raise ConfigError(f"{where} is not the key of the certificate in certfile {certfile!r}") from None
        raise ConfigError(f"certfile {certfile!r}, {where}: {say(error)}") from None


def load_authorities(context: ssl.SSLContext, ca_certs: str) -> None:
    read_file("ca_certs", ca_certs)
    try:
        context.load_verify_locations(ca_certs)
    except ssl.SSLError as error:
        raise ConfigError(f"ca_certs {ca_certs!r}: {say(error)}") from None


def read_file(setting: str, path: str) -> bytes:
    """ssl's own errors don't say which file they are about."""
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError as error:
        raise ConfigError(f"{setting} {path!r}: {error.strerror}") from None


class PasswordNeeded(Exception):
    """A private key is encrypted."""


def refuse_password() -> str:
    raise PasswordNeeded


def say(error: ssl.SSLError) -> str:
    """OpenSSL's reason as words; its own text names lines of C."""
    return error.reason.replace("_", " ").lower() if error.reason else "not what OpenSSL reads"


# -- streams


class TlsStream:
    """The server's end of TLS over a descriptor that somebody else owns, which doesn't block.

    `read` and `write` take the place of os.read and os.write, with their arguments. What `write` raised BlockingIOError
    for must be the first that the next `write` is given, as OpenSSL wants it: it may be sealed and half sent already.
    """

    __slots__ = ("begun", "done", "ended", "fd", "incoming", "outgoing", "sealed", "taken", "tls")

    def __init__(self, fd: int, context: ssl.SSLContext) -> None:
        self.fd = fd
        self.incoming = ssl.MemoryBIO()
        self.outgoing = ssl.MemoryBIO()
        self.tls = context.wrap_bio(self.incoming, self.outgoing, server_side=True)
        self.sealed = b""  # on its way out
        self.taken = 0  # of the data that is being written: sealed, and not all sent
        self.begun = False
        self.done = False
        self.ended = False  # the peer has said that it says no more

    # -- the handshake

    def handshake(self) -> bool:
        """Go on as far as bytes and room allow; True at its end. Raises PeerError, and OSError if the peer left."""
        if self.done:
            return self.flush()
        try:
            data = os.read(self.fd, READ_SIZE)
        except BlockingIOError:
            self.flush()
            return False
        if not data:
            raise ConnectionError("the client left during the handshake")
        if not self.begun and b"A" <= data[:1] <= b"Z":  # no type of a TLS record, RFC 8446 §5.1
            raise PeerError(400, IN_THE_CLEAR)
        self.begun = True
        self.incoming.write(data)
        try:
            self.tls.do_handshake()
        except ssl.SSLWantReadError:
            self.flush()
            return False
        except ssl.SSLError as error:
            self.flush()  # the alert
            raise PeerError(400, f"TLS: {say(error)}") from None
        self.done = True
        return self.flush()

    @property
    def blocked(self) -> bool:
        """Sealed bytes wait for room."""
        return bool(self.sealed)

    # -- data

    def read(self, fd: int, size: int) -> bytes:
        """Whatever has come, more than `size` if it came together: nothing stays behind that the reactor can't see."""
        if self.ended:
            return b""
        if not self.incoming.pending:  # a first request may have come with the end of the handshake
            data = os.read(fd, READ_SIZE)
            if not data:
                return b""  # also without close_notify: a request says itself where it ends
            self.incoming.write(data)
        pieces: list[bytes] = []
        try:
            while self.incoming.pending or not pieces:
                piece = self.tls.read(READ_SIZE)
                if not piece:
                    self.ended = True
                    break
                pieces.append(piece)
        except ssl.SSLWantReadError:
            pass
        if self.outgoing.pending:
            self.flush()  # keys were renewed, and that is answered
        if pieces:
            return pieces[0] if len(pieces) == 1 else b"".join(pieces)
        if self.ended:
            return b""
        raise BlockingIOError(errno.EAGAIN, "half a record")

    def write(self, fd: int, data: bytes | memoryview) -> int:
        sent, length = 0, len(data)
        while sent < length and sent < MOST:
            if not self.taken:
                self.taken = self.tls.write(data if length <= PIECE else memoryview(data)[sent : sent + PIECE])
            if not self.flush():
                if sent:
                    break
                raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))
            sent += self.taken
            self.taken = 0
        return sent

    def sendfile(self, to: int, fd: int, offset: int, count: int) -> int:
        """As os.sendfile; the kernel can't seal, so the file is read."""
        data = os.pread(fd, min(count, PIECE), offset)
        return self.write(to, data) if data else 0

    def flush(self) -> bool:
        """Send what is sealed; True if nothing is left. Raises OSError."""
        sealed = self.sealed
        if self.outgoing.pending:
            sealed += self.outgoing.read()
        try:
            while sealed:
                sealed = sealed[os.write(self.fd, sealed) :]
        except BlockingIOError:
            if len(sealed) > MOST_SEALED:
                raise ConnectionError("the client renews its keys and doesn't read") from None
        self.sealed = sealed
        return not sealed

    def peer_socket(self) -> PeerSocket:
        return TlsPeerSocket(self.fd, self.tls)

    # -- ends

    def half_close(self) -> None:
        """Say that nothing more comes, in TLS and in TCP. Raises OSError."""
        self.say_goodbye()
        half_close(self.fd)

    def say_goodbye(self) -> None:
        """Send close_notify (RFC 8446 §6.1) if there is room for it; nobody waits for the peer's."""
        try:
            self.tls.unwrap()
        except OSError:
            pass  # the peer hasn't said it, or the handshake isn't over, or the session has failed
        try:
            self.flush()
        except OSError:
            pass


class TlsPeerSocket(PeerSocket):
    """environ["gunicorn.socket"] under TLS: it tells of the session and of the socket, and moves no bytes."""

    __slots__ = ("_tls",)

    def __init__(self, fd: int, tls: ssl.SSLObject) -> None:
        super().__init__(fd)
        self._tls = tls

    def __getattr__(self, name: str) -> Any:
        if name in OF_SESSION:
            return getattr(self._tls, name)
        if name in OF_BYTES:
            raise OSError(errno.EOPNOTSUPP, f"{name} would go past TLS")
        return super().__getattr__(name)


OF_SESSION: Final = frozenset(
    """
    getpeercert get_verified_chain get_unverified_chain cipher shared_ciphers version compression
    selected_alpn_protocol selected_npn_protocol get_channel_binding server_hostname server_side session session_reused
    context
    """.split()
)
OF_BYTES: Final = frozenset(
    "recv recv_into recvfrom recvfrom_into recvmsg recvmsg_into send sendall sendto sendmsg sendfile makefile".split()
)


# -- what an ASGI application is told


def tls_of(stream: Any) -> dict[str, Any]:
    """scope["extensions"]["tls"], as far as Python's OpenSSL tells."""
    tls = stream.tls
    cipher = tls.cipher()
    numbers = {each["name"]: each["id"] & 0xFFFF for each in tls.context.get_ciphers()}
    certificate = tls.getpeercert(True)
    return {
        "server_cert": None,
        "client_cert_chain": [ssl.DER_cert_to_PEM_cert(certificate)] if certificate else [],
        "client_cert_name": distinguished_name(tls.getpeercert()) if certificate else None,
        "client_cert_error": None,
        "tls_version": TLS_VERSIONS.get(tls.version()),
        "cipher_suite": numbers.get(cipher[0]) if cipher else None,
    }


TLS_VERSIONS: Final = {"TLSv1": 0x0301, "TLSv1.1": 0x0302, "TLSv1.2": 0x0303, "TLSv1.3": 0x0304}
SHORT_NAMES: Final = {
    "commonName": "CN", "localityName": "L", "stateOrProvinceName": "ST", "organizationName": "O",
    "organizationalUnitName": "OU", "countryName": "C", "streetAddress": "STREET", "domainComponent": "DC",
    "userId": "UID",
}  # fmt: skip


def distinguished_name(certificate: Any) -> str | None:
    """The subject as RFC 4514 writes it: the last part first."""
    parts = []
    for relative in reversed((certificate or {}).get("subject", ())):
        pairs = []
        for name, value in relative:
            escaped = "".join(f"\\{letter}" if letter in ',+"\\<>;=' else letter for letter in value)
            pairs.append(f"{SHORT_NAMES.get(name, name)}={escaped}")
        parts.append("+".join(pairs))
    return ",".join(parts) or None
