"""User intents: ten domains, and fifteen intents under each.

Sources were written from the development split alone (350 queries for 150 intents, so that some intents
were seen by their name only).
"""

from __future__ import annotations

from pathlib import Path

from patterns import Vote, has, pick, sources_of, vote_if
from problem import Problem, apply, development_items, gold_of, read_arrays, read_texts

import consilience as cs

DEV_SIZE = 350

AUTO, BANK, CARD, HOME, FOOD = "auto_intent", "banking_intent", "card_intent", "home_intent", "food_intent"
META, TALK, TRIP, TOOL, WORK = "meta_intent", "talk_intent", "travel_intent", "utility_intent", "work_intent"
DOMAIN_OF_TASK = {
    AUTO: "auto_and_commute",
    BANK: "banking",
    CARD: "credit_cards",
    HOME: "home",
    FOOD: "kitchen_and_dining",
    META: "meta",
    TALK: "small_talk",
    TRIP: "travel",
    TOOL: "utility",
    WORK: "work",
}


# --- domains ---------------------------------------------------------------------------------------------


def car_words(query: str) -> Vote:
    """Cars and driving."""
    words = (
        r"car|cars|tires?|oil|gas|fuel|drive|driving|uber|bus|traffic|engine|mechanic|miles|mpg|highway|route"
    )
    return vote_if(has(words, query), "domain", "auto_and_commute")


def bank_words(query: str) -> Vote:
    """Accounts, bills and payments."""
    words = (
        r"account|bank|bill|checking|savings|payment|transactions?|pin|routing|checks?|money|spent|fraud\w*"
    )
    return vote_if(has(words, query), "domain", "banking")


def card_words(query: str) -> Vote:
    """Credit cards."""
    return vote_if(
        has(r"cards?|credit|rewards?|points|visa card|mastercard|amex", query), "domain", "credit_cards"
    )


def home_words(query: str) -> Vote:
    """Lists, calendar, music and orders."""
    words = r"list|calendar|remind\w*|songs?|music|playlist|order|lights?|to do|todo|shopping|play"
    return vote_if(has(words, query), "domain", "home")


def food_words(query: str) -> Vote:
    """Cooking, restaurants and tables."""
    words = (
        r"cook|recipe|restaurants?|reservations?|calories|meal|dinner|lunch|ingredients?|food|"
        r"table|eat|bake|healthy|"
        r"cuisine|dish|milk|butter|sugar|pizza|pasta|chicken|eggs?|cheese|bread"
    )
    return vote_if(has(words, query), "domain", "kitchen_and_dining")


def device_words(query: str) -> Vote:
    """Settings of the assistant itself."""
    words = (
        r"volume|voice|accent|settings?|whisper\w*|louder|speak|your name to|language|sync|"
        r"speed|repeat|my name"
    )
    return vote_if(has(words, query), "domain", "meta")


def addressed_to_you(query: str) -> Vote:
    """Small talk: the assistant is asked about itself."""
    words = (
        r"(are|do|were|did) you (?!know|think|need)\w+|your (age|name|boss|hobb\w+|purpose)|"
        r"who made|you (made|from)"
    )
    return vote_if(has(words, query), "domain", "small_talk")


def travel_words(query: str) -> Vote:
    """Journeys."""
    words = (
        r"flight|flights|hotel|travel\w*|trip|visa|luggage|plane|airlines?|vacation to|tourist|"
        r"visit|country|rental|"
        r"rent|carry[- ]ons?|exchange rate|timezone|time zone|spanish|french|german"
    )
    return vote_if(has(words, query), "domain", "travel")


def tool_words(query: str) -> Vote:
    """Clock, phone, dictionary and calculator."""
    words = (
        r"alarm|timer|time|date|weather|call|text|spell|mean|definition|define|coin|dice|die|"
        r"calculate|plus|divided|"
        r"location|inches|convert|phone"
    )
    return vote_if(has(words, query), "domain", "utility")


def work_words(query: str) -> Vote:
    """Employment."""
    words = (
        r"meetings?|pto|vacation|days? off|time off|paycheck|salary|income|insurance|taxes|w2|"
        r"w-2|401k|payday|holiday|"
        r"work|job|employer|direct deposit|health plan"
    )
    return vote_if(has(words, query), "domain", "work")


def one_or_two_words(query: str) -> Vote:
    """Very short queries answer or greet."""
    return vote_if(len(query.split()) <= 2, "domain", "meta")


# --- cars ------------------------------------------------------------------------------------------------


def car_parts(query: str) -> Vote:
    """Intent from the part of the car."""
    return pick(
        query,
        AUTO,
        tire_pressure=r"tires?.*(air|pressure)|pressure|psi",
        tire_change=r"tires?",
        jump_start=r"batter(y|ies)|jumper|jump",
        oil_change_how=r"how .*\boil",
        oil_change_when=r"oil",
        gas=r"gas tank|fuel|tank",
    )


def oil_when_or_how(query: str) -> Vote:
    """Oil: whether time or manner is asked for, or an appointment."""
    if not has(r"oil", query):
        return {}
    when = r"when|due|next|how long|need an|time"
    make = r"schedule|book|appointment|make"
    return pick(
        query, AUTO, schedule_maintenance=make, oil_change_when=when, oil_change_how=r"how|steps|instructions"
    )


def where_am_i(query: str) -> Vote:
    """Location of oneself."""
    words = (
        r"where (\w+ )?am i|my (current |present |exact )?(location|coordinates|position)|"
        r"what (city|place|street) am i|latitude"
    )
    return vote_if(
        has(words, query) and not has(r"send|share|tell \w+ my|to", query), AUTO, "current_location"
    )


def ways(query: str) -> Vote:
    """Directions, distances and traffic."""
    return pick(
        query,
        AUTO,
        traffic=r"traffic|accidents? on|congestion|road conditions?|rush hour|highway",
        directions=(
            r"directions?|how (do|can) i get to|nearest|closest|fastest way|way to (go|get)|route|"
            r"find .* near"
        ),
        distance=(
            r"how (far|long|much time|many miles).* (to|from|until|till|get|reach)|distance|eta|"
            r"destination"
        ),
    )


def arrival(query: str) -> Vote:
    """Distance: when one arrives."""
    words = (
        r"(when|what time) (will|do) (i|we|the bus) (get|arrive|reach)|get me to|how far|"
        r"remaining time|time to reach|away"
    )
    return vote_if(has(words, query), AUTO, "distance")


def uber(query: str) -> Vote:
    """A ride."""
    return vote_if(has(r"ubers?|lyft|taxi|cab|a ride|pick me up", query), AUTO, "uber")


def fuel_kind(query: str) -> Vote:
    """What to fill in."""
    words = (
        r"(what|which) (kind|type|sort|grade|octane)?\s?(of )?(gas|fuel|gasoline)|octane|"
        r"unleaded|premium|diesel|regular gas"
    )
    return vote_if(has(words, query), AUTO, "gas_type")


def fuel_level(query: str) -> Vote:
    """How much fuel is left."""
    words = (
        r"how (much|full) .*(gas|fuel|tank)|(enough|any|low on) (gas|fuel)|(gas|fuel) (level|"
        r"left|gauge|do i)|gas tank"
    )
    return vote_if(has(words, query), AUTO, "gas")


def fuel_use(query: str) -> Vote:
    """Miles a gallon."""
    words = r"mpg|miles (per|to the|a) gallon|gas mileage|mileage|fuel (economy|efficiency|consumption)"
    return vote_if(has(words, query), AUTO, "mpg")


def dead_battery(query: str) -> Vote:
    """Jump start."""
    words = r"jump ?start|jump(er|ing)?|dead (car )?batter(y|ies)|batter(y|ies) (is )?(dead|died)|won't start"
    return vote_if(has(words, query), AUTO, "jump_start")


def garage(query: str) -> Vote:
    """Maintenance: past, or to come."""
    return pick(
        query,
        AUTO,
        last_maintenance=(
            r"last (time|maintenance|service|serviced|tune|inspect\w+|check\w*)|(car|it).* last|"
            r"was .*(serviced|in the shop)"
        ),
        schedule_maintenance=(
            r"engine light|(schedule|book|appointment).*(car|oil|tires?|maintenance|service|"
            r"mechanic|brakes?)|look at my car|repair"
        ),
    )


def tires(query: str) -> Vote:
    """Tires: new ones, or air."""
    if not has(r"tires?", query):
        return {}
    new = r"chang\w+|new|replac\w+|tread|rotate\w*|swap|flat|need"
    return pick(query, AUTO, tire_pressure=r"air|pressure|inflat\w+|low|filled", tire_change=new)


# --- banking ---------------------------------------------------------------------------------------------


def account_trouble(query: str) -> Vote:
    """Frozen accounts: as a fact, or as a wish."""
    return pick(
        query,
        BANK,
        account_blocked=(
            r"(why|reason|unblock|unfreeze|locked out|hold on).*account|account.*(blocked|frozen|"
            r"locked|hold)|frozen"
        ),
        freeze_account=(
            r"(freeze|block|lock|stop|halt|pause|suspend|put a (block|hold|freeze)).*(account|bank|"
            r"savings|checking)"
        ),
    )


def freeze(query: str) -> Vote:
    """Freezing, by the verb."""
    return vote_if(
        has(r"freeze|put a (block|freeze|stop|hold)|block (my|the)", query), BANK, "freeze_account"
    )


def account_balance(query: str) -> Vote:
    """What is in an account."""
    words = (
        r"balance|how much (money )?(is|do i have)?.*(account|bank|savings|checking)|"
        r"enough .*account|money in my"
    )
    return vote_if(has(words, query) and not has(r"vacation|pto|rewards?|points", query), BANK, "balance")


def enough_money(query: str) -> Vote:
    """What is in an account: whether it suffices."""
    words = (
        r"(enough|money|account).*(cover|buy|afford|groceries|for a)|can i afford|"
        r"do i have enough (money|in my)"
    )
    return vote_if(has(words, query), BANK, "balance")


def bills(query: str) -> Vote:
    """Bills: due date, least payment, amount, paying."""
    if not has(r"bills?|payment|owe|pay", query):
        return {}
    return pick(
        query,
        BANK,
        min_payment=r"minimum|least|lowest|min",
        bill_due=r"when|due|how long|deadline|what day|date",
        bill_balance=r"how much|cost|what (is|are)|what's|total|amount|balance|owe",
        pay_bill=r"pay|make|schedule|put|payment",
    )


def pay_it(query: str) -> Vote:
    """Paying, by the verb."""
    words = r"(pay|paying|payment (on|to|towards|for)) (\w+ ){0,3}bills?|take care of .*bill|pay (off )?my"
    return vote_if(
        has(words, query) and not has(r"when|minimum|how (much|long)|least", query), BANK, "pay_bill"
    )


def household_bills(query: str) -> Vote:
    """What a named bill comes to."""
    words = (
        r"(cable|gas|electric\w*|water|phone|internet|utility|utilities|power|light|rent)( and \w+)? bills?"
    )
    return vote_if(
        has(words, query) and has(r"how much|cost|what's|what is|total|high", query), BANK, "bill_balance"
    )


def due_dates(query: str) -> Vote:
    """When a bill is due."""
    return vote_if(
        has(r"(bill|payment|it|rent).* due|due (date|on|by)|when .*(bill|pay my)", query), BANK, "bill_due"
    )


def rates_and_numbers(query: str) -> Vote:
    """Interest, routing numbers, pins."""
    return pick(
        query,
        BANK,
        interest_rate=r"interest( rate)?",
        routing=r"routing( number)?|aba",
        pin_change=r"pin( number)?|passcode",
        order_checks=r"checkbooks?|(more|new|order|blank|paper|mail|some|send me) checks|checks",
    )


def paper_checks(query: str) -> Vote:
    """Ordering checks."""
    words = r"(order|need|get|out of|send|run).*(checks|checkbooks?)"
    return vote_if(has(words, query), BANK, "order_checks")


def fraud(query: str) -> Vote:
    """Charges that are not one's own."""
    words = (
        r"fraud\w*|unauthori[sz]ed|didn't (make|authorize|buy)|suspicious|stole|scam\w*|"
        r"did not (make|authorize)|hacked"
    )
    return vote_if(has(words, query), BANK, "report_fraud")


def spending(query: str) -> Vote:
    """What was spent."""
    words = r"(spent|spend|spending)( (on|at|in|last|this|yesterday|history|recently))?|what did i (buy|pay)"
    return vote_if(
        has(words, query) and not has(r"transactions?|limit|spend on", query), BANK, "spending_history"
    )


def transactions(query: str) -> Vote:
    """Recent transactions."""
    words = r"transactions?|(recent|latest|last|most recent) (purchases?|charges?|activity|debits?)|statement"
    return vote_if(has(words, query) and not has(r"fees?", query), BANK, "transactions")


def move_money(query: str) -> Vote:
    """Transfers."""
    words = (
        r"(transfer|move|send|wire|shift) .*(money|dollars|\$\d+|\d+|funds|account|savings|"
        r"checking|cash|bucks)|from .* account to"
    )
    return vote_if(has(words, query) and not has(r"401k|conversion", query), BANK, "transfer")


# --- credit cards ----------------------------------------------------------------------------------------


def card_trouble(query: str) -> Vote:
    """What is wrong with a card."""
    if not has(r"cards?|mastercard|visa|amex|discover", query):
        return {}
    return pick(
        query,
        CARD,
        report_lost_card=r"lost|stolen|lose|missing|misplaced|can't find|stole",
        damaged_card=(
            r"damaged?|broken?|bent|creased|chewed|cracked|melted|ripped|snapped|scratched|ruined|"
            r"tore|magnetic|cut"
        ),
        card_declined=(
            r"declined?|rejected|denied|refused|not work\w*|couldn't use|why|problem|wouldn't|"
            r"didn't (work|go)"
        ),
    )


def declined(query: str) -> Vote:
    """A card was refused."""
    return vote_if(
        has(r"declined?|(card|was|got).*(rejected|denied|refused|turned down)", query), CARD, "card_declined"
    )


def lost_cards(query: str) -> Vote:
    """A card is lost."""
    words = (
        r"(lost|stolen|lose|losing|missing|misplaced|left).* (card|visa|mastercard|amex)|"
        r"card .*(lost|stolen|missing)"
    )
    return vote_if(has(words, query), CARD, "report_lost_card")


def broken_cards(query: str) -> Vote:
    """A card is broken."""
    words = (
        r"damaged?|creased|chewed|bent|cracked|snapped|scratched|ripped|melted|broke(n)?|"
        r"no longer (swipes|works)"
    )
    return vote_if(has(words, query) and has(r"card", query), CARD, "damaged_card")


def limits(query: str) -> Vote:
    """Limits: what they are, or that they be raised."""
    if not has(r"limit|line of credit|credit line", query):
        return {}
    raised = (
        r"increase\w*|rais\w+|higher|change|extend|lower|more|up|bump|boost|expand|larger|"
        r"bigger|request|decrease"
    )
    return {CARD: "credit_limit_change"} if has(raised, query) else {CARD: "credit_limit"}


def what_limit(query: str) -> Vote:
    """A limit is asked for."""
    words = (
        r"(what|how much|tell me|whats|what's|how high).*(limit|spend on (my|the)|"
        r"left to spend)|limit .*(on|of|for) my"
    )
    return vote_if(has(words, query), CARD, "credit_limit")


def scores(query: str) -> Vote:
    """Credit scores: what they are, or how to improve them."""
    if not has(r"credit (score|rating|report)|fico|score", query):
        return {}
    better = r"improve|better|raise|increase|help|fix|higher|build|boost|repair|good|affect|plan"
    return {CARD: "improve_credit_score"} if has(better, query) else {CARD: "credit_score"}


def better_credit(query: str) -> Vote:
    """Improving one's credit."""
    words = r"(improve|better|raise|increase|build|boost|fix|repair|help) (\w+ ){0,2}(credit|score)"
    return vote_if(has(words, query) and not has("limit", query), CARD, "improve_credit_score")


def apr(query: str) -> Vote:
    """Annual percentage rates."""
    words = r"apr|annual (percentage )?rate|annual percent\w*|(interest|rate) .*card|percentage rate"
    return vote_if(has(words, query), CARD, "apr")


def points(query: str) -> Vote:
    """Rewards: how many, or how to use them."""
    if not has(r"rewards?|points|cash ?back|miles", query):
        return {}
    use = r"redeem\w*|use|utilize|spend|cash in|exchange|claim|apply|trade"
    return {CARD: "redeem_rewards"} if has(use, query) else {CARD: "rewards_balance"}


def reward_count(query: str) -> Vote:
    """How many rewards one has."""
    words = (
        r"how many (rewards?|points|reward points)|rewards? (balance|total|points do)|(earned|"
        r"have) .*(points|rewards)|check my rewards"
    )
    return vote_if(has(words, query), CARD, "rewards_balance")


def fees_abroad(query: str) -> Vote:
    """Fees in other countries."""
    words = (
        r"(international|foreign|transaction|overseas) (transaction )?(fees?|charges?)|"
        r"(charged?|cost|fees?).*(card|abroad|overseas)"
    )
    return vote_if(has(words, query), CARD, "international_fees")


def card_in_a_country(query: str) -> Vote:
    """Using a card in a country."""
    words = (
        r"(use|using|used) (my|the|this|a) .*card in|card .* in (england|italy|india|france|"
        r"canada|mexico|spain|europe|japan)"
    )
    return vote_if(has(words, query) and not has("declined", query), CARD, "international_fees")


def new_cards(query: str) -> Vote:
    """Applying for cards, and waiting for them."""
    return pick(
        query,
        CARD,
        application_status=(
            r"(application|app) .*(status|approved|go|through)|status .*application|approved|"
            r"application"
        ),
        replacement_card_duration=(
            r"(how long|when|how many days).*(replacement|new|card (get|come|arrive|be here|"
            r"in the mail))"
        ),
        expiration_date=r"expir\w+|no longer be good|good (until|through)|valid (until|till)|run out",
        new_card=r"(apply|sign up|get|want|open|need|application) .*(card|new card|line of credit)",
    )


def replacement(query: str) -> Vote:
    """Waiting for a replacement."""
    words = r"replacement( card)?|(how long|when).* (new|replacement)( \w+)? card"
    return vote_if(has(words, query), CARD, "replacement_card_duration")


def apply_for_card(query: str) -> Vote:
    """Applying for a card."""
    words = r"(apply|applying|sign up|get|open|want) (for )?(a |an |another )?(\w+ ){0,2}(credit card|card)"
    return vote_if(has(words, query) and not has(r"lost|how long|status|declined", query), CARD, "new_card")


# --- home ------------------------------------------------------------------------------------------------

CHANGE = (
    r"add|remove|delete|put|take|erase|clear|cross|set|create|make|schedule|get rid|cancel|"
    r"include|mark|need|start|new"
)


def lists(query: str) -> Vote:
    """Lists: which, and whether one is read or changed."""
    changed = has(
        r"add(ed)?|remove|delete|put|take (off|away)|take|erase|clear|cross|get rid|include|start|new|make",
        query,
    )
    if has(r"shopping list|grocery list|groceries list|(buy|shopping|grocery)\b.*list", query):
        return {HOME: "shopping_list_update" if changed else "shopping_list"}
    if has(r"to[- ]?do( list)?|things to do|(task|chore)s? list|list of (things|tasks|chores)", query):
        return {HOME: "todo_list_update" if changed else "todo_list"}
    return {}


def calendars(query: str) -> Vote:
    """Calendar: read or changed."""
    if not has(r"calendar|appointments?|agenda|events?", query) or has("meetings?", query):
        return {}
    changed = has(CHANGE, query) and not has(r"^(what|is|do|did|when|are|am|any)", query)
    return {HOME: "calendar_update" if changed else "calendar"}


def reminders(query: str) -> Vote:
    """Reminders: read or made."""
    if not has(r"remind\w*", query):
        return {}
    read = r"what|list|check|tell me|any|do i have|my reminders|show|read|are there|did i"
    return {HOME: "reminder" if has(read, query) else "reminder_update"}


def remind_me(query: str) -> Vote:
    """Reminders made, by the verb."""
    words = (
        r"remind me (to|about|of|that|on|at)|set( up)? (a |another )?(new )?reminder|(make|"
        r"create|add|need|have) a reminder"
    )
    return vote_if(has(words, query) and not has("what", query), HOME, "reminder_update")


def plans_of_the_day(query: str) -> Vote:
    """What stands on the calendar or the list today."""
    words = (
        r"(what|anything).*(on my (calendar|agenda|schedule)|planned|plans)|(is|am) .*(free|busy)|my schedule"
    )
    return vote_if(has(words, query), HOME, "calendar")


def what_must_i_do(query: str) -> Vote:
    """What is to be done."""
    words = r"what .*(have|need|supposed|left) to (do|get done)|on my (todo|to[- ]do)|my (todo|to[- ]do) list"
    return vote_if(has(words, query) and not has(r"add|remove|put|delete|take", query), HOME, "todo_list")


def add_to_list(query: str) -> Vote:
    """Changed lists, by the verb."""
    return pick(
        query,
        HOME,
        update_playlist=r"(add|put|include|save|added) .*(playlist|to my .*music|favorites)",
        shopping_list_update=r"(add|put|remove|delete|take|include).*(shopping|grocery|groceries|to buy)",
        todo_list_update=r"(add|put|remove|delete|take|cross|check).*"
        r"(todo|to[- ]do|things to do|task|chores?)",
        calendar_update=r"(add|put|remove|delete|take|mark|erase|clear).*(calendar|appointment|event|schedule)",
    )


def music(query: str) -> Vote:
    """Music: what to play, what plays."""
    return pick(
        query,
        HOME,
        next_song=r"next (song|track|one|tune)|skip( this| the| to)?|song after|change (the|this) song",
        update_playlist=r"playlists?",
        what_song=(
            r"(what|which|name|who|whats|what's).*(song|music|track|tune|playing|sings?|artist)|"
            r"this song"
        ),
        play_music=r"play(ing)?( me)?( some| the| a)?|listen to|hear|put on|music|songs?",
    )


def song_name(query: str) -> Vote:
    """What plays."""
    words = (
        r"(name|title) (of )?(this|the|that) (song|track)|song (is|name|currently)|(what|"
        r"who).* (playing|singing|sings)|name this"
    )
    return vote_if(has(words, query), HOME, "what_song")


def play(query: str) -> Vote:
    """Music wanted, by the verb."""
    words = (
        r"^(please )?(can you |could you )?(play|put on|start playing)|want to (hear|listen)|"
        r"greatest hits|by the"
    )
    return vote_if(has(words, query) and not has(r"next|playlist", query), HOME, "play_music")


def skip(query: str) -> Vote:
    """The next song."""
    return vote_if(has(r"skip|next (song|track|tune|one)|go to the next", query), HOME, "next_song")


def switch_things(query: str) -> Vote:
    """Lights and machines of the house."""
    words = (
        r"(turn|switch|shut|dim|set|adjust|raise|lower|lock|open|close|start) .*(lights?|lamp|"
        r"thermostat|oven|fan|tv|ac|heat|"
        r"heater|door|doors|garage|blinds|temperature|stove|dishwasher|vacuum|washer|dryer|air|"
        r"degrees|living room|bedroom)"
    )
    return vote_if(has(words, query) and not has(r"volume|alarm|timer", query), HOME, "smart_home")


def on_and_off(query: str) -> Vote:
    """Machines of the house, by the verb."""
    return vote_if(has(r"turn (on|off|up|down) the|turn the|lights?|thermostat", query), HOME, "smart_home")


def orders(query: str) -> Vote:
    """Orders: to be placed, or on the way."""
    on_the_way = (
        r"(order|package|purchase|delivery|shipment|shipping|item|it).*(status|arrive|arrived|"
        r"shipped|coming|here|delivered|get here)|track|where.*(order|package)|"
        r"status of my (order|delivery|purchase|package)"
    )
    if has(on_the_way, query):
        return {HOME: "order_status"}
    placed = (
        r"(order|reorder|buy|purchase) (me )?(more|some|another|a|an|\d+|for|from amazon)|"
        r"order more|ran out|out of|amazon"
    )
    return vote_if(has(placed, query) and not has("checks?", query), HOME, "order")


# --- food ------------------------------------------------------------------------------------------------


def reservations(query: str) -> Vote:
    """Reservations: made, confirmed, cancelled, or whether they are taken."""
    if not has(r"reservations?|reserve|table", query):
        return {}
    return pick(
        query,
        FOOD,
        cancel_reservation=r"cancel\w*|call off|nix|get rid|delete|void|undo",
        how_busy=r"wait|how (long|busy|much time)|crowded",
        accept_reservations=(
            r"(does|do|can|if|will|are).*(take|accept|allow|possible|have) .*reservations?|(takes|"
            r"accepts) reservations"
        ),
        confirm_reservation=(
            r"confirm\w*|check|verify|do i have|is my|still|sure|make certain|what (time|day) is|"
            r"when is"
        ),
        restaurant_reservation=r"make|book|get|reserve|need|set|for \w+|under",
    )


def table_for(query: str) -> Vote:
    """Tables wanted."""
    words = r"table for|(make|book|get|need|reserve|set up).* (reservations? (for|at)|table)|reserve a"
    return vote_if(
        has(words, query) and not has(r"cancel|wait|confirm", query), FOOD, "restaurant_reservation"
    )


def cancel_it(query: str) -> Vote:
    """Cancelled reservations."""
    words = (
        r"cancel .*(reservations?|table|dinner)|not going to make my reservation|don't need my reservation"
    )
    return vote_if(has(words, query), FOOD, "cancel_reservation")


def busy(query: str) -> Vote:
    """How full a restaurant is."""
    words = (
        r"how (busy|crowded|packed|full)|(wait|waiting)( time)?|(is|are) .*(busy|crowded|"
        r"packed)|long (is )?the (wait|line)"
    )
    return vote_if(has(words, query) and not has(r"day off|holiday", query), FOOD, "how_busy")


def restaurants(query: str) -> Vote:
    """Restaurants: reviews, or suggestions."""
    reviewed = (
        r"reviews?|reviewed|ratings?|rated|any good|stars|yelp|good reviews|"
        r"is .*restaurant good|food at .*(good|like)"
    )
    if has(reviewed, query):
        return {FOOD: "restaurant_reviews"}
    suggested = (
        r"restaurants?|places? (to eat|for|that (serve|sell))|somewhere to eat|where (can|"
        r"should) (i|we) (eat|get)|eateries|steakhouse"
    )
    return vote_if(has(suggested, query), FOOD, "restaurant_suggestion")


def cuisine(query: str) -> Vote:
    """Suggestions from a kind of cooking."""
    if not has(
        r"italian|mexican|indian|chinese|thai|greek|french|japanese|korean|vegan|sushi|italy|cuban|bbq", query
    ):
        return {}
    place = r"restaurants?|places?|near|nearby|find|around|in (dallas|town|the area|my area)|spot"
    return pick(
        query,
        FOOD,
        restaurant_suggestion=place,
        meal_suggestion=r"meal|dinner|lunch|dish|food|suggest\w*|recommend\w*",
    )


def meal_ideas(query: str) -> Vote:
    """What to cook or eat."""
    words = (
        r"(suggest|recommend|recommendation|recommendations|ideas?|what should).*(meal|dinner|"
        r"lunch|breakfast|cook|eat|dish|make for)|meal (ideas?|suggest\w*|from)|"
        r"something to (cook|eat|make)"
    )
    return vote_if(has(words, query) and not has(r"restaurants?", query), FOOD, "meal_suggestion")


def cooking(query: str) -> Vote:
    """Cooking: time, recipe, ingredients."""
    return pick(
        query,
        FOOD,
        cook_time=(
            r"how (long|much time|many minutes).*(cook|bake|boil|fry|roast|grill|make|prepare|take|"
            r"oven|microwave)|cook(ing)? time|baking time"
        ),
        ingredients_list=(
            r"ingredients?|what (do i need|is needed|goes|is in|'s in|is used).*(make|cook|for|in)|"
            r"what is needed"
        ),
        recipe=(
            r"recipes?|how (do|can|would|should) (i|you|one) (make|cook|bake|prepare)|how to (make|"
            r"cook|bake|prepare)"
        ),
    )


def recipe(query: str) -> Vote:
    """Recipes, by the word or the way."""
    words = (
        r"recipes?|(teach|show|tell) me how to (make|cook|bake)|how (do|can) (i|you) (make|"
        r"cook|bake)|best way to (make|cook|bake)"
    )
    return vote_if(has(words, query) and not has(r"ingredients?|how long", query), FOOD, "recipe")


def food_values(query: str) -> Vote:
    """Calories and other values."""
    return pick(
        query,
        FOOD,
        calories=r"calories?|caloric|calorie count",
        nutrition_info=(
            r"nutrition\w*|healthy|unhealthy|health (benefits|value)|carbs|protein|fat|vitamins?|"
            r"sodium|how much (sugar|fiber)|good for (me|you)|bad for"
        ),
    )


def how_healthy(query: str) -> Vote:
    """How healthy something is."""
    words = (
        r"how (healthy|nutritious|good)|nutritional|is .* (healthy|good for)|(carbs|fat|"
        r"protein|sodium|sugar|fiber) (is|are|in)"
    )
    return vote_if(has(words, query), FOOD, "nutrition_info")


def instead(query: str) -> Vote:
    """Substitutes."""
    words = (
        r"substitut\w+|instead( of)?|sub|replace(ment for)?|switch|swap|in place of|"
        r"alternative (to|for)|rather than"
    )
    return vote_if(
        has(words, query) and not has(r"plan|voice|language|insurance|card|phone", query),
        FOOD,
        "ingredient_substitution",
    )


def can_i_use(query: str) -> Vote:
    """Substitutes: using one thing for another."""
    words = (
        r"can i use .*(for|instead)|is it (okay|ok) to (use|switch|sub\w*)|can .* (be used|"
        r"be substituted|replace)"
    )
    return vote_if(has(words, query), FOOD, "ingredient_substitution")


def how_long_good(query: str) -> Vote:
    """How long food keeps."""
    words = (
        r"(how long|until when).*(last|good|keep|stay|fresh|fridge|left out|store|before it)|"
        r"safe to (eat|drink)|still (good|safe|ok)|(go|gone|goes|went) bad|expired?|spoil\w*|"
        r"rotten|shelf life|in the fridge"
    )
    return vote_if(has(words, query) and not has(r"cards?|visa", query), FOOD, "food_last")


# --- the assistant ---------------------------------------------------------------------------------------


def answers(query: str) -> Vote:
    """Yes, no and maybe."""
    return pick(
        query,
        META,
        maybe=(
            r"maybe|perhaps|not sure|possibly|might|could be|don't know|cant say|can't say|unsure|"
            r"no idea|i'm uncertain|not certain"
        ),
        yes=(
            r"yes|yeah|yep|yup|affirmative|correct|of course|absolutely|sure|true|definitely|"
            r"sounds good|right on"
        ),
        no=r"no|nope|nah|not (right|true|correct)|false|wrong|negative|incorrect|isn't right|absolutely not",
    )


def plain_yes_or_no(query: str) -> Vote:
    """Yes and no, in short queries."""
    if len(query.split()) > 7:
        return {}
    return pick(
        query,
        META,
        no=r"^(no|nope|nah)|not|wrong|false|negative",
        yes=r"^(yes|yeah|yep|ok|okay|sure|do (that|it))|correct|right|true",
    )


def uncertain(query: str) -> Vote:
    """Maybe, in short queries."""
    words = (
        r"maybe|perhaps|(i'm|i am) not (really |too )?(sure|certain)|(do not|"
        r"don't) (really )?know|hard to say|could go either way|who knows|depends"
    )
    return vote_if(has(words, query) and len(query.split()) <= 8, META, "maybe")


def stop(query: str) -> Vote:
    """Cancel."""
    words = (
        r"cancel( that| this| it| the request)?|stop|undo|abort|quit|forget (it|that)|"
        r"never ?mind|disregard|end (this|that)"
    )
    table = r"reservations?|alarm|timer|card|flight|meeting|account|payment|table|order|appointment|song"
    return vote_if(has(words, query) and not has(table, query), META, "cancel")


def voice(query: str) -> Vote:
    """The voice: accent, speed, volume, whispering."""
    return pick(
        query,
        META,
        whisper_mode=r"whisper\w*|quiet(ly|er)? (voice|mode)|too much noise",
        change_accent=r"accents?|(male|female|man's|woman's|british|different|another) (voice|accent)|voice",
        change_speed=(
            r"(talk|speak|talking|speaking|speech|say).*(fast|faster|slow|slower|quick\w*|speed)|"
            r"slow down|speed up|slower|faster"
        ),
        change_volume=r"volume|louder|softer|quieter|turn (it |yourself )?(up|down)|loud|mute",
    )


def names(query: str) -> Vote:
    """Names: the assistant's, the user's, or a new one for either."""
    return pick(
        query,
        META,
        change_ai_name=(
            r"(change|alter|switch|set|give) (your|the ai|the name|ai)( \w+)? ?name|(call|name|"
            r"refer to) you|your (new )?name (is|will|should|to)|name .* ai|rename you"
        ),
        change_user_name=(
            r"(call|calling|refer to|address) me( as)?|my name (is|to|should)|change my name|"
            r"my (new )?name|i am|i'm called"
        ),
        user_name=r"(what|say|know|tell|remember|who).*(my name|am i|do you call me)|who am i",
    )


def what_is_my_name(query: str) -> Vote:
    """The user's name is asked for."""
    words = (
        r"(what|what's|whats|do you know|tell me|say|remember|recall|have) .*(my name|"
        r"name you have|you call me)|who (am i|do you think i am)"
    )
    return vote_if(has(words, query), META, "user_name")


def call_me(query: str) -> Vote:
    """A new name for the user."""
    words = (
        r"(call|calling|address) me (?!a |an |the |back|at)\w+|change my (user ?)?name|^i am \w+$|^my name is"
    )
    return vote_if(has(words, query), META, "change_user_name")


def settings(query: str) -> Vote:
    """Settings: back to the start, language, connections."""
    return pick(
        query,
        META,
        reset_settings=r"(reset|factory|original|initial|default|restore)( \w+)?|settings",
        change_language=(
            r"(change|switch|set|use|speak|talk|respond).*(language|(in|to) (spanish|french|"
            r"english|german|chinese|italian|russian|japanese))|speak (spanish|french|german|"
            r"chinese)|language"
        ),
        sync_device=(
            r"sync\w*|(connect|disconnect|pair|unpair|link)( with| to| from)? .*(phone|device|"
            r"bluetooth|me)|connect|pair"
        ),
    )


def factory(query: str) -> Vote:
    """Settings as they were."""
    words = (
        r"factory|(original|initial|default|device) (settings?|state)|reset( all| my| the| to|"
        r" device)?|settings back|originally"
    )
    return vote_if(has(words, query), META, "reset_settings")


def say_again(query: str) -> Vote:
    """Repeat."""
    words = (
        r"repeat|say (that|it)( \w+)? (again|over|once more)|(one more time|once more|"
        r"come again)|what did you (just )?(say|ask)|didn't (hear|catch)|pardon|"
        r"did you (just )?(say|ask)|say that"
    )
    return vote_if(has(words, query), META, "repeat")


def whisper(query: str) -> Vote:
    """Whispering."""
    return vote_if(has(r"whisper\w*|quieter voice|low voice|noise|quiet mode", query), META, "whisper_mode")


def loudness(query: str) -> Vote:
    """Volume, with its levels."""
    return vote_if(
        has(r"volume|louder|softer|speakers? (up|down)|turn (up|down) the (volume|sound)", query),
        META,
        "change_volume",
    )


# --- small talk ------------------------------------------------------------------------------------------


def courtesies(query: str) -> Vote:
    """Greetings, farewells and thanks."""
    return pick(
        query,
        TALK,
        thank_you=r"thank(s| you)?|appreciate( it| that| your| the)?|grateful|many thanks",
        goodbye=(
            r"bye|goodbye|see (you|ya)|later|farewell|peace out|so long|take care|good ?night|"
            r"adios|ciao|cya|nice (talking|chatting)|until next time"
        ),
        greeting=(
            r"^(hello|hi|hey|greetings|good (morning|evening|afternoon|day)|howdy|yo|sup|what's up|"
            r"how's it going|how are (you|things)|hows)"
        ),
    )


def how_are_you(query: str) -> Vote:
    """Greetings, as questions."""
    words = (
        r"how (are|r) (you|ya|things)|how's (it going|your day|everything|life)|what's (up|new|"
        r"going on)|how have you been|how do you do|hows|how is (it going|your day)"
    )
    return vote_if(has(words, query), TALK, "greeting")


def farewells(query: str) -> Vote:
    """Farewells, in short queries."""
    words = (
        r"(good)?bye|see (you|ya)|later|peace out|(great|good|nice) (talk|to see you|talking|chat|chatting)"
    )
    return vote_if(has(words, query) and len(query.split()) <= 12, TALK, "goodbye")


def jokes(query: str) -> Vote:
    """Jokes."""
    words = r"jokes?|funny|laugh|make me (laugh|smile)|humor|hilarious|knock knock"
    return vote_if(has(words, query), TALK, "tell_joke")


def facts(query: str) -> Vote:
    """Facts and trivia."""
    words = (
        r"facts?|trivia|something (interesting|cool|new|neat|fun) about|interesting (thing|"
        r"information)|(something|anything) i (don't|do not) know"
    )
    return vote_if(has(words, query), TALK, "fun_fact")


def pets(query: str) -> Vote:
    """Pets."""
    words = r"pets?|(you|your) .*(dogs?|cats?|animals?)|(cats?|dogs?) or (do you own a )?(dogs?|cats?)"
    return vote_if(has(words, query), TALK, "do_you_have_pets")


def age(query: str) -> Vote:
    """Age."""
    words = (
        r"(how old|what age|your age|age (are|of) you|when (were|was) (you )?(born|made|"
        r"created)|your birthday|what year were you|long have you (existed|been))"
    )
    return vote_if(has(words, query), TALK, "how_old_are_you")


def hobbies(query: str) -> Vote:
    """Hobbies."""
    words = (
        r"hobb(y|ies)|(free|spare) time|(do|like to do) for fun|your (interests|pastimes?)|"
        r"enjoy doing|what do you (like|enjoy)"
    )
    return vote_if(has(words, query), TALK, "what_are_your_hobbies")


def origin(query: str) -> Vote:
    """Origin, makers and employers."""
    return pick(
        query,
        TALK,
        who_made_you=(
            r"(who|what company|which company|how|by whom|where|when).*(made|make|created?|"
            r"programmed|designed|invented|built|developed|manufactured|coded) ?(you|by|this ai)?|"
            r"your (maker|creator|designer|design|developer)"
        ),
        who_do_you_work_for=(
            r"(who|whom).*(you|your) .*(work|employ\w*|boss|report|answer|serve)|your (boss|"
            r"employer)|work for|employed|different employer"
        ),
        where_are_you_from=(
            r"(where).*(you|your) .*(from|born|originate|roots|live|home|grow up|come)|(what|"
            r"which) (country|city|place|state) are you|your (birthplace|origin|hometown)|"
            r"originate"
        ),
    )


def where_from(query: str) -> Vote:
    """Origin: where."""
    words = (
        r"where .*(are you (from|located)|do you (come|live|originate|hail)|were you (born|"
        r"raised)|your (roots|home))|did you (originate|grow up)|what .*are you from"
    )
    return vote_if(has(words, query), TALK, "where_are_you_from")


def who_made(query: str) -> Vote:
    """Makers."""
    words = (
        r"(who|what) .*(made|created|built|designed|programmed|invented|developed|coded) you|"
        r"were you (programmed|made|created|built|designed)|created|invented you|made you"
    )
    return vote_if(has(words, query), TALK, "who_made_you")


def a_machine(query: str) -> Vote:
    """Whether it is a machine, and what life means."""
    return pick(
        query,
        TALK,
        are_you_a_bot=(
            r"(are|r) you .*(bot|robot|human|real|ai|computer|machine|person|alive|program)|(bot|"
            r"robot|human|person|real person|machine|computer)\b.* (or|you)|talking to a"
        ),
        meaning_of_life=(
            r"(meaning|purpose|point|reason) .*(life|existence|being|living|alive|exist)|why (are|"
            r"do) (we|humans|people) (here|exist)|life .*(mean|about)|meaning of life"
        ),
        what_can_i_ask_you=(
            r"what .*(can|could|do|should|are).*(ask|help|do for me|able to|capable|topics|"
            r"questions|know about|know how|benefit|subjects)|how can (you|i) (help|benefit)|"
            r"your (skills|abilities|capabilities|functions)"
        ),
        what_is_your_name=(
            r"(what|tell|know|say|give).*(your|you).*(name|called|call you|go by)|your (full |"
            r"real )?name|who are you|call you"
        ),
    )


def your_abilities(query: str) -> Vote:
    """What it can do."""
    words = (
        r"what (can|could|do) you (do|help|know|assist)|what (can|should|could|may|questions?|"
        r"things) .*(ask|help)|help me with|do for me"
    )
    return vote_if(has(words, query), TALK, "what_can_i_ask_you")


def your_name(query: str) -> Vote:
    """Its name."""
    words = (
        r"your (full |real |first |last )?name|(what|who) (are|should|do|can) (i|you) (called|"
        r"call you|go by)|are you called"
    )
    return vote_if(
        has(words, query) and not has(r"change|my|want|set|make|alter|new|to be", query),
        TALK,
        "what_is_your_name",
    )


# --- travel ----------------------------------------------------------------------------------------------


def flights(query: str) -> Vote:
    """Flights: wanted, or under way."""
    if not has(r"flights?|fly|plane|airfare|tickets?|airlines?|boarding|board", query):
        return {}
    return pick(
        query,
        TRIP,
        carry_on=r"carry[- ]?ons?|overhead|bags?",
        lost_luggage=r"(lost|lose|missing|can't find|where).*(luggage|bags?|suitcases?)|luggage",
        flight_status=(
            r"status|on time|delayed?|board\w*|land(ed|ing)?|arriv\w+|depart\w*|take off|"
            r"when (does|is|will|should) (my|the|this)"
        ),
        book_flight=r"book|find|get|need|from .* to|to|cheap\w*|search|want|under|buy|reserve",
    )


def flight_state(query: str) -> Vote:
    """Flights under way."""
    words = (
        r"(status|time|delayed?|land|board\w*|gate|arriv\w+|depart\w*|leav\w+).*(flight|plane)|"
        r"(flight|plane).*(status|on time|delayed?|land|boarding|board\w*|gate|arriv\w+|"
        r"depart\w*)"
    )
    return vote_if(has(words, query), TRIP, "flight_status")


def fly_somewhere(query: str) -> Vote:
    """Flights wanted."""
    words = (
        r"(book|find|need|get|buy|want|looking for|reserve|show) .*(flights?|plane tickets?|"
        r"tickets?|airfare|fly) |flights? (from|to|out of)|fly (from|to)|round trip"
    )
    return vote_if(
        has(words, query) and not has(r"status|carry[- ]?ons?|luggage|board\w*", query), TRIP, "book_flight"
    )


def beds_and_wheels(query: str) -> Vote:
    """Hotels and rented cars."""
    return pick(
        query,
        TRIP,
        car_rental=(
            r"(rent|rental|renting|hire|book|reserve|need).*(cars?|suv|truck|van|vehicle|sedan|"
            r"jeep|rental)|car rentals?|rental car"
        ),
        book_hotel=(
            r"hotels?|motel|(book|reserve|find|need|get)( me)? (a |an )?(hotel |motel )?rooms?|"
            r"place to stay|airbnb|hostel|lodging|suite|inn"
        ),
    )


def bags(query: str) -> Vote:
    """Bags: carried on, or lost."""
    return pick(
        query,
        TRIP,
        carry_on=(
            r"carry[- ]?ons?|(bring|take|allowed|restrictions?|rules|policy).*(on (the|a|"
            r"my) (plane|flight)|bags?|carry)|overhead"
        ),
        lost_luggage=(
            r"(lost|lose|missing|misplaced|never (came|arrived)|can't find|find|where).*(luggage|"
            r"baggage|bags?|suitcases?)|(luggage|baggage|bags?|suitcases?).*(lost|missing|never|"
            r"didn't)"
        ),
    )


def lost_bags(query: str) -> Vote:
    """Lost bags."""
    return vote_if(
        has(r"luggage|baggage|suitcases?", query) and not has(r"carry[- ]?ons?", query), TRIP, "lost_luggage"
    )


def papers_and_shots(query: str) -> Vote:
    """Visas, vaccines, warnings."""
    return pick(
        query,
        TRIP,
        vaccines=r"vaccin\w+|shots?|immuni[sz]\w+|inoculat\w+|doctor before",
        travel_alert=(
            r"(travel|safety|security) (alerts?|advisor\w+|warnings?|bans?)|alerts? (for|in|about)|"
            r"safe to (travel|visit|go)|is .* (safe|dangerous)|dangerous"
        ),
        international_visa=(
            r"(need|get|require\w*|apply).* visas?|(international|travel|tourist) visas?|"
            r"visas? (to|for|necessary|needed|required)"
        ),
        plug_type=(
            r"plugs?|sockets?|outlets?|(plug|power|voltage|electrical|electric) (adapter|converter|"
            r"convertor|type|plug|outlet)|converter"
        ),
    )


def plugs(query: str) -> Vote:
    """Plugs."""
    return vote_if(
        has(r"plugs?|sockets?|electrical outlets?|outlet|adapter|voltage", query), TRIP, "plug_type"
    )


def visas(query: str) -> Vote:
    """Visas that are papers."""
    return vote_if(
        has(r"visas?", query) and not has(r"card|points|my|bill|balance", query), TRIP, "international_visa"
    )


def exchange(query: str) -> Vote:
    """Exchange rates."""
    money = (
        r"dollars?|usd|euros?|yen|pesos?|pounds?|rupees?|gbp|mxn|cad|yuan|francs?|rubles?|"
        r"currency|bitcoins?|won"
    )
    words = (
        r"(exchange|exhange|conversion) rate|rate (of|between|for|from)|(exchange|"
        r"convert).*(currency|dollars|euros)|worth in|how (much|many).* (in|for|is) "
    )
    return vote_if(has(words, query) and has(money, query), TRIP, "exchange_rate")


def two_currencies(query: str) -> Vote:
    """Exchange rates: more than one currency."""
    words = (
        r"(usd|dollars?|euros?|yen|pesos?|pounds?|rupees?|gbp|mxn|cad|yuan|francs?|rubles?|eur|"
        r"aud).*(to|and|for|in|into|versus|vs|from|is|are) (the |us |american |canadian )?(usd|"
        r"dollars?|euros?|yen|pesos?|pounds?|rupees?|gbp|mxn|cad|yuan|francs?|rubles?|eur|aud)"
    )
    return vote_if(has(words, query), TRIP, "exchange_rate")


def foreign_words(query: str) -> Vote:
    """Translations."""
    tongue = (
        r"spanish|french|german|italian|chinese|japanese|russian|portuguese|korean|arabic|"
        r"hindi|english|latin|mandarin|swedish|dutch|greek|turkish|another language"
    )
    ask = (
        r"(how|what).*(say|said|would|word|translate|call|ask|tell|is)|translate\w*|"
        r"translation|the word for|expression"
    )
    return vote_if(
        has(rf"(in|into|to|for|of) {tongue}|{tongue} (word|for)", query) and has(ask, query),
        TRIP,
        "translate",
    )


def how_to_say(query: str) -> Vote:
    """Translations, by the question."""
    return vote_if(
        has(
            (
                r"how (do|would|can|could|does|to|should)( \w+)? say|translat\w+|were (an? )?(italian|"
                r"french|spanish|english)"
            ),
            query,
        ),
        TRIP,
        "translate",
    )


def zones(query: str) -> Vote:
    """Time zones as such."""
    words = (
        r"(what|which|know|tell|name).*time ?zones?.* (is|in|does|are|do)|time ?zone (for|of|"
        r"does|is|am|are)|time ?zones?"
    )
    return vote_if(has(words, query) and not has(r"what time is|the time", query), TRIP, "timezone")


def tell_my_bank(query: str) -> Vote:
    """Notice of a journey."""
    words = (
        r"(bank|card company|financial institution|credit card|capital one|chase|visa).*(know|"
        r"aware|told|tell|notify|inform|alert|traveling|trip|going|be in)|(tell|notify|inform|"
        r"alert|let) (my|the) (bank|card|credit)"
    )
    return vote_if(
        has(words, query) and has(r"trip|travel\w*|going|leaving|be in|i'm in|visit\w*|vacation", query),
        TRIP,
        "travel_notification",
    )


def i_will_be_in(query: str) -> Vote:
    """Notice of a journey, as a plan."""
    words = (
        r"(i will|i'll|i'm going to|i am going to|i plan to) (be|travel\w*|go|visit\w*|"
        r"leav\w*)|my (upcoming )?(trip|travels?) (to|from)|i'm (traveling|travelling|going)"
    )
    return vote_if(
        has(words, query) and not has(r"visa|shots?|vaccin\w+|plug|carry[- ]?ons?", query),
        TRIP,
        "travel_notification",
    )


def sights(query: str) -> Vote:
    """What to see and do."""
    words = (
        r"(things|stuff|fun|best|good|cool|funnest|what|something|attractions?|places|"
        r"sights).*(to (do|see|visit)|for tourists?|tourist)|(tourist|travel) (attractions?|"
        r"destinations?|spots?|suggestions?)|(suggest|recommend).*(places?|destination|"
        r"vacation|travel)|sight ?see\w*|attractions"
    )
    return vote_if(
        has(words, query) and not has(r"todo|to do list|list|today", query), TRIP, "travel_suggestion"
    )


# --- tools -----------------------------------------------------------------------------------------------


def clocks(query: str) -> Vote:
    """Alarms, timers, time and date."""
    return pick(
        query,
        TOOL,
        alarm=r"alarms?|wake me",
        timer=r"timers?|count ?down|stopwatch",
        date=(
            r"(what|which|today|current|tell|know).*(date|day)( is| of| today| tomorrow|$)|"
            r"today's date|day of the week|current date|date today|the date"
        ),
        time=(
            r"(what|current|tell|know|whats|what's|give).*time( is| it| in| now|$)|time is it|"
            r"time in|clock|current time"
        ),
    )


def wake(query: str) -> Vote:
    """Alarms."""
    return vote_if(has(r"alarms?|wake me|get me up|wake up", query), TOOL, "alarm")


def time_now(query: str) -> Vote:
    """The time, here or elsewhere."""
    words = (
        r"(what|whats|what's) (is )?(the )?(current |exact )?time|time is it|current time|"
        r"time (right )?now|time in"
    )
    return vote_if(
        has(words, query) and not has(r"meeting|flight|remaining|reservation", query), TOOL, "time"
    )


def which_day(query: str) -> Vote:
    """The date."""
    words = (
        r"(what|which) (is |'s )?(the |today's )?(date|day)|(today|tomorrow|current|"
        r"todays)('s)? (is )?(which )?(date|day)|day of the (week|month)|date (today|tomorrow|"
        r"is it)|current date"
    )
    return vote_if(
        has(words, query) and not has(r"off|bill|pay|due|calendar|expir\w*|meeting|flight", query),
        TOOL,
        "date",
    )


def sums(query: str) -> Vote:
    """Calculations."""
    words = (
        r"\d+ ?(\+|-|\*|/|x|plus|minus|times|divided by|multiplied by|percent|% ?(of|off))|"
        r"square root|calculate|subtract|(add|multiply|divide) \d+|(what|what's|"
        r"whats) (is )?\d+|\d+ ?%|cube|sum of|average of|equation|math"
    )
    return vote_if(
        has(words, query) and not has(r"inches|feet|centimeters|limit|cups?|pounds|meters|dollars", query),
        TOOL,
        "calculator",
    )


def units(query: str) -> Vote:
    """Units."""
    unit = (
        r"inch(es)?|feet|foot|meters?|centimeters?|cm|miles?|kilometers?|km|ounces?|oz|pounds?|"
        r"grams?|kilograms?|kilos?|liters?|gallons?|cups?|quarts?|pints?|tablespoons?|"
        r"teaspoons?|yards?|celsius|fahrenheit|millimeters?|mm|kg"
    )
    return vote_if(
        has(
            rf"({unit}).*(in|to|is|are|into|make|equal|per|a|how many|for) .*({unit})|convert|"
            rf"how many ({unit})",
            query,
        )
        and not has(r"dollars|usd|euros|yen|drive|tires?", query),
        TOOL,
        "measurement_conversion",
    )


def conversion(query: str) -> Vote:
    """Units, by the verb."""
    words = (
        r"(convert|conversion|how many).*(to|in|into|is|are|equal).*(inches|feet|meters|"
        r"centimeters|miles|kilometers|ounces|pounds|grams|kilograms|liters|gallons|cups|"
        r"metric|tablespoons|teaspoons|yards|celsius)"
    )
    return vote_if(has(words, query), TOOL, "measurement_conversion")


def dictionary(query: str) -> Vote:
    """Definitions and spelling."""
    return pick(
        query,
        TOOL,
        spelling=r"spell(ing|ed)?|letters (are )?in|how (is|do you) .*(spelled|spell)",
        definition=(
            r"(what|tell|know|explain).* (mean|means|meaning|definition|define)|definition( of)?|"
            r"define|meaning of (?!life)"
        ),
    )


def what_does_it_mean(query: str) -> Vote:
    """Definitions, by the question."""
    words = r"what (does|do|is) .* mean|mean(ing)? of (the word )?(?!life)|(define|definition)|means$"
    return vote_if(has(words, query) and not has("life", query), TOOL, "definition")


def spell(query: str) -> Vote:
    """Spelling."""
    return vote_if(has(r"spell(ed|ing)?", query), TOOL, "spelling")


def chance(query: str) -> Vote:
    """Coins and dice."""
    coin = r"coin|heads|tails|flip"
    return pick(query, TOOL, roll_dice=r"dice|die|roll|sided", flip_coin=coin)


def messages(query: str) -> Vote:
    """Calls, texts and one's location sent."""
    return pick(
        query,
        TOOL,
        share_location=(
            r"(share|send|give|let|have|tell|shared|text).*(location|where i am|gps|coordin\w+|"
            r"coordiantes)"
        ),
        text=r"(text|sms)( message)?|(send|message).*(message|saying)|tell \w+ (i|that|to|i'll)",
        make_call=(
            r"(call|phone|dial|ring)( up)? (?!me |you |it )\w+|(make|place) a (phone )?call|"
            r"needs to be called|dial"
        ),
        find_phone=r"(find|lost|locate|where|can't find|misplaced).*(my |the )?(cell ?)?phone",
    )


def telephone(query: str) -> Vote:
    """Calls."""
    words = (
        r"^(please |can you |could you |i need (you )?to |i want (you )?to |"
        r"i'd like to )?(call|phone|dial)|(make|place|start) a (phone )?call|"
        r"get \w+ on the (phone|line)"
    )
    return vote_if(has(words, query) and not has(r"me|you|customer", query), TOOL, "make_call")


def texting(query: str) -> Vote:
    """Texts."""
    return vote_if(
        has(
            r"(send|write)( \w+)? (a )?text|^(please )?(can you )?text|text (message )?(to|my|and|him|her)?",
            query,
        ),
        TOOL,
        "text",
    )


def my_phone(query: str) -> Vote:
    """A lost phone."""
    words = r"(find|lost|locate|where|track|looking for|misplaced|seen|help).* (cell ?|my )?phone"
    return vote_if(has(words, query) and not has(r"number|bill|call", query), TOOL, "find_phone")


def weather(query: str) -> Vote:
    """Weather."""
    words = (
        r"weather|rain\w*|snow\w*|forecast|sunny|umbrella|(hot|cold|warm|humid|windy) (is|"
        r"outside|today|will|in)|temperature (outside|today|in)|degrees outside|storms?"
    )
    return vote_if(has(words, query), TOOL, "weather")


# --- work ------------------------------------------------------------------------------------------------


def free_days(query: str) -> Vote:
    """Days off: left, used, asked for, decided on."""
    if not has(r"pto|vacation|days? off|time off|leave|holiday request|off (from )?work", query):
        return {}
    return pick(
        query,
        WORK,
        pto_request_status=(
            r"status|approved|approval|accepted|granted|news|denied|heard|gone through|go through|"
            r"okayed"
        ),
        pto_used=r"used|taken|took|use up|so far|have i (used|taken)|gone",
        pto_request=r"request|put in|submit|apply|ask for|from .* to|take off|schedule|file|need to take",
        pto_balance=r"how (many|much)|left|balance|remaining|have|available|accrued",
    )


def off_from_to(query: str) -> Vote:
    """Days off asked for, with dates."""
    words = (
        r"(request|put in|submit|need|want|like|apply|ask) .*(time off|pto|vacation|days? off|"
        r"off).*(from|for|on|to|starting|march|june|july|may|january|april)|(pto|vacation|"
        r"time off|day off) request"
    )
    return vote_if(
        has(words, query) and not has(r"status|approved|news|regarding|went through", query),
        WORK,
        "pto_request",
    )


def days_left(query: str) -> Vote:
    """Days off that are left."""
    words = (
        r"(how many|how much).*(vacation|pto|days off|time off|days).*(left|have|remaining|get|"
        r"available|do i)|(vacation|pto) (days )?(balance|left|remaining)"
    )
    return vote_if(has(words, query) and not has(r"used|taken", query), WORK, "pto_balance")


def days_used(query: str) -> Vote:
    """Days off that are used."""
    words = (
        r"(used|taken|took|use|spent).*(vacation|pto|days? off|time off|so far)|(vacation|pto|"
        r"days? off|time off).*(used|taken|took)"
    )
    return vote_if(has(words, query), WORK, "pto_used")


def holidays(query: str) -> Vote:
    """The next holiday."""
    words = (
        r"(next|upcoming|coming|any|when).*(holidays?|(have|get) (a |the )?days? off)|"
        r"holidays? (coming|is|next|this)|how long .* day off"
    )
    return vote_if(has(words, query) and not has(r"request|approved", query), WORK, "next_holiday")


def meetings(query: str) -> Vote:
    """Meetings: when they are, or that they be made."""
    if not has(r"meetings?|conference", query):
        return {}
    made = (
        r"schedule (a|another|me|the)|set( up)?|book|arrange|reserve|plan|make|create|organize|"
        r"room|need to schedule|put"
    )
    read = r"what|when|do i|are there|any|how many|is there|tell|today|show|my meetings"
    return pick(query, WORK, meeting_schedule=rf"^({read})|do i have", schedule_meeting=made)


def meet_with(query: str) -> Vote:
    """Meetings made, by whom they are with."""
    words = (
        r"(schedule|set( up)?|book|arrange|make|plan|reserve|put).*(meeting|conference|"
        r"room).*(with|for|at|on|from|room|between)|meeting room"
    )
    return vote_if(
        has(words, query) and not has(r"^(do|are|what|when|how many)", query), WORK, "schedule_meeting"
    )


def my_meetings(query: str) -> Vote:
    """Meetings that stand on the calendar."""
    words = (
        r"(what|when|how many|any|are there|do i have|is there|tell me).*meetings?|"
        r"meetings? (do i|today|schedule|for today)"
    )
    return vote_if(has(words, query) and not has("schedule a", query), WORK, "meeting_schedule")


def pay(query: str) -> Vote:
    """Pay: when, how much, where to."""
    return pick(
        query,
        WORK,
        direct_deposit=r"direct deposit\w*|(paycheck|payroll|check|pay) .*deposit\w*|deposited (in|into|to)",
        payday=(
            r"(when|what day|date|how long|next|last).*(paid|payday|pay ?checks?|pay day|"
            r"pay period|get my pay)|payday|pay day|pay ?check"
        ),
        income=(
            r"(how much|what|tell|know).*(income|salary|make|earn|wage|paid|take home|pay rate|"
            r"earnings)|income|salary|annual (pay|wage)|net pay"
        ),
    )


def salary(query: str) -> Vote:
    """Income."""
    words = (
        r"(my|total|annual|net|gross|yearly|monthly) (\w+ )?(income|salary|earnings|wages?)|"
        r"how much (do|am|did) i (make|earn|making|earning|paid)|income|salary"
    )
    return vote_if(has(words, query) and not has(r"tax(es)?", query), WORK, "income")


def payday(query: str) -> Vote:
    """When pay comes."""
    words = r"(when|what day|date).*(paid|pay ?check|payday|pay day)|next pay ?(check|day)|(got|get|be) paid"
    return vote_if(has(words, query) and not has(r"bill", query), WORK, "payday")


def insurance(query: str) -> Vote:
    """Insurance: had, or to be changed."""
    if not has(r"insurance|health ?care|health plan|coverage|benefits|policy", query):
        return {}
    new = (
        r"change|switch|new|different|get|sign up|enroll|better|another|start|recommend|need|"
        r"add|update|apply|buy|looking"
    )
    return {WORK: "insurance_change" if has(new, query) else "insurance"}


def new_insurance(query: str) -> Vote:
    """Insurance to be changed."""
    words = (
        r"(change|switch|switching|changing|new|different|get|start|enroll|"
        r"sign up).*(insurance|health plan|policy|coverage)|insurance.*(change|switch|new plan|"
        r"start)"
    )
    return vote_if(has(words, query) and not has(r"what('s| is| are) my", query), WORK, "insurance_change")


def insurance_facts(query: str) -> Vote:
    """Insurance one has."""
    words = (
        r"(what|tell|info|information|explain|give|know|describe|does).*(my|the|our|"
        r"on) .*(insurance|health (plan|care)|benefits|coverage)"
    )
    return vote_if(has(words, query) and not has(r"switch|change|new", query), WORK, "insurance")


def tax_forms(query: str) -> Vote:
    """Taxes: forms, or sums."""
    return pick(
        query,
        WORK,
        w2=r"w-?2s?|(form|forms) .*(employers?|taxes)|(employment|tax|wage) forms?",
        taxes=r"tax(es)?|irs|withh\w+|(state|federal|income) tax",
        rollover_401k=r"401 ?\(?k\)?|roll ?over|retirement",
    )


def retirement(query: str) -> Vote:
    """Retirement plans."""
    return vote_if(
        has(
            r"401 ?\(?k\)?s?|rolled over|roll(ing)? (my |it )?over|rollover|retirement (plan|account)", query
        ),
        WORK,
        "rollover_401k",
    )


def deposits(query: str) -> Vote:
    """Direct deposit."""
    return vote_if(
        has(r"direct deposit\w*|directly deposit\w*|payroll (direct )?deposit", query), WORK, "direct_deposit"
    )


def tax_sum(query: str) -> Vote:
    """Taxes as sums."""
    words = r"(how much|what|when|owe|pay|bill).*(tax|taxes)|tax (bill|rate|amount|bracket)"
    return vote_if(has(words, query) and not has(r"forms?|w-?2", query), WORK, "taxes")


SOURCES = sources_of(globals())


def load(data: Path) -> Problem:
    """The problem, from the folder that holds the data set."""
    arrays, about = read_arrays(data / "clinc150_hier")
    texts = read_texts(data / "clinc150_hier")
    domains, intents = about["coarse_class_names"], about["class_names"]
    domain_of = [domains[d] for d in about["fine_parent"]]
    tasks = {
        task: [intent for intent, of in zip(intents, domain_of, strict=True) if of == domain]
        for task, domain in DOMAIN_OF_TASK.items()
    }
    graph = cs.TaskGraph(
        {"domain": domains} | tasks,
        parents={task: ("domain", domain) for task, domain in DOMAIN_OF_TASK.items()},
    )
    task_of = {domain: task for task, domain in DOMAIN_OF_TASK.items()}
    labels = [{"domain": domain_of[y], task_of[domain_of[y]]: intents[y]} for y in arrays["y"]]
    names = tuple(source.__name__ for source in SOURCES)
    dev = development_items(len(texts), DEV_SIZE)
    return Problem("clinc", graph, texts, gold_of(graph, labels), apply(SOURCES, graph, texts), names, dev)
