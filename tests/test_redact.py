"""Secrets never reach a record, and looking for them never takes long."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

import lineage
from lineage import redact
from lineage.redact import REDACTED, hide, is_secret_name, redact_text
from lineage.settings import TrackerSettings
from lineage.tracker import LineageTracker

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
    "PRIVATE+KEY+example.com/log+530d903a+AcanarycanarycanarycanarycanarycanarycanaryU=",
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
    # programs and their options
    "curl -u me:canary https://host/x",
    "curl -sSu 'me:can canary' https://host/x",
    "curl --user me:canary https://host/x",
    "curl --proxy-user=me:canary https://host/x",
    "mysql -h db -u root -pcanary prices",
    "mysql -h db -u root -p canary prices",
    "mysqldump -p'can canary' prices",
    "mysql --password=canary prices",
    "mariadb-dump -pcanary prices",
    "sshpass -p canary ssh host",
    "docker login -u me -p canary registry.example",
    "redis-cli -h db -a canary ping",
    "ldapsearch -D cn=me -w canary",
    "sqlcmd -S db -U me -P canary",
    "sqlplus -S scott/canary@orcl",
    "unzip -P canary x.zip",
    "openssl rsa -passin pass:canary",
    "machine host login me password canary",
    "['tool', '--password', 'canary']",
    "PGPASSWORD=canary psql",
    "MYSQL_PWD=canary mysql",
    "--http-password canary",
    # users and passwords of URLs
    "//me:canary@host/prices",
    "me:canary@host:5432",
    "connect to me:canary@db.example.org:5432/prices",
    "me:canary7@db.example.org/prices",
    "https://me%3Acanary@host/x",
    "https://proxy/?to=https%3A%2F%2Fme%3Acanary%40host%2Fx",
    "https://proxy/?to=https%253A%252F%252Fme%253Acanary%2540host",
    "postgresql://me:can canary ary@db:5432/prices",
    "postgresql://me:can'canary@db/prices",
    "postgresql://me:canary?x#y@db/prices",
    "postgresql://me:can@canary@db/prices",
    "mysql://:canary@db/prices",
    # parts of URLs and of connection texts
    "https://host/x?key=canary",
    "https://host/x?y=1&key=canary&z=2",
    "https://host/x?hmac=canary",
    "https://host/x?code=canarycanarycanary",
    "https://host/x?sv=2022&sp=r&sig=canary%2Bcanary%3D",
    "https://host/x?X-Amz-Credential=canary%2F20260102&X-Amz-Signature=canary",
    "https://host/x?X-Goog-Signature=canary",
    "https://proxy/?to=host%3Fsig%3Dcanary",
    "DefaultEndpointsProtocol=https;AccountName=me;AccountKey=canary==;EndpointSuffix=x",
    "Endpoint=sb://x/;SharedAccessKeyName=me;SharedAccessKey=canary=",
    "SharedAccessSignature sr=x&sig=canary&se=1",
    "Server=db;User Id=me;Password=can,canary;Encrypt=yes",
    "Driver={x};PWD={can;canary};Server=db",
    # names and values in other dresses
    '{"tokens": ["canary", "canary2"]}',
    '{"password": {"old": "canary", "new": ["canary"]}}',
    '{"auth": ["me", "canary"], "x": 1}',
    '{\\"password\\": \\"can canary\\"}',
    '{"password": "can\\"canary"}',
    "{'password': b'canary'}",
    "[('password', 'canary')]",
    '[["token", "canary"]]',
    '{"name": "DB_PASSWORD", "value": "canary"}',
    '<add key="password" value="canary"/>',
    "<password>can canary</password>",
    "os.environ['API_KEY'] = 'canary'",
    "secret access key: canary",
    "password := canary",
    "password=can)canary",
    'password: "can\'canary"',
    "IDENTIFIED BY canary",
    "identified by 'can canary'",
    # headers
    "authorization: bearer canary",
    "AUTHORIZATION: Token canary",
    "Authorization: Digest username=me, response=canary",
    "Authorization: AWS4-HMAC-SHA256 Credential=x/y, Signature=canary",
    "-H 'Authorization: ApiKey id canary'",
    "{'Authorization': 'Basic canary'}",
    "HTTP_AUTHORIZATION=Bearer canary",
    "authorization=Bearer%20canary",
    "('Authorization', 'Bearer canary')",
    "Proxy-Authorization: Negotiate canary",
    "Cookie: a=1; session=canary",
    "X-Auth-Token: canary",
    "Ocp-Apim-Subscription-Key: canary",
    # tokens
    "-----BEGIN PGP PRIVATE KEY BLOCK-----\ncanary\n-----END PGP PRIVATE KEY BLOCK-----",
    "-----BEGIN OPENSSH PRIVATE KEY-----\\ncanary\\n-----END OPENSSH PRIVATE KEY-----",
    "---- BEGIN SSH2 ENCRYPTED PRIVATE KEY ----\ncanary",
    "eyJcanarycanary.canary.canary.canary.canary",
    "x_ghp_canarycanarycanarycanary",
    "xapp-1-canarycanary-canary",
    "https://hooks.slack.com/services/T0/B0/canarycanary",
    "GOCSPX-canarycanarycanary",
    "1//0canarycanarycanarycanarycanary",
    "AKIAABCDEFGHIJKLMNOP canaryCANARYcanaryCANARYcanaryCANARY1234",
    "shpat_canarycanarycanary",
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
    "monkey=3",
    "author: x",
    "10:30@noon",
    "at:10@noon",
    "user@example.org",
    "mailto:user@example.org",
    "From: me@example.org, To: you2@example.org",
    "git@github.com:owner/name.git",
    "ssh://host:22/x and me@example.org",
    "http://host:8080 is down, tell ops@example.org",
    "https://medium.com/@someone/an-article",
    "https://host/x?monkey=3&keyboard=de&code=US",
    "docker run -p 8080:80 --name mysql -u 1000:1000 image",
    "docker run --name mysql -p 3306:3306 mysql:8",
    "ssh -p 2222 host",
    "ssh -p 8080 me@example.org",
    "mkdir -p a/b && cp -u x y",
    "python:3.12@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
    "table:orders@2026-01-02",
    "dataset:prices@v2",
    "npm:left-pad@1.3.0",
    "keyboard: qwertz",
    "key=3, sort_key: day, primary_key='id'",
    "secretary: Jane",
    "max_tokens=500",
    "tokenizer=fast",
    "Unexpected token '<' at 1:3",
    "KeyError: 'token'",
    "SecretNotFoundError: prices",
    "missing 1 required positional argument: 'password'",
    "bypass: 1, compass=north, passenger: Ann",
    "the assignment = 3; design: y; signal: z",
    "['day', 'price']",
    '{"day": "2026-01-02", "name": "prices", "value": "3"}',
    "<price>3</price>",
    "dataframe:module.function(parameter)",
    "da39a3ee5e6b4b0d3255bfef95601890afd80709",
    "2 > 1 and 3 < 4",
    "50%2F50",
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
        *("dbPass", "db.pass", "pw", "X-Amz-Signature", "api key", "shared_key", "creds", "otp"),
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
        "secretary",
        "max_tokens",
        "sort_key",
        "primary_key",
        "TokenError",
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
    'token="' * 14_000,
    "token=[" * 14_000,
    "token={'" * 12_500,
    "token=" + "[" * 100_000,
    "('token'," * 11_000,
    "token=" + "a," * 50_000,
    "token=" + ")" * 100_000,
    "token" + "\\" * 100_000 + '"',
    "a-" * 50_000 + "=token",
    "a." * 50_000 + "=token:",
    "<token>" * 14_000 + "</",
    "<a " + "b" * 100_000 + "token></",
    "name='token' value" * 5_500,
    "curl -u" * 14_000,
    "curl -u " + "a" * 100_000,
    "mysql -p" * 12_500,
    "mysql " * 16_000 + "-p x",
    "redis-cli " * 10_000 + " -a",
    "ldap" * 25_000 + " -w",
    "docker login " * 7_500 + "-p",
    "sqlplus " * 12_500,
    "login " * 8_000 + "password " * 8_000,
    "identified by " * 7_000,
    "a:b" * 33_000 + "@",
    "a:" * 50_000 + "@",
    "a@" * 50_000 + ":",
    "a:b@" * 25_000,
    "a:b@c." * 16_000,
    "a:1@" + "b." * 50_000,
    "a%3Ab" * 20_000 + "@",
    "//a:" * 25_000 + "@",
    "//a: " * 20_000 + "@",
    "//" + "a" * 100_000 + ":@",
    "%2F%2F" * 16_000 + "%40",
    "%2F%2F" + "a" * 100_000,
    "%25" * 33_000 + "%40",
    "?key=" * 20_000,
    "Authorization: " * 6_600,
    "AKIA" + "a" * 100_000,
    "PRIVATE KEY" + "-----BEGIN " * 9_000,
    "----BEGIN PRIVATE KEY---- ----END " * 3_000,
    "hooks.slack.com/" * 6_000,
    "x_live_" * 14_000,
    "api " * 25_000 + "key=",
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


def test_what_was_replaced_is_told_bare():
    found = []
    redact_text("postgresql://me:open-sesame@db and token='x-y-z-1' and pwd=abc", found)
    assert {"open-sesame", "me:open-sesame", "x-y-z-1"} <= set(found)
    assert "abc" not in found  # too short to be looked for elsewhere
    found.clear()
    redact_text("nothing to see", found)
    redact_text("password=<redacted>", found)
    assert found == []


def test_known_secrets_are_hidden_in_every_dress():
    secrets = ["open sesame", "p@ss/1", 'ab\n"cd"ef', "xyz", ""]
    text = "open sesame, open%20sesame, p@ss/1, p%40ss%2F1, 'ab\\n\"cd\"ef', xyz, xyzzy, "
    kept = hide(text, secrets)
    assert (
        kept == f"{REDACTED}, {REDACTED}, {REDACTED}, {REDACTED}, '{REDACTED}', {REDACTED}, xyzzy, "
    )
    assert hide("open the door", secrets) == "open the door"


def test_what_is_json_stays_json():
    text = '{"password": "x", "tokens": ["a", {"b": 1}], "day": "2026-01-02", "n": 3}'
    kept = redact_text(text)
    assert kept == '{"password": "<redacted>", "tokens": <redacted>, "day": "2026-01-02", "n": 3}'


def test_a_user_can_have_more_hidden():
    text = "pin=1234 of CUST-12345678, licence: {'MY_LICENCE': 'abc'}"
    assert redact_text(text) == text
    assert not redact.is_secret_name("pin")
    redact.hide_more(["pin", "*_licence"], ["CUST-[0-9]{8}", "x?"])
    assert redact.is_secret_name("PIN")
    assert not redact.is_secret_name("spin")
    found = []
    assert redact_text(text, found) == (
        "pin=<redacted> of <redacted>, licence: {'MY_LICENCE': '<redacted>'}"
    )
    assert "CUST-12345678" in found


def test_what_is_named_later_counts_for_functions_that_were_decorated_before():
    @lineage.track_lineage("transform")
    def f(pin, note):
        return 1

    def recorded(tracker):
        lineage.set_global_tracker(tracker)
        f("sesame-17", "sesame-17")
        return [*tracker.operations.values()][-1].parameters

    assert recorded(LineageTracker()) == {"pin": "sesame-17", "note": "sesame-17"}
    settings = TrackerSettings(redact_names=("pin",))
    hidden = {"pin": "<redacted>", "note": "<redacted>"}
    assert recorded(tracker := LineageTracker(settings=settings)) == hidden
    assert recorded(tracker) == hidden


@pytest.mark.parametrize("name", ["a-key", "x"])
def test_words_without_secrets_stay(name):
    assert redact.redact_words([name, "--o", "b=c", ""], {}) == ([name, "--o", "b=c", ""], [])
