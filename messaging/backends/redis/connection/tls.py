"""TLS to a server: certificates are checked unless the URL says otherwise.

ssl_ca_certs            file of the authorities to trust, instead of those of the system
ssl_certfile            certificate that the server asks clients for, with its chain
ssl_keyfile             its key, where that is a file of its own; ssl_password where it has one
ssl_cert_reqs           `none` trusts anybody: for trials only
ssl_check_hostname      `false` trusts any host with a certificate of these authorities
"""

import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from messaging.errors import BackendSetupError

PARAMETERS = frozenset(
    {
        "ssl_ca_certs",
        "ssl_certfile",
        "ssl_keyfile",
        "ssl_password",
        "ssl_cert_reqs",
        "ssl_check_hostname",
    }
)
_NO_WORDS = ("false", "f", "0", "no", "n")
_HOSTNAME_MISMATCH = 62
_IP_ADDRESS_MISMATCH = 64
_EXPIRED = 10


def tls_of(found: Mapping[str, Any]) -> ssl.SSLContext:
    """The context that a URL's parameters ask for.

    Raises:
        BackendSetupError: a file cannot be read, or is not what it should be.
    """
    requirement = str(found.get("ssl_cert_reqs", "required"))
    if requirement not in ("required", "none"):
        raise BackendSetupError(f"ssl_cert_reqs is {requirement!r}; use `required` or `none`")
    authorities = found.get("ssl_ca_certs")
    try:
        context = ssl.create_default_context(cafile=authorities)
    except OSError as error:
        raise _unusable("ssl_ca_certs", authorities, error) from error
    if certificate := found.get("ssl_certfile"):
        _show_certificate(context, found, certificate)
    if requirement == "none":
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    elif str(found.get("ssl_check_hostname", "true")).lower() in _NO_WORDS:
        context.check_hostname = False
    return context


def tls_problem(error: BaseException, host: str) -> str:
    """What went wrong between us and `host` and what to do; "" when it was not about TLS."""
    text = str(error)
    if isinstance(error, ssl.SSLCertVerificationError):
        return _distrust(error, host)
    if "CERTIFICATE_REQUIRED" in text:
        return (
            "it asks clients for a certificate: give ?ssl_certfile=…&ssl_keyfile=…, or set "
            "`tls-auth-clients no` there"
        )
    if "ALERT_UNKNOWN_CA" in text or "ALERT_BAD_CERTIFICATE" in text:
        return "it does not trust our certificate (ssl_certfile): have its authority sign one"
    if isinstance(error, ssl.SSLError) and ("WRONG_VERSION" in text or "RECORD_LAYER" in text):
        return "it does not speak TLS on this port: use its tls-port, or redis:// without TLS"
    return f"TLS failed: {text}" if isinstance(error, ssl.SSLError) else ""


def _show_certificate(
    context: ssl.SSLContext, found: Mapping[str, Any], certificate: object
) -> None:
    key = found.get("ssl_keyfile")
    try:
        # Without a password OpenSSL would ask the terminal for one.
        context.load_cert_chain(
            str(certificate), key, password=lambda: str(found.get("ssl_password", ""))
        )
    except (OSError, ValueError) as error:
        missing = next((f for f in (certificate, key) if f and not Path(str(f)).exists()), None)
        name = "ssl_keyfile" if missing and missing == key else "ssl_certfile"
        raise _unusable(name, missing or certificate, error) from error


def _unusable(parameter: str, file: object, error: Exception) -> BackendSetupError:
    reason = getattr(error, "strerror", "") or str(error)
    return BackendSetupError(f"{parameter}={file} cannot be used: {reason}; give a PEM file")


def _distrust(error: ssl.SSLCertVerificationError, host: str) -> str:
    if error.verify_code in (_HOSTNAME_MISMATCH, _IP_ADDRESS_MISMATCH):
        return (
            f"its certificate is for another host than {host}: use the name that the certificate "
            "carries, or have one issued for this name"
        )
    if error.verify_code == _EXPIRED:
        return "its certificate has expired: renew it there"
    return (
        f"its certificate is not signed by an authority we trust ({error.verify_message}): give "
        "the authority's file as ?ssl_ca_certs=…"
    )
