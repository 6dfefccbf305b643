"""A certificate for a server of this machine, which nobody but its maker has signed."""

import shutil
import ssl
import subprocess
from pathlib import Path
from typing import NamedTuple

from chatlib.lab.loopback import ServerError

HOW_TO_GET_OPENSSL = (
    "there is no command openssl on this machine, which makes certificates. On Debian and Ubuntu: "
    "apt install openssl; on macOS: brew install openssl; with conda: conda install openssl"
)
DAYS = "2"


class Certificate(NamedTuple):
    """A certificate for 127.0.0.1 and localhost, and its key: the paths of the files."""

    path: str
    key: str

    @property
    def ssl_context(self) -> ssl.SSLContext:
        """What a client needs to trust it: for `websockets.connect(…, ssl=…)`, say."""
        return ssl.create_default_context(cafile=self.path)


def find_openssl() -> str | None:
    """Return the path of this machine's command openssl; None if there is none."""
    return shutil.which("openssl")


def make_certificate(folder: Path) -> Certificate:
    """Make a certificate that is good for two days, and put it into `folder`.

    Raises:
        ServerError: there is no command openssl, or it failed.
    """
    program = find_openssl()
    if program is None:
        raise ServerError(HOW_TO_GET_OPENSSL)
    made = Certificate(str(folder / "certificate.pem"), str(folder / "key.pem"))
    command = [program, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]
    command += ["-nodes", "-days", DAYS, "-subj", "/CN=127.0.0.1"]
    command += ["-addext", "subjectAltName=IP:127.0.0.1,DNS:localhost"]
    # It signs itself, and Python 3.13 wants that said.
    command += ["-addext", "keyUsage=critical,digitalSignature,keyCertSign"]
    command += ["-keyout", made.key, "-out", made.path]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise ServerError(f"openssl made no certificate: {done.stderr.strip()[-500:]}")
    return made
