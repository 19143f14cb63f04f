import base64
import secrets
import subprocess
import sys
import traceback

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from apicache import sealing
from apicache.entry import Entry
from apicache.envelope import PlainSealer, Sealer
from apicache.errors import InputError
from apicache.sealing import EncryptingSealer, sealer_from_environment

KEY = bytes(range(32))
SECRET = b"\xfb\xff" + bytes(range(2, 32))
ENTRY = Entry("completion", "value", b"the planted answer", 1.0, 2.0, 4.0, tags=("customer-7",))
LARGE = msgspec.structs.replace(ENTRY, payload=b"abcd" * 5000)
SEALER = EncryptingSealer(SECRET)
PASSPHRASE = "correct horse battery staple"
GOLDEN_SEALED = (
    "6170696501096d76817eac8608c374409e285d3a6bb099ec06fcb0a019d30da7a108d916b7a5731cfc2634023e851dd89a77"
    "bfa5625b37e650a7eb0c3b2f2b82cdf74b7164741ee6cecf9f3c4c0d1b4897a00546224e8c7adb1b60447bb6761c15026172"
    "896f7be8bf8d0041f05085fcd89d0bbbdc414c8b9c4b71a5900c554b13533d0ba6d12d2723e5382439d19ab796dc7941bc79"
    "11dc16f5c5d798df13f612e9bdd428d48454b025bf192c5ab0922b6a75bf1bc3c5"
)
STANDARD = base64.b64encode(SECRET).decode()
URL_SAFE = base64.urlsafe_b64encode(SECRET).decode()


def sealer_with(key: str) -> Sealer:
    return sealer_from_environment({"APICACHE_ENCRYPTION_KEY": key})


@pytest.fixture
def cheap_scrypt(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sealing, "_SCRYPT_COST", {"n": 2, "r": 1, "p": 1})


def test_without_a_key_nothing_is_encrypted() -> None:
    assert type(sealer_from_environment({})) is PlainSealer


@pytest.mark.parametrize(
    "key", [STANDARD, STANDARD.rstrip("="), URL_SAFE, URL_SAFE.rstrip("="), SECRET.hex(), SECRET.hex().upper()]
)
def test_every_notation_of_a_key_is_the_same_key(key: str) -> None:
    sealer = sealer_with(f" {key}\n")
    assert type(sealer) is EncryptingSealer
    assert sealer.unseal(SEALER.seal(KEY, ENTRY)) == (KEY, ENTRY)
    assert sealer.name(KEY) == SEALER.name(KEY)


def test_the_key_that_the_error_says_how_to_make_is_taken_as_it_is() -> None:
    key = secrets.token_urlsafe(32)
    assert sealing.secret_from(key) == base64.urlsafe_b64decode(key + "=")


def test_a_passphrase_gives_the_same_key_in_every_process() -> None:
    assert sealing.secret_from(PASSPHRASE).hex() == "35b2395950ae71ddafdbbed783188db44c2cea4d8bcbd87fbc84bf80cb565c6e"


@pytest.mark.usefixtures("cheap_scrypt")
def test_different_passphrases_give_different_keys() -> None:
    sealed = sealer_with(PASSPHRASE).seal(KEY, ENTRY)
    assert sealer_with(PASSPHRASE).unseal(sealed) == (KEY, ENTRY)
    assert sealer_with(PASSPHRASE + "!").unseal(sealed) is None


@pytest.mark.usefixtures("cheap_scrypt")
def test_a_passphrase_of_any_characters_is_taken() -> None:
    # An environment variable that is no UTF-8 reaches Python with surrogates.
    assert len(sealing.secret_from("\udcff" * 16)) == 32
    assert len(sealing.secret_from("ü" * 16)) == 32


@pytest.mark.parametrize("key", ["", "   ", "planted-secret", "0123456789abcde"])
def test_a_key_that_is_too_short_is_refused_and_never_shown(key: str) -> None:
    with pytest.raises(InputError, match="too short") as caught:
        sealer_with(key)
    shown = "".join(traceback.format_exception(caught.value))
    assert 'python -c "import secrets; print(secrets.token_urlsafe(32))"' in str(caught.value)
    assert "APICACHE_ENCRYPTION_KEY" in str(caught.value)
    assert not key.strip() or key not in shown


@pytest.mark.parametrize("length", [0, 16, 31, 33])
def test_a_secret_of_another_length_is_refused(length: int) -> None:
    with pytest.raises(InputError, match="32 bytes"):
        EncryptingSealer(bytes(length))


@pytest.mark.parametrize("key", [STANDARD, PASSPHRASE])
def test_without_the_library_the_error_names_the_extra(key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] == "cryptography"] + ["cryptography"]:
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(InputError, match=r"apicache-toolkit\[encryption\]") as caught:
        sealer_with(key)
    assert key not in "".join(traceback.format_exception(caught.value))


def test_the_library_is_loaded_only_for_a_key() -> None:
    code = (
        "import sys; from apicache.sealing import sealer_from_environment as make\n"
        "loaded = lambda: any(name.startswith('cryptography') for name in sys.modules)\n"
        "make({}); before = loaded(); make({'APICACHE_ENCRYPTION_KEY': '0' * 64}); print(before, loaded())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "True"]


def test_an_envelope_of_the_first_release_is_still_read_and_found_under_its_name() -> None:
    assert SEALER.name(KEY) == "70255fea29f3dfd03952785287519aedc518f35aef84a41489111e0de819dca8"
    assert SEALER.unseal(bytes.fromhex(GOLDEN_SEALED)) == (KEY, ENTRY)


@pytest.mark.parametrize("entry", [ENTRY, LARGE])
@pytest.mark.parametrize("compress", [True, False])
def test_what_is_sealed_comes_back(entry: Entry, *, compress: bool) -> None:
    sealer = EncryptingSealer(SECRET, compress=compress)
    assert sealer.unseal(sealer.seal(KEY, entry)) == (KEY, entry)


def test_an_entry_is_compressed_before_it_is_encrypted() -> None:
    assert len(SEALER.seal(KEY, LARGE)) < 1000
    assert len(EncryptingSealer(SECRET, compress=False).seal(KEY, LARGE)) > 20_000


def test_nothing_of_an_entry_or_its_key_is_readable() -> None:
    sealed = SEALER.seal(KEY, ENTRY)
    for planted in (b"planted", b"completion", b"customer", KEY, KEY[:8]):
        assert planted not in sealed
    assert KEY.hex() not in SEALER.name(KEY)


def test_names_are_keyed() -> None:
    name = SEALER.name(KEY)
    assert name == SEALER.name(KEY)
    assert len(bytes.fromhex(name)) == 32
    assert name != EncryptingSealer(bytes(32)).name(KEY)
    assert name != SEALER.name(bytes(32))


def test_the_same_entry_is_sealed_differently_each_time() -> None:
    assert SEALER.seal(KEY, ENTRY) != SEALER.seal(KEY, ENTRY)


def test_an_entry_sealed_under_another_key_is_a_miss() -> None:
    assert SEALER.unseal(EncryptingSealer(bytes(32)).seal(KEY, ENTRY)) is None


def test_an_entry_that_is_not_encrypted_is_a_miss_where_encryption_is_on_and_the_other_way_round() -> None:
    assert SEALER.unseal(PlainSealer().seal(KEY, ENTRY)) is None
    assert PlainSealer().unseal(SEALER.seal(KEY, ENTRY)) is None


def test_any_byte_changed_is_a_miss() -> None:
    sealed = SEALER.seal(KEY, ENTRY)
    for position in range(len(sealed)):
        assert SEALER.unseal(sealed[:position] + bytes([sealed[position] ^ 1]) + sealed[position + 1 :]) is None


def test_an_envelope_cut_short_anywhere_or_with_bytes_after_it_is_a_miss() -> None:
    sealed = SEALER.seal(KEY, ENTRY)
    assert all(SEALER.unseal(sealed[:length]) is None for length in range(len(sealed)))
    assert SEALER.unseal(sealed + b"x") is None


@given(st.binary(max_size=200), st.sampled_from([b"", b"apie\x01", b"apic\x02"]))
def test_any_bytes_are_a_miss_and_never_an_exception(data: bytes, start: bytes) -> None:
    assert SEALER.unseal(start + data) is None


@pytest.mark.usefixtures("cheap_scrypt")
@pytest.mark.parametrize("key", [STANDARD, URL_SAFE, PASSPHRASE])
def test_the_key_is_in_no_representation_of_the_sealer(key: str) -> None:
    sealer = sealer_with(key)
    held = [getattr(sealer, name) for name in EncryptingSealer.__slots__]
    for shown in (repr(sealer), str(sealer), repr(held)):
        assert key not in shown
        assert SECRET.hex() not in shown
    assert not any(isinstance(item, str | bytes) for item in held)
    assert not hasattr(sealer, "__dict__")
