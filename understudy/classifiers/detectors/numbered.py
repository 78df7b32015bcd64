"""Numbers behind a word that says whose they are: accounts, papers, policies, records, devices, plates, coordinates."""

from __future__ import annotations

import re
from collections.abc import Iterator

from understudy.classifiers.detectors.scan import Needles, Scan, listed
from understudy.types import Span

_PAPERS = Needles(
    *listed(
        "passport|reisepass|passnummer|passeport|pasaporte|passaporto|passaporte|paspoort|paszport|pasaport|паспорт|"
        "загранпаспорт|護照|护照|パスポート|旅券|여권|جواز|पासपोर्ट|driver's license|drivers license|driver license|"
        "driver's licence|driving licence|driving license|driver’s license|driver_license|drivers_license|"
        "driverlicense|"
        "führerschein|permis de conduire|permis|licencia de conducir|carnet de conducir|patente di guida|patente|cnh|"
        "carta de condução|rijbewijs|prawo jazdy|ehliyet|водительск|驾驶证|駕照|運転免許|운전면허|dl#|dl:|dl no|"
        "dl number|"
        "licence number|license number|license no|identity card|identity number|id card|id number|id no|"
        "personalausweis|"
        "ausweisnummer|ausweis|carte d'identité|cni|documento de identidad|carta d'identità|cartão de cidadão|"
        "identiteitskaart|dowód osobisty|dowod|kimlik|удостоверен|身份证|身分證|身份證|주민등록|रहवासी|"
        "visa number|visa no|"
        "green card|alien number|uscis|voter id|epic number"
    )
)
_STATE = Needles(
    *listed(
        "ssn|social security|social_security|sozialversicherung|svnr|sécurité sociale|securite sociale|numéro de sécu|"
        "seguridad social|nuss|my social|itin|ein|tax id|tax number|taxpayer|tax_id|tax file|tfn|steuernummer|"
        "steuer-id|"
        "steuerid|steuer-identifikation|idnr|numéro fiscal|nif|niss|utr|codice fiscale|partita iva|vat number|vat id|"
        "ust-idnr|cpf|cnpj|rg |dni|nie|cif|nit|rut|rfc|curp|cuit|cuil|cedula|cédula|bsn|burgerservice|sofinummer|pesel|"
        "regon|nip|personnummer|personnr|fødselsnummer|fodselsnummer|cpr|henkilötunnus|hetu|isikukood|asmens kodas|"
        "rodné číslo|rodne cislo|rodné|személyi|cnp|taj|egn|егн|jmbg|oib|emšo|amka|αφμ|afm|insz|rijksregister|nino|"
        "ni number|"
        "national insurance|nhs|ahv|avs|sin|social insurance|medicare|medicaid|mbi|aadhaar|aadhar|uidai|pan|"
        "pan card|pan no|"
        "gstin|nric|fin no|hkid|mykad|ktp|nik|npwp|philhealth|tin|umid|инн|снилс|огрн|полис|омс|tckn|t.c.|tc no|"
        "tc kimlik|"
        "vergi|マイナンバー|個人番号|my number card|居民身份证|健保|保険証|national id|national identity|"
        "citizen id|emirates id|"
        "iqama|رقم الهوية|الهوية|आधार|पैन|national_id"
    )
)
_RECORDS = Needles(
    *listed(
        "medical record|patient id|patient number|patient no|patienten-id|patientennummer|patient_id|patientid|mrn|"
        "health insurance|insurance number|insurance policy|insurance id|insurance no|policy number|policy no|policy #|"
        "versichertennummer|versicherungsnummer|versichertennr|krankenkasse|krankenversicherung|numéro d'assuré|"
        "carte vitale|mutuelle|número de póliza|póliza|polizza|tessera sanitaria|apólice|polisnummer|member id|"
        "member number|membership number|subscriber id|group number|prescription number|rx number|npi|dea number|"
        "health plan|beneficiary number|hic number|病历号|病歴|カルテ|student id|student number|matrikelnummer|"
        "matrikelnr|numéro étudiant|employee id|employee number|employee no|personalnummer|mitarbeiternummer|staff id|"
        "staff number|matricule|legajo|badge number|badge id|customer id|customer number|kundennummer|kundennr|"
        "numéro client|número de cliente|client number|case number|aktenzeichen|inmate|loyalty number|frequent flyer|"
        "license plate|licence plate|number plate|plate number|plate|kennzeichen|immatriculation|plaque|matrícula|"
        "targa|placa|kenteken|tablica rejestracyjna|plaka|госномер|车牌|車牌|ナンバープレート|vin|"
        "vehicle identification|"
        "fahrgestellnummer|fin |imei|imsi|iccid|meid|serial number of my|device id|udid|esim|advertising id"
    )
)
_ACCOUNTS = Needles(
    *listed(
        "account number|account no|account #|account_number|accountnumber|account num|acct|acct no|a/c|bank account|"
        "checking account|savings account|my account|account:|account |kontonummer|kontonr|konto-nr|konto|"
        "bankkonto|blz|"
        "bankleitzahl|compte bancaire|compte|numéro de compte|rib|cuenta|número de cuenta|cuenta bancaria|clabe|cbu|"
        "conto corrente|conto|conta corrente|conta|agência|nib|rekeningnummer|rekening|numer konta|rachunek|"
        "konta|hesap|"
        "iban no|расчетный счет|расчётный|счет|счёт|р/с|бик|账号|帐号|银行账户|口座|口座番号|계좌|रखाता|खाता|حساب|"
        "routing number|routing no|routing #|routing|aba|sort code|sortcode|bsb|ifsc|transit number|bank code|"
        "bic|swift|"
        "swift code|bic/swift|wire to|bitcoin|btc|wallet|ethereum|paypal"
    )
)
_CARDS = Needles(
    *listed("cvv|cvv2|cvc|cvc2|csc|security code|card verification|prüfziffer|kartenprüfnummer|cryptogramme|cvv:|"
            "código de seguridad|codice di sicurezza|card ending|ending in|card number|credit card|debit card|"
            "kreditkarte|"
            "carte bancaire|carte de crédit|tarjeta|carta di credito|cartão|creditcard|kartennummer|numéro de carte|"
            "номер карты|卡号|信用卡|カード番号|카드|kart no|karta")
)  # fmt: skip
_BEHIND = re.compile(
    r"(?:[^\w\n]|_){0,4}(?:(?!\d)[^\W\d_]{1,14}(?:[^\w\n]|_){1,3}){0,4}"
    r"(?P<number>(?:[A-Za-z]{1,9}[ \-]?)?\d[\dA-Za-z]{0,24}(?:[ .\-/](?=[A-Z]{0,4}\d|[A-Z]{1,3}\b)[\dA-Z]{1,10}){0,7}"
    r"(?:\([\dA-Z]\))?)(?![\w@]|[.,:]\d)"
)
_CYRILLIC_PLATE = re.compile(r"\W{0,3}[A-ZА-Я]\d{3}[A-ZА-Я]{2}\d{2,3}|\W{0,3}[京沪粤苏浙川鲁][A-Z][·]?[A-Z0-9]{5}")
_PLATE = re.compile(
    r"(?:\W|_){0,3}(?:(?:is|number|no|nr|lautet|ist|es|est|"
    r":)\W{1,2}){0,2}(?P<number>[A-ZÄÖÜ]{1,3}[ \-·]?[A-Z]{0,2}[ \-]?\d{1,4}[ \-]?[A-Z]{0,3}\d{0,2}|"
    r"\d{1,4}[ \-]?[A-Z]{2,3}[ \-]?\d{0,4})\b"
)
_YEAR = re.compile(r"(?:19|20)\d\d")
_WALLET = re.compile(
    r"\W{0,3}(?:\w{1,12}\W{1,3}){0,4}(?P<number>(?:bc1|[13])[a-zA-HJ-NP-Z0-9]{25,60}|0x[0-9a-fA-F]{40})\b"
)
_ASKED = re.compile(r"(?:what is|what's|format of|valid(?:ate|ating)?|example|regex|how many|digits)[^.\n]{0,40}$")
_SWIFT = Needles(*listed("bic|swift|swift code|bic code|swift/bic|bic/swift|swift_code"))
_SWIFT_CODE = re.compile(
    r"(?:[^\w\n]|_){0,4}(?:(?:is|code|no|number)\W{1,2}){0,2}(?P<number>[A-Z]{6}[A-Z0-9]{2}(?:[A-Z0-9]{3})?)\b"
)
_CVV = re.compile(r"(?:[^\w\n]|_){0,4}(?:(?:is|code|number|no)\W{1,3}){0,2}(?P<number>\d{3,4})(?![\d.,]\d|\w)")
_CVVS = Needles(*listed("cvv|cvv2|cvc|cvc2|cvv:|kartenprüfnummer|prüfziffer|cryptogramme"))


def find_numbered(scan: Scan) -> Iterator[Span]:
    for needles, kind, fewest in (
        (_PAPERS, "identity_paper", 5),
        (_STATE, "national_id", 6),
        (_RECORDS, "identity_paper", 5),
        (_ACCOUNTS, "bank_account", 6),
        (_CARDS, "card", 12),
    ):
        for start, end in scan.at(needles):
            match = _BEHIND.match(scan.text, end)
            if match is None or (
                scan.text[end - 1 : end + 1].isalpha() and scan.text[end].isascii() and scan.text[end].islower()
            ):
                continue
            number = match["number"]
            digits = sum(map(str.isdigit, number))
            letters = sum(map(str.isalpha, number))
            if digits + (letters if digits >= 3 else 0) < fewest or digits < 3:
                continue
            if (digits == 4 and _YEAR.search(number)) or _is_date(number) or _ASKED.search(scan.before(start)):
                continue
            yield Span(*match.span("number"), kind)
    for needles, form, kind in (
        (_SWIFT, _SWIFT_CODE, "bank_account"),
        (_CVVS, _CVV, "card"),
        (_PLATES, _PLATE, "plate"),
        (_PLATES, _CYRILLIC_PLATE, "plate"),
        (_WALLETS, _WALLET, "wallet"),
    ):
        for _, end in scan.at(needles):
            match = form.match(scan.text, end)
            if match and any(map(str.isdigit, match.group())) | (kind == "bank_account"):
                yield Span(*match.span(match.lastgroup or 0), kind)


_PLATES = Needles(
    *listed("license plate|licence plate|number plate|plate number|plate|kennzeichen|immatriculation|plaque|"
            "matrícula|targa|"
            "placa|kenteken|tablica rejestracyjna|plaka|госномер|车牌|車牌|registration number|reg number")
)  # fmt: skip
_WALLETS = Needles(*listed("bitcoin|btc|wallet|ethereum|eth|send to|adresse|address"))
_DATE = re.compile(
    r"(?:19|20)\d\d[-/. ](?:0?[1-9]|1[0-2])[-/. ](?:0?[1-9]|[12]\d|3[01])$"
    r"|(?:0?[1-9]|[12]\d|3[01])[-/. ](?:0?[1-9]|1[0-2])[-/. ](?:19|20)\d\d$"
)


def _is_date(number: str) -> bool:
    return _DATE.match(number) is not None


_WHERE = Needles(
    *listed("gps|lat|lat:|latitude|lng|lon|longitude|coordinates|coords|coordinate|koordinaten|coordonnées|coordenadas|"
            "coordinate geografiche|współrzędne|координаты|坐标|座標|좌표|geo|location|located at|position|standort|"
            "ubicación|posizione|localização|i am at|i'm at|geolocation|maps|geoloc|my house|home")
)  # fmt: skip
_PAIR = re.compile(
    r"\D{0,20}(?P<pair>-?\d{1,2}\.\d{4,12}°?\s?[NS]?[\s,;/]{1,4}(?:[\"']?\w{1,10}[\"']?\s?[:=]\s?)?-?\d{1,3}\.\d{4,12})"
)
_DEGREES = re.compile(
    r"\d{1,2}°\s?\d{1,2}['′]\s?[\d.]{1,7}[\"″]?\s?[NS][\s,]{1,3}\d{1,3}°\s?\d{1,2}['′]\s?[\d.]{1,7}[\"″]?\s?[EWO]"
)
_DEGREE = Needles("°", inside=True)


def find_places(scan: Scan) -> Iterator[Span]:
    """Coordinates precise to ten metres, behind a word that says they are such."""
    for _, end in scan.at(_WHERE):
        if match := _PAIR.match(scan.text, end):
            yield Span(*match.span("pair"), "location")
    for start, _ in scan.at(_DEGREE):
        if match := _DEGREES.match(scan.text, max(0, start - 2)) or _DEGREES.match(scan.text, max(0, start - 1)):
            yield Span(match.start(), match.end(), "location")
