"""Further phrases for the shipped rules of violence, by what is done and with what.

What is also said of kitchens, sports, animals that play, and costumes needs its victim: "slices a man", not "slices
them"; "an axe in his skull", not "an axe in his hand".
"""

_WHO = (
    r"(?:(?:a|an|the|his|her|their|another|some|two|three)\s)?(?:\w+\s)?"
    r"(?:m[ae]n|wom[ae]n|boys?|girls?|people|person|child(?:ren)?|kids?|sons?|daughters?|wife|husband|mother|"
    r"father|family|girlfriend|somebody|someone|captives?|prisoners?|hostages?|victims?|slaves?|traitors?|thief|"
    r"soldiers?|guards?|villagers?|tourists?|students?|pupils?|passengers|workers?|swimmers?|surfer|divers?|"
    r"travell?ers?|hikers?|campers?|medics?|judge|witness|knights?|strangers?|beggars?|inmates?|patients?|"
    r"suspects?|babysitter|priest|nuns?|neighbou?rs?|civilians)\b"
)
_BEAST = (
    r"(?:kittens?|cats?|pupp(?:y|ies)|dogs?|horse|donkey|seals?|whales?|dolphins?|elephants?|rhinos?|giraffe|bear|"
    r"monkeys?|rabbits?|hares?|deer|fox|bull|cal(?:f|ves)|cow|pigs?|sow|roosters?|hens|birds?|parrot|lambs?)"
)
_ITS = r"(?:(?:a|an|the|his|her|their|its)\s)?(?:\w+\s)?(?:\w+'s?\s)?"
_VITAL = r"(?:hearts?|chests?|stomach|belly|necks?|throats?|eyes?|eyeballs?|skulls?|cheeks?|torso|jaws?|lungs?|spine)"
_LIMB = r"(?:heads?|legs?|arms?|hands?|foot|feet)"
_EDGE = (
    r"(?:chain ?saw|sword|spear|lance|arrow|bolt|blade|drill|knife|katana|harpoon|axe|hatchet|machete|dagger|stake|"
    r"spike|pitchfork|bayonet|shard|broken bottle|broken glass|razor|cleaver|bullet)s?"
)
_AIMED = r"(?:at|to|against|in|into)"
_TARGET = rf"{_ITS}(?:head|throat|neck|temple|face|mouth)\b"

PIERCED = "|".join(
    [
        rf"\b{_EDGE} (?:\w+ ){{0,3}}(?:through|into|in|out of|between|against|across|on) {_ITS}(?:\w+ )?{_VITAL}\b",
        rf"\b{_EDGE} (?:\w+ )?(?:through|into) {_ITS}(?:knees?|legs?|arms?|ribs|shoulders?|groin|foot|feet|flesh)\b",
        rf"\b{_EDGE} (?:pierc|split|slic|open|cut|sever|saw)(?:e?s|e|ing) (?:through |open )?{_ITS}"
        r"(?:throats?|necks?|skulls?|face|chest|eyes?)\b",
        rf"\bslices {_WHO}",
        rf"\b(?:kick|punch|bash|smash|stave|cave|stomp|stamp)(?:s|es|ed|ing)? (?:in|on) {_ITS}"
        r"(?:heads?|faces?|teeth|ribs|skulls?|jaws?)\b",
        rf"\b(?:smash|crush|split|crack|shatter|slash|batter)(?:s|es|ed|ing)? (?:open )?{_ITS}"
        r"(?:skulls?|faces?|ribs)\b",
        r"\b(?:skulls?|faces?) (?:\w+ )?(?:smashed|crushed|slashed|caved|split|torn)\b",
        rf"\b(?:gouges?|gouging|plucks?|rips?|ripping|tears?|tearing) (?:out|off) {_ITS}(?:hearts?|throats?|eyes?|"
        r"teeth|tongues?|fingernails|wings|bowels|guts)\b",
        rf"\bcut(?:s|ting)? out {_ITS}(?:tongues?|eyes?|guts|beating heart)\b",
        r"\b(?:eyes|fingernails|tongues?|tusks|horns) (?:\w+ )?(?:gouged|plucked|ripped|torn|cut|pulled|hacked|sawn) "
        r"(?:out|off)\b",
        r"\bhearts? (?:ripped|torn) out\b",
        r"\bteeth (?:\w+ )?(?:knocked|kicked|smashed|beaten) (?:in|out)\b",
        rf"\b(?:takes?|bites?|blows?|tears?|rips?|saws?|shoots?) {_ITS}(?:own )?{_LIMB}(?: clean)? off\b",
        rf"\b(?:takes?|bites?|blows?|tears?|chops?) off (?:a|the) \w+'s {_LIMB}\b",
        rf"\bloses? (?:a|his|her|both) (?:{_LIMB}|eye) (?:to|on|in) (?:a|the)\b",
        r"\bbones? (?:\w+ )?(?:snap|crack|break|stick)(?:s|ing)?\b",
        r"\b(?:necks?|elbows?|knees?) (?:is |was )?(?:\w+ ){0,3}(?:snaps|snapped|cracks|the wrong way)\b",
        r"\bbreak(?:s|ing)? (?:a|his|her|their) (?:\w+ )?(?:\w+'s )?(?:arms?|fingers|necks?|bones)\b",
        r"\bslit(?:s|ting)? (?:his|her|their|my) wrists\b|\bwrists cut\b",
        r"\b(?:human|chopped|severed) (?:body parts|ears|scalps|skin)\b|\bbody parts (?:strewn|everywhere)\b",
        r"\bbod(?:y|ies) (?:in pieces|hang|hanging|lie torn)\b|\bbodies (?:float|drift)|\bcadavers\b|\bscalps hang",
        r"\btorso without\b|\bheads? rolls? (?:across|along|down|over)\b|\bheads on (?:stakes|pikes)\b",
    ]
)
HARMED = "|".join(
    [
        rf"\b{_WHO} (?:\w+ )?(?:pushed|shoved|thrown|hurled|tossed|flung) (?:off|in front of|under|out of|down|into|"
        r"from) (?:a|an|the) (?:\w+[- ]){0,2}(?:cliff|roof|train|tram|bridge|window|balcony|stairs|volcano|flames)\b",
        rf"\b(?:pushes|shoves|throws|hurls|tosses) {_WHO} (?:off|in front of|under|out of|down) (?:a|an|the)\b",
        r"\b(?:thrown|fed) to (?:the )?(?:lions|crocodiles|sharks|wolves|dogs|pigs)\b",
        r"\b(?:gun|pistol|rifle|knife|blade|razor|revolver) (?:is |was )?(?:held|pressed|pointed|cocked|aimed|put|"
        rf"jammed) {_AIMED} {_TARGET}",
        r"\b(?:hold|point|press|aim|put|jam)(?:s|es|ing)? (?:a|the|his|her) (?:gun|pistol|rifle|knife|blade|razor|"
        rf"revolver) {_AIMED} {_TARGET}",
        r"\b(?:drag|stuff|bundle)(?:s|ging|ing)? (?:off )?(?:a |the )?(?:screaming|crying|struggling|bound|gagged) \w+",
        r"\bdragged (?:over \w+ |along )?behind (?:a|the) (?:car|horse|truck)\b",
        r"\b(?:plough|plow|ram|mow|slam)(?:s|ed|ing|med|ming)? (?:into|through) (?:a |the )?(?:\w+ ){0,3}(?:crowd|"
        r"people|pedestrians?|shoppers|marchers|protesters|market)\b",
        r"\bruns? down (?:a|the) (?:cyclist|pedestrian|child|boy|girl|man|woman)\b",
        r"\b(?:drone strike|air ?strike|air raid|missiles?|shells?|grenades?|mines?|bombs?|blast|gunfire) (?:\w+ )?"
        r"(?:wipes? out|kills?|blows? (?:a|the|up)|tears?|rips?|hits? (?:a|the) (?:hospital|school|wedding|market)|"
        r"takes off)\b",
        r"\b(?:suicide|bus|car|market|school) bombing\b|\bsuicide vest\b",
        r"\bblows? up (?:a |the )?(?:crowded|packed|full)\b",
    ]
)
TO_THE_END = "|".join(
    [
        rf"\b(?:blow|tear|rip|hack|cut|slice|chop|pull)(?:s|ing|ed|ped|ting|ping)? {_WHO} (?:up |apart )?(?:to (?:bits|"
        r"pieces|shreds|ribbons)|in half|in two|apart|up|open)\b",
        rf"\b{_WHO} (?:\w+ )?(?:torn|pulled|ripped|cut|sliced) (?:apart|in half|in two|to pieces|to bits)\b",
        r"\btorn to (?:bits|pieces|shreds) by\b",
        r"\b(?:rip|tear|chop|cut)(?:s|ping|ing)? each other (?:apart|up|to (?:bits|pieces|shreds))\b",
        r"\b(?:until|till) (?:he|she|they|somebody) (?:stops? (?:moving|breathing|twitching|struggling|screaming)|is "
        r"dead|are dead|goes limp|dies?|drowns?|chokes?|bleeds?)\b",
        r"\b(?:until|till) (?:it|the (?:legs|body|fighter|victim)) stops? (?:moving|breathing|twitching|kicking)\b",
        r"\b(?:until|till) (?:his|her|their) (?:face|head|back|skull|ribs) (?:\w+ )?(?:bleeds?|breaks?|caves? in|"
        r"unrecogni[sz]able|pulp)\b",
        r"\b(?:drown|tortur|torment|flog|clubb|skinn|flay|knif|poison|harpoon|hack|kick)(?:s|es|ed|ing)? (?:a |the |"
        rf"his |her |two |some )(?:\w+ )?{_BEAST}\b",
        r"\bdrown(?:s|ed|ing)? (?:kittens|puppies|dogs|cats)\b|\b(?:kittens|puppies) drowned\b",
        rf"\b{_BEAST} (?:is|are|being|was|were) (?:\w+ )?(?:drowned|tortured|flogged|clubbed|skinned|flayed|knifed|"
        r"butchered|poisoned|harpooned|stabbed|hacked|kicked|slashed)\b",
        r"\bhit(?:s|ting)? (?:his|her) (?:\w+ )?(?:wife|girlfriend|husband)\b",
        r"\bwhip(?:s|ped)? (?:his|her|the) (?:\w+ )?(?:son|daughter|slaves?|child)\b",
        rf"\b(?:thugs|bullies|hooligans|neo-nazis|mob|gang) (?:\w+ )?(?:beats?|stomps?|kicks?|punch(?:es)?) {_WHO}",
        r"\b(?:gang|mob|thugs|bullies) (?:\w+ )?stomps? on\b",
    ]
)
TORMENT = "|".join(
    [
        r"\b(?:zombies?|undead|ghouls?|crocodiles?|lions?|tigers?|wolves|hyenas?|sharks?|bears?|monsters?|"
        r"werewol(?:f|ves)|vampires?|rats|beasts?|hounds|cannibals?) (?:\w+ )?(?:eats?|devours?|mauls?|tears?|rips?|"
        rf"gnaws?|chews?|bites?|roasts?)(?: \w+){{0,2}} (?:{_WHO}|\w+ alive|(?:throats?|guts|intestines|innards)\b)",
        r"\b(?:boiling|scalding|molten|burning|corrosive|hot) (?:oil|water|metal|lead|pitch|acid|liquid) (?:is |was )?"
        rf"(?:poured|thrown|tipped) (?:over|on|onto|into|in) {_ITS}(?:man|woman|face|throat|captive|prisoner)\b",
        rf"\b(?:acid|petrol|gasoline) (?:is |was )?(?:thrown|poured|tipped) (?:in|on|over|at) (?:{_WHO}|{_ITS}face\b)",
        r"\bhuman torch\b|\b(?:man|woman|boy|girl|person|captive|prisoner|witch|heretic)s? (?:is |are )?(?:\w+ )?(?:"
        r"set on fire|set ablaze|burn(?:ed|t)? at the stake|buried alive|walled in|electrocuted|quartered by|stoned by|"
        r"strung up|gassed|impaled|left to die)\b",
        r"\b(?:captive|prisoner|slave|inmate)s? (?:is|are|being) (?:branded|starved|gassed|drowned|burn(?:ed|t))\b",
        r"\b(?:fries|dies|convulses) (?:\w+ ){0,2}in the electric chair\b|\bin the electric chair (?:smokes|"
        r"convulses|dies|burns|screams)\b|\brussian roulette\b|\bgas chamber\b",
        r"\b(?:hot|glowing) (?:iron|poker) (?:is )?(?:\w+ )?(?:to|into|against|on) (?:a|his|her|somebody's|someone's) "
        r"(?:\w+'s )?(?:skin|chest|face|arm|back)\b",
        r"\bcarves? \w+(?: \w+)? (?:on|into) (?:a|his|her) (?:\w+'s )?(?:arm|back|skin|chest|face)\b",
        r"\b(?:pillow|cushion) (?:is )?(?:pressed|held|pushed) (?:on|over|onto) (?:a|his|her) (?:\w+'s )?face\b",
        r"\bunder ?water (?:until|till) (?:he|she|they)\b|\bholds? (?:a|his|her) (?:\w+'s )?head under ?water\b",
        r"\b(?:cord|wire|rope|belt) (?:is )?(?:tightens|pulled tight|tight) (?:round|around) (?:a|an|his|her)\b",
        r"\btightens a (?:cord|wire|rope|belt) (?:round|around) (?:a|his|her) neck\b|\bnoose tightens\b",
        r"\bhang(?:s|ing)? .{0,25}rope around (?:his|her) neck\b|\bsqueez\w+ the (?:life|breath) out of\b",
    ]
)
KILLERS = "|".join(
    [
        r"\b(?:jump|leap|swallow|hang|lie|lying)(?:s|ing)?\b.{0,40}\bto (?:kill (?:him|her|them)sel\w+|end (?:his|her|"
        r"their) life)\b|\bend(?:s|ing)? (?:his|her|their|my) (?:own )?life\b|\b(?:pills|overdose) to die\b",
        r"\b(?:gunm[ae]n|sniper|marksman|hitman|assassin|militia|troops|mobsters|gangsters) (?:\w+ )?(?:fires?|kills?|"
        r"shoots?|takes? out|finish(?:es)? off|executes?|strangles?|puts (?:a|two|three) bullets?)\b",
        r"\b(?:school|active|mass) shooter\b|\bshooter (?:fires|kills)\b",
        r"\b(?:shoots?|executes?|finish(?:es)? off|strangles?|stabs?) (?:a|an|the|his|her) (?:informer|snitch|witness|"
        r"captive|judge|babysitter|senator|deserter|medic)\b",
        r"\bbullets? (?:in|into) (?:the|a|his|her) (?:head|back|chest|senator|body|temple)\b",
        r"\bexperiment(?:s|ing)? on (?:living|captives|prisoners|inmates)\b|\bwithout ana?esthe\w+",
        r"\bheaps of dead\b|\b(?:heaps|piles|rows) of (?:the )?dead (?:bodies|men|people)\b",
        r"\bburned with (?:everybody|everyone|people)\b|\block (?:\w+ ){1,3}in a (?:barn|church|house) and burn",
        r"\b(?:cut|chop|saw|slic)(?:s|es|ing)? up (?:a|the|his|her) (?:patient|man|woman|body|victim|wife|husband)\b",
        r"\b(?:cough|vomit|spit)(?:s|ing|ting)? (?:up )?blood\b|\bbloody footprints\b|\btrail of blood\b",
        r"\b(?:sink|tub|bath|bathtub|bucket|room|water) full of blood\b",
    ]
)
