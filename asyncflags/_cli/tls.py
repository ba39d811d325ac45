"""The TLS context that ``--cacert``, ``--cert``, ``--key`` and ``--insecure`` ask for."""

from __future__ import annotations

import os
import ssl

from asyncflags._cli.complaints import Refusal
from asyncflags._cli.exit_codes import STORAGE, USAGE

__all__ = ["tls_context"]


def tls_context(
    *, authorities: str | None, certificate: str | None, key: str | None, insecure: bool
) -> ssl.SSLContext | None:
    """Make the context.

    Args:
        authorities: PEM file, or folder made by ``openssl rehash``, of the authorities to trust in place of
            the system's; ``None``: the system's.
        certificate: PEM file of the client's certificate; ``None``: none.
        key: PEM file of its private key; ``None``: it is in the certificate's file.
        insecure: Trust anybody.

    Returns:
        The context; ``None``: the usual one.

    Raises:
        Refusal: A file cannot be read or does not hold what it should, or a key lacks its certificate.
    """
    if key is not None and certificate is None:
        raise Refusal("--key: a key needs its certificate: name that with --cert", USAGE)
    if authorities is None and certificate is None and not insecure:
        return None
    context = _trusting(authorities)
    if insecure:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if certificate is not None:
        _present(context, certificate, key)
    return context


def _trusting(authorities: str | None) -> ssl.SSLContext:
    if authorities is None:
        return ssl.create_default_context()
    _check_readable("--cacert", authorities)
    try:
        if os.path.isdir(authorities):
            return ssl.create_default_context(capath=authorities)
        return ssl.create_default_context(cafile=authorities)
    except ssl.SSLError:
        raise Refusal(
            f"--cacert: {authorities} holds no certificate: give a file of certificates in PEM format", USAGE
        ) from None


def _present(context: ssl.SSLContext, certificate: str, key: str | None) -> None:
    _check_readable("--cert", certificate)
    if key is not None:
        _check_readable("--key", key)
    try:
        context.load_cert_chain(certificate, key)
    except ssl.SSLError as error:
        files = certificate if key is None else f"{certificate} and {key}"
        reason = "do not belong together" if error.reason == "KEY_VALUES_MISMATCH" else "cannot be used"
        raise Refusal(
            f"--cert: {files} {reason}: give a certificate and its private key in PEM format", USAGE
        ) from None


def _check_readable(option: str, path: str) -> None:
    """Refuse a file that OpenSSL would refuse without naming it."""
    if os.path.isdir(path) and option == "--cacert":
        return
    try:
        with open(path, "rb"):
            pass
    except OSError as error:
        reason = os.strerror(error.errno or 0).lower()
        raise Refusal(f"{option}: {path} cannot be read: {reason}", STORAGE) from None
