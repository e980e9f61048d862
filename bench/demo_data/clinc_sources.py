"""Eighteen sources for a sub-tree of CLINC150, written from its validation split alone.

A source is a function of one lower-case query that returns ``{task: class name}``, or ``{}`` to abstain.
Some vote on the domain, some on an intent (which implies the domain), one says only what it is not about.
"""

from __future__ import annotations

import re
from collections.abc import Callable

Vote = dict[str, str]

TASKS: dict[str, tuple[str, ...]] = {
    "domain": ("banking", "credit_cards", "travel"),
    "banking_intent": ("balance", "bill_due", "interest_rate", "report_fraud", "transfer"),
    "credit_cards_intent": ("apr", "card_declined", "credit_limit", "international_fees", "rewards_balance"),
    "travel_intent": (
        "book_flight",
        "exchange_rate",
        "international_visa",
        "lost_luggage",
        "travel_notification",
    ),
}
PARENTS: dict[str, tuple[str, str]] = {
    f"{domain}_intent": ("domain", domain) for domain in ("banking", "credit_cards", "travel")
}

BANKS = (
    r"chase|wells fargo|citi(bank)?|capital one|bank of america|us bank|td bank|pnc|hsbc|barclays|discover|"
    r"american express|amex|credit union|fidelity|vanguard|ally|suntrust"
)
PLACES = (
    r"canada|mexico|brazil|argentina|peru|cuba|england|the uk|ireland|scotland|france|paris|germany|berlin|"
    r"spain|italy|rome|greece|switzerland|sweden|norway|russia|turkey|egypt|kenya|south africa|india|china|"
    r"japan|tokyo|korea|thailand|bangkok|vietnam|indonesia|australia|new zealand|europe|america|new york|"
    r"chicago|los angeles|boston|miami|atlanta|seattle|denver|dallas|houston|philadelphia|portland|vermont"
)
CURRENCIES = r"dollars?|usd|cad|euros?|eur|pounds?|gbp|yen|pesos?|rubles?|francs?|rupees?|yuan"


def has(pattern: str, query: str) -> bool:
    """Whether any of the words or phrases of ``pattern`` stands in the query."""
    return re.search(rf"\b(?:{pattern})\b", query) is not None


def first_of(query: str, *rules: tuple[str, str, str]) -> Vote:
    """Vote of the first rule ``(pattern, task, class)`` whose pattern stands in the query."""
    return next(({task: name} for pattern, task, name in rules if has(pattern, query)), {})


def bank_words(query: str) -> Vote:
    """Banking, from the words for accounts."""
    words = r"banks?|accounts?|checkings?|savings|loan|mortgage|deposit|bill"
    return first_of(query, (words, "domain", "banking"))


def card_words(query: str) -> Vote:
    """Credit cards, from the words for cards."""
    return first_of(query, (r"cards?|credit|mastercard|amex|points", "domain", "credit_cards"))


def journey_words(query: str) -> Vote:
    """Travel, from the words for moving about with bags."""
    words = r"flights?|airlines?|airport|plane|luggage|bags?|trip|travell?(ing)?|visiting|vacation|country"
    return first_of(query, (words, "domain", "travel"))


def place_names(query: str) -> Vote:
    """Travel, when a well-known place is named."""
    return {"domain": "travel"} if has(PLACES, query) else {}


def named_bank(query: str) -> Vote:
    """Not travel, when a particular bank is named: its own class N/A."""
    return {"travel_intent": "N/A"} if has(BANKS, query) else {}


def rate_words(query: str) -> Vote:
    """Which of three rates is asked for."""
    return first_of(
        query,
        (r"apr|annual percentage", "credit_cards_intent", "apr"),
        (r"interest", "banking_intent", "interest_rate"),
        (r"rate|conversion|exchange|convert", "travel_intent", "exchange_rate"),
    )


def trouble_words(query: str) -> Vote:
    """Which kind of trouble is told of."""
    return first_of(
        query,
        (r"declined?|rejected|refused|not accepted|denied", "credit_cards_intent", "card_declined"),
        (r"fraud\w*|unauthorized|suspicious|someone", "banking_intent", "report_fraud"),
        (r"lost|lose|missing|stolen|where is my", "travel_intent", "lost_luggage"),
    )


def opening_words(query: str) -> Vote:
    """Guess from how the query opens, whatever its subject."""
    return first_of(
        query,
        (r"^(tell me )?(when|what day|what date|by when)", "banking_intent", "bill_due"),
        (r"^how many", "credit_cards_intent", "rewards_balance"),
        (r"^(why|was there|tell me why)", "credit_cards_intent", "card_declined"),
        (r"^(who|where) (do|can|should|is)", "travel_intent", "lost_luggage"),
        (r"^(do i need|if i|is an?)", "travel_intent", "international_visa"),
    )


def action_verbs(query: str) -> Vote:
    """Intent behind the verb of a request."""
    return first_of(
        query,
        (r"transfer(red)?|move|send", "banking_intent", "transfer"),
        (r"report|contact", "banking_intent", "report_fraud"),
        (r"book|find me|get me|find an?|looking for|searching", "travel_intent", "book_flight"),
        (r"notify|notified|alert|let|inform|aware", "travel_intent", "travel_notification"),
    )


def from_to(query: str) -> Vote:
    """Transfer from one account to another, flight from one place to another."""
    if not re.search(r"\bfrom\b.+\bto\b", query):
        return {}
    money = has(r"accounts?|checkings?|savings|bank", query)
    return {"banking_intent": "transfer"} if money else {"travel_intent": "book_flight"}


def amounts_and_currencies(query: str) -> Vote:
    """Exchange where two currencies are named, transfer for a sum in one."""
    named = set(re.findall(rf"\b(?:{CURRENCIES})\b", query))
    if len(named) >= 2:
        return {"travel_intent": "exchange_rate"}
    return {"banking_intent": "transfer"} if has(r"\d+|hundred|thousand", query) and named else {}


def means_to_buy(query: str) -> Vote:
    """Talk of buying: with one's money a balance, otherwise a credit limit."""
    return first_of(
        query,
        (r"enough|afford|how much money|money", "banking_intent", "balance"),
        (r"spend|spending|buy|purchase", "credit_cards_intent", "credit_limit"),
    )


def limit_or_fee(query: str) -> Vote:
    """Limits and fees, by name."""
    return first_of(
        query,
        (r"limits?|maximum|highest|how high", "credit_cards_intent", "credit_limit"),
        (r"fees?|charged?|cost|extra", "credit_cards_intent", "international_fees"),
    )


def balance_words(query: str) -> Vote:
    """Balances: of rewards where rewards are named, otherwise of an account."""
    return first_of(
        query,
        (r"rewards?|points|miles|earned", "credit_cards_intent", "rewards_balance"),
        (r"balance|how much (is|do i have)|in my", "banking_intent", "balance"),
    )


def visa_word(query: str) -> Vote:
    """Visa as a document, unless the word belongs to a card."""
    if not has("visa", query):
        return {}
    if has(r"my|cards?|black", query):
        return {"domain": "credit_cards"}
    return {"travel_intent": "international_visa"}


def pay_words(query: str) -> Vote:
    """Bill where one has to pay, interest where one is paid."""
    return first_of(
        query,
        (r"due|owed?|(need|have|when|long) to pay|should i pay|be paid", "banking_intent", "bill_due"),
        (r"getting|get on|expect|earn|earning|paying", "banking_intent", "interest_rate"),
    )


def using_the_card(query: str) -> Vote:
    """Intent behind talk of using the card."""
    return first_of(
        query,
        (r"(use|using) (my|the) \w*\s?card", "credit_cards_intent", "international_fees"),
        (r"in (china|russia|japan|europe)", "credit_cards_intent", "international_fees"),
        (r"card (was|got|just)|my card at|trying to|tried to", "credit_cards_intent", "card_declined"),
        (r"card has|card's|of my card", "credit_cards_intent", "apr"),
    )


def plans(query: str) -> Vote:
    """Notification where a plan is announced, visa where it is only considered."""
    return first_of(
        query,
        (r"i will|i'll|i'm going|i am going", "travel_intent", "travel_notification"),
        (r"my (upcoming )?(trip|vacation)", "travel_intent", "travel_notification"),
        (r"(if|should|when|before) i (go|plan|travel|visit)", "travel_intent", "international_visa"),
        (r"(go|going|get|getting) (to|into)", "travel_intent", "international_visa"),
    )


SOURCES: tuple[Callable[[str], Vote], ...] = (
    bank_words,
    card_words,
    journey_words,
    place_names,
    named_bank,
    rate_words,
    trouble_words,
    opening_words,
    action_verbs,
    from_to,
    amounts_and_currencies,
    means_to_buy,
    limit_or_fee,
    balance_words,
    visa_word,
    pay_words,
    using_the_card,
    plans,
)
