"""Languages by three letters, as the tags of audio files have them. Pure."""

from __future__ import annotations

#: ISO 639-1 → ISO 639-2, where they are spoken by some voice.
_THREE = dict(
    pair.split(":")
    for pair in (
        "af:afr ar:ara az:aze be:bel bg:bul bn:ben bs:bos ca:cat cs:ces cy:cym da:dan de:deu"
        " el:ell en:eng es:spa et:est eu:eus fa:fas fi:fin fil:fil fr:fra ga:gle gl:glg gu:guj"
        " he:heb hi:hin hr:hrv hu:hun hy:hye id:ind is:isl it:ita ja:jpn ka:kat kk:kaz kn:kan"
        " ko:kor la:lat lt:lit lv:lav mk:mkd ml:mal mr:mar ms:msa mt:mlt nb:nob ne:nep nl:nld"
        " nn:nno no:nor pa:pan pl:pol pt:por ro:ron ru:rus sk:slk sl:slv sq:sqi sr:srp sv:swe"
        " sw:swa ta:tam te:tel th:tha tl:tgl tr:tur uk:ukr ur:urd uz:uzb vi:vie zh:zho"
    ).split()
)


def three_letters(tag: str) -> str:
    """What a BCP 47 tag begins with: ``eng`` for ``en-us``; ``und`` where nobody knows."""
    first = tag.lower().replace("_", "-").partition("-")[0]
    is_three = len(first) == 3 and first.isascii() and first.isalpha()
    return _THREE.get(first, first if is_three else "und")
