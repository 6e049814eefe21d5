"""The voices of Lightning v3.1 and of Lightning v3.1 Pro, as the vendor lists them.

The page on v3.1 names the best of 217 voices; that on Pro names them all. A
voice of one model that is asked of the other is spoken wrongly, or not at all,
and no error says so. Six voices are known to tell the times of their words,
and but for one of them both models have those.
Indian voices speak English, too; those with ``hi`` are the vendor's choice for Hindi.
Source: the model cards of Lightning v3.1 and v3.1 Pro, the guide to word timestamps.
"""

from __future__ import annotations

from batchtts.model import Voice

BASE, PRO = "lightning_v3.1", "lightning_v3.1_pro"

#: Voices that time their words.
TIMED = frozenset("avery devansh kartik liam maithili meher".split())

#: Codes of languages, as the vendor has them; ``auto`` leaves it to the provider.
_EVERYWHERE = "en hi bn de es fr gu it kn ml mr nl or pa pl pt ru sv ta te"
LANGUAGES = {
    BASE: (*_EVERYWHERE.split(), "auto"),
    PRO: (*f"{_EVERYWHERE} ar el fi id ja ko ms no tr vi zh".split(), "auto"),
}

_BASE_NAMES = {
    "en-us": """sophia magnus olivia avery liam quinn mia daniel rachel nicole elizabeth jordan
        robert johnny lucas ronald blofeld zorin felix malcolm lauren hannah vanessa brooke ilsa
        christine ella""",
    "en-ca": "william erica",
    "en-au": "chloe",
    "en-in": "devansh kartik maithili",
    "hi": """neel sameera mihir aarush sakshi vivaan srishti sunidhi chinmayi aanya siya anuja
        avni ishani yuvika advika sana maya wasim rehan parth atharv arjun""",
    "es": "daniella camilla alba marcos david nerea miguel",
    "ta": "jeevan rajeshwari",
    "ml": "vaisakh shibi",
    "te": "srihari padmaja",
    "mr": "rupali nilesh",
    "gu": "niharika dhruvit",
    "kn": "deepashri pranav",
}

_PRO_NAMES = {
    "en-in": "meher devansh kartik maithili",
    "en-us": """kaitlyn savannah amelia zoe ruby leah jenna kate molly sara fiona blake austin jack
        leo luke owen avery liam""",
    "en-gb": """sophie ellie cressida ottilie elowen seraphina sam henry benedict cormac rupert
        finley""",
    "hi": "rhea zariya kareena mishka inaaya saira aarini aviraj vyom zoravar reyansh ahan",
    "mr": "mrunal manasi ketaki tejaswini mandar tushar",
    "ta": "malar nila tamilselvi mathan dinesh prabhu ezhil kavin tamizh barath sakthi murugan",
    "ml": "parvathy lakshmi vishnu sreenath unni aravindan",
    "te": "sravani swathi naveen charan sasank bhaskar gopal manohar",
    "kn": "spoorthi rashmi varsha sahana rakshith kishore yogesh gowtham shankar basava",
    "pa": "jasleen manmeet rajdeep tejinder sukhdeep amrit gagandeep",
    "bn": "rajib tanmoy subhro arghya indranil",
    "or": "sasmita ankita subrat debasish sambit pratik rakesh smruti",
    "gu": "krupa riddhi jignesh mit keval",
    "ar": "layla adam",
    "zh": "hazel vivian dylan silas eli",
    "id": "nora bryce miles cole",
    "ja": "aria mila daisy jasper",
    "ko": "june",
    "ms": "sasha roman",
    "tr": "beau wes",
    "vi": "kai",
    "de": "hanna lea petra max ben markus finn",
    "es": "martina ines paula sebastian mateo gabriel",
    "fr": "manon juliette lucie elise amelie louis nicolas maxime raphael",
    "it": "silvia concetta arianna davide luca leonardo",
    "pt-br": "juliana leticia gustavo thiago bruno",
    "pt-pt": "catarina francisco",
    "ru": "anastasia ekaterina olga irina andrei nikolai maksim",
    "el": "katerina dimitra athina dimitris vasilis",
    "fi": "aino helmi venla mika timo matti",
    "no": "solveig marit kristian espen",
    "pl": "ewa joanna tomasz jakub",
}


def _voices(model: str, names: dict[str, str]) -> tuple[Voice, ...]:
    return tuple(
        Voice(name, model, language) for language, told in names.items() for name in told.split()
    )


#: The first voice of a model is its default, and the first of a language that one's.
LIGHTNING_VOICES = (*_voices(BASE, _BASE_NAMES), *_voices(PRO, _PRO_NAMES))
