"""An authority for a test, and the certificates that it issues, made by the openssl command."""

import subprocess
from typing import NamedTuple

EXTENSIONS = "basicConstraints=critical,CA:{ca}\nsubjectAltName=DNS:{name},IP:127.0.0.1\nkeyUsage=critical,{usage}\n"


class Certificate(NamedTuple):
    certfile: str
    keyfile: str


class Authority:
    """Its own certificate stands in `file`."""

    def __init__(self, directory):
        self.directory = directory
        self.made = 0
        self.own = None
        self.own = self.issue("authority", ca="TRUE", usage="keyCertSign,cRLSign")
        self.file = self.own.certfile

    def issue(self, name="localhost", *, ca="FALSE", usage="digitalSignature", password=None):
        self.made += 1
        stem = self.directory / f"{name}{self.made}"
        certificate = Certificate(f"{stem}.pem", f"{stem}.key")
        secret = ["-aes256", "-pass", f"pass:{password}"] if password else []
        openssl("genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", certificate.keyfile,
                *secret)  # fmt: skip
        unlock = ["-passin", f"pass:{password}"] if password else []
        openssl("req", "-new", "-key", certificate.keyfile, "-subj", f"/CN={name}", "-out", f"{stem}.csr", *unlock)
        stem.with_suffix(".ext").write_text(EXTENSIONS.format(ca=ca, name=name, usage=usage))
        signer = (
            ["-CA", self.own.certfile, "-CAkey", self.own.keyfile] if self.own else ["-signkey", certificate.keyfile]
        )
        openssl("x509", "-req", "-in", f"{stem}.csr", "-days", "2", "-set_serial", str(self.made), "-extfile",
                f"{stem}.ext", "-out", certificate.certfile, *signer)  # fmt: skip
        return certificate


def openssl(*arguments):
    done = subprocess.run(["openssl", *arguments], stdin=subprocess.DEVNULL, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
