"""The types that File Search takes, and which of them a file's extension stands for.

`SUPPORTED` is the list of the service's documentation (ai.google.dev, page "File Search", as of November 2026),
without the two image types, which need another embedding model than the default one.  The host's own MIME tables are
never asked: they differ from machine to machine and know types that the service refuses.
"""

from __future__ import annotations

from typing import Final

_SUPPORTED: Final = """
application/dart application/ecmascript application/json application/ms-java application/msword application/pdf
application/sql application/typescript application/vnd.curl application/vnd.dart
application/vnd.ibm.secure-container application/vnd.jupyter application/vnd.ms-excel
application/vnd.oasis.opendocument.text
application/vnd.openxmlformats-officedocument.presentationml.presentation
application/vnd.openxmlformats-officedocument.spreadsheetml.sheet
application/vnd.openxmlformats-officedocument.wordprocessingml.document
application/vnd.openxmlformats-officedocument.wordprocessingml.template application/x-csh application/x-hwp
application/x-hwp-v5 application/x-latex application/x-php application/x-powershell application/x-sh
application/x-shellscript application/x-tex application/x-zsh application/xml application/zip
text/1d-interleaved-parityfec text/RED text/SGML text/cache-manifest text/calendar text/cql text/cql-extension
text/cql-identifier text/css text/csv text/csv-schema text/dns text/encaprtp text/enriched text/example
text/fhirpath text/flexfec text/fwdred text/gff3 text/grammar-ref-list text/hl7v2 text/html text/javascript
text/jcr-cnd text/jsx text/markdown text/mizar text/n3 text/parameters text/parityfec text/php text/plain
text/provenance-notation text/prs.fallenstein.rst text/prs.lines.tag text/prs.prop.logic text/raptorfec
text/rfc822-headers text/rtf text/rtp-enc-aescm128 text/rtploopback text/rtx text/sgml text/shaclc text/shex
text/spdx text/strings text/t140 text/tab-separated-values text/texmacs text/troff text/tsv text/tsx text/turtle
text/ulpfec text/uri-list text/vcard text/vnd.DMClientScript text/vnd.IPTC.NITF text/vnd.IPTC.NewsML text/vnd.a
text/vnd.abc text/vnd.ascii-art text/vnd.curl text/vnd.debian.copyright text/vnd.dvb.subtitle
text/vnd.esmertec.theme-descriptor text/vnd.exchangeable text/vnd.familysearch.gedcom text/vnd.ficlab.flt
text/vnd.fly text/vnd.fmi.flexstor text/vnd.gml text/vnd.graphviz text/vnd.hans text/vnd.hgl text/vnd.in3d.3dml
text/vnd.in3d.spot text/vnd.latex-z text/vnd.motorola.reflex text/vnd.ms-mediapackage
text/vnd.net2phone.commcenter.command text/vnd.radisys.msml-basic-layout text/vnd.senx.warpscript text/vnd.sosi
text/vnd.sun.j2me.app-descriptor text/vnd.trolltech.linguist text/vnd.wap.si text/vnd.wap.sl text/vnd.wap.wml
text/vnd.wap.wmlscript text/vtt text/wgsl text/x-asm text/x-bibtex text/x-boo text/x-c text/x-c++hdr
text/x-c++src text/x-cassandra text/x-chdr text/x-coffeescript text/x-component text/x-csh text/x-csharp
text/x-csrc text/x-cuda text/x-d text/x-diff text/x-dsrc text/x-emacs-lisp text/x-erlang text/x-gff3 text/x-go
text/x-haskell text/x-java text/x-java-properties text/x-java-source text/x-kotlin text/x-lilypond text/x-lisp
text/x-literate-haskell text/x-lua text/x-moc text/x-objcsrc text/x-pascal text/x-pcs-gcd text/x-perl
text/x-perl-script text/x-python text/x-python-script text/x-r-markdown text/x-rsrc text/x-rst
text/x-ruby-script text/x-rust text/x-sass text/x-scala text/x-scheme text/x-script.python text/x-scss
text/x-setext text/x-sfv text/x-sh text/x-siesta text/x-sos text/x-sql text/x-swift text/x-tcl text/x-tex
text/x-vbasic text/x-vcalendar text/xml text/xml-dtd text/xml-external-parsed-entity text/yaml
"""

_EXTENSIONS: Final = """
application/dart                dart
application/json                json geojson webmanifest
application/msword              doc
application/pdf                 pdf
application/typescript          ts mts cts
application/vnd.jupyter         ipynb
application/vnd.ms-excel        xls
application/vnd.oasis.opendocument.text  odt
application/vnd.openxmlformats-officedocument.presentationml.presentation  pptx
application/vnd.openxmlformats-officedocument.spreadsheetml.sheet  xlsx
application/vnd.openxmlformats-officedocument.wordprocessingml.document  docx
application/vnd.openxmlformats-officedocument.wordprocessingml.template  dotx
application/x-hwp               hwp
application/x-powershell        ps1 psm1 psd1
application/x-zsh               zsh
application/xml                 xsd xsl xslt rng rss atom
application/zip                 zip
text/cache-manifest             appcache
text/calendar                   ics ifb
text/cql                        cql
text/css                        css
text/csv                        csv
text/csv-schema                 csvs
text/dns                        zone
text/fhirpath                   fhirpath
text/gff3                       gff3 gff
text/hl7v2                      hl7
text/html                       html htm xhtml xht shtml
text/javascript                 js mjs cjs
text/jsx                        jsx
text/markdown                   md markdown mdown mkd mkdn mdx
text/mizar                      miz
text/n3                         n3
text/php                        php php3 php4 php5 phtml
text/plain                      txt text log conf cfg ini toml adoc asciidoc org textile jsonl ndjson json5
text/plain                      srt nfo lst list readme me changes todo cmake make mk gradle bat cmd r jl clj cljs
text/plain                      edn ex exs ml mli fs fsx fsi nim zig v sv vhdl proto thrift graphql gql tf hcl nix
text/plain                      rq pp cl vue svelte less styl pug jade ejs hbs mustache j2 jinja tmpl tpl po pot fish
text/plain                      awk sed m f f90 f95 for ada adb ads groovy elm cr hx raku applescript wat wiki
text/rfc822-headers             eml
text/rtf                        rtf
text/sgml                       sgml sgm
text/shaclc                     shaclc
text/shex                       shex
text/spdx                       spdx
text/strings                    strings
text/tab-separated-values       tsv tab
text/texmacs                    tm
text/troff                      roff man troff mdoc
text/tsx                        tsx
text/turtle                     ttl
text/uri-list                   uris uri
text/vcard                      vcf vcard
text/vnd.abc                    abc
text/vnd.familysearch.gedcom    ged
text/vnd.gml                    gml
text/vnd.graphviz               gv dot
text/vtt                        vtt
text/wgsl                       wgsl
text/x-asm                      s asm
text/x-bibtex                   bib
text/x-boo                      boo
text/x-c++hdr                   hh hpp hxx h++ inl
text/x-c++src                   cc cpp cxx c++
text/x-chdr                     h
text/x-coffeescript             coffee
text/x-csh                      csh
text/x-csharp                   cs csx
text/x-csrc                     c
text/x-cuda                     cu cuh
text/x-d                        d
text/x-diff                     diff patch
text/x-emacs-lisp               el
text/x-erlang                   erl hrl
text/x-go                       go
text/x-haskell                  hs
text/x-java                     java
text/x-java-properties          properties
text/x-kotlin                   kt kts
text/x-lilypond                 ly ily
text/x-lisp                     lisp lsp
text/x-literate-haskell         lhs
text/x-lua                      lua
text/x-moc                      moc
text/x-objcsrc                  mm
text/x-pascal                   pas
text/x-perl                     pl pm t pod
text/x-python                   py pyi pyw pyx
text/x-r-markdown               rmd qmd
text/x-rst                      rst rest
text/x-ruby-script              rb rake gemspec
text/x-rust                     rs
text/x-sass                     sass
text/x-scala                    scala sc
text/x-scheme                   scm ss rkt
text/x-scss                     scss
text/x-sfv                      sfv
text/x-sh                       sh bash ksh
text/x-sql                      sql
text/x-swift                    swift
text/x-tcl                      tcl tk
text/x-tex                      tex ltx sty cls latex
text/x-vbasic                   vb bas vbs
text/x-vcalendar                vcs
text/xml                        xml
text/xml-dtd                    dtd
text/yaml                       yaml yml
"""

_UNSUPPORTED: Final = """
7z aac aif aiff apk ar avi avif azw azw3 bin bmp br bz2 cab class cpio cr2 db dbf deb dll dmg dng docm dylib eot
epub exe fla flac flv gif gz h5 hdf5 heic heif icns ico img iso jar jp2 jpeg jpg jxl ko lz lz4 lzma lzo m2ts m4a m4v
mdb mkv mo mobi mov mp3 mp4 mpeg mpg msi nef npy npz o odg odp ods oga ogg ogv opus otf parquet pkl png ppm ppt pptm
psd pyc pyd pyo rar rlib rpm so svg svgz swf tar tbz tgz tif tiff ttc ttf txz war wasm wav webm webp whl wma wmv
woff woff2 xcf xlsb xlsm xz z zst
"""

_CONTAINERS: Final = """
application/msword application/pdf application/vnd.ms-excel application/vnd.oasis.opendocument.text
application/vnd.openxmlformats-officedocument.presentationml.presentation
application/vnd.openxmlformats-officedocument.spreadsheetml.sheet
application/vnd.openxmlformats-officedocument.wordprocessingml.document
application/vnd.openxmlformats-officedocument.wordprocessingml.template
application/x-hwp application/zip
"""


def _by_extension() -> dict[bytes, str]:
    table = {}
    for line in _EXTENSIONS.split("\n"):
        mime_type, *extensions = line.split() or [""]
        table.update(dict.fromkeys((extension.encode() for extension in extensions), mime_type))
    return table


SUPPORTED: Final = frozenset(_SUPPORTED.split())
"""Every type that may be sent."""

BY_EXTENSION: Final = _by_extension()
"""Extension in lower case without its dot -> a type of `SUPPORTED`."""

UNSUPPORTED_EXTENSIONS: Final = frozenset(_UNSUPPORTED.encode().split())
"""Extensions of well known types that the service does not take: such files are never opened.  Others that are not
in `BY_EXTENSION` are looked into."""

CONTAINERS: Final = frozenset(_CONTAINERS.split())
"""The types of `BY_EXTENSION` that are not text."""
