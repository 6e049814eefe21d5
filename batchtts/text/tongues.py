"""How numbers are written and counted in the languages that are known. Pure data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import NamedTuple


class Noun(NamedTuple):
    """What is counted: its singular, its plural, and whether the singular is feminine."""

    one: str
    many: str
    is_feminine: bool = False


class Money(NamedTuple):
    """A currency and its hundredth."""

    whole: Noun
    cent: Noun


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Tongue:
    """One language.

    Attributes:
        code: Its name in num2words.
        language: The first part of its tag, by which readings are told apart.
        group: Characters that part thousands; hard spaces do so everywhere.
        is_spaced: A common space does so, too.
        decimal: The character before decimals.
        point: How that is said.
        is_by_digit: Decimals are said digit by digit, even if they are two.
        has_dots: A number with a full stop is an ordinal.
        is_counted_in_hundreds: 1984 is nineteen hundred when it is a year.
        to: Between the two ends of a range.
        and_cents: What stands between a sum and its hundredths.
        cues: Words behind which a number like 1984 is a year.
        links: Words before which a number counts nothing.
        pages: What stands before a range with a hyphen.
        heads: Words behind which Roman numerals are numbers.
        kings, queens: Names behind which they say which one of that name it is.
    """

    code: str
    language: str
    group: str
    is_spaced: bool = False
    decimal: str
    point: str
    minus: str
    percent: str
    to: str
    is_by_digit: bool = False
    has_dots: bool = False
    is_counted_in_hundreds: bool = False
    and_cents: str = " "
    cues: str = ""
    links: str = ""
    pages: str = ""
    months: tuple[str, ...] = ()
    money: Mapping[str, Money] = field(default_factory=dict)
    units: Mapping[str, Noun] = field(default_factory=dict)
    fractions: Mapping[str, str] = field(default_factory=dict)
    mixed: Mapping[str, str] = field(default_factory=dict)
    heads: str = ""
    kings: str = ""
    queens: str = ""


def _noun(words: str) -> Noun:
    one, many = words.split("/")
    return Noun(one, many)


def _money(
    euro: str, dollar: str, pound: str, cents: str, *, pound_is_feminine: bool
) -> dict[str, Money]:
    """Each as "one/many"; the hundredths of euro, dollar and pound."""
    euro_cent, dollar_cent, penny = map(_noun, cents.split())
    return {
        "€": Money(_noun(euro), euro_cent),
        "$": Money(_noun(dollar), dollar_cent),
        "£": Money(_noun(pound)._replace(is_feminine=pound_is_feminine), penny),
    }


def _units(words: str) -> dict[str, Noun]:
    """Each as "mark one/many", an underscore for a space."""
    parts = [it.replace("_", " ") for it in words.split()]
    return {mark: _noun(noun) for mark, noun in zip(parts[::2], parts[1::2], strict=True)}


_ENGLISH = Tongue(
    code="en",
    language="en",
    group=",",
    decimal=".",
    point="point",
    minus="minus",
    percent="percent",
    to="to",
    is_by_digit=True,
    is_counted_in_hundreds=True,
    and_cents=" and ",
    cues="in since from by until till of during year around about circa ca. c. early late mid"
    " before after to between and spring summer autumn fall winter to through born"
    " january february march april may june july august september october november december",
    links="and or to of in a an the is was are were for from by on at with per as but if when that"
    " which who would will should may might can could than then each apiece more less a.m. p.m.",
    pages="pp. p. pages page pgs. chapters chapter verses verse ages aged lines vv. nos. years",
    months=tuple(
        "January February March April May June July August September October November"
        " December".split()
    ),
    money=_money(
        "euro/euros", "dollar/dollars", "pound/pounds", "cent/cents cent/cents penny/pence",
        pound_is_feminine=False,
    ),
    units=_units(
        "km kilometer/kilometers cm centimeter/centimeters mm millimeter/millimeters"
        " kg kilogram/kilograms mg milligram/milligrams ml milliliter/milliliters"
        " km/h kilometer_per_hour/kilometers_per_hour mph mile_per_hour/miles_per_hour"
        " °C degree_Celsius/degrees_Celsius °F degree_Fahrenheit/degrees_Fahrenheit"
    ),
    fractions={
        "½": "one half", "¼": "one quarter", "¾": "three quarters",
        "⅓": "one third", "⅔": "two thirds", "⅛": "one eighth",
    },
    mixed={
        "½": " and a half", "¼": " and a quarter", "¾": " and three quarters",
        "⅓": " and a third", "⅔": " and two thirds", "⅛": " and an eighth",
    },
    heads="chapter part book volume vol. act scene section canto appendix article episode stave"
    " letter lecture lesson phase type stage grade world_war super_bowl vatican apollo",
    kings="Henry Louis Charles George Edward James William Richard Philip Paul Pius John Benedict"
    " Gregory Leo Clement Innocent Alexander Nicholas Frederick Francis Napoleon Ferdinand Alfonso"
    " Ptolemy Ramses Ramesses Gustav Christian Haakon Otto Leopold Ivan Boniface Urban Julius"
    " Sixtus Adrian Umberto Xerxes Darius Robert Peter John_Paul Justinian Constantine",
    queens="Elizabeth Mary Catherine Isabella Margaret Cleopatra",
)  # fmt: skip

_GERMAN = Tongue(
    code="de",
    language="de",
    group=".",
    decimal=",",
    point="Komma",
    minus="minus",
    percent="Prozent",
    to="bis",
    is_by_digit=True,
    has_dots=True,
    is_counted_in_hundreds=True,
    cues="im in seit von bis um ab jahr jahre jahres anno nach vor und herbst sommer winter"
    " frühjahr januar februar märz april mai juni juli august september oktober november dezember",
    links="und oder bis von in im am an auf mit zu aus ist war sind waren für als wie",
    pages="s. seite seiten kapitel verse jahre jahren",
    months=tuple(
        "Januar Februar März April Mai Juni Juli August September Oktober November"
        " Dezember".split()
    ),
    money=_money(
        "Euro/Euro", "Dollar/Dollar", "Pfund/Pfund", "Cent/Cent Cent/Cent Penny/Pence",
        pound_is_feminine=False,
    ),
    units=_units(
        "km Kilometer/Kilometer cm Zentimeter/Zentimeter mm Millimeter/Millimeter"
        " kg Kilogramm/Kilogramm mg Milligramm/Milligramm ml Milliliter/Milliliter"
        " km/h Kilometer_pro_Stunde/Kilometer_pro_Stunde °C Grad_Celsius/Grad_Celsius"
    ),
    fractions={"½": "ein halb", "¼": "ein Viertel", "¾": "drei Viertel", "⅓": "ein Drittel"},
    mixed={"½": "einhalb"},
    heads="kapitel teil band buch akt aufzug szene abschnitt artikel anhang brief",
)  # fmt: skip

_FRENCH = Tongue(
    code="fr",
    language="fr",
    group="",
    is_spaced=True,
    decimal=",",
    point="virgule",
    minus="moins",
    percent="pour cent",
    to="à",
    cues="en depuis de jusqu'en an année vers avant après entre et dès janvier février mars avril"
    " mai juin juillet août septembre octobre novembre décembre",
    links="et ou à de en est était sont étaient par pour sur dans avec mais que qui",
    pages="p. pp. pages page chapitres versets",
    months=tuple(
        "janvier février mars avril mai juin juillet août septembre octobre novembre"
        " décembre".split()
    ),
    money=_money(
        "euro/euros", "dollar/dollars", "livre/livres", "centime/centimes cent/cents penny/pence",
        pound_is_feminine=True,
    ),
    units=_units(
        "km kilomètre/kilomètres cm centimètre/centimètres mm millimètre/millimètres"
        " kg kilogramme/kilogrammes mg milligramme/milligrammes ml millilitre/millilitres"
        " km/h kilomètre_à_l’heure/kilomètres_à_l’heure °C degré_Celsius/degrés_Celsius"
    ),
    fractions={"½": "un demi", "¼": "un quart", "¾": "trois quarts", "⅓": "un tiers"},
    heads="chapitre tome livre acte scène partie volume section article annexe lettre leçon",
    kings="Louis Charles Henri François Philippe Jean Napoléon Paul Pie Benoît Jean-Paul Grégoire"
    " Léon Édouard Guillaume Georges Jacques Frédéric Alexandre Nicolas Ferdinand Urbain",
    queens="Élisabeth Elizabeth Elisabeth Catherine",
)  # fmt: skip

_SPANISH = Tongue(
    code="es",
    language="es",
    group=".",
    is_spaced=True,
    decimal=",",
    point="coma",
    minus="menos",
    percent="por ciento",
    to="a",
    and_cents=" con ",
    cues="en desde de del hasta año años hacia entre y enero febrero marzo abril mayo junio julio"
    " agosto septiembre octubre noviembre diciembre",
    links="y o u a de del en es era son eran por para con pero que al",
    pages="p. pp. págs. pág. páginas capítulos versículos",
    months=tuple(
        "enero febrero marzo abril mayo junio julio agosto septiembre octubre noviembre"
        " diciembre".split()
    ),
    money=_money(
        "euro/euros", "dólar/dólares", "libra/libras", "céntimo/céntimos centavo/centavos"
        " penique/peniques", pound_is_feminine=True,
    ),
    units=_units(
        "km kilómetro/kilómetros cm centímetro/centímetros mm milímetro/milímetros"
        " kg kilogramo/kilogramos mg miligramo/miligramos ml mililitro/mililitros"
        " km/h kilómetro_por_hora/kilómetros_por_hora °C grado_Celsius/grados_Celsius"
    ),
    fractions={"¾": "tres cuartos", "⅓": "un tercio", "¼": "un cuarto"},
    heads="capítulo tomo libro parte acto escena sección volumen artículo apéndice carta siglo",
    kings="Felipe Carlos Alfonso Fernando Enrique Juan Pedro Sancho Luis Pío Benedicto León Pablo"
    " Juan_Pablo Gregorio Napoleón Jorge Eduardo Jaime Alejandro",
    queens="Isabel Catalina",
)  # fmt: skip

_ITALIAN = Tongue(
    code="it",
    language="it",
    group=".",
    decimal=",",
    point="virgola",
    minus="meno",
    percent="per cento",
    to="a",
    and_cents=" e ",
    cues="nel del dal al il dell'anno anno anni fino in verso tra fra e gennaio febbraio marzo"
    " aprile maggio giugno luglio agosto settembre ottobre novembre dicembre",
    links="e o a di del in è era sono erano per con ma che al",
    pages="p. pp. pag. pagg. pagine capitoli versetti",
    months=tuple(
        "gennaio febbraio marzo aprile maggio giugno luglio agosto settembre ottobre novembre"
        " dicembre".split()
    ),
    money=_money(
        "euro/euro", "dollaro/dollari", "sterlina/sterline", "centesimo/centesimi"
        " centesimo/centesimi penny/pence", pound_is_feminine=True,
    ),
    units=_units(
        "km chilometro/chilometri cm centimetro/centimetri mm millimetro/millimetri"
        " kg chilogrammo/chilogrammi mg milligrammo/milligrammi ml millilitro/millilitri"
        " km/h chilometro_all’ora/chilometri_all’ora °C grado_Celsius/gradi_Celsius"
    ),
    fractions={"¾": "tre quarti", "⅓": "un terzo", "¼": "un quarto"},
    heads="capitolo parte libro volume atto scena sezione tomo articolo appendice lettera",
    kings="Luigi Carlo Enrico Francesco Filippo Vittorio_Emanuele Umberto Federico Pio Benedetto"
    " Leone Paolo Giovanni_Paolo Gregorio Napoleone Giorgio Edoardo Ferdinando Alessandro Urbano",
    queens="Elisabetta Caterina Isabella",
)  # fmt: skip

_PORTUGUESE = Tongue(
    code="pt",
    language="pt",
    group=".",
    decimal=",",
    point="vírgula",
    minus="menos",
    percent="por cento",
    to="a",
    cues="em desde de até ano anos entre e",
    links="e ou a de do em é era são eram por para com mas que ao",
    months=tuple(
        "janeiro fevereiro março abril maio junho julho agosto setembro outubro novembro"
        " dezembro".split()
    ),
)

_DUTCH = Tongue(
    code="nl",
    language="nl",
    group=".",
    decimal=",",
    point="komma",
    minus="min",
    percent="procent",
    to="tot",
    is_counted_in_hundreds=True,
    cues="in sinds van tot jaar rond voor na en tussen",
    links="en of tot van in op met is was zijn waren voor als",
    months=tuple(
        "januari februari maart april mei juni juli augustus september oktober november"
        " december".split()
    ),
)

_SWEDISH = Tongue(
    code="sv",
    language="sv",
    group="",
    is_spaced=True,
    decimal=",",
    point="komma",
    minus="minus",
    percent="procent",
    to="till",
    links="och eller till av i på med är var för som",
)

_INDONESIAN = Tongue(
    code="id",
    language="id",
    group=".",
    decimal=",",
    point="koma",
    minus="minus",
    percent="persen",
    to="sampai",
    is_by_digit=True,
)

_LATIN_AMERICAN = replace(_SPANISH, group=",", decimal=".", point="punto", is_spaced=False)

_TONGUES = {
    "de": _GERMAN,
    "de-ch": replace(_GERMAN, group="'’", decimal="."),
    "de-li": replace(_GERMAN, group="'’", decimal="."),
    "en": _ENGLISH,
    "es": _SPANISH,
    **dict.fromkeys(
        "es-419 es-do es-gt es-hn es-mx es-ni es-pa es-pr es-sv es-us".split(), _LATIN_AMERICAN
    ),
    "fr": _FRENCH,
    "fr-be": replace(_FRENCH, code="fr_BE"),
    "fr-ch": replace(_FRENCH, code="fr_CH"),
    "id": _INDONESIAN,
    "it": _ITALIAN,
    "nl": _DUTCH,
    "pt": _PORTUGUESE,
    "pt-br": replace(_PORTUGUESE, code="pt_BR"),
    "sv": _SWEDISH,
}


def find_tongue(language: str) -> Tongue | None:
    """Return what is known of a language like ``en``, ``en-US`` or ``pt_BR``."""
    tag = language.lower().replace("_", "-")
    return _TONGUES.get(tag) or _TONGUES.get(tag.partition("-")[0])
