"""Secrets never reach a record, and looking for them never takes long."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lineage import redact
from lineage.redact import REDACTED, is_secret_name, redact_text

# Made up: the shapes are those of real issuers, the letters are not.
LEAKS = [
    "postgresql://me:canary@db:5432/prices",
    "postgresql+psycopg2://canary@db/prices",
    "https://user:canary%40x@host/path?x=1",
    "mongodb+srv://u:can/ary@cluster.example/x",
    "redis://:canary@localhost:6379/0",
    "password=canary",
    "PASSWORD = canary rest",
    '{"password": "canary"}',
    "{'db_password': 'canary'}",
    "api_key: canary",
    "api-key=canary&x=1",
    "https://host/x?token=canary&y=2",
    "https://host/x?X-Amz-Signature=canary",
    "https://account.blob.example/x?sig=canary",
    "Authorization: Bearer canarycanary",
    "authorization=Basic canarycanary",
    "Bearer canary.canary.canary",
    "curl --password canary https://x",
    "tool --api-key canary",
    "client_secret=>canary",
    "aws_secret_access_key=canary",
    "Set-Cookie: session=canary",
    "passphrase: canary",
    "pwd=canary;server=x",
    "-----BEGIN RSA PRIVATE KEY-----\ncanary\ncanary\n-----END RSA PRIVATE KEY-----",
    "-----BEGIN PRIVATE KEY-----\ncanary without an end",
    "eyJcanarycanary.eyJcanarycanary.canary-_canary",
    "ghp_canarycanarycanarycanarycanarycanary",
    "github_pat_canarycanarycanarycanary",
    "glpat-canarycanarycanary12",
    "xoxb-canarycanary-canary",
    "sk-canarycanarycanarycanary",
    "sk_live_canarycanarycanary",
    "AIzacanarycanarycanarycanarycanarycanary",
    "ya29.canarycanarycanarycanary",
    "hf_canarycanarycanarycanary",
    "npm_canarycanarycanarycanary",
    "pypi-canarycanarycanarycanary",
    "SG.canarycanarycanary.canarycanarycanary",
]


@pytest.mark.parametrize("text", LEAKS)
@pytest.mark.parametrize("around", ["{}", "before {} after", "x\n{}\ny", "({})", "größe {}"])
def test_what_looks_like_a_secret_goes(text, around):
    kept = redact_text(around.format(text))
    assert "canary" not in kept
    assert REDACTED in kept


INNOCENT = [
    "",
    "a plain text",
    "https://host:8080/path",
    "s3://bucket/key.parquet",
    "file:///data/x.csv",
    "/data/passengers/keys.csv",
    "the monkey ate the key",
    "signal = 3",
    "basic statistics",
    "token",
    "2026-01-02T03:04:05",
    "user@example.com",
    "SELECT a, b FROM t WHERE c = 3",
]


@pytest.mark.parametrize("text", INNOCENT)
def test_what_is_none_stays(text):
    assert redact_text(text) == text


@pytest.mark.parametrize(
    "name",
    [
        *("password", "db_password", "PASSWD", "passwords", "passphrase", "pwd", "secret"),
        *("client_secret", "token", "api_token", "tokens", "api_key", "apikey", "access_key"),
        *("private_key", "credentials", "auth", "basic_auth", "Authorization", "cookie"),
        *("session_id", "signature", "connection_string", "dsn", "sas", "sig", "bearer"),
    ],
)
def test_names_of_secrets(name):
    assert is_secret_name(name)


@pytest.mark.parametrize(
    "name",
    [
        "passenger",
        "key",
        "author",
        "tokenizer",
        "max_tokens_per_line",
        "signal",
        "keys",
        "bar_size",
    ],
)
def test_names_of_others(name):
    assert not is_secret_name(name)


NASTY = [
    "a" * 100_000,
    "a://" * 25_000,
    "://" + "a" * 100_000,
    "a://" + "b" * 100_000,
    "a://" + "b:" * 50_000,
    "password" * 12_500,
    "password=" * 11_000,
    "password " * 11_000,
    "password" + " " * 100_000,
    "--" + "-a" * 50_000 + "token",
    "-" * 100_000 + "key",
    "token" + "-" * 100_000,
    "secret" + "." * 100_000 + "=",
    "bearer " * 14_000,
    "basic " + "a" * 100_000,
    "-----BEGIN PRIVATE KEY-----" * 3_700,
    "-----BEGIN " + "A " * 50_000,
    "eyJ" + "a" * 100_000,
    "eyJaaaaaaaa." * 8_000,
    "sk-" * 33_000,
    "ghp_" * 25_000,
    "SG." + "a" * 100_000,
    "SG.aaaaaaaaaaaaaaaa" * 5_000,
    "AKIA" * 25_000,
    "x" * 50_000 + "@" + "://" * 15_000,
    "a.b+c-" * 16_000 + "://x@",
    "\n" * 100_000 + "token=x",
    '"' * 100_000 + "token",
]


@pytest.mark.parametrize("number", range(len(NASTY)))
def test_every_text_is_read_to_its_end(number):
    """How long that takes, and that it grows with the text, is in `benchmarks/bench_redact.py`."""
    assert isinstance(redact_text(NASTY[number]), str)


@given(st.text(max_size=2000))
def test_no_text_makes_it_raise(text):
    kept = redact_text(text)
    assert isinstance(kept, str)
    is_secret_name(text)


@given(
    st.text(st.characters(blacklist_categories=["Cs"]), max_size=40),
    st.sampled_from(LEAKS),
    st.text(st.characters(blacklist_categories=["Cs"]), max_size=40),
)
def test_a_secret_between_any_lines(before, secret, after):
    assert "canary" not in redact_text(f"{before}\n{secret}\n{after}")


@given(st.sampled_from(LEAKS))
def test_redacting_twice_changes_nothing_more(text):
    once = redact_text(text)
    assert "canary" not in redact_text(once)


def test_every_pattern_has_its_mark():
    """The quick look must let no text pass that a pattern would change."""
    for text in LEAKS:
        assert any(mark in text.lower() for mark in redact._MARKS), text
