"""More phrases for the shipped rules of violence: what is said of harm, of what it leaves behind, and of its names.

They were written from training texts alone that neither the rules before them nor the classifier, trained without the
phrasing, refused. What is also said of kitchens, workshops and film sets needs its victim here too.
"""

_MORE = (
    r"m[ae]n|wom[ae]n|boys?|girls?|people|person|wife|husband|family|captives?|prisoners?|hostages?|victims?|slaves?|"
    r"thie(?:f|ves)|soldiers?|guards?|villagers?|tourists?|strangers?|beggars?|deserters?|debtors?|sentr(?:y|ies)|"
    r"settlers?|rebels?|enem(?:y|ies)|rivals?|servants?|pensioners?|campers?|farmers?|brides?|nurses?|monks?|patients?|"
    r"crowd|pedestrians?|protesters?|civilians|cellmates?|cops?"
)
_SOMEBODY = (
    rf"(?:(?:a|an|the|his|her|their|some|two|three|another|fleeing|kneeling) )?(?:[\w-]+ )?(?:{_MORE})\b"
)
_BE = r"(?:is|are|being|was|were|gets?|getting|been|be)"
_SLOWLY = r"(?:\w+ly )?"
_OWN = r"(?:(?:a|an|the|his|her|their|its|someone's|somebody's) )?(?:\w+'s )?"
_INNER = (
    r"(?:hearts?|chest|stomach|belly|bellies|throats?|eyes?|eyeballs?|skulls?|jaws?|lungs?|spine|ribcage|"
    r"guts|brain)"
)

DEADLY = "|".join(
    [
        r"\b(?:crush|trampl|stomp|stamp|maul|punch|burn|drag|beat|club|whip|flog|gor|batter|bludgeon|peck|bit|claw)\w*"
        r"(?: \w+){0,4} to death\b",
        r"\b(?:skin|burn|roast|boil|incinerat|dissect|flay|bur[iy]|eat)(?:s|ed|es|ied|ies|ing|en|ned|ning)?"
        r"(?: \w+){0,4} alive\b",
        r"\b(?:until|till) (?:\w+ ){0,2}(?:dead|bloody|bleeds?|lifeless|limp)\b",
        rf"\b{_BE} {_SLOWLY}(?:suffocated|throttled|flogged|harpooned|hanged|immolated|incinerated|napalmed|kneecapped|"
        r"electrocuted|assassinated|butchered|lynched|vivisected|guillotined|asphyxiated|maimed|pistol-whipped|"
        r"waterboarded|disfigured)\b",
        rf"\b{_SOMEBODY} {_BE} {_SLOWLY}(?:choked|speared|skewered|gassed|slaughtered|gored|mauled|pummell?ed|clubbed|"
        r"sacrificed|stoned|branded|skinned|carved up|ground up|poisoned|whipped|starved)\b",
        rf"\b{_BE} shot (?:dead|down|multiple times|repeatedly|in both|between the|through the (?:\w+ )?(?:lungs?|"
        r"heart|head|neck|chest|eye)|while (?:begging|kneeling|running away|fleeing)|in a drive-by)",
        rf"\b{_SOMEBODY} (?:\w+ )?(?:blown|shelled|chopped|sawn|sawed|carved|minced|mangled|torn|hacked|ripped|"
        rf"cut) (?:up|"
        r"apart|limb from limb|to (?:bits|pieces|shreds|ribbons)|into (?:\w+ )?pieces|in (?:half|two))\b",
        rf"\b{_SOMEBODY} (?:\w+ ){{0,2}}(?:thrown|pushed|fed|dropped|lowered|shoved|sucked|falls|fell) (?:in)?(?:to|"
        r"through|under) (?:a|an|the)? ?(?:\w+ )?(?:chipper|shredder|grinder|mincer|lava|tar|jet engine|fire|flames|"
        r"crocodiles|pigs|lions|acid|train)\b",
    ]
)
DONE_TO = "|".join(
    [
        rf"\b(?:throws?|pushes|feeds?|drops?|lowers?|shoves?) {_SOMEBODY} (?:in)?(?:to|through|under) (?:a|an|the)? ?"
        r"(?:\w+ )?(?:chipper|shredder|grinder|mincer|lava|tar|jet engine|fire|flames|crocodiles|pigs|lions|acid|"
        r"train)\b",
        rf"\b(?:kills?|butchers?|slaughters?|executes?|strangles?|poisons?|smothers?|scalps?|flays?|crucif(?:y|ies)|"
        r"mauls?|devours?|kneecaps?|lynch(?:es)?|batters?|chokes?|starves?|gass?(?:es)?|tortures?|brands?|whips?|"
        rf"knif(?:e|es)|impales?|behead?s?|mutilates?|massacres?|snipes? at|stabs?) {_SOMEBODY}",
        r"\btortur(?:e|es|ing) (?:(?:an?|the|his|her|small|two|some) )?(?:\w+ )?(?:animals?|cats?|dogs?|birds?|"
        r"kittens|pupp(?:y|ies))\b",
        rf"\b(?:bit(?:es?|ing)|rip(?:s|ping)|tear(?:s|ing)|chop(?:s|ping)?|saw(?:s|ing)?) {_SOMEBODY} (?:apart|in half|"
        r"in two|to (?:bits|pieces|shreds))\b",
    ]
)
BROKEN = "|".join(
    [
        r"\b(?:exposed|spilled|protruding) (?:bones?|intestines|guts|ribs|organs)\b",
        r"\b(?:bullet|gunshot|stab|knife|exit) wounds?\b|\bgash(?:es)? in (?:a|the|his|her) (?:thigh|arm|leg|"
        r"head|face)\b",
        r"\bbones? (?:\w+ )?(?:through|out of) (?:the |a |his |her )?(?:skin|leg|arm|flesh|thigh)\b|\bbones showing\b",
        r"\bbleeding (?:stump|scalp|eye socket|neck|head|corpse|body)s?\b|\bchok\w+ on (?:his|her|"
        r"their) (?:own )?blood\b",
        rf"\b(?:burst|gouged|slashed|torn|ripped|crushed|caved-in|smashed)[- ]?(?:open |out )?{_INNER}\b",
        rf"\b{_INNER} (?:\w+ )?(?:ripped|torn|cut|slit|sliced|slashed|gouged) (?:out|open)\b",
        rf"\b(?:rips?|tears?|cuts?|slits?|pulls?|gouges?) {_OWN}{_INNER} (?:out|open|out of \w+ \w+)\b",
        r"\b(?:skin|flesh) (?:\w+ )?(?:peeled|peeling|ripped|torn|hanging|melting) (?:off|from) (?:a|the|his|"
        r"her|their) ?"
        r"(?:face|body|man|back|bones|arms?)\b|\bflesh ripped\b|\btorn flesh\b|\bripped[- ]off skin\b",
        r"\bfaces? (?:without skin|beaten|caved in|melted by|out of recognition)\b|\bbeaten (?:out of|"
        r"beyond) recognition",
        r"\b(?:missing|torn|hacked|severed|bloody) limbs\b|\blimbs (?:missing|torn|strewn|everywhere)\b",
        r"\bsevered (?:torso|ears?|noses?|tongues?|thumbs?|toes?|body)\b",
        r"\b(?:covered|drenched|soaked|smeared) (?:in|with) (?:\w+ |someone's )?blood\b|\bblood and guts\b",
        r"\bbody parts (?:in|on|across|over)\b|\bcorpses (?:in|on|with|everywhere|piled)\b|\bfull of corpses\b",
        r"\b(?:a|the|rotting|dead) (?:corpse|cadaver)s? (?:in|under|on|hanging|cut|with|of|washed)\b",
        r"\b(?:head|hand|finger|ear|foot)s? in (?:a|the) (?:fridge|freezer|mincer|meat grinder|duffel bag)\b",
        r"\bheads? (?:explod(?:es|ing)|bursts?|rolling off|rolls off)\b|\bexploding heads?\b",
        rf"\b{_SOMEBODY} (?:\w+ )?(?:nailed|pinned|impaled|skewered) (?:to|on|by)\b",
        r"\bnails? (?:is |are )?(?:driven|hammered|driving|hammering) (?:in|into|through) (?:the |his |her |a )?"
        r"(?:hands?|feet|foot|skull|knees?)\b|\b(?:drives|hammers) nails? (?:in|into|through) (?:his |her |"
        r"the )?(?:hands|"
        r"feet)\b",
        r"\b(?:crush|break|smash|snap|cut)(?:s|es|ing)? (?:off )?(?:a |the |his |her )?(?:\w+'s )?(?:fingers|ribs|legs|"
        r"arms|spine) (?:in a vice|with (?:a |the )?(?:hammer|bat|pliers|crowbar|iron bar)|one by one|of a)\b",
        r"\bpull(?:s|ing|ed)? out (?:his |her )?(?:fingernails|teeth)\b|\bteeth (?:\w+ )?(?:flying|pulled out with)\b",
        r"\b(?:blinded|scalded|disfigured|burned|melted) (?:with|by|in) (?:acid|a blowtorch|hot irons?|a hot iron|"
        r"boiling)\b|\b(?:throw|hurl)s? acid\b|\bdissolv\w+ (?:a|the|his|her) (?:body|corpse|victim)\b",
    ]
)
NAMED = "|".join(
    [
        r"\b(?:pogroms?|ethnic cleansing|carnage|bloodshed|gorefest|lynch mob|snuff film|human sacrifice|seppuku|"
        r"gangland killing|shooting (?:spree|rampage)|stabbing spree|murder spree)\b",
        r"\bcommits? (?:genocide|atrocities|war crimes|mass murder|suicide)\b|\bwar (?:crimes|"
        r"atrocities) (?:against|in)\b",
        r"\b(?:torture|execution|beheading) (?:video|footage|clip)\b|\bpublic (?:hanging|flogging|whipping|"
        r"beheading)\b",
        r"\b(?:car|roadside|nail) bomb (?:and|kills?|killing|tears?|victims)\b|\bdetonates? (?:himself|herself|a bomb "
        r"vest)\b",
        r"\b(?:throws?|hurls?|tosses) a grenade into (?:a|the) (?:crowd|bus|school|market|cafe|room)\b",
        r"\b(?:runs amok|amok) with (?:a|an) \w+\b|\bsprays? (?:a|the) (?:cafe|crowd|bus|club|market) with bullets\b",
        r"\bsets? (?:fire to )?(?:a |the |his |her )?(?:\w+ ){0,2}(?:man|woman|beggar|enemies|prisoner|"
        r"victim)(?: on fire|"
        r" ablaze)\b|\bsets? fire to (?:a|the) (?:\w+ )?(?:man|woman|person|beggar|prisoner)\b|\bset alight by\b",
        r"\bpeople (?:lined up and shot|gassed|jumping burning|crushed in a stampede|hunted for sport)\b",
        r"\bhunts? (?:people|humans) for sport\b|\beats? (?:a )?human (?:flesh|hearts?|meat)\b",
        r"\b(?:zombies|cannibals|vampires?|werewol(?:f|ves)|parasites|wild boars|rats|sharks?|crocodiles?) (?:\w+ )?"
        rf"(?:feed(?:s|ing)? on|eating|tearing|ripping|devouring|biting) {_SOMEBODY}",
        r"\b(?:dead|dying) (?:soldiers|passengers|civilians|hostages|men|bodies) (?:in|on|with|crying|everywhere)\b",
        r"\b(?:cuts?|cutting|slash(?:es|ing)?) (?:her|his|their|my) (?:own )?(?:arms?|wrists?|legs?) with a (?:razor|"
        r"blade|knife|box cutter)\b|\bself[- ]harm with\b",
        r"\bchok(?:es|ing) the life out of\b|\bwhips? .{0,30}until (?:he|she|it|they)\b|\bleft to rot\b",
        r"\b(?:left|lying|lies) bleeding on\b|\bleft for dead\b|\bbleed(?:s|ing) from (?:the head|many wounds)\b",
    ]
)
