"""The rules and thresholds an installation starts with; operators add, change and switch off rows.

Every category also has a canary phrase, `BACKLOT-CANARY-<CATEGORY>`: a harmless word that is always
refused, so that anybody can see the filter working without writing anything bad (what the EICAR file is to
virus scanners).
"""

CLIP, CODE = "clip", "code"
AUTHOR = "Backlot"

# Titles of office and a short list of names known worldwide; an operator's own list belongs into rows of
# its own.
PUBLIC_NAMES = (
    "donald trump|joe biden|barack obama|vladimir putin|xi jinping|volodymyr zelensk(?:y|yy|iy)|"
    "emmanuel macron|narendra modi|taylor swift|elon musk|beyonc[eé]|cristiano ronaldo|lionel messi|tom cruise|"
    "scarlett johansson|pope (?:francis|leo|benedict)|king charles|oprah winfrey|bill gates|mark zuckerberg"
)
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
MINOR = (
    r"(?:child(?:ren)?|kid(?:s|die)?|minors?|underaged?|toddlers?|infants?|school(?:girl|boy)s?|preteens?)"
)
SEXUAL = r"(?:sex(?:y|ual|ually|uali[sz]ed)?|nude|naked|nsfw|erotic|porn\w*|lingerie|undress\w*)"
# In source code "sex" is a column of every census and "child" a node of every tree: plain terms only.
SEXUAL_IN_CODE = r"(?:nude|naked|nsfw|erotic|porn\w*|sexuali[sz]ed)"


def canary_pattern(category: str) -> str:
    """The canary phrase as a rule, with hyphens or blanks: a reading of a disguised one has blanks."""
    words = ("backlot", "canary", *category.split("_"))
    return rf"\b{r'[ -]'.join(words)}\b"


# (category, kinds, pattern, reason)
RULES: tuple[tuple[str, tuple[str, ...], str, str], ...] = (
    (
        "jailbreak",
        (CLIP, CODE),
        r"\b(?:ignore|disregard|bypass|disable|turn off)\b.{0,40}\b(?:safety|content|moderation)\b.{0,20}"
        r"\b(?:filters?|rules?|polic(?:y|ies)|guidelines?|checks?)\b",
        "Asks the system to work without its safety rules.",
    ),
    (
        "jailbreak",
        (CLIP, CODE),
        r"\b(?:do anything now|jailbreak mode|developer mode enabled|(?:with )?no (?:moral|ethical|safety) "
        r"(?:limits?|restrictions?))\b",
        "Phrases of well-known jailbreaks.",
    ),
    (
        "prompt_injection",
        (CLIP, CODE),
        r"\b(?:ignore|disregard|forget)\b.{0,20}\b(?:all |any |the |your )*(?:previous|prior|above|earlier)\b"
        r".{0,20}\b(?:instructions?|prompts?|messages?|rules?)\b",
        "Tries to replace the instructions that came before.",
    ),
    (
        "prompt_injection",
        (CLIP, CODE),
        r"\b(?:reveal|print|repeat|show)\b.{0,20}\b(?:system|hidden|initial) (?:prompt|instructions?)\b",
        "Tries to read instructions that are not the user's.",
    ),
    (
        "child_safety",
        (CLIP,),
        rf"\b{MINOR}\b.{{0,60}}\b{SEXUAL}\b|\b{SEXUAL}\b.{{0,60}}\b{MINOR}\b",
        "A sexual term near a term for a minor.",
    ),
    (
        "child_safety",
        (CODE,),
        rf"\b{MINOR}\b.{{0,60}}\b{SEXUAL_IN_CODE}\b|\b{SEXUAL_IN_CODE}\b.{{0,60}}\b{MINOR}\b",
        "A sexual term near a term for a minor.",
    ),
    (
        "sexual",
        (CLIP,),
        r"\b(?:porn\w*|nsfw|hentai|hardcore sex|sex scene|having sex|nudes?|nudity|erotic\w*|striptease|"
        r"(?:naked|topless) (?:person|people|wom[ae]n|m[ae]n|bod(?:y|ies)|couple|model|actor|dancer)s?)\b",
        "Sexual content or nudity.",
    ),
    (
        "likeness",
        (CLIP,),
        rf"\b(?:{PUBLIC_NAMES})\b",
        "Names a public figure.",
    ),
    (
        "likeness",
        (CLIP,),
        r"\b(?:deep ?fakes?|face[ -]?swap(?:ped|ping)?|with the face of|in the likeness of|"
        r"looks? exactly like (?:the )?(?:actor|actress|singer|president|politician|celebrity))\b",
        "Describes the face of a real person.",
    ),
    (
        "likeness",
        (CLIP,),
        r"\b(?:the )?(?:current |former )?(?:president|prime minister|chancellor|king|queen) of "
        r"(?:the )?(?:united states|usa|u\.s\.|russia|china|france|germany|ukraine|england|"
        r"united kingdom|uk|india)\b",
        "Describes a real person by office.",
    ),
    (
        "violence",
        (CLIP,),
        r"\b(?:behead\w*|decapitat\w*|dismember\w*|disembowel\w*|mutilat\w*|torture[sd]?|torturing|gore|gory|"
        r"blood ?bath|massacre[sd]?|execution of (?:a |the )?(?:prisoner|hostage|person|man|woman))\b",
        "Graphic violence.",
    ),
    (
        "violence",
        (CLIP,),
        r"\b(?:mass|school) shooting\b|\bsuicide bomb\w*|\b(?:person|man|woman|people|victim)s? "
        r"(?:being |getting )?(?:stabbed|lynched|burned alive|shot to death)\b",
        "Violence against people.",
    ),
    (
        "likeness",
        (CLIP,),
        rf"(?-i:\b(?:{FIRST_NAMES}) (?:(?:[A-Z]\.|[Dd]e|[Dd]i|[Vv]an|[Vv]on|[Ll]a|[Bb]in) ){{0,2}}"
        r"(?:Mc|Mac|O'|D')?[A-Z][a-z]{2,}\b)",
        "Names a person by first name and surname, as written with capitals.",
    ),
    (
        "violence",
        (CLIP,),
        r"\b(?:murder(?:ed|ing|s (?:a|an|the|his|her|their))|slaughter(?:s|ed|ing)? (?:a|the|his|her|people|"
        r"families)|"
        r"butcher(?:s|ed|ing) (?:a|an|the|his|her|people)|massacring|strangl(?:e[ds]?|ing)|throttl(?:ed|"
        r"ing) (?:a|the|his|her)|"
        r"garrott?(?:e[ds]?|ing)|eviscerat\w+|impal(?:e[ds]?|ing)|bludgeon\w*|lynch(?:e[ds]|ing)|maim(?:ed|ing|s)|"
        r"knif(?:ed|ing)|stabb(?:ed|ing)|gunn(?:ed|ing) down|flayed|scalped|crucif(?:ied|ying)|"
        r"(?:beaten|kicked|stoned|choked|burned|burnt|clubbed|trampled|frozen|whipped|shot|stabbed|starved) to death|"
        r"beat(?:en|ing|s)? (?:\w+ ){0,2}(?:bloody|unconscious|senseless|to a pulp)|clubb(?:ed|ing) (?:to|a|"
        r"the|him|her)|"
        r"hack(?:s|ed|ing)? (?:\w+ ){0,2}(?:apart|to pieces|to death)|set (?:\w+ ){0,3}(?:ablaze|"
        r"on fire) alive|burn(?:ed|t|ing) alive)\b",
        "Violence against a person or an animal that is drawn out or deadly.",
    ),
    (
        "violence",
        (CLIP,),
        r"\b(?:blood[- ](?:soaked|spattered|splattered|drenched|covered)|(?:spray|spurt|gush|pool|puddle|"
        r"splatter|drip)\w* "
        r"(?:of |with |out )?(?:blood|gore|guts)|blood (?:spray|splatter|splash|spurt|gush|pour|stream|drip)\w*|"
        r"(?:severed|cut[- ]off|chopped[- ]off|torn[- ]off|ripped[- ]off) (?:head|limb|hand|arm|finger|leg|"
        r"ear|foot)s?|"
        r"(?:mangled|mutilated|charred|headless|butchered|hacked|gutted|rotting|lifeless) (?:corpse|bod(?:y|"
        r"ies)|torso|remains|limbs)\w*|"
        r"(?:slit|slashed|cut) (?:open )?throats?|(?:spilled|spilling|hanging|torn[- ]out) (?:guts|intestines|"
        r"entrails|organs)|"
        r"(?:crushed|smashed|split|cracked) skulls?|gaping wounds?|open (?:flesh|chest) wounds?|"
        r"heads? on (?:a )?(?:spike|pike|stick)s?)\b",
        "Injuries and remains shown in detail.",
    ),
    (
        "deception",
        (CLIP,),
        r"\b(?:fake|fabricated|staged)\b.{0,30}\b(?:news (?:report|footage|broadcast)|cctv|body ?cam|"
        r"evidence|election (?:results?|fraud))\b",
        "Asks for a fabricated record of an event.",
    ),
    (
        "deception",
        (CLIP,),
        r"\b(?:cctv|body ?cam|leaked|breaking news)\b.{0,20}\bfootage\b.{0,60}"
        r"\b(?:attack|bombing|explosion|riot|election|assassination|ballots?)\b",
        "Asks for a deceptive depiction of a real event.",
    ),
    *(
        (
            category,
            (CLIP, CODE),
            canary_pattern(category),
            "The canary phrase of the category: harmless, published, always refused.",
        )
        for category in (
            "jailbreak",
            "prompt_injection",
            "child_safety",
            "sexual",
            "likeness",
            "violence",
            "deception",
        )
    ),
)

# class → (block_score, review_score). Child safety has no review: whatever reaches its score blocks.
THRESHOLDS: dict[str, tuple[float, float]] = {
    "child_safety": (0.5, 0.5),
    "likeness": (0.9, 0.7),
    "intimate": (0.8, 0.6),
    "violence": (0.85, 0.65),
}


def plant(rule_model, threshold_model) -> None:
    """Put the shipped rows where they are missing; what is there stays as it is.

    The models are arguments, so that a migration can pass its historical ones.
    """
    for category, kinds, pattern, reason in RULES:
        rule_model.objects.get_or_create(
            category=category,
            pattern=pattern,
            defaults={"kinds": list(kinds), "author": AUTHOR, "reason": reason},
        )
    for frame_class, (block, review) in THRESHOLDS.items():
        threshold_model.objects.get_or_create(
            frame_class=frame_class,
            defaults={
                "block_score": block,
                "review_score": review,
                "author": AUTHOR,
                "reason": "The score an installation starts with.",
            },
        )
