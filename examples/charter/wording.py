"""What a request's text bears out: bookings, people, days, hours and counts it names, and whether it calls something off.

No model reads the text here, and nothing follows from what is found but one thing: whether a call may be made without a person.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import date, datetime, timedelta
from decimal import Decimal, InvalidOperation

_SOON, _QUARTER, _YEAR = 8, 100, 400  # days
_PERSON = re.compile(r"\b(?:cap|dk)-\d+\b", re.IGNORECASE)
_NUMBER = re.compile(r"\d+(?:[.,]\d{3})*(?:[.,]\d{1,2})?")
_SENTENCE = re.compile(r"[^.!?\n]+[.!?]*")
_OFF = re.compile(
    r"\b(?:cancel\w*|call\w* (?:it |this |that |\S+ \S+ )?off|(?:is|are|it's|all) off|off for us|scrub|storn\w*|abgesagt|absag\w*"
    r"|annul\w*|anul\w*|annull\w*|disd\w+|odwo\w+|avlys\w*|avbok\w*|otkaz\w*|отмен\w*|(?:can'?t|cannot|can ?not|won'?t|not|don'?t)"
    r" (?:make it|come|be coming|coming)|plans (?:have )?changed|drop (?:our|the|my)|never ?mind)\b",
    re.IGNORECASE,
)
_POLITE = re.compile(
    r"\b(?:you|u|please|pls|plz|bitte|por favor|s'il|svp|per favore|proszę|vänligen|we have to|we must|i have to|need to)\b",
    re.IGNORECASE,
)
_WEATHER = re.compile(
    r"\b(?:weather|storm\w*|gale\w*|wind\w*|rain\w*|fog\w*|swell|sturm|wetter|tormenta|tiempo|viento|météo|tempête|vent)\b",
    re.IGNORECASE,
)
_BOAT = re.compile(
    r"\b(?:boat|vessel|ship|barco|velero|boot|schiff|segelboot|bateau|voilier|barca|big one|small one)\b", re.IGNORECASE
)
_HOUR = re.compile(
    r"\b(?:hours?|hrs?|std|stunden?|horas?|heures?|ore|longer|earlier|later|noon|midday|mittags?|mediodía|midi)\b",
    re.IGNORECASE,
)
_CROWD = re.compile(
    r"\b(?:people|ppl|persons?|pax|guests?|of us|we|adults?|kids?|children|heads?|party|group|passengers?|instead|now|personen|leute"
    r"|gäste|wir|personas?|somos|seremos|personnes?|nous|on est|pessoas?|persone|siamo)\b",
    re.IGNORECASE,
)
_ALL = re.compile(r"\b(?:everybody|everyone|all|whole crew|the crew|both|alle|todos|tous)\b", re.IGNORECASE)

_WEEKDAYS: tuple[str, ...] = (
    r"mon(?:day)?s?|montags?|lunes|lundi|segunda|lunedì",
    r"tue(?:s(?:day)?)?s?|dienstags?|martes|mardi|terça|martedì",
    r"wed(?:nesday)?s?|mittwochs?|miércoles|miercoles|mercredi|quarta|mercoledì",
    r"thu(?:r(?:s(?:day)?)?)?s?|donnerstags?|jueves|jeudi|quinta|giovedì",
    r"fri(?:day)?s?|freitags?|viernes|vendredi|sexta|venerdì",
    r"sat(?:urday)?s?|samstags?|sonnabends?|sábado|sabado|samedi|sabato",
    r"sun(?:day)?s?|sonntags?|domingo|dimanche|domenica",
)
_MONTHS: tuple[str, ...] = (
    r"jan|ene(?:ro)?\b|gennaio",
    r"feb|fév|fev|febbraio",
    r"mar(?:ch|s|z|ço|zo)\b|mär|mar\b",
    r"apr|abr|avr",
    r"may\b|mai\b|mayo|maio|maggio",
    r"jun|juin|giugno",
    r"jul|juil|luglio",
    r"aug|ago\b|agosto|août",
    r"sep|set(?:embro|tembre)",
    r"o[ck]t|out(?:ubro)?\b|ottobre",
    r"nov",
    r"de[cz]\b|de[cz]ember|dic|déc|dez",
)
_RELATIVE: Mapping[str, int] = {
    r"today|tonight|this (?:morning|afternoon|evening)|heute|hoy|aujourd'hui|oggi|hoje": 0,
    r"tomorrow|tmrw|tmr|tomorow|2moro|morgen|mañana|demain|domani|amanhã": 1,
    r"day after tomorrow|übermorgen|pasado mañana|après-demain": 2,
}
_WORDS: Mapping[str, int] = {
    word: number
    for words in (
        "one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen nineteen twenty",
        "ein zwei drei vier fünf sechs sieben acht neun zehn elf zwölf dreizehn vierzehn fünfzehn sechzehn siebzehn achtzehn neunzehn zwanzig",
        "uno dos tres cuatro cinco seis siete ocho nueve diez once doce trece catorce quince dieciséis diecisiete dieciocho diecinueve veinte",
        "un deux trois quatre cinq six sept huit neuf dix onze douze treize quatorze quinze seize dix-sept dix-huit dix-neuf vingt",
        "um dois três quatro cinco seis sete oito nove dez onze doze treze quatorze quinze dezesseis dezessete dezoito dezenove vinte",
    )
    for number, word in enumerate(words.split(), 1)
} | {"noon": 12, "midday": 12, "mittag": 12, "mediodía": 12, "midi": 12, "couple": 2, "dozen": 12}


def mentions(text: str, names: Iterable[str | None]) -> bool:
    """Whether one of these ids or refs stands in a text, whole."""
    return any(name and re.search(rf"(?<![\w-]){re.escape(name)}(?![\w-])", text, re.IGNORECASE) for name in names)


def people(text: str) -> frozenset[str]:
    """Name the captains and deckhands a text names."""
    return frozenset(found.lower() for found in _PERSON.findall(text))


def everybody(text: str) -> bool:
    """Whether it speaks of everybody."""
    return _ALL.search(text) is not None


def numbers(text: str) -> frozenset[Decimal]:
    """Every number of a text, in digits or in words up to twenty; 1,120.00 and 1.120,00 are 1120."""
    found: set[Decimal] = set()
    for match in _NUMBER.findall(text):
        found |= _readings(match)
    return frozenset(found | {Decimal(n) for n in _integers(text)})


def calls_off(text: str) -> bool:
    """Whether it asks to cancel: a sentence says so, and does not merely ask whether one could."""
    return any(_OFF.search(said) and ("?" not in said or _POLITE.search(said)) for said in _SENTENCE.findall(text))


def of_weather(text: str) -> bool:
    """Whether it speaks of the weather."""
    return _WEATHER.search(text) is not None


def of_vessel(text: str, vessel: str, *, strictly: bool = False) -> bool:
    """Whether it names a vessel, or speaks of boats; `strictly`: names it, or all of them."""
    return vessel in text.lower() or (_ALL if strictly else _BOAT).search(text) is not None


def of_hour(text: str, when: datetime) -> bool:
    """Whether it names this hour of the day, or speaks of hours."""
    return _HOUR.search(text) is not None or bool(numbers(text) & {Decimal(when.hour), Decimal(when.hour % 12 or 12)})


def of_people(text: str, count: int) -> bool:
    """Whether it speaks of so many people: the number stands there, and not as a day, an hour or an amount."""
    if _CROWD.search(text) is None:
        return False
    if any(_WORDS.get(word) == count for word in _words(text)):
        return True
    months = "|".join(_MONTHS)
    plain = rf"(?<![\w$€£./:(#-])(?<!\d ){count}(?![\w:%€$£/)-]|[.,]\d|\s?(?:am|pm|h|uhr|o'clock)\b)"
    return any(
        not re.search(rf"(?:{months})\w*\.? *$", text[: found.start()], re.IGNORECASE)
        for found in re.finditer(plain, text)
    )


def of_day(text: str, day: date, today: date) -> bool | None:
    """Whether it names this day: by weekday, by `tomorrow`, by its number. None: it names no day at all."""
    said = text.lower()
    weekdays = {n for n, names in enumerate(_WEEKDAYS) if re.search(rf"\b(?:{names})\b", said)}
    near = {today + timedelta(days=n) for names, n in _RELATIVE.items() if re.search(rf"\b(?:{names})\b", said)}
    if day in near or (day.weekday() in weekdays and (day - today).days <= _SOON):
        return True
    spoken = {n for n, names in enumerate(_MONTHS, 1) if re.search(rf"\b(?:{names})", said)}
    near_enough = abs((day - today).days) <= (_YEAR if spoken else _QUARTER)
    if near_enough and day.day in _integers(text) and (not spoken or day.month in spoken):
        return True
    return False if weekdays or near else None


def _words(text: str) -> list[str]:
    return re.findall(r"[^\W\d_]+(?:-[^\W\d_]+)*", text.lower())


def _integers(text: str) -> frozenset[int]:
    digits = {int(found) for found in re.findall(r"(?<!\d)\d{1,4}(?!\d)", text)}
    return frozenset(digits | {_WORDS[word] for word in _words(text) if word in _WORDS})


def _readings(digits: str) -> set[Decimal]:
    spellings = {digits, digits.replace(",", ""), digits.replace(".", "").replace(",", ".")}
    found: set[Decimal] = set()
    for spelling in spellings:
        try:
            found.add(Decimal(spelling))
        except InvalidOperation:
            continue
    return found
