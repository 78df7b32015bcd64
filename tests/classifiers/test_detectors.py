"""Every detector: what it must see, what it must leave alone, checksums flipped."""

from __future__ import annotations

import base64
import hashlib
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from understudy.classifiers import detectors
from understudy.classifiers.detectors.banking import find_cards, find_ibans
from understudy.classifiers.detectors.national import find_national_ids
from understudy.classifiers.detectors.scan import Scan
from understudy.types import Span


def types(text: str) -> set[str]:
    return {span.type for span in detectors.find(text)}


# Vendor keys are put together here so that no scanner of the repository takes them for real ones.
KEYS = {
    "aws": "AKIA" + "Q3EGUNX7RT5HCYZK",
    "github": "ghp_" + "wZ3kP9vRt7Lq2NxB5mYc8HdJ4fGs6TaKeU1o",
    "gitlab": "glpat-" + "xK9wQ2mZ7pL4vN8cR5tB",
    "slack": "xoxb-" + "294857201934-5829104857392-KdPqWzXnVbMtRyUs",
    "anthropic": "sk-ant-" + "api03-Zk3mWq8PxT5vLr2NbY9cHdJ7fGs4Ta",
    "openai": "sk-proj-" + "Wn4xRk8QzP2mLt6VbY9cHdJ7",
    "stripe": "sk_live_" + "Wn4xRk8QzP2mLt6VbY9cHdJ7",
    "google": "AIza" + "SyWn4xRk8QzP2mLt6VbY9cHdJ7fGs3Ta5Ue",
    "groq": "gsk_" + "Wn4xRk8QzP2mLt6VbY9cHdJ7fGs3Ta5UeKo1iXw7Mz4Bq9Np2Rv",
    "huggingface": "hf_" + "WnxRkQzPmLtVbYcHdJfGsTaUeKoiXwMzBq",
    "npm": "npm_" + "Wn4xRk8QzP2mLt6VbY9cHdJ7fGs3Ta5UeKo1",
    "sendgrid": "SG." + "Wn4xRk8QzP2mLt6VbY9cHd.J7fGs3Ta5UeKo1iXw7Mz4Bq9Np2Rv5Lt8Yc3Hd",
    "jwt": "eyJhbGciOiJIUzI1NiJ9" + ".eyJzdWIiOiI4NDcyOTMwMSJ9.Qk3mWq8PxT5vLr2NbY9cHdJ7fGs4TaZx1Uo6Ie8Np0w",
    "understudy": "us-" + "3f9a1c77b2e0-" + "9b7d1e4f0a6c8352b1d7e9f3046a8c5d2e7f19b3c604a8d5e1f72b9c3d0846ea",
    "telegram": "508627689" + ":AAHuLPKs-EhrjrYGnz60bnYNZqakf6HJxc0",
}


@pytest.mark.parametrize("key", KEYS.values(), ids=KEYS)
@pytest.mark.parametrize(
    "frame", ["{}", "my key is {} please debug", 'headers = {{"x": "{}"}}', "log: token\\n{}", "?k={}&a=1"]
)
def test_vendor_keys_are_seen_in_prose_code_logs_and_urls(key: str, frame: str) -> None:
    assert types(frame.format(key)) & {"api_key", "token", "password"}


@pytest.mark.parametrize(
    "text",
    [
        "password=Tr0ub4dor&3x",
        "DB_PASSWORD: 'xK9#mQ2vL'",
        '"dbPassword": "s3cr3tPa55"',
        "export API_TOKEN=9f8e7d6c5b4a3f2e1d0c",
        "<password>n8Kd02mQz</password>",
        "postgres://app:Zk3mWq8P@db.internal:5432/shop",
        "mongodb+srv://root:h7Gq2LmX@cluster0.mongodb.net/x",
        "Server=sql1;User Id=sa;Password=R7t!kW2p;",
        "curl -u admin:Rk8QzP2m https://api.internal/x",
        "mysql -u root -pq8Zk3mW shop",
        "tool --token 7fGs3Ta5UeKo1",
        "CREATE USER kim IDENTIFIED BY 'q8Zk3mWx';",
        "ALTER ROLE app WITH PASSWORD 'q8Zk3mWx';",
        "Authorization: Bearer 7fGs3Ta5UeKo1iXw7Mz4Bq9Np2Rv",
        "Authorization: Basic YWRtaW46cThaazNtV3g=",
        "my password is swordfish",
        "The wifi password is sunflower99",
        "mein Passwort ist Apfelkuchen",
        "-----BEGIN RSA PRIVATE KEY-----\nMIIEow",
        "-----BEGIN OPENSSH PRIVATE KEY-----",
        "AccountKey=Wn4xRk8QzP2mLt6VbY9cHdJ7fGs3Ta5UeKo1iXw7Mz4Bq9Np2Rv==",
        "пароль: q8Zk3mWx",
        "密码：q8Zk3mWx",
    ],
)
def test_secrets_by_context(text: str) -> None:
    assert types(text) & {"password", "token", "api_key", "private_key", "random_string"}


@pytest.mark.parametrize(
    "text",
    [
        "password = input('Password: ')",
        "password: str = Field(min_length=8)",
        "def login(user, password=None): ...",
        "token = os.environ['API_TOKEN']",
        "PASSWORD=${DB_PASSWORD}",
        "password: <your password>",
        "api_key = 'YOUR_API_KEY'",
        "The password is incorrect.",
        "How do I reset my password?",
        "the tokenizer splits keywords; max_tokens=2000",
        "compass: north, passenger: 12ab34",
        "the secret of good bread is time",
        "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
        "commit 4b9a6d8b4bc56fbfa1c638eb0c6cab3746bf32ac",
        "id = '550e8400-e29b-41d4-a716-446655440000'",
        "https://user@host/path and http://localhost:8080/x",
        "const monkey = 'banana99'; keyboard: qwerty12",
        "getUserAuthenticationTokenFromRequestHeaderOrCookie(request)",
    ],
)
def test_code_and_prose_about_secrets_are_public(text: str) -> None:
    assert types(text) == set()


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("write to lena.vogt@posteo.de please", "email"),
        ("<mailto:o'brien+x@mail.co.uk>", "email"),
        ('{"mail": "müller@firma.de"}', "email"),
        ("call me on +49 170 1234567", "phone"),
        ("(415) 736-2291 is my number", "phone"),
        ("tel 020 7946 0958", "phone"),
        ("06 12 34 56 78", "phone"),
        ("電話 0312345678", "phone"),
        ("reach me at 555-0147 ext 3, phone 7362291", "phone"),
        ("card 4111 1111 1111 1111", "card"),
        ("4111111111111111", "card"),
        ("371449635398431", "card"),
        ("IBAN DE89 3704 0044 0532 0130 00", "iban"),
        ("gb82west12345698765432", "iban"),
        ("ssn 536-90-4399", "national_id"),
        ("NINO AB 12 34 56 C", "national_id"),
        ("DNI 12345678Z", "national_id"),
        ("NIE X1234567L", "national_id"),
        ("RSSMRA85T10A562S", "national_id"),
        ("Steuer-ID 86095742719", "national_id"),
        ("NIR 2 55 08 14 168 025 38", "national_id"),
        ("CPF 529.982.247-25", "national_id"),
        ("11010519491231002X", "national_id"),
        ("HETU 131052-308T", "national_id"),
        ("my server is 84.17.33.201", "ip"),
        ("ssh root@10.0.3.7", "ip"),
        ("from 2a02:8108:8ac0:11:9d2:44ff:fe3b:7c1", "ip"),
        ("device 3c:22:fb:9a:41:0e", "mac"),
        ("I live at 42 Elm Street, Springfield", "address"),
        ("Wohnung: Hauptstraße 12, 10115 Berlin", "address"),
        ("12 rue de la Paix, Paris", "address"),
        ("vivo en Calle Mayor 15", "address"),
        ("ship to PO Box 1180", "address"),
        ("SW1A 2AA is my postcode", "address"),
        ("date of birth: 04/07/1985", "date_of_birth"),
        ("geboren am 4. Juli 1985, Geburtsdatum 04.07.1985", "date_of_birth"),
        ("passport number X1234567", "identity_paper"),
        ("my driver's license is D1234567", "identity_paper"),
        ("I was diagnosed with diabetes last year", "health"),
        ("my wife is pregnant and worried", "health"),
        ("mein Befund: Krebs", "health"),
        ("my salary is 84,000 a year", "pay"),
        ("I earn $5400 a month", "pay"),
        ("They pay me $23 an hour at the plant, is it fair?", "pay"),
        ("My daughter has leukemia and takes methotrexate", "health"),
        ("Ich verdiene 5200 Euro brutto", "pay"),
    ],
)
def test_personal_data(text: str, kind: str) -> None:
    assert kind in types(text)


@pytest.mark.parametrize(
    "text",
    [
        "upgrade to version 10.2.0.4",
        "listen on 127.0.0.1:8080 and 0.0.0.0",
        "the subnet 10.0.0.0/8",
        "use 8.8.8.8 as a resolver",
        "user@example.com and foo@bar.com are placeholders",
        "git@github.com:org/repo.git, noreply@github.com",
        "on 2023-10-05 at 12:30:45 we shipped 1.234.567 units",
        "numbers: 10 20 30 40 50 60 70 80",
        "order 4111111111111112",
        "epoch 1700000000000 and id 918273645546372819",
        "pi = 3.14159265358979",
        "In 1969 Apollo 11 landed; Boeing 737 Max 9; World War 2",
        "3 times the way, 12 more apples than a row of trees",
        "What is the average salary of a nurse?",
        "What are the symptoms of diabetes?",
        "Which president was born on 12 February 1809?",
        "the archive of the Stormlight series",
        "What medicine treats malaria?",
        "class Cancer(Model): pass",
        "x = np.array([[1, 2, 3], [4, 5, 6]])",
        "GDP per capita 2020: 48,000",
        "Act 3, scene 2, page 145-149",
        "f(12345678) = 87654321",
    ],
)
def test_public_text_is_left_alone(text: str) -> None:
    assert types(text) == set()


@pytest.mark.parametrize("number", ["4111111111111111", "5555555555554444", "378282246310005", "30569309025904"])
def test_any_wrong_digit_breaks_a_card(number: str) -> None:
    assert list(find_cards(Scan(number)))
    for place in range(len(number)):
        flipped = number[:place] + str((int(number[place]) + 1) % 10) + number[place + 1 :]
        assert not list(find_cards(Scan(flipped)))


@pytest.mark.parametrize("iban", ["DE89370400440532013000", "FR1420041010050500013M02606", "NL91ABNA0417164300"])
def test_any_wrong_digit_breaks_an_iban(iban: str) -> None:
    assert list(find_ibans(Scan(iban)))
    for place, c in enumerate(iban):
        if c.isdigit():
            flipped = iban[:place] + str((int(c) + 1) % 10) + iban[place + 1 :]
            assert not list(find_ibans(Scan(flipped)))


@pytest.mark.parametrize(
    "text",
    [
        "12345678A",
        "X1234567M",
        "RSSMRA85T10A562T",
        "529.982.247-26",
        "110105194912310021",
        "131052-308U",
        "2 55 08 14 168 025 39",
    ],
)
def test_a_wrong_check_character_is_no_identity_number(text: str) -> None:
    assert not list(find_national_ids(Scan(text)))


def test_aadhaar_by_verhoeff() -> None:
    valid = [n for n in range(10) if list(find_national_ids(Scan(f"2345 6789 012{n}")))]
    assert len(valid) == 1


def test_spans_point_at_the_value() -> None:
    text = "Grüße, write to lena@posteo.de or +49 170 1234567 İ"
    found = {s.type: text[s.start : s.end] for s in detectors.find(text)}
    assert found["email"] == "lena@posteo.de"
    assert found["phone"] == "+49 170 1234567"


def test_offsets_hold_where_lower_case_is_longer() -> None:
    text = "İİİİ my password is swordfish"
    (span,) = detectors.find(text)
    assert text[span.start : span.end] == "swordfish"


@settings(max_examples=300, deadline=None)
@given(st.text(alphabet=st.characters(codec=None), max_size=300))
def test_any_text_is_survived_and_offsets_are_inside(text: str) -> None:
    for span in detectors.find(text, detectors.STRICT):
        assert 0 <= span.start < span.end <= len(text)


@settings(max_examples=200, deadline=None)
@given(
    st.lists(
        st.sampled_from(
            [
                "password",
                "=",
                ":",
                "@",
                "+49",
                "4111",
                "-",
                " ",
                ".",
                "İ",
                "12",
                "key",
                "\n",
                "://",
                '"',
                "street",
                "GB82",
                "eyJ",
            ]
        ),
        max_size=60,
    )
)
def test_pieces_of_private_data_in_any_order(pieces: list[str]) -> None:
    text = "".join(pieces)
    assert detectors.find(text) == detectors.find(text)
    assert all(0 <= s.start < s.end <= len(text) for s in detectors.find(text))


HOSTILE = {
    "digits": "1",
    "digits and spaces": "12 ",
    "digits and dashes": "1-",
    "dots": "1.",
    "at signs": "a@",
    "mail parts": "a.",
    "password": "password",
    "password is": "password is ",
    "equals": "key=",
    "base64": "aB3/",
    "dashes": "-----BEGIN ",
    "capitals": "Aa 1 ",
    "streets": "12 Elm ",
    "colons": "a:",
    "hex colons": "ab:",
    "parentheses": "(((",
    "jwt": "eyJhbGci.",
    "identified": "create user identified by ",
    "quotes": "&quot;",
    "health": "my cancer ",
    "born": "date of birth ",
    "address": "lives at ",
    "spaces": " ",
    "newlines": "\n",
    "cjk": "密码",
    "urls": "https://a:",
    "flags": "--token ",
    "via": "via A ",
    "wide equals": "ｋｅｙ＝",
    "weak equals": "auth=",
    "calls": "key(",
    "named": "key_1",
    "short words": "pw1:",
    "pay": "i earn 1,1,1,1,",
    "plus": "+1",
    "iban": "DE89 ",
    "half a token": "eyJ-",
    "entities": "&#64;",
    "percent signs": "%41",
    "joints": '"+"',
    "lines of strings": '"\n"',
    "zero width": "1\u200b",
    "full width": "１",
    "said digits": "seven ",
    "said mails": "a dot b at ",
    "brackets": "[at]",
    "pass phrases": "password for the ",
    "as the": "x1y2z3 as the password ",
    "pairs": "login a/",
    "calls with quotes": 'auth=("a", ',
    "headings": "a,password\n",
    "seed": "seed phrase abandon ",
    "accounts": "account number ",
    "plates": "plate AB ",
    "coordinates": "lat 52.1234, ",
    "roads": "1-2路3",
    "hex text": "6161",
    "base64 text": "YWFh",
    "six groups": "ab:12:",
    "on names": "on Abcde ",
    "tails": "=\\n",
    "key kinds": '"kty":',
    "capitals and dots": "Ab. ",
    "months": "may 1 ",
    "ids": "id 1234567 ",
    "bars": "|",
    "ports": ":22:",
    "stars": "(*1.1.",
}


@pytest.mark.parametrize("unit", HOSTILE.values(), ids=HOSTILE)
def test_time_is_linear_on_hostile_texts(unit: str) -> None:
    """Doubling the text may not much more than double the time: the ratio, best of three, with a wide margin."""

    def cost(size: int) -> float:
        text = (unit * (size // len(unit) + 1))[:size]
        best = float("inf")
        for _ in range(3):
            begin = time.process_time()
            detectors.find(text, detectors.STRICT)
            best = min(best, time.process_time() - begin)
        return best

    small, large = cost(25_000), cost(100_000)
    assert large < 0.05 or large / small < 4 * 3


@pytest.mark.parametrize("unit", HOSTILE.values(), ids=HOSTILE)
def test_work_is_bounded_by_the_length(unit: str) -> None:
    """Steps of the interpreter, counted: overlapping matches that are each judged anew take two hundred a character."""
    text = (unit * (20_000 // len(unit) + 1))[:20_000]
    steps = 0

    def count(frame: object, event: str, argument: object) -> None:
        nonlocal steps
        steps += 1

    before = sys.getprofile()
    sys.setprofile(count)
    try:
        detectors.find(text, detectors.STRICT)
    finally:
        sys.setprofile(before)
    assert steps < 60 * len(text)


def _letters(number: int, size: int) -> str:
    digest = hashlib.sha512(str(number).encode()).digest()
    return base64.b64encode(digest).decode().replace("/", "a").replace("+", "b")[:size]


DISTINCT = {
    "keys": lambda n: "ghp_" + _letters(n, 36),
    "blobs": lambda n: _letters(n, 44),
    "addresses": lambda n: f"2a00:1:{n:04d}::7",
    "mails": lambda n: f"a{n}@b{n}.co",
}


@pytest.mark.parametrize("make", DISTINCT.values(), ids=DISTINCT)
@pytest.mark.parametrize("between", [" ", ","])
def test_time_is_linear_on_many_different_finds(make: Callable[[int], str], between: str) -> None:
    """A pass over the text for each of them, or over one long run that holds them all, would be quadratic."""
    finds = [make(number) for number in range(8000)]

    def cost(number: int) -> float:
        text, best = between.join(finds[:number]), float("inf")
        for _ in range(3):
            begin = time.process_time()
            detectors.find(text, detectors.STRICT)
            best = min(best, time.process_time() - begin)
        return best

    assert cost(8000) < cost(2000) * 9


def test_the_gate_needs_no_numpy() -> None:
    import subprocess

    code = (
        "import sys; import understudy.classifiers.gate, understudy.classifiers.steps; sys.exit('numpy' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=Path(__file__).parents[2], check=False).returncode == 0


def test_reprs_carry_no_text() -> None:
    assert "swordfish" not in repr(Scan("my password is swordfish"))
    assert repr(Span(1, 2, "email")) == "Span(start=1, end=2, type='email')"
