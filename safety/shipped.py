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
