"""Texts with something private in them, and texts that only look so: frames, into which invented values are put.

A frame is written with {names} of the values below. Nothing here is taken from a data set.
"""

from __future__ import annotations

import re
import string
from collections.abc import Callable, Iterator
from random import Random

from tests.classifiers import invented as v

_MNEMONIC = [
    "abandon",
    "ability",
    "absent",
    "absorb",
    "abstract",
    "absurd",
    "account",
    "acid",
    "acoustic",
    "across",
    "actor",
    "adapt",
    "address",
    "adjust",
    "admit",
    "adult",
    "advance",
    "afford",
    "again",
    "agent",
    "album",
    "alcohol",
    "alert",
    "alien",
    "almost",
    "alone",
    "already",
    "also",
    "amount",
    "anchor",
    "ancient",
    "anger",
    "animal",
    "ankle",
    "answer",
    "antenna",
    "apple",
    "april",
    "arch",
    "arctic",
    "area",
    "arena",
    "argue",
    "armor",
    "army",
    "arrow",
    "artist",
]

Value = Callable[[Random], str]
HEX = "0123456789abcdef"
VALUES: dict[str, Value] = {
    "pw": v.password,
    "token": lambda r: v.mixed(r, r.choice((20, 24, 32, 40))),
    "hex": lambda r: v.some(r, HEX, r.choice((32, 40, 64))),
    "b64": lambda r: v.mixed(r, 43, v.BASE64) + "=",
    "aws": lambda r: "AKIA" + v.some(r, v.UPPER + "234567", 16),
    "awskey": lambda r: v.mixed(r, 40, v.BASE64),
    "gh": lambda r: "ghp_" + v.mixed(r, 36),
    "sk": lambda r: "sk-proj-" + v.mixed(r, 48),
    "stripe": lambda r: "sk_live_" + v.mixed(r, 24),
    "slack": lambda r: f"xoxb-{v.number(r, 12)}-{v.number(r, 12)}-{v.mixed(r, 24)}",
    "google": lambda r: "AIza" + v.mixed(r, 35),
    "jwt": lambda r: f"eyJhbGciOiJIUzI1NiJ9.eyJ{v.mixed(r, 40)}.{v.mixed(r, 43)}",
    "pemline": lambda r: v.mixed(r, 64, v.BASE64),
    "uuid": lambda r: "-".join(v.some(r, HEX, n) for n in (8, 4, 4, 4, 12)),
    "wif": lambda r: r.choice("KL") + v.some(r, v.BASE58, 51),
    "words": lambda r: " ".join(r.sample(_MNEMONIC, 12)),
    "bcrypt": lambda r: "$2b$12$" + v.some(r, v.LETTERS + v.DIGITS + "./", 53),
    "shadow": lambda r: "$6$" + v.mixed(r, 12) + "$" + v.some(r, v.LETTERS + v.DIGITS + "./", 86),
    "ntlm": lambda r: v.some(r, HEX, 32) + ":" + v.some(r, HEX, 32),
    "user": lambda r: r.choice(("admin", "svc_build", "kim", "postgres", "deploy", "root")),
    "host": lambda r: r.choice(("db.internal", "10.2.4.8", "prod-db-1", "mail.firma.de", "cache.svc")),
    "email": v.email,
    "card": lambda r: v.spaced(v.card(r), r.choice((" ", "-"))),
    "rawcard": v.card,
    "cvv": lambda r: v.number(r, 3),
    "expiry": lambda r: f"{r.randint(1, 12):02d}/{r.randint(27, 33)}",
    "iban": v.iban,
    "ibans": lambda r: v.spaced(v.iban(r)),
    "cpf": v.cpf,
    "cnpj": v.cnpj,
    "dni": v.dni,
    "nie": v.nie,
    "pesel": v.pesel,
    "bsn": v.bsn,
    "sin": v.sin,
    "tfn": v.tfn,
    "pnr": v.personnummer,
    "hetu": v.hetu,
    "nhs": v.nhs,
    "nir": v.nir,
    "steuer": v.steuer_id,
    "china": v.china,
    "korea": v.korea,
    "inn": v.inn,
    "snils": v.snils,
    "tckn": v.tckn,
    "aadhaar": v.aadhaar,
    "imei": v.imei,
    "ip": v.ip,
    "ip6": v.ip6,
    "mac": v.mac,
    "person": v.person,
    "first": lambda r: r.choice(v.FIRST),
    "last": lambda r: r.choice(v.LAST),
    "ssn": lambda r: f"{r.randint(101, 665)}-{r.randint(10, 99)}-{r.randint(1000, 9999)}",
    "rawssn": lambda r: f"{r.randint(101, 665)}{r.randint(10, 99)}{r.randint(1000, 9999)}",
    "nino": lambda r: (
        f"{r.choice(('AB', 'CE', 'JK', 'PW'))} {v.number(r, 2)} {v.number(r, 2)} {v.number(r, 2)} {r.choice('ABCD')}"
    ),
    "pan": lambda r: f"{v.some(r, v.UPPER, 3)}P{v.some(r, v.UPPER, 1)}{v.number(r, 4)}{v.some(r, v.UPPER, 1)}",
    "passport": lambda r: v.some(r, v.UPPER, r.choice((1, 2))) + v.number(r, 7),
    "n4": lambda r: v.number(r, 4),
    "n6": lambda r: v.number(r, 6),
    "n8": lambda r: v.number(r, 8),
    "n9": lambda r: v.number(r, 9),
    "n10": lambda r: v.number(r, 10),
    "n12": lambda r: v.number(r, 12),
    "house": lambda r: str(r.randint(2, 190)),
    "us": lambda r: f"({r.randint(201, 989)}) {r.randint(210, 989)}-{v.number(r, 4)}",
    "usdots": lambda r: f"{r.randint(201, 989)}.{r.randint(210, 989)}.{v.number(r, 4)}",
    "intl": lambda r: (
        "+"
        + r.choice(
            ("49 170 ", "33 6 ", "48 601 ", "34 612 ", "39 347 ", "55 11 9", "91 98", "81 90-", "90 532 ", "7 916 ")
        )
        + f"{v.number(r, 3)} {v.number(r, 2)} {v.number(r, 2)}"
    ),
    "phone8": lambda r: f"{v.number(r, 4)} {v.number(r, 4)}",
    "fr": lambda r: "06 " + " ".join(v.number(r, 2) for _ in range(4)),
    "de": lambda r: f"0{r.choice(('30', '89', '171', '160'))}/{v.number(r, 7)}",
    "pl": lambda r: f"{r.randint(501, 799)} {v.number(r, 3)} {v.number(r, 3)}",
    "cn": lambda r: "138" + v.some(r, v.DIGITS, 8),
    "jp": lambda r: f"090-{v.number(r, 4)}-{v.number(r, 4)}",
    "kr": lambda r: f"010-{v.number(r, 4)}-{v.number(r, 4)}",
    "saidphone": lambda r: " ".join(
        r.choice(["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]) for _ in range(10)
    ),
    "iso": lambda r: "{:04d}-{:02d}-{:02d}".format(*v.date(r)),
    "eu": lambda r: "{2:02d}.{1:02d}.{0:04d}".format(*v.date(r)),
    "usdate": lambda r: "{1:02d}/{2:02d}/{0:04d}".format(*v.date(r)),
    "plate": lambda r: f"{v.some(r, v.UPPER, 2)}{v.number(r, 2)} {v.some(r, v.UPPER, 3)}",
    "swift": lambda r: "COBADEFF" + v.number(r, 3),
    "lat": lambda r: f"{r.randint(36, 59)}.{v.number(r, 6)}",
    "lon": lambda r: f"{r.randint(2, 29)}.{v.number(r, 6)}",
    "vin": lambda r: "WVWZZZ1JZ" + r.choice("XY12") + "W" + v.number(r, 6),
    "pay": lambda r: f"{r.randint(31, 190)},{v.number(r, 3)}",
    "price": lambda r: f"{r.randint(3, 99)}.{r.randint(10, 99)}",
    "version": lambda r: f"{r.randint(0, 20)}.{r.randint(0, 30)}.{r.randint(0, 40)}",
    "isbn": lambda r: f"978-3-{v.number(r, 2)}-{v.number(r, 6)}-{r.randint(0, 9)}",
    "sha1": lambda r: v.some(r, HEX, 40),
    "sha256": lambda r: v.some(r, HEX, 64),
    "nano": lambda r: v.some(r, string.ascii_lowercase + v.DIGITS, 12),
}

SECRETS = r"""
DB_PASSWORD={pw}
export DATABASE_PASSWORD="{pw}"
  password: {pw}
db:\n  user: {user}\n  pass: "{pw}"
"clientSecret": "{token}",
{"user":"{user}","password":"{pw}"}
[database]\nuser = {user}\npassword = {pw}
spring.datasource.password={pw}
jdbc.password : {pw}
<property name="password" value="{pw}"/>
<add key="ApiSecret" value="{token}" />
<connectionString>Server=tcp:{host},1433;User ID={user};Password={pw};Encrypt=True</connectionString>
variable "db_password" {\n  default = "{pw}"\n}
ENV API_TOKEN {token}
ENV SECRET_KEY={token}
ARG NPM_TOKEN={token}
curl -H 'X-Api-Key: {token}' https://api.firma.de/v1
curl -u {user}:{pw} https://{host}/x
curl --user "{user}:{pw}" https://{host}/x
wget --http-password={pw} --http-user={user} https://{host}
Cookie: sessionid={hex}; csrftoken={token}
Set-Cookie: auth_token={token}; Path=/; HttpOnly
postgresql://{user}:{pw}@{host}:5432/app
redis://:{pw}@{host}:6379/0
mongodb+srv://{user}:{pw}@cluster.abc.net/test
amqp://{user}:{pw}@{host}/vhost
ftp://{user}:{pw}@{host}/in
https://{user}:{pw}@git.firma.de/team/app.git
jdbc:mysql://{host}/app?user={user}&password={pw}
sqlcmd -S {host} -U {user} -P {pw}
PGPASSWORD={pw} psql -h {host} -U {user}
mysql -h {host} -u {user} -p{pw} shop
sshpass -p {pw} ssh {user}@{host}
docker login -u {user} -p {pw} registry.firma.de
net use Z: \\\\{host}\\share {pw} /user:{user}
$env:API_KEY = "{token}"
set API_KEY={token}
const apiKey = '{token}';
let secret = `{token}`
private static final String API_KEY = "{token}";
API_KEY: str = "{token}"
apiKey := "{token}"
var password string = "{pw}"
$password = '{pw}';
define('DB_PASSWORD', '{pw}');
config.secret_key_base = "{hex}"
:password => "{pw}",
password <- "{pw}"
#define WIFI_PASS "{pw}"
let password: &str = "{pw}";
passwd="{pw}"
auth = ("{user}", "{pw}")
requests.get(url, auth=("{user}", "{pw}"))
session.login('{user}', '{pw}')
client.connect("{host}", username="{user}", password="{pw}")
conn = psycopg2.connect(host="{host}", password='{pw}')
headers = {"Authorization": "Bearer {token}"}
Authorization: Basic {b64}
Authorization: token {hex}
x-auth-token: {token}
PRIVATE-TOKEN: {token}
AWS_ACCESS_KEY_ID={aws}
aws_secret_access_key = {awskey}
AccountKey={b64};EndpointSuffix=core.windows.net
key = {gh}
see {gh} in the log
{sk}
the key {stripe} leaked
{slack}
GET /maps/api?key={google}
token {jwt}
{pemline}
-----BEGIN RSA PRIVATE KEY-----\n{pemline}\n{pemline}
"-----BEGIN PRIVATE KEY-----\\n{pemline}\\n"
+ "{pemline}\\n" +
#8 1.203 {pemline}
wallet {wif}
seed phrase: {words}
mnemonic = "{words}"
my recovery phrase is {words}
root:{shadow}:19000:0:99999:7:::
{user}:{bcrypt}
htpasswd {user}:$apr1$k3Jd92ls$9sKd03lsKd92lsKd03lsK0
{user}:1001:{ntlm}:::
//registry.npmjs.org/:_authToken={token}
machine api.firma.de login {user} password {pw}
{host}:5432:app:{user}:{pw}
login: {user} / {pw}
user {user} pw {pw}
username={user} password={pw}
ID:{user},PW:{pw}
{user}/{pw} is the login
Login: {user}\nPassword: {pw}
| {user} | {pw} | password |
Passwort: {pw}
Das Passwort lautet {pw}
Kennwort={pw}
mot de passe : {pw}
le mot de passe est {pw}
contraseña: {pw}
la clave es {pw}
password: {pw} (è la parola d'ordine)
la password è {pw}
senha: {pw}
a senha é {pw}
wachtwoord: {pw}
het wachtwoord is {pw}
hasło: {pw}
hasło to {pw}
пароль: {pw}
мой пароль {pw}
şifre: {pw}
parola: {pw}
كلمة المرور: {pw}
पासवर्ड: {pw}
密码是{pw}
密码：{pw}
パスワードは{pw}です
パスワード：{pw}
비밀번호: {pw}
my password is {pw}
The admin password for the router is {pw}
the passcode is {n6}
PIN: {n4}
my pin is {n4}
the wifi key is {pw}
Use {pw} as the password
here is our api key {token}
client_id=app&client_secret={token}&grant_type=x
?access_token={token}&x=1
https://api.firma.de/v2?api_key={hex}
"token" : "{hex}"
TOKEN="{hex}"
secret: {uuid}
api_key = "{uuid}"
HMAC key {hex}
encryption_key: {hex}
signing_secret: {hex}
salt = "{hex}"
{"kty":"oct","k":"{token}"}
data:\n  password: {pwb64}
echo {pwassignb64} | base64 -d
password = "{pwa}" + "{pwb}"
pw = '{pwa}' {bs}\n     '{pwb}'
token = "{gha}" + "{ghb}"
key: {gha}{bs}\n  {ghb}
password&#61;{pw}
password%3D{pw}
\u0070assword={pw}
p&#97;ssword: {pw}
pass{zw}word: {pw}
ｐａｓｓｗｏｒｄ＝{pw}
otpauth://totp/firma:{user}?secret=JBSWY3DPEHPK3PXPKRZW&issuer=x
ConvertTo-SecureString "{pw}" -AsPlainText
CREATE USER {user} WITH PASSWORD '{pw}';
ALTER USER {user} IDENTIFIED BY "{pw}";
GRANT ALL ON x.* TO '{user}'@'%' IDENTIFIED BY '{pw}'
ansible_ssh_pass={pw}
snmp-server community {token} RO
enable secret 5 $1$mERr$hx5rVt7rPNoS4wqbXKX7m0
wpa_passphrase home {pw}
psk="{pw}"
smtp_pass => '{pw}'
MAIL_PASSWORD={pw}
"pwd": "{pw}"
<password>{pw}</password>
<wsse:Password Type="x">{pw}</wsse:Password>
"authorization": "{token}"
"refresh_token":"{token}"
webhook https://hooks.slack.com/services/T02AB3CD4/B05EF6GH7/{mixed24}
"""

PERSONAL = r"""
write to {email}
"email": "{email}",
{person},{email},{n6}
mailto:{email}
reach me at {mailat}
{maildot}
contact: {mailbrackets}
E-Mail: {email}
correo: {email}
почта {email}
邮箱：{email}
my number is {us}
call {usdots} after six
{"phone":"{intl}"}
Tel. {de}
Tél : {fr}
tel. kom. {pl}
手机{cn}
電話 {jp}
전화 {kr}
Handy: {intl}
mobiel {intl}
тел. {intl}
हाथ फोन {intl}
هاتف {intl}
phone: {phone8}
my phone is {saidphone}
celular (11) 9{phone8}
Meine Nummer: {de}
numer telefonu {pl}
telefon: 0532 {n3} {n2} {n2}
WhatsApp {intl}
cell {us}
card {card}
{rawcard}
card {card} exp {expiry} cvv {cvv}
pan={rawcard}
Kreditkarte {card}
numéro de carte {card}
{"card_number": "{rawcard}", "cvv": "{cvv}"}
CVV {cvv}, valid thru {expiry}
card ending in {n4}, exp {expiry}, cvc {cvv}
tarjeta {card}
карта {card}
卡号 {rawcard}
IBAN {iban}
{ibans}
pay to {ibans} please
BIC {swift}, Konto {n10}
SWIFT code {swift}
routing number {routing} account {n10}
sort code 20-45-{n2} account {n8}
account number: {n10}
Kontonummer {n10} BLZ {n8}
bank account {n9}
RIB 30004 00{n3} 000{n8} 43
CLABE 0321800001{n8}
IFSC HDFC0{n6}, a/c {n12}
SSN {ssn}
my social is {rawssn}
social security number {rawssn}
{"ssn":"{ssn}"}
NINO {nino}
national insurance {nino}
SIN {sin}
TFN {tfn}
Aadhaar {aadhaar}
PAN {pan}
CPF {cpf}
{cpf}
CNPJ {cnpj}
DNI {dni}
NIE {nie}
BSN {bsn}
burgerservicenummer {bsn}
PESEL {pesel}
personnummer {pnr}
{pnr}
henkilötunnus {hetu}
AHV 756.{n4}.{n4}.{n2}
NIR {nir}
numéro de sécu {nir}
Steuer-ID {steuer}
Steuernummer {n2}/{n3}/{n5}
身份证号 {china}
주민등록번호 {korea}
ИНН {inn}
СНИЛС {snils}
TC kimlik no {tckn}
CURP {curp}
NHS number {nhs}
Medicare 2{n3} {n5} 1
マイナンバー {n12}
HKID A{n6}(3)
passport {passport}
Passport No: {passport}
Reisepass C01X{n5}
passeport n° {n2}AB{n5}
паспорт {n4} {n6}
护照 E{n8}
driver's license {passport}
driving licence MORGA{n6}SM9IJ
DL: {passport}
Führerschein B072RRE{n4}
permis {n12}
license plate {plate}
Kennzeichen B-AB {n4}
my car, plate {plate}
VIN {vin}
MRN {n8}
medical record {n8}
patient id {n8}
insurance policy {passport}
Versichertennummer A{n9}
member ID {passport}
student id {n8}
employee number {n6}
customer {person}, account {n9}
IMEI {imei}
device {mac}
MAC {macdash}
from {ip} at noon
{"client_ip":"{ip}"}
{ip} - - [10/Oct/2023:13:55:36 +0000] "GET / HTTP/1.1" 200 23
{ip6}
Accepted password for {user} from {ip} port 22
I am at {lat}, {lon}
GPS: {lat}° N, {lon}° E
"latitude": {lat}, "longitude": {lon}
location {lat},{lon}
{person}, born {iso}
DOB {usdate}
dob: {iso}
Geburtsdatum: {eu}
geb. {eu}
{person} (*{eu})
né le {eu2}
fecha de nacimiento {eu2}
data di nascita: {eu2}
geboren op {eu2}
data urodzenia {eu}
дата рождения {eu}
doğum tarihi {eu}
تاريخ الميلاد {iso}
जन्म तिथि {eu2}
出生日期 {iso}
生年月日 {iso}
생년월일 {iso}
{"birth_date":"{iso}"}
date_of_birth,{iso}
I live at {house} Maple Street, Springfield, IL 62704
{house} Elm Ave Apt 4B
ship to {house} King's Road, London SW3 5UZ
{house} Oak Hill Dr., Austin, TX 78701
PO Box {n4}, Dallas
Musterweg {house}, 10115 Berlin
{last}straße {house}, 80331 München
wohnhaft in der Lindenallee {house}
{house} rue Victor Hugo, 75011 Paris
j'habite au {house} avenue de la République
Calle de Alcalá {house}, 28014 Madrid
vivo en la calle Mayor, {house}
Via Garibaldi {house}, 20121 Milano
abito in via Roma {house}
Rua Augusta {house}, São Paulo
Avenida Paulista, {house}
Keizersgracht {house}, 1015 CS Amsterdam
woon op Dorpsstraat {house}
ul. Marszałkowska {house}, 00-590 Warszawa
mieszkam na ul. Długiej {house}
ул. Ленина, д. {house}, кв. 4
живу на улице Пушкина {house}
Atatürk Caddesi No: {house}, Ankara
İstiklal Cad. {house}
شارع الملك فهد {house}، الرياض
{house} MG Road, Bengaluru 560001
मकान नंबर {house}, गांधी रोड, दिल्ली
北京市朝阳区建国路{house}号
我住在上海市南京西路{house}号
東京都渋谷区神南1-{house}-3
서울시 강남구 테헤란로 {house}
Storgatan {house}, 111 22 Stockholm
{house} Bridge St, Sydney NSW 2000
{house} Queen St W, Toronto, ON M5H 2M9
Hauptstr. {house}\n50667 Köln
I was diagnosed with lupus in May
my mother has dementia
my HIV test came back positive
Patient {person}, diagnosis F32.1
ich habe Diabetes Typ 2
j'ai un cancer du sein
tengo depresión y tomo sertralina
ho la sclerosi multipla
tenho HIV positivo
ik heb kanker
mam cukrzycę
у меня диабет
bende şeker hastalığı var
我有糖尿病
私はうつ病です
저는 우울증이 있습니다
my salary is ${pay}
I earn {pay} EUR a year
mein Gehalt beträgt {pay} Euro
mon salaire est de {pay} €
gano {pay} euros al año
guadagno {pay} euro
ganho R$ {pay} por mês
zarabiam {pay} zł
моя зарплата {pay} руб
maaşım {pay} TL
我的工资是{n5}元
employee {person}: salary {pay} USD
first_name,last_name,email,phone\n{first},{last},{email},{n10}
Name: {person}\nPhone: {us}\nEmail: {email}
<name>{person}</name><ssn>{ssn}</ssn>
{person} {us}
{mailb64}
card ４１１１ {wide}
c&#97;ll +49&#32;170&#32;{n7}
{emailent}
ssn: {ssnzero}
username {user}_{n2}, password hunter{n2}x
"""

PUBLIC = r"""
id: {uuid}
commit {sha1}
sha256:{sha256}
"integrity": "sha512-{b64}"
MD5 {md5}
version {version}
requests=={version}
python 3.11.2 on linux
ISBN {isbn}
order number {n8}
Order #{n6} costs ${price}
invoice 2023-{n4}
ticket JIRA-{n4}
build {n6} finished in {price} s
api_key = "YOUR_API_KEY"
password: <your-password>
PASSWORD=changeme
export TOKEN=$GITHUB_TOKEN
password = os.getenv("DB_PASSWORD")
apiKey: process.env.API_KEY
password: ${DB_PASSWORD}
password = "{{ vault_password }}"
token = ${{ secrets.GITHUB_TOKEN }}
def check_password(password: str) -> bool:
if (password.length < 8) throw new Error("password too short")
SELECT password FROM users WHERE id = ?
<input type="password" name="password" id="password">
password = getpass.getpass("Password: ")
user.password = hash_password(form.password.data)
tokens = tokenizer.encode(text); n_tokens = {n4}
const key = Object.keys(map)[0];
for key, value in items.items(): print(key)
primary key (id), foreign key (user_id) references users(id)
public static final String TOKEN_NAME = "access_token";
max_tokens={n4}, temperature=0.2
mail user@example.com or admin@example.org
call 555-0123 in the film
The Apollo 11 mission landed on July 20, 1969.
Albert Einstein was born on 14 March 1879 in Ulm.
Who was the president of France in 1995?
Angela Merkel wurde 1954 in Hamburg geboren.
La Revolución francesa comenzó en 1789.
The population of Norway is 5,{n3},{n3}.
It costs {price} EUR, or {price} with tax.
GDP grew {price}% in 2019 to 21.4 trillion dollars
pi is 3.14159265358979
x = [{n4}, {n4}, {n4}, {n4}]
{price},{price},{price},{price}
2023-10-05T12:30:45Z INFO started
timestamp {epoch}
localhost:8080, 127.0.0.1, 0.0.0.0
subnet 10.0.0.0/8 and 192.168.0.0/16
DNS 8.8.8.8
rgb(12, 200, 30) #ff8800
width: 1280px; height: 720px; z-index: {n4}
data:image/png;base64,iVBORw0KGgo{png}
function a(b){return b.map(function(c){return c*2}).filter(Boolean)}!function(e,t){e.exports=t()}(this,function(){})
lorem ipsum dolor sit amet consectetur adipiscing elit sed do eiusmod tempor
getUserAuthenticationTokenFromRequestHeaderOrCookieValue
com.firma.service.authentication.AbstractTokenAuthenticationProvider
https://github.com/org/repo/blob/{sha1}/src/main.py
https://www.youtube.com/watch?v=dQw4w9WgXcQ
https://docs.python.org/3/library/re.html#re.compile
/usr/lib/x86_64-linux-gnu/libssl.so.1.1
The password must have at least 12 characters.
How do I reset my password?
What is an API key and how does OAuth 2.0 work?
Passwort vergessen? Hier klicken.
¿Cómo cambio mi contraseña?
Comment changer mon mot de passe ?
如何重置密码？
パスワードを忘れた場合
What is the IBAN format of Germany?
How do I validate a credit card number with Luhn?
The IP address 0.0.0.0 means all interfaces.
What are the symptoms of diabetes?
How is cancer treated today?
What is the average salary of a nurse in 2022?
Write a poem about the street where roses grow.
Explain the difference between TCP port 443 and 80.
There are 12 apples and 30 oranges in 4 boxes.
A train leaves at 10:45 and arrives at 14:20, 312 km away.
Chapter 12, page 345-349
Room 204, floor 3, seat 14C
Flight LH {n4} departs from gate B12
Windows 10 build 19045.3324
Linux 6.1.0-18-amd64 #1 SMP
Model X-{n4} from 2021
The Beatles released Abbey Road in 1969.
24 hours a day, 7 days a week, 365 days a year
Mix 250 g flour, 2 eggs and 125 ml milk; bake 40 minutes at 180 °C.
{n4} + {n4} = {n5}
f({n3}) = {n6}
0x{hex8} 0b101101
#include <stdio.h>\nint main(void) { return 0; }
git checkout -b feature/login-form && git push origin HEAD
kubectl get pods -n prod -o wide
npm install --save-dev typescript@{version}
{"id": {n6}, "name": "Widget", "price": {price}, "tags": ["a", "b"]}
[ERROR] 2023-01-02 03:04:05,678 worker-{n2}: timeout after 30000 ms
Traceback (most recent call last):\n  File "app.py", line {n3}, in <module>
SELECT * FROM orders WHERE total > {n3} AND created_at > '2020-01-01'
<svg viewBox="0 0 24 24"><path d="M12 2C6.48 2 2 6.48 2 12s4.48 10 10 10 10-4.48 10-10"/></svg>
color: #336699; margin: 0 auto 12px;
aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa
ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/
0123456789abcdef0123456789abcdef
test vector: key = 000102030405060708090a0b0c0d0e0f
ACGTACGTTAGCCATACGATCGATCGGCTA
e4 e5 Nf3 Nc6 Bb5 a6 Ba4 Nf6 O-O
Das Konzert beginnt um 20 Uhr im Saal 3.
Le musée ouvre à 9 h 30 et ferme à 18 h.
El partido terminó 3-2 en el minuto 90.
Il treno parte alle 8:15 dal binario 4.
O filme dura 120 minutos e foi lançado em 2019.
De winkel is open van 9 tot 17 uur.
Pociąg odjeżdża o 12:40 z peronu 2.
Поезд отправляется в 10:30 с платформы 5.
Tren saat 9:45'te kalkıyor.
会议在3楼301室，时间是下午2点。
この本は2015年に出版されました。
이 책은 2015년에 출판되었습니다.
يبدأ الاجتماع الساعة 10 صباحا
बैठक सुबह 10 बजे शुरू होगी
placeholder: ********
password: ********
Authorization: Bearer <token>
Authorization: Bearer $TOKEN
curl -u username:password https://example.com
postgres://user:password@localhost:5432/db
-----BEGIN CERTIFICATE-----
ssh-keygen -t ed25519 -C "comment"
etag: "{md5}"
x-request-id: {uuid}
doi:10.1000/{n6}
arXiv:2301.{n5}
tracking 1Z999AA1{n8}
SKU {sku}
part number {sku}
EAN 40{n10}
Section 230(c)(1) of the Act of 1996
Psalm 23:1-6, John 3:16
{first} has 5 apples and gives {first} 2 of them.
Im Jahr 1999 kamen 300 Menschen nach Berlin, davon 36 aus Hamburg.
Der Zug ICE 578 fährt um 14:05 Uhr von Gleis 7 ab und kostet 49,90 Euro.
Wie hoch ist der Kölner Dom? 157 Meter.
Bitte fasse Kapitel 4 auf Seite 112 bis 118 zusammen.
Das Passwort muss mindestens 12 Zeichen haben, davon 1 Zahl.
Wie setze ich mein Passwort bei Windows 11 zurück?
Le train de 8 h 12 arrive à la gare 3 minutes en retard.
La tour Eiffel mesure 330 mètres et a été construite en 1889.
Comment changer le mot de passe sous Windows 10 ?
Quelle est la capitale de l'Australie et sa population en 2020 ?
El Quijote fue publicado en 1605 y tiene 126 capítulos.
¿Cuántos habitantes tiene Madrid en 2023?
La clave está en la paciencia; el secreto es 50% trabajo.
La contraseña debe tener 8 caracteres y 2 números.
Il Colosseo fu costruito nel 72 dopo Cristo e poteva contenere 50000 spettatori.
La password deve contenere almeno 8 caratteri.
A senha deve ter 8 caracteres, incluindo 1 número.
O Brasil ganhou a Copa de 1970 por 4 a 1.
Het wachtwoord moet minimaal 10 tekens bevatten.
De trein naar Utrecht vertrekt om 10.45 van spoor 5b.
Hasło musi mieć co najmniej 8 znaków i 1 cyfrę.
Bitwa pod Grunwaldem odbyła się 15 lipca 1410 roku.
Пароль должен содержать не менее 8 символов.
Война и мир вышла в 1869 году, в ней 1225 страниц.
Şifre en az 8 karakter olmalı.
İstanbul'un nüfusu 2022 yılında 15 milyon 907 bin.
密码必须至少包含8个字符。
中国有34个省级行政区，人口约14亿。
第3章第12页的图表说明了什么？
パスワードは8文字以上で入力してください。
富士山の高さは3776メートルです。
비밀번호는 8자 이상이어야 합니다.
서울의 인구는 2023년 기준 940만 명입니다.
كلمة المرور يجب أن تحتوي على 8 أحرف.
पासवर्ड में कम से कम 8 अक्षर होने चाहिए।
भारत 1947 में स्वतंत्र हुआ।
The account manager said order 4471 ships on Monday.
Our account grew by 20 percent in 2022.
The plate weighs 450 g and costs 12 dollars.
Visa issued 12345678 cards last year worldwide.
The compute plan has 16 vCPU, 64 GB RAM and 1024 GB disk.
Set the pin 13 to output and pin 12 to input on the Arduino.
GPIO pin 1024 does not exist.
The token limit is 128000 and each token costs 0.000002 dollars.
Use HTTP status 404 or 500; port 5432 for Postgres.
Convert 98.6 F to Celsius and 100 km to miles.
In Python, `password_hash = bcrypt.hashpw(pw, bcrypt.gensalt(12))`.
assert hash("abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
user = User.objects.get(pk=12345678)
const TOKEN_EXPIRY = 3600; const MAX_LOGIN_ATTEMPTS = 5;
login(username, password) returns a token or raises AuthError401
print(f"Hello {user.name}, your score is {score:.2f}")
public class LoginController2 extends BaseController { private String password; }
POST /api/v1/login HTTP/1.1
db.users.createIndex({ email: 1 }, { unique: true })
docker run -p 8080:80 -e POSTGRES_PASSWORD=secret postgres:16
kubectl create secret generic db --from-literal=password=$DB_PASSWORD
ssh -p 2222 user@host.example.com
git clone git@github.com:torvalds/linux.git
pip install torch==2.3.1+cu121 --index-url https://download.pytorch.org/whl/cu121
sha1sum file.iso  # 2fd4e1c67a2d28fced849ee1bb76e7391b93eb12
<a href="https://example.com/reset?lang=en&step=2">Reset password</a>
{"type": "object", "properties": {"password": {"type": "string", "minLength": 8}}}
The Treaty of Versailles was signed on 28 June 1919 in the Hall of Mirrors.
Elizabeth II was born on 21 April 1926 and died in 2022.
Napoleon, born 15 August 1769, died on Saint Helena.
Solve 3x + 5 = 20 and x^2 - 4x + 4 = 0.
A rectangle is 12 by 30 cm; its diagonal is 32.31 cm.
The melting point of iron is 1538 °C, of gold 1064.18 °C.
Avogadro's number is 6.02214076e23.
NGC 1300, M 31 and HD 209458 b are objects in the sky.
RFC 2616, ISO 9001, DIN 476 and IEEE 802.11ax are standards.
Bach's BWV 1007 and Mozart's KV 525
Boeing 747-400, Airbus A320neo, Mi-24
CAS 7732-18-5 is water; the EC number is 231-791-2.
The ICD code for flu is J11.1; what does it mean?
What does blood pressure of 120/80 mean?
How many weeks is a pregnancy?
Is cancer hereditary?
What is the salary of a senator in the US?
The company's income rose to 3,400,000 dollars.
My favorite number is 7 and I like 3 cats.
I have 3 apples and my brother has 5; who has more?
My train leaves at 9:40, platform 12.
We met 25 clients in 14 cities over 3 months.
The meeting is at 3 pm in room 402, building 7.
Write a regex for phone numbers like (xxx) xxx-xxxx
How do I mask an IBAN in Java?
Explain SSN format XXX-XX-XXXX
Generate a fake credit card number for testing
The key to success is 90% practice. Keys: 12, 34.
secret sauce, secret garden, secretary 2 of 3
The pass was closed; bypass 12 was open. Passage 3.
Authentication: 2 factors. Authorization: 3 roles.
checksum: 0xDEADBEEF, magic 0xCAFEBABE
MAC address format is six groups of two hex digits like 00:00:00:00:00:00
fe80::1 and ::1 are link-local and loopback
The subnet mask is 255.255.255.0
Chrome/120.0.0.0 Safari/537.36
Version 10.0.19045.3324 of Windows
"lodash": "^4.17.21", "react": "18.2.0"
color palette: #1a2b3c, #4d5e6f, #778899
latitude of Paris? longitude of Tokyo?
Lat. 48 N is warm; it was 3.1415 and 2.7182.
{first} ran {n2} miles in {n2} minutes.
"""


def _more(rng: Random) -> dict[str, str]:
    """Values made of others: in two parts, coded, written otherwise."""
    key, secret, mail, digits = VALUES["gh"](rng), v.mixed(rng, 14), v.email(rng), v.number(rng, 12)
    name, _, host = mail.partition("@")
    routing = v.number(rng, 8)
    check = -sum(int(c) * w for c, w in zip(routing, (3, 7, 1, 3, 7, 1, 3, 7), strict=True)) % 10
    ssn = VALUES["ssn"](rng)
    return {
        "pwb64": v.coded(v.password(rng)),
        "pwassignb64": v.coded(f"password={v.password(rng)}\n"),
        "pwa": secret[:6],
        "pwb": secret[6:],
        "gha": key[:18],
        "ghb": key[18:],
        "mixed24": v.mixed(rng, 24),
        "mailat": f"{name} at {host.replace('.', ' dot ')}",
        "maildot": f"{name.replace('.', ' dot ')} at {host.replace('.', ' dot ')}",
        "mailbrackets": f"{name} [at] {host.replace('.', ' [dot] ')}",
        "mailb64": v.coded(f"{v.person(rng)} <{mail}>"),
        "emailent": mail.replace("@", "&#64;").replace(".", "&#46;"),
        "bs": "\\",
        "zw": "\u200b",
        "n2": digits[:2],
        "n3": digits[:3],
        "n5": digits[:5],
        "n7": digits[:7],
        "routing": f"{routing}{check}",
        "curp": f"GARC{rng.randrange(60, 99)}{rng.randint(1, 12):02d}15HDFRRL0{rng.randrange(10)}",
        "macdash": v.mac(rng, "-"),
        "eu2": "{2:02d}/{1:02d}/{0:04d}".format(*v.date(rng)),
        "wide": "１１１１ １１１１ １１１１",
        "ssnzero": ssn[:5] + "\u200b" + ssn[5:],
        "md5": v.some(rng, HEX, 32),
        "epoch": str(rng.randrange(1_600_000_000, 1_700_000_000)),
        "png": v.mixed(rng, 200, v.BASE64),
        "hex8": v.some(rng, HEX, 8),
        "sku": f"{v.some(rng, v.UPPER, 3)}-{v.number(rng, 5)}",
    }


def filled(frame: str, rng: Random, put: list[tuple[str, str]] | None = None) -> str:
    """A frame with fresh values; put: takes what was put in, as (name, value)."""
    text = frame.replace("\\\\", "\0").replace("\\n", "\n").replace("\0", "\\")
    more: dict[str, str] = {}

    def value(match: re.Match[str]) -> str:
        nonlocal more
        name = match[1]
        if name not in VALUES and not more:
            more = _more(rng)
        if name not in VALUES and name not in more:
            return match.group()
        found = VALUES[name](rng) if name in VALUES else more[name]
        if put is not None:
            put.append((name, found))
        return found

    return re.sub(r"\{(\w+)\}", value, text)


def texts(frames: str, rng: Random, each: int = 1) -> Iterator[tuple[str, str]]:
    """(frame, text) for every frame, filled as often as asked."""
    for frame in frames.strip().splitlines():
        for _ in range(each):
            yield frame, filled(frame, rng)
