"""Names in a text: people known worldwide, for the rules about likeness, and names that say nothing about "
"them.

A rule can only say what it refuses. So what is no public person though it reads like one ("a Jack "
"Russell", "Tom Miller
from next door", "Victoria and Albert Museum") is taken out of what the rules read; the rest of the text "
r"stays.
"""

from functools import cache
from pathlib import Path

from safety.prefilter.patterns import MAX_PATTERN, compile_pattern

PUBLIC_PEOPLE = Path(__file__).with_name("public_people.txt")

# First names of known people in the training split: before a surname they name a person, known or private.
FIRST_NAMES = (
    "Abraham|Adam|Adolf|Alanis|Albert|Alexander|Alexei|Amy|Andrew|Andy|Angela|Anne|Anthony|"
    "Antonio|Aretha|Ariana|Arnold|Ashton|Audrey|Barack|Barbra|Ben|Benedict|Billie|Boris|Bradley|"
    "Britney|Bruce|Bruno|Cameron|Carl|Carlos|Cate|Celine|Charlize|Chris|Christian|Christina|"
    "Christopher|Cindy|Claudia|Clint|Colin|Conan|Conor|Cristiano|Cyndi|Daniel|David|Deepika|"
    "Denzel|Diane|Diego|Dmitry|Donald|Doug|Dustin|Dwayne|Eddie|Edward|Elizabeth|Ellen|Elon|Elton|"
    "Elvis|Emma|Emmanuel|Enrique|Ethan|Eva|Ewan|Fernando|Fidel|Floyd|Francois|Franklin|Freddie|"
    "Frida|Friedrich|Gareth|Gary|Gavin|George|Gerald|Gerard|Gerhard|Gigi|Giuseppe|Gordon|Graham|"
    "Greta|Gustavo|Gwen|Gwyneth|Halle|Harrison|Heidi|Helen|Helmut|Herbert|Hillary|Hugh|Hugo|"
    "Idris|Imran|Ivanka|Jacinda|Jack|Jackie|Jacob|Jacques|Jake|James|Jamie|Janet|Jared|Jason|"
    "Javier|Jean|Jeffrey|Jenna|Jennifer|Jens|Jeremy|Jerome|Jerry|Jessica|Jill|Jim|Jimmy|Joaquin|"
    "Jodie|Joe|John|Johnny|Jon|Joseph|Judi|Julia|Julian|Juliette|Justin|Kanye|Karim|Karl|Kate|"
    "Katy|Keira|Kendall|Kevin|Kim|Kirsten|Kobe|Kristen|Kurt|Kylian|Kylie|Larry|Leonard|Lewis|"
    "Liam|Lindsey|Lionel|Liz|Logan|Luciano|Luka|Lupita|Magnus|Malala|Manuel|Marco|Margaret|"
    "Margot|Maria|Mariah|Marilyn|Mario|Marion|Marissa|Markus|Marlon|Martha|Martin|Matt|Matteo|"
    "Matthew|Megan|Meghan|Melania|Michael|Michelle|Mike|Mikhail|Mila|Miley|Millie|Mohamed|Monica|"
    "Morgan|Muhammad|Nancy|Naomi|Narendra|Natalie|Neil|Nelson|Nick|Nicki|Nicola|Nicolas|Nicole|"
    "Nigel|Noam|Norah|Novak|Olivia|Omar|Oprah|Oscar|Owen|Ozzy|Pablo|Paul|Pedro|Penelope|Pete|"
    "Pharrell|Phil|Phoebe|Placido|Priyanka|Quentin|Rachel|Rafael|Rahul|Ralph|Reese|Renee|Richard|"
    "Ricky|Ridley|Ringo|Rishi|Robbie|Robert|Roberto|Rodrigo|Roger|Ron|Ronald|Rowan|Rupert|"
    "Russell|Ryan|Sacha|Sam|Samuel|Sandra|Sarah|Scarlett|Scott|Sean|Sebastian|Selena|Sergey|"
    "Sergio|Shaquille|Sigourney|Silvio|Simon|Simone|Sofia|Sophia|Stephen|Steve|Steven|Stevie|"
    "Sylvester|Taylor|Ted|Theresa|Thierry|Tim|Tina|Tom|Tony|Trevor|Uma|Usain|Viktor|Vladimir|"
    "Volodymyr|Warren|Wayne|Wes|Whitney|Whoopi|Willem|Winona|Winston|Wolfgang|Yasser|Yulia|Zac|"
    "Zinedine|Zlatan"
)
# The commonest surnames: with a first name they are a thousand people, unless that very pair is on the list.
COMMON_SURNAMES = (
    "Smith|Johnson|Brown|Jones|Miller|Davis|Garcia|Rodriguez|Martinez|Hernandez|Lopez|Gonzalez|Perez|"
    "Sanchez|Ramirez|"
    "Wilson|Anderson|Thompson|Thomas|Taylor|Moore|White|Harris|Clark|Lewis|Robinson|Walker|Young|Hall|"
    "Allen|Wright|"
    "Scott|Hill|Green|Adams|Baker|Carter|Mitchell|Roberts|Turner|Phillips|Campbell|Parker|Evans|Edwards|"
    "Collins|"
    "Stewart|Morris|Murphy|Cook|Rogers|Peterson|Cooper|Reed|Bailey|Bell|Kelly|Ward|Cox|Richardson|Wood|"
    "Watson|Brooks|"
    "Bennett|Gray|Hughes|Price|Myers|Long|Foster|Sanders|Ross|Fisher|Butler|Henderson|Coleman|Jenkins|"
    "Perry|Powell|"
    "Patterson|Graham|Sullivan|Wallace|Woods|Cole|West|Jordan|Owens|Reynolds|Ellis|Gibson|Hunter|Mason|Fox|"
    "Potter|"
    "Mueller|Müller|Schmidt|Schneider|Fischer|Weber|Meyer|Wagner|Becker|Schulz|Hoffmann|Koch|Bauer|Richter|"
    "Klein|Wolf|"
    "Rossi|Russo|Ferrari|Bianchi|Dubois|Durand|Moreau|Silva|Santos|Kim|Lee|Singh|Khan|Patel|Nguyen|Ivanov|"
    "Novak|Kowalski"
)
# What is often named after people, with what it is: "Lincoln Street", "the Albert Hall".
PLACES = (
    "Street|Road|Avenue|Lane|Square|Park|Bridge|Tunnel|Station|Airport|Island|Islands|Lake|Falls|Bay|"
    "Harbou?r|River|"
    "Mountain|Mountains|Peak|Canyon|Beach|Castle|Palace|Tower|Church|Cathedral|School|College|University|"
    "Hospital|Hall|"
    "Museum|Gallery|Memorial|Monument|Library|Stadium|Arena|Theatre|Theater|Cup|Prize|Award|Day|Hotel|"
    "Museum|House|Garden|"
    "Gardens|Space|Telescope|Center|Centre"
)
NAMED_AFTER = (
    r"jack russells?|parson russells?|(?:cavalier )?king charles(?: cavalier)? spaniels?|"
    r"cavalier king charles|"
    r"john deeres?|jack daniel'?s?|jim beam|johnn(?:y|ie) walker|tom collins|shirley temples?(?: drinks?|"
    r" cocktails?)|"
    r"arnold palmer (?:drink|iced tea|lemonade)|james webb(?: space)? telescope|hubble telescope|"
    r"charles de gaulle airport|jfk airport|john f\.? kennedy (?:airport|space cent(?:er|re))|"
    r"kennedy space cent(?:er|re)|"
    r"george washington (?:bridge|university)|lincoln memorial|washington monument|prince edward island|"
    r"james bond|robin hood|peter pan|tom sawyer|santa claus|jack frost|jack sparrow|indiana jones|"
    r"mary poppins|"
    r"simon says|tim tams?|ben nevis|big ben|jimmy choos?|ralph lauren|hugo boss|christian (?:dior|"
    r"louboutin)|"
    r"michael kors|kate spade|marc jacobs|oscar mayer|ben (?:&|and) jerry'?s?|victoria and albert museum|"
    r"royal albert hall|jack of (?:hearts|spades|clubs|diamonds)|nelson'?s column|martin guitars?|"
    r"tom tom drums?|"
    r"van gogh style|warhol style|picasso style|banksy style|teddy roosevelt style bear"
)


def public_people() -> dict[str, list[str]]:
    """field → patterns of names, as the file has them."""
    found: dict[str, list[str]] = {}
    for line in PUBLIC_PEOPLE.read_text(encoding="utf-8").splitlines():
        if line.startswith("["):
            names = found.setdefault(line.strip("[]"), [])
        elif line and not line.startswith("#"):
            names.append(line)
    return found


def name_rules(people: dict[str, list[str]]) -> list[tuple[str, str]]:
    """(field, pattern): as few rules as hold the names, none longer than a rule may be."""
    rules: list[tuple[str, str]] = []
    for field, names in people.items():
        part: list[str] = []
        for name in names:
            if part and len(_whole([*part, name])) > MAX_PATTERN:
                rules.append((field, _whole(part)))
                part = []
            part.append(name)
        rules.append((field, _whole(part)))
    return rules


def without_harmless_names(text: str) -> str:
    """The text without names of things, places and of people who are nobody in particular."""
    harmless, public = _harmless()
    if harmless.search(text) is None:
        return text
    return harmless.sub(lambda match: match[0] if public.fullmatch(match[0]) else "…", text)


def _whole(names: list[str]) -> str:
    return rf"\b(?:{'|'.join(names)})\b"


@cache
def _harmless() -> tuple:
    """What is taken out, and the public people who are not, compiled."""
    after = rf"\b(?:{NAMED_AFTER})\b"
    pair = rf"(?-i:\b(?:{FIRST_NAMES}) (?:{COMMON_SURNAMES}|{PLACES})\b)"
    every = [name for names in public_people().values() for name in names]
    return compile_pattern(f"{after}|{pair}", longest=None), compile_pattern("|".join(every), longest=None)
