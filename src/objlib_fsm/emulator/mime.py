"""The types a document may have: the list of the File Search page of ai.google.dev (snapshot of late 2026)."""

from __future__ import annotations

import re
from typing import Final

_APPLICATION: Final = """
    dart ecmascript json ms-java msword pdf sql typescript vnd.curl vnd.dart vnd.ibm.secure-container vnd.jupyter
    vnd.ms-excel vnd.oasis.opendocument.text vnd.openxmlformats-officedocument.presentationml.presentation
    vnd.openxmlformats-officedocument.spreadsheetml.sheet
    vnd.openxmlformats-officedocument.wordprocessingml.document
    vnd.openxmlformats-officedocument.wordprocessingml.template x-csh x-hwp x-hwp-v5 x-latex x-php x-powershell x-sh
    x-shellscript x-tex x-zsh xml zip
"""

_TEXT: Final = """
    1d-interleaved-parityfec RED SGML cache-manifest calendar cql cql-extension cql-identifier css csv csv-schema
    dns encaprtp enriched example fhirpath flexfec fwdred gff3 grammar-ref-list hl7v2 html javascript jcr-cnd jsx
    markdown mizar n3 parameters parityfec php plain provenance-notation prs.fallenstein.rst prs.lines.tag
    prs.prop.logic raptorfec rfc822-headers rtf rtp-enc-aescm128 rtploopback rtx sgml shaclc shex spdx strings t140
    tab-separated-values texmacs troff tsv tsx turtle ulpfec uri-list vcard vnd.DMClientScript vnd.IPTC.NITF
    vnd.IPTC.NewsML vnd.a vnd.abc vnd.ascii-art vnd.curl vnd.debian.copyright vnd.dvb.subtitle
    vnd.esmertec.theme-descriptor vnd.exchangeable vnd.familysearch.gedcom vnd.ficlab.flt vnd.fly vnd.fmi.flexstor
    vnd.gml vnd.graphviz vnd.hans vnd.hgl vnd.in3d.3dml vnd.in3d.spot vnd.latex-z vnd.motorola.reflex
    vnd.ms-mediapackage vnd.net2phone.commcenter.command vnd.radisys.msml-basic-layout vnd.senx.warpscript vnd.sosi
    vnd.sun.j2me.app-descriptor vnd.trolltech.linguist vnd.wap.si vnd.wap.sl vnd.wap.wml vnd.wap.wmlscript vtt wgsl
    x-asm x-bibtex x-boo x-c x-c++hdr x-c++src x-cassandra x-chdr x-coffeescript x-component x-csh x-csharp x-csrc
    x-cuda x-d x-diff x-dsrc x-emacs-lisp x-erlang x-gff3 x-go x-haskell x-java x-java-properties x-java-source
    x-kotlin x-lilypond x-lisp x-literate-haskell x-lua x-moc x-objcsrc x-pascal x-pcs-gcd x-perl x-perl-script
    x-python x-python-script x-r-markdown x-rsrc x-rst x-ruby-script x-rust x-sass x-scala x-scheme x-script.python
    x-scss x-setext x-sfv x-sh x-siesta x-sos x-sql x-swift x-tcl x-tex x-vbasic x-vcalendar xml xml-dtd
    xml-external-parsed-entity yaml
"""

_IMAGE: Final = "png jpeg"
"""Only with a multimodal embedding model."""

DOCUMENT_MIME_TYPES: Final = frozenset(
    [f"application/{name}" for name in _APPLICATION.split()]
    + [f"text/{name}" for name in _TEXT.split()]
    + [f"image/{name}" for name in _IMAGE.split()]
)

_MARKUP: Final = frozenset(["text/html", "text/xml", "application/xml", "text/sgml", "text/SGML"])

_TEXTUAL: Final = """
    dart ecmascript json ms-java sql typescript vnd.curl vnd.dart vnd.jupyter x-csh x-latex x-php x-powershell x-sh
    x-shellscript x-tex x-zsh xml
"""

_TEXTUAL_APPLICATIONS: Final = frozenset(f"application/{name}" for name in _TEXTUAL.split())

_WELL_FORMED: Final = re.compile(r"[A-Za-z0-9!#$&^_.+-]{1,127}/[A-Za-z0-9!#$&^_.+-]{1,127}")


def bare(mime_type: str) -> str:
    """The type without parameters: ``text/plain; charset=utf-8`` -> ``text/plain``."""
    return mime_type.partition(";")[0].strip()


def is_well_formed(mime_type: str) -> bool:
    """type/subtype, as RFC 6838 allows."""
    return _WELL_FORMED.fullmatch(mime_type) is not None


def is_text(mime_type: str) -> bool:
    """Types whose bytes are text."""
    return mime_type.startswith("text/") or mime_type in _TEXTUAL_APPLICATIONS


def is_markup(mime_type: str) -> bool:
    """Text types whose tags are not content."""
    return mime_type in _MARKUP
