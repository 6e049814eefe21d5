"""The ZIP file that an EPUB is: its members by name, and what of it is locked."""

from __future__ import annotations

import lzma
import posixpath
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Self
from unicodedata import normalize
from urllib.parse import unquote, urlsplit

from batchtts.book.decoding import decode
from batchtts.book.parts import BookError
from batchtts.book.tree import local, parse_xml

#: No member of a book is larger than this when it is unpacked.
LARGEST_BYTES = 1 << 27

_ENCRYPTION = "META-INF/encryption.xml"
#: Files that only protected books have → who protects them.
_LOCKS = {
    "META-INF/rights.xml": "Adobe DRM",
    "META-INF/license.lcpl": "Readium LCP",
    "META-INF/sinf.xml": "Apple FairPlay",
}
_OBFUSCATIONS = ("http://www.idpf.org/2008/embedding", "http://ns.adobe.com/pdf/enc#RC")
_DAMAGE = (
    *(zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, NotImplementedError, ValueError),
    OSError,
)


class Archive:
    """An opened EPUB."""

    def __init__(self, path: Path, opened: zipfile.ZipFile) -> None:
        self.path = path
        self._zip = opened
        self._names = {_folded(it): it for it in reversed(opened.namelist())}

    @classmethod
    @contextmanager
    def open(cls, path: Path) -> Iterator[Self]:
        """Open a file and make sure that it can be read.

        Raises:
            BookError: it is damaged or protected.
        """
        try:
            opened = zipfile.ZipFile(path)
        except _DAMAGE as error:
            raise BookError(path, "not an EPUB, or damaged: it is no readable ZIP file") from error
        with opened:
            archive = cls(path, opened)
            archive._refuse_locks()
            yield archive

    def find(self, name: str) -> str | None:
        """The member that a name means; capitals are not told apart where there is a choice."""
        if not name:
            return None
        return name if name in self._zip.NameToInfo else self._names.get(_folded(name))

    def read(self, name: str) -> bytes | None:
        """A member, None if there is none.

        Raises:
            BookError: it is damaged, locked or far too large.
        """
        found = self.find(name)
        if found is None:
            return None
        info = self._zip.getinfo(found)
        if info.file_size > LARGEST_BYTES:
            size = f"{info.file_size:,} bytes, more than {LARGEST_BYTES:,}"
            raise BookError(self.path, f"{found} is too large: {size}")
        if info.flag_bits & 1:
            raise BookError(self.path, f"{found} is locked with a password")
        try:
            return self._zip.read(info)
        except _DAMAGE as error:
            raise BookError(self.path, f"{found} is damaged in the ZIP file") from error

    def text(self, name: str) -> str | None:
        """A member that is XML; None if there is none."""
        data = self.read(name)
        return None if data is None else decode(data, is_markup=True).text

    def _refuse_locks(self) -> None:
        for name, keeper in _LOCKS.items():
            if self.find(name):
                raise self.locked(f"{keeper}, {name}")

    def encrypted(self) -> set[str]:
        """The members that are truly encrypted; fonts are often only obfuscated."""
        text = self.text(_ENCRYPTION)
        root = parse_xml(text) if text else None
        found: set[str] = set()
        for data in root.iter() if root is not None else ():
            if local(data) != "encrypteddata":
                continue
            methods = [it.get("Algorithm") for it in data if local(it) == "encryptionmethod"]
            if any(method not in _OBFUSCATIONS for method in methods or [None]):
                links = [
                    it.get("URI") or "" for it in data.iter() if local(it) == "cipherreference"
                ]
                found.update(filter(None, (self.find(unquote(it).lstrip("/")) for it in links)))
        return found

    def locked(self, why: str) -> BookError:
        """What is said of a protected book."""
        hint = "only books without copy protection can be read"
        return BookError(self.path, f"is protected ({why})", hint=hint)


def _folded(name: str) -> str:
    return normalize("NFC", name).replace("\\", "/").casefold()


def join(base: str, href: str) -> tuple[str, str] | None:
    """What an href in the member *base* leads to: a member and a fragment.

    Returns:
        None if it leads out of the book, or nowhere.
    """
    try:
        parts = urlsplit(href.strip())
    except ValueError:
        return None
    if parts.scheme or parts.netloc or not (parts.path or parts.fragment):
        return None
    fragment = unquote(parts.fragment)
    if not parts.path:
        return base, fragment
    path = posixpath.join(posixpath.dirname(base), unquote(parts.path))
    return posixpath.normpath(path).lstrip("/"), fragment
