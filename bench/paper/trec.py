"""Question types: six kinds, and under each its finer types (50 in all).

Sources were written from the development split alone (300 questions). The data's own 68 keyword rules,
which vote on the kind, are further sources.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
from patterns import Vote, has, pick, sources_of, vote_if
from problem import Problem, apply, development_items, gold_of, read_arrays, read_texts

import consilience as cs

DEV_SIZE = 300

KIND_OF_TASK = {
    "description": "DESC",
    "entity": "ENTY",
    "human": "HUM",
    "abbreviation": "ABBR",
    "place": "LOC",
    "number": "NUM",
}


def opening_word(question: str) -> Vote:
    """Kind, from the word the question opens with."""
    number = r"^(when|how (many|much|long|far|old|tall|big|fast))"
    return pick(
        question, "kind", HUM="^who(se|m)?", LOC="^where", NUM=number, DESC="^(why|how|define|describe)"
    )


def subject(question: str) -> str:
    """The few words that say what is asked for: those after what, which or name, up to a verb."""
    text = re.sub(r"^(in|on|of|for|at|by|from|to|with) (what|which)", "what", question)
    text = re.sub(r"^(what|which|name|tell me)( 's| is| are| was| were)?( the| a| an| some| of)*", "", text)
    text = re.sub(
        r"^ (name|names|type|kind|title|first|best|most famous|biggest|term)s?( of| for)?( the| a)?", "", text
    )
    verbs = r"is|are|was|were|did|do|does|has|have|had|can|in|of|to|for|on|that|which|who|'s|made|won|\?"
    return re.split(rf"(?<!\w)(?:{verbs})(?!\w)", text)[0].strip()


def asks_for(nouns: str, question: str) -> bool:
    """Whether one of the nouns is what the question asks for."""
    asked = question.startswith(("what", "which", "name", "in what", "in which", "on what", "tell"))
    return asked and has(nouns, subject(question))


# --- kinds -----------------------------------------------------------------------------------------------


def asks_a_person(question: str) -> Vote:
    """A person, from a noun for one."""
    nouns = (
        r"president|actor|actress|author|inventor|singer|man|woman|king|queen|player|leader|"
        r"pope|mayor|captain|"
        r"character|hero|writer|director|artist|general|senator|coach|wife|husband|son|daughter|father|mother"
    )
    return vote_if(asks_for(nouns, question), "kind", "HUM")


def asks_a_place(question: str) -> Vote:
    """A place, from a noun for one."""
    nouns = (
        r"city|cities|country|countries|state|states|river|lake|ocean|sea|island|mountain|"
        r"continent|street|planet"
    )
    return vote_if(asks_for(nouns, question), "kind", "LOC")


def asks_a_quantity(question: str) -> Vote:
    """A number, from a noun for one."""
    nouns = (
        r"number|population|percentage|temperature|speed|length|height|weight|date|year|age|"
        r"cost|price|average"
    )
    return vote_if(asks_for(nouns, question), "kind", "NUM")


def asks_a_kind_of_thing(question: str) -> Vote:
    """An entity, where a kind of something is asked for."""
    return vote_if(has(r"(what|which) (kind|type|sort|brand|breed|color|game)", question), "kind", "ENTY")


def short_what_is(question: str) -> Vote:
    """A description, where a short question asks what something is."""
    short = len(question.split()) <= 6
    return vote_if(short and has(r"^what (is|are|was|were)", question), "kind", "DESC")


def what_did_someone_do(question: str) -> Vote:
    """An entity, where the object of a verb is asked for."""
    return vote_if(has(r"^what (did|does|do|was|were)(?!.* mean)", question), "kind", "ENTY")


def superlative_of_the_world(question: str) -> Vote:
    """A place, where the largest or highest of its kind is asked for."""
    words = (
        r"(largest|highest|tallest|longest|deepest|smallest|biggest) .*(in|of) the (world|"
        r"u\.s\.|us|united states)"
    )
    return vote_if(has(words, question) and not has("who", question), "kind", "LOC")


def famous_name(question: str) -> Vote:
    """A person, where titles or relatives stand in the question and it opens with who or what."""
    return vote_if(has(r"^(who|which (man|woman|actor|player|president))", question), "human", "ind")


# --- descriptions ----------------------------------------------------------------------------------------


def what_is_a(question: str) -> Vote:
    """A definition: what is, and at most four words."""
    rest = re.match(r"what (?:is|are|was|were) (?:an? |the )?(.*?) ?\?$", question)
    return vote_if(rest is not None and len(rest[1].split()) <= 2, "description", "def")


def what_is_with_article(question: str) -> Vote:
    """A definition: what is a or an, without a further clause."""
    long = has(r"that|which|in|for|of|with|called|used", question)
    return vote_if(has(r"^what (is|was) an?", question) and not long, "description", "def")


def meaning(question: str) -> Vote:
    """A definition, where meaning or definition is named."""
    return vote_if(has(r"mean|meaning|definition|define|stood for|denotes?", question), "description", "def")


def how_verb(question: str) -> Vote:
    """A manner: how with an auxiliary."""
    words = r"^how (do|does|did|can|could|is|are|was|were|would|should|to)"
    return vote_if(has(words, question), "description", "manner")


def way_to(question: str) -> Vote:
    """A manner: the way to do something."""
    words = r"way to|steps|process|how to|method of|procedure"
    return vote_if(has(words, question), "description", "manner")


def why(question: str) -> Vote:
    """A reason: why, or what for."""
    words = r"why|reason|cause|causes|caused|what .* (used|famous|known) for|purpose|claim to fame|what makes"
    return vote_if(has(words, question), "description", "reason")


def difference_or_effect(question: str) -> Vote:
    """A description: differences, effects, origins, histories."""
    words = (
        r"difference|differences|effects?|origin|history|in common|symptoms?|traits|function|"
        r"role|like|setting"
    )
    return vote_if(has(words, question) and question.startswith("what"), "description", "desc")


def what_happened(question: str) -> Vote:
    """A description: what happens, what one should do."""
    words = (
        r"^what (happen(s|ed)|should|would happen)|^what do .* do|^what does .* (do|say)|"
        r"tell me about|describe"
    )
    return vote_if(has(words, question), "description", "desc")


# --- abbreviations ---------------------------------------------------------------------------------------


def stand_for(question: str) -> Vote:
    """An expansion: what letters stand for."""
    words = r"stands? for|stand for|full (form|name) of|acronym .* mean|initials? .* (stand|mean)|the letters"
    return vote_if(has(words, question), "abbreviation", "exp")


def dotted_letters(question: str) -> Vote:
    """An expansion: a short question about letters with dots."""
    dotted = re.search(r"\b[a-z]\.[a-z]\.", question) is not None
    return vote_if(
        dotted and len(question.split()) <= 6 and question.startswith("what"), "abbreviation", "exp"
    )


def abbreviation_of(question: str) -> Vote:
    """An abbreviation is asked for."""
    words = r"abbreviat\w+|acronym for|acronym of|initials? of|middle initial|short for"
    return vote_if(has(words, question), "abbreviation", "abb")


# --- entities --------------------------------------------------------------------------------------------


def living_things(question: str) -> Vote:
    """Animals, plants and parts of the body, from a noun."""
    nouns = (
        r"animals?|dogs?|cats?|birds?|fish|horses?|whale|insects?|breed|mammals?|snakes?|bear|"
        r"reptile|creature|"
        r"dinosaurs?|monkey|spider|shark|rodent|bug"
    )
    if asks_for(nouns, question):
        return {"entity": "animal"}
    if asks_for(r"flowers?|trees?|plants?|herb|weed|bush", question):
        return {"entity": "plant"}
    return vote_if(
        asks_for(r"part of the body|body part|bones?|organs?|muscles?|gland|teeth", question),
        "entity",
        "body",
    )


def named_pet(question: str) -> Vote:
    """Animals, where a pet is named anywhere."""
    words = (
        r"(dog|cat|horse|pet|parrot|elephant|whale|bear|pig|monkey|chimp)s?( named| 's name| \?)|descendents"
    )
    return vote_if(has(words, question), "entity", "animal")


def colors(question: str) -> Vote:
    """Colours, by name."""
    return vote_if(
        asks_for(r"colou?rs?", question) or has(r"(what|which) colou?rs?", question), "entity", "color"
    )


def works(question: str) -> Vote:
    """Books, films, songs and shows, from a noun."""
    nouns = (
        r"books?|novels?|films?|movies?|songs?|plays?|show|series|magazine|newspaper|album|"
        r"poem|musical|opera|"
        r"painting|classic|story|comic strip|sitcom|hit|autobiography|statue|sculpture"
    )
    return vote_if(asks_for(nouns, question), "entity", "cremat")


def writing_verbs(question: str) -> Vote:
    """Books, films and songs, from a verb."""
    words = (
        r"^what .* (write|wrote|written|premiered|starring|starred|author(ed)?|published|sing|"
        r"sang|paint|compose)"
    )
    return vote_if(has(words, question), "entity", "cremat")


def title_of(question: str) -> Vote:
    """Works, where a title is asked for."""
    words = r"title of|(first|last|best|popular) (movie|film|book|novel|song|album)"
    return vote_if(has(words, question) and not has("^(who|when)", question), "entity", "cremat")


def money_of_a_country(question: str) -> Vote:
    """Currencies, by name."""
    words = r"currency|monetary unit|(kind|type) of money|what money|unit of money"
    return vote_if(has(words, question), "entity", "currency")


def illness(question: str) -> Vote:
    """Diseases, fears and drugs, from a noun."""
    nouns = (
        r"diseases?|illness|fear of|phobia|drugs?|vitamin|cancer|virus|treat|cure|medicine|infection|ailment"
    )
    return vote_if(
        has(nouns, question) and not has("^(who|how|why|when|where)", question), "entity", "dismed"
    )


def fear_of(question: str) -> Vote:
    """Diseases: the name of a fear."""
    return vote_if(has(r"fear of", question), "entity", "dismed")


def events(question: str) -> Vote:
    """Events, from a noun."""
    nouns = (
        r"war|battle|event|festival|holiday|disaster|trials?|concerts?|massacre|slaughter|"
        r"revolution|accident|"
        r"hurricane|earthquake|race|tournament|celebration|crisis|bowl game"
    )
    return vote_if(asks_for(nouns, question), "entity", "event")


def food_and_drink(question: str) -> Vote:
    """Food and drink, from a noun."""
    nouns = (
        r"food|fruit|vegetable|drink|beer|wine|nuts?|cereal|scotch|whiskey|cheese|candy|cake|"
        r"bread|meat|soup|sauce|"
        r"ingredients?|meal|dish|beverage|liqueur|cocktail|spice|fruits|dessert|sandwich|cookie|flavou?r"
    )
    return vote_if(asks_for(nouns, question), "entity", "food")


def eat_and_drink(question: str) -> Vote:
    """Food, from what is eaten or drunk."""
    words = r"eat|eats|eaten|ate|drink|drank|made from|made of|ingredients?|taste|taste like"
    return vote_if(has(words, question) and question.startswith("what"), "entity", "food")


def instruments_and_languages(question: str) -> Vote:
    """Musical instruments and languages, by name."""
    if has(r"musical instrument|what instruments?|which instruments?", question):
        return {"entity": "instru"}
    return vote_if(asks_for(r"languages?|dialect|tongue", question), "entity", "lang")


def letters_words_and_signs(question: str) -> Vote:
    """Letters, words and symbols, from a noun."""
    if asks_for(r"letters?|vowel|consonant", question):
        return {"entity": "letter"}
    if has(r"symbols?|chemical symbol|sign for|symboli[sz]es?", question):
        return {"entity": "symbol"}
    return vote_if(
        asks_for(r"words?|plural|anagram|palindrome|verb|prefix|rhymes?|synonym", question), "entity", "word"
    )


def terms(question: str) -> Vote:
    """Terms, where something is called or known as."""
    words = (
        r"(what|name) .* called|known as|the (term|name|word|nickname) for|do you call|"
        r"another name|nickname|call"
    )
    return vote_if(has(words, question) and not has(r"^(who|where|when)", question), "entity", "termeq")


def what_is_it_called(question: str) -> Vote:
    """Terms: a question that ends on called, or asks what one calls something."""
    words = (
        r"called \?|what (do|does|did) .* call|what (is|are) .* (better )?known as|scientific name|other name"
    )
    return vote_if(has(words, question) or question.endswith("called ?"), "entity", "termeq")


def things_made(question: str) -> Vote:
    """Products, vehicles and techniques, from a noun."""
    if asks_for(
        r"cars?|ships?|boats?|planes?|aircraft|shuttle|steamboat|train|submarine|vehicle|automobile", question
    ):
        return {"entity": "veh"}
    if asks_for(r"methods?|techniques?|system|strokes?|style|technology|process", question):
        return {"entity": "techmeth"}
    nouns = (
        r"products?|brand|software|toy|machine|computer|company make|manufacture|doll|weapon|"
        r"clothing|perfume|device"
    )
    return vote_if(asks_for(nouns, question), "entity", "product")


def manufacture(question: str) -> Vote:
    """Products, from what companies do."""
    words = r"^what .*(manufactur\w*|produce|produces|sells?|advertis\w+|marketed|brand of|make)"
    return vote_if(has(words, question), "entity", "product")


def sports(question: str) -> Vote:
    """Sports and games, from a noun."""
    nouns = r"sports?|games?|exercises?|martial art|card game|betting|dance|pastime|athletic"
    return vote_if(
        asks_for(nouns, question) or has(r"(what|which) (sport|game)s?", question), "entity", "sport"
    )


def substances(question: str) -> Vote:
    """Substances, religions, from a noun."""
    if asks_for(r"religions?|faith|church", question):
        return {"entity": "religion"}
    nouns = (
        r"substances?|metals?|chemicals?|elements?|gas|gases|material|minerals?|liquid|gem|"
        r"stone|wood|fiber|acid"
    )
    return vote_if(asks_for(nouns, question), "entity", "substance")


def what_does_it_verb(question: str) -> Vote:
    """Some other entity: the object of what someone does."""
    words = r"^what (did|does|do)(?!.*(mean|call|stand|eat|write|say|look like|manufacture|happen))"
    return vote_if(has(words, question), "entity", "other")


def ordinary_things(question: str) -> Vote:
    """Some other entity, from a noun."""
    nouns = (
        r"awards?|sword|tools?|invention|resource|killer|object|thing|things|item|law|industry|"
        r"flag|crime|prize|unit|"
        r"organism|shape|class|subject|topic|amendment|theory|structure|source|import|export|advantage"
    )
    return vote_if(asks_for(nouns, question), "entity", "other")


# --- people ----------------------------------------------------------------------------------------------


def who_did(question: str) -> Vote:
    """An individual: who with a verb of deeds."""
    verbs = (
        r"^who (invented|wrote|discovered|made|created|played|portrayed|killed|said|won|"
        r"founded|shot|painted|died|"
        r"directed|developed|sang|served|led|was the|is the|'s the|were the|did|does|has|owns|built|lived)"
    )
    return vote_if(has(verbs, question), "human", "ind")


def by_whom(question: str) -> Vote:
    """An individual: by whom, or whose."""
    return vote_if(has(r"by whom|whose|to whom|whom", question), "human", "ind")


def noun_for_a_person(question: str) -> Vote:
    """An individual, from a noun for a person."""
    nouns = (
        r"president|vice-president|actor|actress|american|golfer|coach|captain|pope|mayor|"
        r"singer|figure|character|"
        r"man|woman|king|queen|author|player|players|host|boxer|astronaut|comedian|director|"
        r"star|team|criminal|explorer|"
        r"god|goddess|prime minister|poet|scientist|composer|artist|lawyer|person|people|"
        r"couple|senator|leader|girl|boy"
    )
    return vote_if(asks_for(nouns, question), "human", "ind")


def noun_for_a_group(question: str) -> Vote:
    """A group, from a noun for an organisation."""
    nouns = (
        r"company|companies|corporation|group|band|department|college|university|"
        r"organi[sz]ation|team|teams|agency|"
        r"club|school|party|airline|network|gang|tribe|firm|bank|army|union|league|association|"
        r"institution|hotel"
    )
    return vote_if(asks_for(nouns, question), "human", "gr")


def member_of(question: str) -> Vote:
    """A group, where one belongs to, works for or plays for it."""
    words = (
        r"(member|members|logo|headquarters|subsidiary) of|work for|works for|play for|"
        r"owned by|headed by|belong to"
    )
    return vote_if(has(words, question) and question.startswith(("what", "which")), "human", "gr")


def who_was_somebody(question: str) -> Vote:
    """A description of a person: who was, and nothing but a name."""
    name = re.match(r"who (?:is|was|were|are) (.*?) ?\?$", question)
    plain = name is not None and not has(r"the|an?|of|in|to|first|'s|on|by", name[1])
    return vote_if(plain and len(name[1].split()) <= 4 if name else False, "human", "desc")


def profession(question: str) -> Vote:
    """A title, where a profession is asked for."""
    words = r"profession|occupation|job|title (did|does|was|is)|rank|do for a living|living"
    return vote_if(has(words, question) and question.startswith("what"), "human", "title")


# --- places ----------------------------------------------------------------------------------------------


def cities(question: str) -> Vote:
    """Cities, from a noun or from what cities have."""
    nouns = r"city|cities|town|towns|capital|seaport|port|village|hometown"
    return vote_if(
        asks_for(nouns, question) or has(r"(what|which) \w*\s?\w*\s?(city|cities)", question), "place", "city"
    )


def capital_of(question: str) -> Vote:
    """Cities: the capital of, the home town of."""
    words = r"(what|name|which).* capital of|home town|birthplace of|what city"
    return vote_if(has(words, question), "place", "city")


def countries(question: str) -> Vote:
    """Countries, from a noun."""
    nouns = r"country|countries|nation|nations|nationality|kingdom|republic"
    return vote_if(
        asks_for(nouns, question) or has(r"(what|which) (\w+ ){0,3}(country|countries)", question),
        "place",
        "country",
    )


def nationality(question: str) -> Vote:
    """Countries: nationalities, borders, exports."""
    words = r"what .*(nationality|citizen|border|invaded|export\w*|native to|colony|capital is)"
    return vote_if(has(words, question), "place", "country")


def states(question: str) -> Vote:
    """States of the union, from a noun."""
    asked = asks_for(r"states?|province", question) or has(r"(what|which) (\w+ ){0,2}states?", question)
    return vote_if(asked and not has(r"state (of mind|bird|flower|university)", question), "place", "state")


def mountains(question: str) -> Vote:
    """Mountains, from a noun."""
    nouns = r"mountains?|peaks?|volcano|volcanoes|mount|mountain range|range"
    return vote_if(
        asks_for(nouns, question) or has(r"(highest|tallest) (mountain|peak|point)", question),
        "place",
        "mount",
    )


def waters_and_buildings(question: str) -> Vote:
    """Other places, from a noun."""
    nouns = (
        r"rivers?|lakes?|oceans?|seas?|street|museum|planet|building|island|islands|county|"
        r"continent|desert|park|"
        r"bridge|canal|bay|region|area|web sites?|site|attractions?|airport|hotel|avenue|dam|"
        r"prison|road|tower|address"
    )
    return vote_if(asks_for(nouns, question), "place", "other")


def where(question: str) -> Vote:
    """Other places: where."""
    return vote_if(has(r"^where|in where|where (is|can|do|did|was)", question), "place", "other")


def where_can_i(question: str) -> Vote:
    """Other places: where something is found."""
    words = (
        r"where (can|could|do|should) (i|you|one|we)|where .* (located|buried|found|come from|originate|find)"
    )
    return vote_if(has(words, question), "place", "other")


# --- numbers ---------------------------------------------------------------------------------------------


def how_many(question: str) -> Vote:
    """A count: how many."""
    return vote_if(has(r"how many", question), "number", "count")


def number_of(question: str) -> Vote:
    """A count: the number of, the population of."""
    words = r"(what|which).*(number of|population|total|maximum|how many)|how much (iron|water|blood|of)"
    return vote_if(has(words, question), "number", "count")


def when(question: str) -> Vote:
    """A date: when."""
    return vote_if(has(r"^(when|since when|until when)", question), "number", "date")


def year_or_day(question: str) -> Vote:
    """A date: which year, day, month, season."""
    words = (
        r"(what|which) (\w+ )?(year|day|date|month|season|century|decade|time of year)|"
        r"birthday|what is the .*date"
    )
    return vote_if(has(words, question), "number", "date")


def distances(question: str) -> Vote:
    """Distances and heights."""
    words = (
        r"how (far|tall|high|deep|wide|close)|distance|height|depth|altitude|elevation|"
        r"wingspan|diameter|what .*length"
    )
    return vote_if(has(words, question), "number", "dist")


def amounts_of_money(question: str) -> Vote:
    """Money: cost, price, salary."""
    words = (
        r"how much (does|do|did|is|was|money|would|will|were)|costs?|price|salary|wage|worth|"
        r"paid|earn|fine for"
    )
    return vote_if(has(words, question), "number", "money")


def salaries(question: str) -> Vote:
    """Money: what is the salary, wage, debt or tax."""
    words = r"(salary|wage|income|budget|debt|tax|fare|fee|fortune|cost|price|value) (of|for|to|in)"
    return vote_if(has(words, question) and has("^(what|how much)", question), "number", "money")


def shares(question: str) -> Vote:
    """Percentages, fractions, odds."""
    words = r"percent|percentage|fraction|ratio|odds|chances?|probability|proportion|what share|rate of"
    return vote_if(has(words, question), "number", "perc")


def spans_of_time(question: str) -> Vote:
    """Periods: how long, how old."""
    words = (
        r"how (long|old)|life ?span|life expectancy|gestation|how many (years|days|hours)|"
        r"age (of|is|was)|duration"
    )
    return vote_if(has(words, question), "number", "period")


def speeds_and_temperatures(question: str) -> Vote:
    """Speeds and temperatures."""
    if has(r"speed|how fast|velocity|miles per hour|mph", question):
        return {"number": "speed"}
    return vote_if(
        has(r"temperature|how (hot|cold|warm)|degrees|boiling|melting|freezing point", question),
        "number",
        "temp",
    )


def sizes_and_weights(question: str) -> Vote:
    """Sizes and weights."""
    if has(r"weigh|weighs|weight|how heavy|pounds|tons|calories", question):
        return {"number": "weight"}
    return vote_if(
        has(r"how (big|large)|what (is the )?size|area of|volume|square (feet|miles)|capacity", question),
        "number",
        "volsize",
    )


def codes_and_orders(question: str) -> Vote:
    """Codes, ranks in an order."""
    words = (
        r"(telephone|phone|area|zip|social security|route|fax|serial) (number|code)|zip|"
        r"address code|number on|channel"
    )
    if has(words, question):
        return {"number": "code"}
    return vote_if(
        has(r"what (chapter|rank|number|place)|which (number|chapter|place)|rank(s|ed)?", question),
        "number",
        "ord",
    )


def rates_and_powers(question: str) -> Vote:
    """Other numbers: rates, powers, averages, records."""
    words = (
        r"horsepower|heart rate|(?<!interest )rate (of|for)|stock (price|high)|"
        r"average (?!date)|record|frequency|score"
    )
    return vote_if(has(words, question) and question.startswith("what"), "number", "other")


SOURCES = sources_of(globals())


def load(data: Path) -> Problem:
    """The problem, from the folder that holds the data set."""
    arrays, about = read_arrays(data / "trec")
    known = np.flatnonzero(arrays["y_fine"] >= 0)
    everything = read_texts(data / "trec")
    texts = [everything[i] for i in known]
    fine = [name.split(":") for name in about["fine_class_names"]]
    graph = cs.TaskGraph(
        {"kind": about["class_names"]}
        | {task: [low for high, low in fine if high == kind] for task, kind in KIND_OF_TASK.items()},
        parents={task: ("kind", kind) for task, kind in KIND_OF_TASK.items()},
    )
    task_of = {kind: task for task, kind in KIND_OF_TASK.items()}
    labels = [{"kind": high, task_of[high]: low} for high, low in (fine[y] for y in arrays["y_fine"][known])]
    votes = apply(SOURCES, graph, texts)
    rules = arrays["L"][known].astype(np.int16)
    votes = {
        task: np.hstack([table, rules if task == "kind" else np.full_like(rules, cs.ABSTAIN)])
        for task, table in votes.items()
    }
    names = [source.__name__ for source in SOURCES] + [f"rule {j}" for j in range(rules.shape[1])]
    dev = development_items(len(texts), DEV_SIZE)
    return Problem("trec", graph, texts, gold_of(graph, labels), votes, tuple(names), dev)
