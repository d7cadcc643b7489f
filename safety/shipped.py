"""The rules and thresholds an installation starts with; operators add, change and switch off rows.

Every category also has a canary phrase, `BACKLOT-CANARY-<CATEGORY>`: a harmless word that is always
refused, so that anybody can see the filter working without writing anything bad (what the EICAR file is to
virus scanners).
"""

from safety import shipped_harm, shipped_violence
from safety import shipped_phrases as phrases
from safety.prefilter.names import name_rules, public_people

CLIP, CODE = "clip", "code"
AUTHOR = "Backlot"

OFFICES = (
    "president|vice[ -]president|prime minister|chancellor|king|queen|emperor|empress|crown prince|"
    "crown princess|first lady|"
    "foreign minister|defen[cs]e minister|finance minister|supreme leader|dictator|leader|head of state"
)
COUNTRIES = (
    "(?:the )?(?:united states|u\\.?s\\.?a?\\.?|america|united kingdom|u\\.?k\\.?|great britain|britain|"
    "england|scotland|ireland|france|"
    "germany|austria|switzerland|italy|spain|portugal|(?:the )?netherlands|holland|belgium|luxembourg|"
    "monaco|denmark|norway|"
    "sweden|finland|iceland|poland|czech republic|czechia|slovakia|hungary|romania|bulgaria|greece|turkey|"
    "t[uü]rkiye|serbia|"
    "croatia|ukraine|russia|belarus|georgia|kazakhstan|china|taiwan|japan|north korea|south korea|india|"
    "pakistan|bangladesh|"
    "afghanistan|iran|iraq|israel|palestine|syria|lebanon|jordan|saudi arabia|qatar|kuwait|egypt|libya|"
    "morocco|nigeria|"
    "ethiopia|kenya|south africa|zimbabwe|canada|mexico|cuba|venezuela|colombia|brazil|argentina|chile|"
    "peru|bolivia|"
    "australia|new zealand|indonesia|philippines|thailand|vietnam|malaysia|singapore|european (?:union|"
    "commission|parliament))"
)
NATIONS = (
    "u\\.?s\\.?|american|british|english|french|german|italian|spanish|russian|ukrainian|chinese|japanese|"
    "korean|north korean|"
    "indian|israeli|iranian|turkish|polish|hungarian|brazilian|argentine|argentinian|mexican|canadian|"
    "australian|danish|"
    "norwegian|swedish|dutch|belgian|austrian|greek|egyptian|saudi"
)
MINOR = (
    r"(?:child(?:ren)?|kid(?:s|die)?|minors?|underaged?|toddlers?|infants?|school(?:girl|boy)s?|preteens?)"
)
SEXUAL = r"(?:sex(?:y|ual|ually|uali[sz]ed)?|nude|naked|nsfw|erotic|porn\w*|lingerie|undress\w*)"
# In source code "sex" is a column of every census and "child" a node of every tree: plain terms only.
SEXUAL_IN_CODE = r"(?:nude|naked|nsfw|erotic|porn\w*|sexuali[sz]ed)"


def speaks_of_names(rule) -> bool:
    """Whether a row is one of the rules about people's names that ship; what operators write reads all of "
    "a text."""
    return rule.category == "likeness" and rule.author == AUTHOR


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
        r"\b(?:filters?|rules?|polic(?:y|ies)|guidelines?)\b",
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
        r"\b(?:porn\w*|nsfw|hentai|hardcore sex|sex scene|having sex|nudes|nudity|erotic\w*|striptease|"
        r"(?:naked|topless) (?:person|people|wom[ae]n|m[ae]n|bod(?:y|ies)|couple|model|actor|dancer)s?)\b",
        "Sexual content or nudity.",
    ),
    *(
        ("likeness", (CLIP,), pattern, f"Names a public figure: {field}.")
        for field, pattern in name_rules(public_people())
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
        rf"\b(?:(?:{OFFICES}) of {COUNTRIES}|(?:{NATIONS}) (?:president|prime minister|chancellor)|"
        rf"mayor of (?:new york(?: city)?|london|paris|"
        r"berlin|moscow|chicago|los angeles|tokyo|rome)|governor of (?:california|texas|florida|new york)|"
        r"(?:ceo|founder|boss|head|owner) of (?:tesla|spacex|amazon|apple|google|meta|facebook|microsoft|"
        r"openai|twitter)|"
        r"pope in rome|archbishop of canterbury|secretary[ -]general of the united nations)\b",
        "Describes a real person by office.",
    ),
    (
        "violence",
        (CLIP,),
        r"\b(?:behead\w*|decapitat\w*|dismember\w*|disembowel\w*|mutilat\w*|torturing|(?:is|are|being|was|"
        r"were|gets|and|or) tortured|tortured (?:to|by|in|and|with|for|until|bod(?:y|ies)|prisoner|"
        r"victim)s?|gore|gory|"
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
        "violence",
        (CLIP,),
        r"\b(?:murder(?:ed|ing|s (?:a|an|the|his|her|their))|slaughter(?:s|ed|ing)? (?:a|the|his|her|people|"
        r"families)|"
        r"butcher(?:s|ed|ing) (?:a|an|the|his|her|people)|massacring|strangl(?:e[ds]?|ing)|throttl(?:ed|"
        r"ing) (?:a|the|his|her)|"
        r"garrott?(?:e[ds]?|ing)|eviscerat\w+|impal(?:e[ds]?|ing)|bludgeon\w*|lynch(?:e[ds]|ing)|maim(?:ed|"
        r"ing|s)|"
        r"knif(?:ed|ing)|stabb(?:ed|ing)|gunn(?:ed|ing) down|flayed|scalped|crucif(?:ied|ying)|"
        r"(?:beaten|kicked|stoned|choked|burned|burnt|clubbed|trampled|frozen|whipped|shot|stabbed|"
        r"starved) to death|"
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
        r"(?:of |with |out )?(?:blood|gore|guts)|blood (?:spray|splatter|splash|spurt|gush|pour|stream|"
        r"drip)\w*|"
        r"(?:severed|cut[- ]off|chopped[- ]off|torn[- ]off|ripped[- ]off) (?:head|limb|hand|arm|finger|leg|"
        r"ear|foot)s?|"
        r"(?:mangled|mutilated|charred|headless|butchered|hacked|gutted|rotting|lifeless) (?:corpse|bod(?:y|"
        r"ies)|torso|remains|limbs)\w*|"
        r"(?:slit|slashed|cut) (?:open )?throats?|(?:spilled|spilling|hanging|torn[- ]out) (?:guts|"
        r"intestines|"
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
    ("violence", (CLIP,), phrases.KILLING, "Killing or torturing somebody."),
    ("violence", (CLIP,), phrases.SHOT, "Shooting, stabbing or beating somebody in detail."),
    ("violence", (CLIP,), phrases.WOUNDS, "Wounds and cut-off limbs."),
    ("violence", (CLIP,), phrases.REMAINS, "Corpses and killing sprees."),
    ("violence", (CLIP,), phrases.ATTACKS, "Attacks with weapons, self-harm and cruelty."),
    ("violence", (CLIP,), phrases.CRUELTY, "Words that are said of nothing but cruelty."),
    ("violence", (CLIP,), shipped_violence.PIERCED, "Weapons and hands that break a body."),
    (
        "violence",
        (CLIP,),
        shipped_violence.HARMED,
        "People and animals thrown, threatened, run over, blown up, torn.",
    ),
    (
        "violence",
        (CLIP,),
        shipped_violence.TO_THE_END,
        "Beaten or held until nothing moves; cruelty to animals.",
    ),
    ("violence", (CLIP,), shipped_violence.TORMENT, "Torture, and being eaten."),
    (
        "violence",
        (CLIP,),
        shipped_violence.KILLERS,
        "Killers at work, taking one's life, blood and the dead.",
    ),
    ("violence", (CLIP,), shipped_harm.DEADLY, "What somebody suffers that ends in death or pieces."),
    ("violence", (CLIP,), shipped_harm.DONE_TO, "What is done to somebody that ends so; cruelty to animals."),
    ("violence", (CLIP,), shipped_harm.BROKEN, "Wounds, broken bodies and what is left of them."),
    ("violence", (CLIP,), shipped_harm.NAMED, "Killings and cruelty by their names."),
    ("sexual", (CLIP,), phrases.UNDRESSED, "Nudity, or undressing."),
    ("sexual", (CLIP,), phrases.SEX, "Sexual acts and adult entertainment."),
    (
        "prompt_injection",
        (CLIP, CODE),
        phrases.NEW_ORDERS,
        "Tries to replace the instructions that came before.",
    ),
    ("prompt_injection", (CLIP, CODE), phrases.TELL, "Tries to read instructions that are not the user's."),
    (
        "jailbreak",
        (CLIP, CODE),
        phrases.UNBOUND,
        "Asks the system to work without its rules, or to be one that has none.",
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
        # There may be several of one pattern: an operator's later version, or one of other kinds.
        if not rule_model.objects.filter(category=category, pattern=pattern).exists():
            rule_model.objects.create(
                category=category, pattern=pattern, kinds=list(kinds), author=AUTHOR, reason=reason
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
