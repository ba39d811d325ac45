from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asyncflags._policies.metalink import MAX_DOCUMENT_SIZE, MetalinkFile, parse_metalink

NAMESPACE = "urn:ietf:params:xml:ns:metalink"
SHA1, SHA256 = "80bc95fd391772fa61c91ed68567f0980bb45fd9", "ab" * 32
URL = "<url>https://flags.example/fr.gif</url>"

# After RFC 5854 section 1.1, shortened.
EXAMPLE = f"""<?xml version="1.0" encoding="UTF-8"?>
<metalink xmlns="{NAMESPACE}">
  <published>2009-05-15T12:23:23Z</published>
  <file name="dir/example.ext">
    <size>14471447</size>
    <identity>Example</identity>
    <url location="de" priority="2">http://mirror.example.com/example.ext</url>
    <url priority="1">ftp://ftp.example.com/example.ext</url>
    <url>https://last.example.com/example.ext</url>
    <url location="fr" priority="1">
      http://example.com/example.ext
    </url>
    <metaurl mediatype="torrent" priority="2">http://example.com/example.ext.torrent</metaurl>
    <hash type="sha-1">{SHA1}</hash>
    <hash type="sha-256">{SHA256.upper()}</hash>
    <hash type="zzz">00</hash>
    <pieces length="262144" type="sha-1"><hash>d96b9a4b92a899c2099b7b31bddb5ca423bb9b30</hash></pieces>
  </file>
  <file name="example2.ext"><url>http://example.com/example2.ext</url></file>
</metalink>"""


def document(inside: str) -> bytes:
    return f'<metalink xmlns="{NAMESPACE}">{inside}</metalink>'.encode()


def one(inside: str, name: str = "fr.gif") -> MetalinkFile:
    (file,) = parse_metalink(document(f'<file name="{name}">{inside}</file>'))
    return file


def test_the_files_of_the_rfc_are_read() -> None:
    first, second = parse_metalink(EXAMPLE.encode())
    assert first == MetalinkFile(
        name="dir/example.ext",
        size=14471447,
        checksums=(f"sha256:{SHA256}", f"sha1:{SHA1}"),
        urls=(
            "http://example.com/example.ext",
            "http://mirror.example.com/example.ext",
            "https://last.example.com/example.ext",
        ),
    )
    assert second == MetalinkFile("example2.ext", None, (), ("http://example.com/example2.ext",))


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "iso-8859-1", "us-ascii", "windows-1252"])
def test_the_declared_encoding_is_read(encoding: str) -> None:
    text = EXAMPLE.replace("UTF-8", encoding)
    assert parse_metalink(text.encode(encoding)) == parse_metalink(EXAMPLE.encode())


@pytest.mark.parametrize("encoding", ["x-unknown", "big5", "utf-7", "idna", "undefined", "rot13", "hex"])
def test_an_encoding_that_cannot_be_read_is_refused(encoding: str) -> None:
    with pytest.raises(ValueError, match="encoding .* save it as UTF-8"):
        parse_metalink(EXAMPLE.replace("UTF-8", encoding).encode())


def test_a_prefix_names_the_elements_as_well() -> None:
    text = f'<m:metalink xmlns:m="{NAMESPACE}"><m:file name="a"><m:url>http://x.example/</m:url></m:file></m:metalink>'
    assert parse_metalink(text.encode())[0].urls == ("http://x.example/",)


def test_hashes_are_in_order_of_strength_whatever_the_order_in_the_document() -> None:
    lengths = {"md5": 32, "sha-1": 40, "sha-512": 128, "sha-224": 56, "SHA256": 64, "sha-384": 96}
    hashes = "".join(f'<hash type="{kind}">{"0" * length}</hash>' for kind, length in lengths.items())
    algorithms = [checksum.partition(":")[0] for checksum in one(hashes + URL).checksums]
    assert algorithms == ["sha512", "sha384", "sha256", "sha224", "sha1", "md5"]


def test_the_hash_of_a_piece_is_never_that_of_the_file() -> None:
    pieces = f'<pieces length="1" type="sha-256"><hash type="sha-256">{SHA256}</hash></pieces><hash>{SHA256}</hash>'
    assert one(pieces + URL).checksums == ()


def test_foreign_markup_is_passed_over() -> None:
    foreign = (
        '<x:file xmlns:x="urn:x" name="b"><x:url>http://b.example/</x:url></x:file>'
        f'<other><file name="c">{URL}</file></other>'
    )
    inside = f'<x:size xmlns:x="urn:x">9</x:size><size>7<x:note xmlns:x="urn:x">1</x:note></size>{URL}<url/>'
    (file,) = parse_metalink(document(f'{foreign}<file name="a">{inside}</file>'))
    assert file == MetalinkFile("a", 7, (), ("https://flags.example/fr.gif",))


def test_a_url_named_twice_counts_once_with_its_best_priority() -> None:
    urls = '<url priority="2">http://a.example/</url><url priority="3">http://b.example/</url>'
    assert one(urls + '<url priority="1">HTTP://B.example:80/</url>').urls == (
        "HTTP://B.example:80/",
        "http://a.example/",
    )


@pytest.mark.parametrize("priority", ["0", "", "-1", "1000000", "x", "1.5", "\u0661"])
def test_a_priority_out_of_range_is_the_lowest(priority: str) -> None:
    urls = f'<url priority="{priority}">http://a.example/</url><url priority="999998">http://b.example/</url>'
    assert one(urls).urls == ("http://b.example/", "http://a.example/")


def test_of_equal_places_the_first_spelling_is_kept() -> None:
    assert one("<url>http://a.example</url><url>http://a.example/</url>").urls == ("http://a.example",)


@pytest.mark.parametrize("size", [0, 2**63 - 1])
def test_a_size_is_any_number_of_bytes(size: int) -> None:
    assert one(f"<size> {size}\n</size>{URL}").size == size


def test_the_limits_themselves_are_within_the_limits() -> None:
    deep = "<x>" * 62 + "</x>" * 62
    data = document(f'<file name="a">{URL}{deep}</file>')
    assert len(parse_metalink(data.ljust(16 * 1024 * 1024))) == 1
    with pytest.raises(ValueError, match="nested too deeply"):
        one(f"<x>{deep}</x>")


def test_a_url_keeps_its_bytes_and_its_credentials() -> None:
    assert one("<url>https://me:pw@flags.example/a%2Fb?x=1&amp;y=é</url>").urls == (
        "https://me:pw@flags.example/a%2Fb?x=1&y=é",
    )


@pytest.mark.parametrize("name", ["../fr.gif", "/etc/passwd", "a/../../b", "C:/x", "", "a//b", ".", "..\\x"])
def test_a_name_that_leaves_the_folder_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="cannot be saved: the path"):
        one(URL, name)


@pytest.mark.parametrize(
    ("name", "safe"), [("a/b.gif", "a/b.gif"), ("./a.gif", "a.gif"), (".ssh/keys", "ssh/keys"), ("CON", "_CON"),
                       ("a.part", "a.part_"), ("a\u202egif.exe", "agif.exe")],
)  # fmt: skip
def test_a_name_is_made_safe_as_that_of_a_server(name: str, safe: str) -> None:
    assert one(URL, name).name == safe


@pytest.mark.parametrize("second", ["fr.gif", "./fr.gif"])
def test_a_name_that_comes_twice_is_refused(second: str) -> None:
    with pytest.raises(ValueError, match=r"names the file 'fr\.gif' twice"):
        parse_metalink(document(f'<file name="fr.gif">{URL}</file><file name="{second}">{URL}</file>'))


@pytest.mark.parametrize(
    ("inside", "says"),
    [
        ("", r"no http or https URL for the file 'fr\.gif'"),
        ("<url>ftp://flags.example/fr.gif</url>", "no http or https URL"),
        ("<url>fr.gif</url>", "no http or https URL"),
        ("<size>-1</size>", "no number of bytes"),
        ("<size>1.5</size>", "no number of bytes"),
        ("<size/>", "no number of bytes"),
        ("<size>9223372036854775808</size>", "no number of bytes"),
        ("<size>" + "9" * 5000 + "</size>", "no number of bytes"),
        ("<size>1</size><size>1</size>", "more than one size"),
        ('<hash type="sha-256">abc</hash>', "sha-256 hash .* malformed"),
        (f'<hash type="sha-256">{"g" * 64}</hash>', "sha-256 hash .* malformed"),
        ('<hash type="md5"/>', "md5 hash .* malformed"),
        (f'<hash type="md5">{"0" * 32}</hash><hash type="MD5">{"1" * 32}</hash>', "two different"),
    ],
)
def test_a_file_that_cannot_be_verified_or_fetched_is_named(inside: str, says: str) -> None:
    with pytest.raises(ValueError, match=says) as caught:
        one(inside)
    assert "fr.gif" in str(caught.value) and len(str(caught.value)) < 300


LAUGHS = '<!ENTITY a "ha"><!ENTITY b "&a;&a;">'


@pytest.mark.parametrize(
    "prolog",
    [
        "<!DOCTYPE metalink>",
        '<!DOCTYPE metalink SYSTEM "http://127.0.0.1/x.dtd">',
        f"<!DOCTYPE metalink [{LAUGHS}]>",
        '<!DOCTYPE metalink [<!ENTITY % p SYSTEM "file:///etc/passwd"> %p;]>',
    ],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_a_document_type_is_refused_before_anything_of_it_is_used(prolog: str, encoding: str) -> None:
    text = f'<?xml version="1.0" encoding="{encoding}"?>{prolog}<metalink>&b;</metalink>'
    with pytest.raises(ValueError, match="document type declaration"):
        parse_metalink(text.encode(encoding))


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "not well-formed"),
        (b"\xff\xfe\xff", "not well-formed"),
        (b"https://flags.example/fr.gif", "not well-formed"),
        (EXAMPLE.encode()[:-4], "not well-formed"),
        (document('<file name="a"><url>&b;</url></file>'), "not well-formed"),
        (b"<metalink/>", "no Metalink: its first element is 'metalink'"),
        (f'<file xmlns="{NAMESPACE}"/>'.encode(), "no Metalink: its first element is 'file'"),
        (b"<html></html>", "no Metalink: its first element is 'html'"),
        (b'<metalink version="3.0" xmlns="http://www.metalinker.org/"/>', "version 3, and version 4 is read"),
        (document(""), "names no file"),
        (document("<a>" * 5000 + "</a>" * 5000), "nested too deeply"),
        (b" " * (MAX_DOCUMENT_SIZE + 1), "longer than"),
    ],
)
def test_what_is_no_metalink_is_refused_with_its_reason(data: bytes, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        parse_metalink(data)


PIECES = st.sampled_from(
    ['<file name="a">', "</file>", URL, "<size>1</size>", "<hash>", "</hash>", "<url>", "</url>", "&lt;", "<!-- -->",
     "<!DOCTYPE a>", "<![CDATA[x]]>", '<hash type="md5">00</hash>', "text", "<x>", "</x>", "\x00"]
)  # fmt: skip


@given(
    st.one_of(st.binary(max_size=60), st.lists(PIECES, max_size=8).map(lambda each: document("".join(each))))
)
def test_any_bytes_are_files_or_a_value_error(data: bytes) -> None:
    try:
        files = parse_metalink(data)
    except ValueError as error:
        assert type(error) is not UnicodeDecodeError and len(str(error)) < 300
    else:
        assert all(file.urls and file.name for file in files)
