"""Encryption at rest: envelopes that only the holder of a key can read, under names that tell nothing.

Off unless `APICACHE_ENCRYPTION_KEY` is set. Needs the extra `apicache-toolkit[encryption]`: the library `cryptography`.
"""

import base64
import hmac
import os
import re
from collections.abc import Mapping
from typing import Final

from apicache.entry import Entry
from apicache.envelope import PlainSealer, Sealer
from apicache.errors import InputError

KEY_VARIABLE: Final = "APICACHE_ENCRYPTION_KEY"
"""The environment variable with the key: 32 bytes in base64 or hexadecimal digits, or a passphrase."""

_MAGIC: Final = b"apie\x01"
"""File mark and format number; authenticated with each envelope."""
_NONCE_LENGTH: Final = 12
_TAG_LENGTH: Final = 16
_SECRET_LENGTH: Final = 32
_PASSPHRASE_MIN: Final = 16
"""Characters in a passphrase."""
_BASE64: Final = re.compile(r"[A-Za-z0-9+/_-]{43}=?")
_TO_STANDARD: Final = str.maketrans("-_", "+/")
_HEXADECIMAL: Final = re.compile(r"[0-9A-Fa-f]{64}")

_SALT: Final = b"apicache passphrase v1"
"""Fixed: every process on every machine that shares a tier has to come to one key from the passphrase alone, and there
is no place to keep a random salt that could be read before the tier is. What a salt would prevent, one table of guesses
that serves against many installations, is why passphrases are stretched and long, and why a random key is better."""
_SCRYPT_COST: Final = {"n": 2**15, "r": 8, "p": 3}
"""32 MiB, and up to a second once a process: OWASP's Password Storage Cheat Sheet, section scrypt."""

_REMEDY: Final = (
    'make one with `python -c "import secrets; print(secrets.token_urlsafe(32))"`'
    f" and set {KEY_VARIABLE} to what it prints"
)


def sealer_from_environment(environ: Mapping[str, str]) -> Sealer:
    """An EncryptingSealer when `APICACHE_ENCRYPTION_KEY` is set, else a PlainSealer.

    Raises InputError for a key that is too short, or empty (encryption was wanted then), and without the library.
    """
    given = environ.get(KEY_VARIABLE)
    return PlainSealer() if given is None else EncryptingSealer(secret_from(given))


def secret_from(given: str) -> bytes:
    """The 32 bytes that a key's text stands for; raises InputError, which never shows the text.

    64 hexadecimal digits or 43 characters of base64 (of either alphabet, padded or not) are the bytes themselves, any
    other text is a passphrase.
    """
    text = given.strip()
    if _HEXADECIMAL.fullmatch(text):
        return bytes.fromhex(text)
    if _BASE64.fullmatch(text):
        return base64.b64decode(text[:43].translate(_TO_STANDARD) + "=")
    if len(text) < _PASSPHRASE_MIN:
        raise InputError(
            f"{KEY_VARIABLE} is too short: it has {len(text)} characters,"
            f" a passphrase needs {_PASSPHRASE_MIN}; {_REMEDY}"
        )
    return _stretched(text)


def _stretched(passphrase: str) -> bytes:
    try:
        from cryptography.hazmat.primitives.kdf.scrypt import Scrypt  # noqa: PLC0415 - an extra
    except ImportError:
        raise _missing_library() from None
    return Scrypt(salt=_SALT, length=_SECRET_LENGTH, **_SCRYPT_COST).derive(passphrase.encode(errors="surrogateescape"))


def _missing_library() -> InputError:
    return InputError(
        f"{KEY_VARIABLE} is set, but the library `cryptography` is not installed;"
        " install it with `pip install 'apicache-toolkit[encryption]'`, or unset the variable"
    )


class EncryptingSealer:
    """Envelopes in AES-256-GCM, names by HMAC-SHA256; each with a key of its own, derived from `secret` (32 bytes).

    Layout: mark and format number (5 bytes), a random nonce (12), the encrypted plain envelope with its tag (16). Under
    one key at most 2**32 envelopes are to be written, for the nonces are random (NIST SP 800-38D, section 8.3). What
    stays visible: how many entries there are, their sizes (after compression) and when they are written.

    A key that differs, like any damage, makes a miss. Raises InputError when `cryptography` is missing.
    """

    __slots__ = ("_cipher", "_damage", "_names", "_plain")

    def __init__(self, secret: bytes, *, compress: bool = True) -> None:
        try:
            from cryptography.exceptions import InvalidTag  # noqa: PLC0415 - an extra
            from cryptography.hazmat.primitives.ciphers.aead import AESGCM  # noqa: PLC0415 - same
        except ImportError:
            raise _missing_library() from None
        if len(secret) != _SECRET_LENGTH:
            raise InputError(f"an encryption key has {_SECRET_LENGTH} bytes, this one has {len(secret)}; {_REMEDY}")
        self._cipher = AESGCM(_derived(secret, b"apicache entries v1"))
        self._names = hmac.new(_derived(secret, b"apicache names v1"), digestmod="sha256")
        self._plain = PlainSealer(compress=compress)
        self._damage = InvalidTag

    def name(self, key: bytes) -> str:
        """64 hexadecimal digits that cannot be told from random ones, nor recomputed, without the secret."""
        digest = self._names.copy()
        digest.update(key)
        return digest.hexdigest()

    def seal(self, key: bytes, entry: Entry) -> bytes:
        """The encrypted envelope of an entry."""
        nonce = os.urandom(_NONCE_LENGTH)
        return b"".join((_MAGIC, nonce, self._cipher.encrypt(nonce, self._plain.seal(key, entry), _MAGIC)))

    def unseal(self, data: bytes) -> tuple[bytes, Entry] | None:
        """The key and the entry; None for another secret, for damage, and for an envelope that is not encrypted."""
        start = len(_MAGIC) + _NONCE_LENGTH
        if not data.startswith(_MAGIC) or len(data) < start + _TAG_LENGTH:
            return None
        try:
            envelope = self._cipher.decrypt(data[len(_MAGIC) : start], data[start:], _MAGIC)
        except self._damage:
            return None
        return self._plain.unseal(envelope)


def _derived(secret: bytes, purpose: bytes) -> bytes:
    from cryptography.hazmat.primitives.hashes import SHA256  # noqa: PLC0415 - an extra, loaded with the cipher
    from cryptography.hazmat.primitives.kdf.hkdf import HKDF  # noqa: PLC0415 - same

    return HKDF(algorithm=SHA256(), length=_SECRET_LENGTH, salt=None, info=purpose).derive(secret)
